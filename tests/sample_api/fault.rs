//! What can go wrong on purpose, and the script that says when.

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

/// A fault and the requests that it is for: all of them unless narrowed, until cleared unless counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    fault: Fault,
    path: String,
    page: Option<u64>,
    skip: u64,
    times: Option<u64>,
}

impl Rule {
    pub fn new(fault: Fault) -> Rule {
        Rule {
            fault,
            path: String::new(),
            page: None,
            skip: 0,
            times: None,
        }
    }

    /// Only paths that begin like this, for example `/page/`.
    pub fn path(mut self, prefix: &str) -> Rule {
        prefix.clone_into(&mut self.path);
        self
    }

    /// Only requests for this page, counted from 1 in every scheme.
    pub fn page(mut self, page: u64) -> Rule {
        self.page = Some(page);
        self
    }

    /// Lets that many matching requests through first.
    pub fn skip(mut self, requests: u64) -> Rule {
        self.skip = requests;
        self
    }

    /// Only the next so many matching requests.
    pub fn times(mut self, requests: u64) -> Rule {
        self.times = Some(requests);
        self
    }

    /// Whether this request meets the fault; counts it where it matches.
    fn meets(&mut self, path: &str, page: Option<u64>) -> bool {
        let matches = path.starts_with(&self.path) && (self.page.is_none() || self.page == page);
        if !matches || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.map(|left| left - 1);
        true
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Rule {
        Rule::new(fault)
    }
}

/// The rules in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Script {
    rules: Vec<Rule>,
}

impl Script {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// How many rules may still act.
    pub(crate) fn pending(&self) -> usize {
        self.rules.len()
    }

    /// The faults that this request meets; rules that are used up are dropped.
    pub(crate) fn take(&mut self, path: &str, page: Option<u64>) -> Vec<Fault> {
        let met = self
            .rules
            .iter_mut()
            .filter_map(|rule| rule.meets(path, page).then(|| rule.fault.clone()));
        let faults = met.collect();
        self.rules.retain(|rule| rule.times != Some(0));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_acts_on_what_it_matches_and_as_often_as_it_says() {
        let mut script = Script::default();
        script.add(Rule::new(Fault::Hang).path("/page/").page(3).skip(1).times(2));
        let mut met = |path: &str, page: u64| !script.take(path, Some(page)).is_empty();
        assert!(!met("/offset/products", 3));
        assert!(!met("/page/products", 2));
        assert_eq!([(); 4].map(|()| met("/page/products", 3)), [false, true, true, false]);
        assert_eq!(script.pending(), 0);
    }

    #[test]
    fn a_rule_without_a_count_acts_until_it_is_cleared() {
        let mut script = Script::default();
        script.add(Fault::Close.into());
        assert_eq!(script.take("/x", None), [Fault::Close]);
        assert_eq!(script.take("/x", Some(1)), [Fault::Close]);
        script.clear();
        assert_eq!(script.take("/x", None), []);
    }
}
