//! Reads in tests: a decoder of numbers, a bell that waits, and the parts of a remote.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sluice_core::data::SingularQuery;
use sluice_core::error::Error;
use sluice_core::http::{Headers, HttpError, Request, Response};
use sluice_core::pagination::{KnownPage, Pagination, Source, Stop, Totals};
use sluice_core::retry::RetryPolicy;
use sluice_fetch::{Decode, Failure, FetchedPage, PageFacts, Poll, Read, ReadSpec, Transport, start};
use url::Url;

/// Pages are JSON arrays of numbers, which are their own keys; zero is none. The body `panic` makes the decoder panic, any other text is wrong content.
pub struct Numbers;

impl Decode for Numbers {
    type Page = Vec<u64>;

    fn decode(&self, response: &Response) -> Result<(Vec<u64>, PageFacts), Error> {
        assert_ne!(response.body, b"panic");
        // Stands for any error of content.
        let wrong = |_| HttpError::MissingTotal { page: 0 };
        let numbers: Vec<u64> = serde_json::from_slice(&response.body).map_err(wrong)?;
        let facts = PageFacts {
            records: numbers.len() as u64,
            next: numbers.last().filter(|last| **last > 0).map(u64::to_string),
            ..PageFacts::default()
        };
        Ok((numbers, facts))
    }

    fn unchanged(&self, known: &KnownPage) -> Vec<u64> {
        vec![0; known.records as usize]
    }
}

/// Wakes a waiting test.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<u64>,
    heard: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *self.rung.lock().unwrap() += 1;
        self.heard.notify_all();
    }

    /// Polls until there is something.
    pub fn next(&self, read: &Read<Vec<u64>>) -> Poll<Vec<u64>> {
        let mut rung = self.rung.lock().unwrap();
        loop {
            match read.poll() {
                Poll::Pending => {
                    let (guard, timeout) = self.heard.wait_timeout(rung, Duration::from_secs(10)).unwrap();
                    assert!(!timeout.timed_out(), "nothing came: {:?}", read.waiting());
                    rung = guard;
                }
                other => return other,
            }
        }
    }
}

pub fn begin(spec: ReadSpec, transport: Arc<dyn Transport>) -> (Read<Vec<u64>>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let ring = Arc::clone(&bell);
    (
        start(spec, transport, Arc::new(Numbers), Arc::new(move || ring.ring())),
        bell,
    )
}

/// Reads to the end; the pages, and the failure if there was one.
pub fn read(spec: ReadSpec, transport: Arc<dyn Transport>) -> (Vec<FetchedPage<Vec<u64>>>, Option<Failure>) {
    let (read, bell) = begin(spec, transport);
    let mut pages = Vec::new();
    loop {
        match bell.next(&read) {
            Poll::Page(page) => pages.push(page),
            Poll::Finished => return (pages, None),
            Poll::Failed(failure) => return (pages, Some(failure)),
            Poll::Pending => unreachable!("next waits"),
        }
    }
}

pub fn numbers(pages: &[FetchedPage<Vec<u64>>]) -> Vec<u64> {
    pages
        .iter()
        .flat_map(|page| page.page.iter().flatten().copied())
        .collect()
}

pub fn spec(pagination: Pagination) -> ReadSpec {
    let mut spec = ReadSpec::new(Url::parse("https://api.example/v1").unwrap(), "/x");
    spec.pagination = pagination;
    spec.page_size = Some(10);
    spec.retry = RetryPolicy {
        attempts: 4,
        cap: Duration::from_millis(2),
        ..RetryPolicy::default()
    };
    spec
}

pub fn by_page(stop: Stop) -> Pagination {
    Pagination::Page {
        param: "page".into(),
        start: 1,
        size_param: Some("size".into()),
        totals: Totals::default(),
        stop,
    }
}

pub fn by_keyset() -> Pagination {
    Pagination::Keyset {
        param: "after".into(),
        column: "last".into(),
        last: Source::Body(SingularQuery::member("last")),
    }
}

pub fn by_offset() -> Pagination {
    let (records, stop) = (Some(Source::Header("x-total".into())), Stop::Total);
    Pagination::Offset {
        param: "offset".into(),
        limit_param: Some("limit".into()),
        totals: Totals { records, pages: None },
        stop,
    }
}

pub fn ok(body: impl Into<Vec<u8>>) -> Result<Response, HttpError> {
    status(200, body)
}

pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Result<Response, HttpError> {
    let body = body.into();
    Ok(Response {
        status,
        headers: Headers::new(),
        wire_bytes: body.len() as u64,
        body,
    })
}

pub fn param(request: &Request, name: &str) -> Option<u64> {
    request.url.query_pairs().find(|(n, _)| n == name)?.1.parse().ok()
}

/// The records of page `page` of a collection of `size`, in pages of `length`.
pub fn page_of(size: u64, page: u64, length: u64) -> String {
    slice_of(size, (page - 1) * length, length)
}

pub fn slice_of(size: u64, from: u64, length: u64) -> String {
    format!("{:?}", (from.min(size)..(from + length).min(size)).collect::<Vec<_>>())
}

pub fn network() -> HttpError {
    HttpError::Refused {
        remote: "api.example:443".into(),
    }
}
