//! An answer before it is sent, and the words of HTTP around it.

use crate::calendar;
use crate::request::find_header;

/// Status, headers and body; what is sent is decided later, by [`crate::deliver`].
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Without Date, Server, Content-Length, Transfer-Encoding and Connection, which delivery adds unless they are
    /// here, set by a fault.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        let mut answer = Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        answer.set_header("Content-Type", "application/json");
        answer
    }

    /// `{"error": …}` with the text of the status, or with the given one.
    pub(crate) fn error(status: u16, message: Option<&str>) -> Answer {
        let message = message.unwrap_or(reason(status));
        Answer::json(status, serde_json::json!({ "error": message }).to_string())
    }

    /// Replaces the headers of that name.
    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Replaces what had one of the given names, then appends all: the same name twice gives two lines.
    pub(crate) fn set_headers(&mut self, headers: &[(String, String)]) {
        self.headers.retain(|(known, _)| find_header(headers, known).is_none());
        self.headers.extend_from_slice(headers);
    }

    /// The status line and all headers; `framing` are the lines that say where the body ends.
    pub(crate) fn head(&self, framing: &[(&str, String)]) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).into_bytes();
        if find_header(&self.headers, "date").is_none() {
            push_line(&mut head, "Date", &calendar::http_date(calendar::now()));
        }
        push_line(&mut head, "Server", "sample-api");
        self.headers
            .iter()
            .for_each(|(name, value)| push_line(&mut head, name, value));
        let missing = framing
            .iter()
            .filter(|(name, _)| find_header(&self.headers, name).is_none());
        missing.for_each(|(name, value)| push_line(&mut head, name, value));
        head.extend_from_slice(b"\r\n");
        head
    }

    /// RFC 9110 6.4.1: these statuses never have a body.
    pub(crate) fn has_no_body(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }
}

pub(crate) fn push_line(head: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
