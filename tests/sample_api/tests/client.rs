//! A tiny client that reports what came, broken or not.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sample_api::SampleApi;
use serde_json::Value;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its head said.
    Whole,
    /// By a close before that.
    Closed,
    Reset,
    /// A chunk size that is no number.
    BadChunk,
    /// Nothing came for the time that the client waits.
    Silent,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub ending: Ending,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.ending, Ending::Whole);
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn ids(&self) -> Vec<u64> {
        ids(&self.json()["data"])
    }
}

pub fn ids(records: &Value) -> Vec<u64> {
    records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["id"].as_u64().unwrap())
        .collect()
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Client {
            stream: BufReader::new(stream),
        }
    }

    pub fn wait_at_most(&self, patience: Duration) {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub fn get(&mut self, target: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: sample.test\r\n\r\n"));
        self.read(true)
    }

    /// Reads an answer; `Reply::status` is 0 where none came.
    pub fn read(&mut self, with_body: bool) -> Reply {
        let mut reply = Reply {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            ending: Ending::Closed,
        };
        reply.ending = match self.read_into(&mut reply, with_body) {
            Ok(ending) => ending,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ending::Silent,
                ErrorKind::ConnectionReset => Ending::Reset,
                _ => Ending::Closed,
            },
        };
        reply
    }

    fn read_into(&mut self, reply: &mut Reply, with_body: bool) -> std::io::Result<Ending> {
        let first = self.line()?;
        reply.status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        if !with_body || matches!(reply.status, 204 | 304) {
            return Ok(Ending::Whole);
        }
        if reply.header("transfer-encoding").is_some() {
            return self.read_chunks(&mut reply.body);
        }
        let length = reply
            .header("content-length")
            .map_or(u64::MAX, |length| length.parse().unwrap());
        let got = Read::by_ref(&mut self.stream)
            .take(length)
            .read_to_end(&mut reply.body)?;
        Ok(if got as u64 == length {
            Ending::Whole
        } else {
            Ending::Closed
        })
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> std::io::Result<Ending> {
        while body.len() < 1 << 20 {
            let Ok(length) = u64::from_str_radix(&self.line()?, 16) else {
                return Ok(Ending::BadChunk);
            };
            Read::by_ref(&mut self.stream).take(length).read_to_end(body)?;
            self.line()?;
            if length == 0 {
                return Ok(Ending::Whole);
            }
        }
        Ok(Ending::Closed)
    }

    /// A line without its end; an error when the connection ends before it.
    fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// One GET on a connection of its own.
pub fn get(api: &SampleApi, target: &str) -> Reply {
    Client::connect(api.address()).get(target)
}

/// One POST on a connection of its own.
pub fn post(api: &SampleApi, target: &str, body: &str) -> Reply {
    let mut client = Client::connect(api.address());
    let length = body.len();
    client.send(&format!(
        "POST {target} HTTP/1.1\r\nHost: sample.test\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    client.read(true)
}
