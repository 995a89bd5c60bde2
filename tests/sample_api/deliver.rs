//! Sending an answer: correctly, or in one of the ways in which servers break.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;

use crate::answer::Answer;
use crate::fault::Fault;
use crate::gate::Stop;

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Close,
}

/// The sending side of a connection.
pub(crate) struct Wire<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) stop: &'a Stop,
    /// Bytes of bodies sent, for the log.
    pub(crate) sent: u64,
}

const CLOSE: (&str, &str) = ("Connection", "close");

impl Wire<'_> {
    /// Sends an answer as it should be; `after` says whether the client asked for a close, `Keep` otherwise.
    pub(crate) fn send(&mut self, answer: &Answer, without_body: bool, after: After) -> io::Result<After> {
        let mut framing = vec![];
        if after == After::Close {
            framing.push((CLOSE.0, CLOSE.1.to_owned()));
        }
        if !answer.has_no_body() {
            framing.push(("Content-Length", answer.body.len().to_string()));
        }
        let body: &[u8] = if without_body || answer.has_no_body() {
            b""
        } else {
            &answer.body
        };
        self.write_both(&answer.head(&framing), body)?;
        Ok(after)
    }

    /// Sends an answer in the way that the fault says; faults of content are sent as they should be.
    pub(crate) fn send_badly(&mut self, answer: &Answer, fault: &Fault, after: After) -> io::Result<After> {
        let half = &answer.body[..answer.body.len() / 2];
        match fault {
            Fault::DelayPerByte(pause) => return self.send_slowly(answer, *pause, after),
            Fault::Hang => return self.hang(),
            Fault::Close => {}
            Fault::CloseAfter => drop(self.send(answer, false, After::Keep)?),
            Fault::Reset => {
                self.write_both(&self.measured_head(answer), half)?;
                SockRef::from(self.stream).set_linger(Some(Duration::ZERO))?;
            }
            Fault::ShortBody => self.write_both(&self.measured_head(answer), half)?,
            Fault::UnmarkedHalf => self.write_both(&answer.head(&[(CLOSE.0, CLOSE.1.to_owned())]), half)?,
            Fault::Chunked | Fault::TruncatedChunks | Fault::BadChunkSize | Fault::EndlessChunks => {
                return self.send_chunks(answer, fault, after);
            }
            Fault::HeaderBomb { headers, bytes } => self.send_headers(answer, *headers, *bytes)?,
            Fault::Raw(bytes) => self.write_both(b"", bytes)?,
            _ => return self.send(answer, false, after),
        }
        Ok(After::Close)
    }

    /// A head that promises the whole body.
    fn measured_head(&self, answer: &Answer) -> Vec<u8> {
        answer.head(&[("Content-Length", answer.body.len().to_string())])
    }

    /// Only a head, with that many headers more.
    fn send_headers(&mut self, answer: &Answer, headers: usize, bytes: usize) -> io::Result<()> {
        let mut bomb = Answer {
            headers: answer.headers.clone(),
            body: Vec::new(),
            ..*answer
        };
        bomb.headers
            .extend((0..headers).map(|at| (format!("X-Bomb-{at}"), "b".repeat(bytes))));
        self.write_both(&self.measured_head(&bomb), b"")
    }

    fn send_slowly(&mut self, answer: &Answer, pause: Duration, after: After) -> io::Result<After> {
        self.write_both(&self.measured_head(answer), b"")?;
        for byte in &answer.body {
            self.write_both(b"", &[*byte])?;
            if self.stop.wait(pause) {
                return Ok(After::Close);
            }
        }
        Ok(after)
    }

    fn send_chunks(&mut self, answer: &Answer, fault: &Fault, after: After) -> io::Result<After> {
        self.write_both(&answer.head(&[("Transfer-Encoding", "chunked".to_owned())]), b"")?;
        let half = answer.body.len() / 2;
        match fault {
            Fault::Chunked => {
                self.chunk(&answer.body[..half])?;
                self.chunk(&answer.body[half..])?;
                self.write_both(b"0\r\n\r\n", b"")?;
                return Ok(after);
            }
            Fault::BadChunkSize => self.write_both(b"12zz\r\n", &answer.body[..half])?,
            Fault::EndlessChunks => self.chunk_for_ever()?,
            _ => self.chunk(&answer.body[..half])?,
        }
        Ok(After::Close)
    }

    fn chunk_for_ever(&mut self) -> io::Result<()> {
        self.chunk(b"{\"data\":[{\"id\":1}")?;
        let more = b",{\"id\":1}".repeat(1_000);
        while !self.stop.is_set() {
            self.chunk(&more)?;
        }
        Ok(())
    }

    /// One chunk (RFC 9112 7.1); an empty one would end the body and is left out.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.write_both(format!("{:x}\r\n", bytes.len()).as_bytes(), bytes)?;
        self.write_both(b"\r\n", b"")
    }

    /// Says nothing until the client leaves or the server stops.
    fn hang(&mut self) -> io::Result<After> {
        self.stream.set_nonblocking(true)?;
        while !self.stop.wait(Duration::from_millis(20)) {
            match self.stream.peek(&mut [0]) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
        Ok(After::Close)
    }

    /// Both in as few packets as possible; only the second counts as body.
    pub(crate) fn write_both(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut slices: &mut [IoSlice<'_>] = &mut [IoSlice::new(head), IoSlice::new(body)];
        IoSlice::advance_slices(&mut slices, 0); // drops empty slices
        while !slices.is_empty() {
            match self.stream.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent += body.len() as u64;
        Ok(())
    }
}
