//! A raw-socket server: a script gets each connection's request and writes whatever it likes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sluice_fetch::{ReadSpec, Timeouts, UreqTransport};
use url::Url;

/// A server that runs until the test process ends.
pub struct Scripted {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// `script` gets the request's head and the connection, which is closed when it returns.
    pub fn new(script: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, heads, script) = (Arc::clone(&connections), Arc::clone(&requests), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (heads, script) = (Arc::clone(&heads), Arc::clone(&script));
                thread::spawn(move || {
                    let head = read_head(&stream);
                    heads.lock().unwrap().push(head.clone());
                    script(&head, &mut stream);
                });
            }
        });
        Scripted {
            port,
            connections,
            requests,
        }
    }

    /// Answers every request with the same text.
    pub fn saying(answer: impl Into<Vec<u8>>) -> Scripted {
        let answer = answer.into();
        Scripted::new(move |_, stream| drop(stream.write_all(&answer)))
    }

    pub fn base(&self) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}/v1", self.port)).unwrap()
    }

    /// A read of `/x` that may go to loopback, with short time limits.
    pub fn spec(&self) -> ReadSpec {
        let mut spec = ReadSpec::new(self.base(), "/x");
        spec.policy.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
        spec.timeouts = Timeouts {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(5),
        };
        spec
    }

    pub fn transport(&self) -> UreqTransport {
        UreqTransport::new(self.spec().agent_settings())
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while let Ok(read) = reader.read_line(&mut head) {
        if read == 0 || head.ends_with("\r\n\r\n") {
            break;
        }
    }
    head
}

/// A complete response with a length.
pub fn response(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{fields}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The path and query of a request's head.
pub fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}
