//! What can go wrong on purpose; [`crate::script`] says when.

use std::time::Duration;

/// One kind of misbehaviour. Those that change what is answered and those that change how it is sent combine when
/// several rules match a request; of two of the same kind the later rule wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This answer instead of the page. The headers replace the usual ones of the same name.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The page with these headers replaced or added; the same name twice gives two lines.
    Headers(Vec<(String, String)>),
    /// The page without the second half of its records.
    HalfPage,
    /// As if the second half of the products did not exist.
    HalfRows { total: Total },
    /// The page of this number whatever is asked for, with its name of the next one.
    RepeatPage(u64),
    /// One record with one member replaced by this JSON text, or (`None`) left out.
    AlterRecord {
        id: u64,
        member: String,
        value: Option<String>,
    },
    /// Correctly compressed.
    Gzip,
    /// A small body that unpacks to this many bytes of valid JSON: an array full of blanks.
    GzipBomb { bytes: u64 },

    /// Nothing for that long, then the answer.
    DelayHeaders(Duration),
    /// The body byte by byte with that pause after each.
    DelayPerByte(Duration),
    /// The request is read and nothing is ever said. Ends when the client leaves or the server stops.
    Hang,
    /// The connection is closed instead of an answer.
    Close,
    /// A good answer, and then the connection is closed without having said so: a stale pooled connection.
    CloseAfter,
    /// Half the body, then RST.
    Reset,
    /// Half the body that Content-Length promised, then a close.
    ShortBody,
    /// Half the body, which ends with the connection: no way to see it in HTTP.
    UnmarkedHalf,
    /// The whole body in chunks, correctly.
    Chunked,
    /// Half the body in chunks, then a close without the last chunk.
    TruncatedChunks,
    /// A chunk whose size is no number.
    BadChunkSize,
    /// Chunks for ever: an array that does not end.
    EndlessChunks,
    /// That many more headers, each with a value of that many bytes.
    HeaderBomb { headers: usize, bytes: usize },
    /// These bytes instead of an HTTP answer, then a close.
    Raw(Vec<u8>),
}

/// What an answer with too few rows says about how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// As many as are given.
    Matching,
    /// As many as there really are.
    Real,
}

impl Fault {
    /// That status with a short JSON error, and these headers.
    pub fn status(status: u16, headers: &[(&str, &str)]) -> Fault {
        let mut headers = owned(headers);
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        Fault::Answer {
            status,
            headers,
            body: format!("{{\"error\":\"status {status}\"}}").into_bytes(),
        }
    }

    /// 200 with this body as application/json.
    pub fn body(body: impl Into<Vec<u8>>) -> Fault {
        Fault::Answer {
            status: 200,
            headers: owned(&[("Content-Type", "application/json")]),
            body: body.into(),
        }
    }

    /// 200 with a login page, as a proxy or an expired session gives it.
    pub fn html() -> Fault {
        let body = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n";
        Fault::Answer {
            status: 200,
            headers: owned(&[("Content-Type", "text/html")]),
            body: body.to_vec(),
        }
    }

    /// 204, without a body.
    pub fn no_content() -> Fault {
        Fault::Answer {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A redirect to this Location, as it is.
    pub fn redirect(status: u16, location: &str) -> Fault {
        Fault::Answer {
            status,
            headers: owned(&[("Location", location)]),
            body: Vec::new(),
        }
    }

    /// The page under another Content-Type.
    pub fn content_type(value: &str) -> Fault {
        Fault::Headers(owned(&[("Content-Type", value)]))
    }

    /// Whether no status is sent, or one that only the fault knows.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Fault::Hang | Fault::Close | Fault::Raw(_))
    }

    /// Whether it replaces the usual sending; delays come before that and are not meant.
    pub(crate) fn is_about_sending(&self) -> bool {
        use Fault::*;
        match self {
            Answer { .. } | Headers(_) | HalfPage | HalfRows { .. } | RepeatPage(_) | AlterRecord { .. } => false,
            Gzip | GzipBomb { .. } | DelayHeaders(_) => false,
            DelayPerByte(_) | Hang | Close | CloseAfter | Reset | ShortBody | UnmarkedHalf | Raw(_) => true,
            Chunked | TruncatedChunks | BadChunkSize | EndlessChunks | HeaderBomb { .. } => true,
        }
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
