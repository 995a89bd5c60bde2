//! Reading a request off a connection (RFC 9112), strictly enough for a test server: what it cannot read, it answers
//! with an error status and closes.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;

use crate::query::Query;

/// Request line and header lines together.
const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query as they came.
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) closes: bool,
}

impl Request {
    /// The first header of that name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

pub(crate) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// What came instead of a request.
#[derive(Debug)]
pub(crate) enum NoRequest {
    /// The client has closed, or the connection broke.
    Gone,
    /// The client sent something that is answered with this status, after which the connection is closed.
    Refused(u16),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> NoRequest {
        NoRequest::Gone
    }
}

/// Waits for the next request of a connection.
pub(crate) fn read(stream: &TcpStream, input: &mut impl BufRead) -> Result<Request, NoRequest> {
    let lines = head_lines(input)?;
    let mut request = parse_head(&lines).ok_or(NoRequest::Refused(400))?;
    if request.header("transfer-encoding").is_some() {
        return Err(NoRequest::Refused(411));
    }
    let length = match request.header("content-length") {
        None => 0,
        Some(text) => text.parse::<u64>().map_err(|_| NoRequest::Refused(400))?,
    };
    if length > MAX_BODY {
        return Err(NoRequest::Refused(413));
    }
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body.resize(length as usize, 0);
    input.read_exact(&mut request.body)?;
    let Request { query, body, .. } = &mut request;
    query.add_json(body);
    Ok(request)
}

/// The lines before the blank one, without their ends.
fn head_lines(input: &mut impl BufRead) -> Result<Vec<String>, NoRequest> {
    let mut head = input.take(MAX_HEAD);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        head.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(if head.limit() == 0 {
                NoRequest::Refused(431)
            } else {
                NoRequest::Gone
            });
        }
        line.pop_if(|last| *last == b'\r');
        match (line.is_empty(), lines.is_empty()) {
            (true, true) => {} // RFC 9112 2.2: blank lines before a request are skipped
            (true, false) => return Ok(lines),
            _ => lines.push(String::from_utf8_lossy(&line).into_owned()),
        }
    }
}

fn parse_head(lines: &[String]) -> Option<Request> {
    let (first, rest) = lines.split_first()?;
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return None;
    }
    let headers = rest.iter().map(|line| parse_header(line)).collect::<Option<Vec<_>>>()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let closes = match find_header(&headers, "connection") {
        Some(value) if value.eq_ignore_ascii_case("close") => true,
        Some(value) if value.eq_ignore_ascii_case("keep-alive") => false,
        _ => version == "HTTP/1.0",
    };
    Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        path: path.to_owned(),
        query: Query::parse(query),
        headers,
        body: Vec::new(),
        closes,
    })
}

fn parse_header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let well_formed = !name.is_empty() && !name.contains([' ', '\t']);
    well_formed.then(|| (name.to_owned(), value.trim().to_owned()))
}
