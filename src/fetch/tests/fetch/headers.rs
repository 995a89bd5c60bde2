//! Headers that remotes send with good answers and bad ones.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sluice_core::pagination::{Pagination, Stop};
use sluice_fetch::{MemoryTransport, ReadSpec, Transport};
use url::Url;

use crate::reading::*;
use crate::scripted::{Scripted, response, target};

fn page_asked(head: &str) -> u64 {
    let url = Url::parse("http://h").unwrap().join(target(head)).unwrap();
    let page = url.query_pairs().find(|(name, _)| name == "page");
    page.map_or(1, |(_, page)| page.parse().unwrap())
}

/// F-N14: each page sets a cookie, none is sent back, and the read is as without.
#[test]
fn cookies_on_every_page_of_a_read_are_not_sent_back() {
    let server = Scripted::new(|head, stream| {
        let page = page_asked(head);
        let cookies = format!("Set-Cookie: session={page}; Path=/\r\nSet-Cookie: seen=1\r\n");
        let _ = stream.write_all(&response("200 OK", &cookies, page_of(45, page, 10).as_bytes()));
    });
    let spec = ReadSpec {
        pagination: by_page(Stop::Empty),
        page_size: Some(10),
        ..server.spec()
    };
    let (pages, failure) = read(spec, Arc::new(server.transport()));
    assert_eq!((failure, numbers(&pages)), (None, (0..45).collect::<Vec<_>>()));
    let heads = server.requests();
    assert!(heads.len() >= 5, "{}", heads.len());
    assert!(heads.iter().all(|head| !head.to_ascii_lowercase().contains("cookie")));
}

/// F-R5: a link with a byte of Latin-1 leads on; it does not pass for a missing one, which would end the read.
#[test]
fn a_header_in_latin_1_is_read_and_not_left_out() {
    let server = Scripted::new(|head, stream| {
        let page = page_asked(head);
        let link: &[u8] = match page {
            1 => b"Link: </v1/x?page=2&q=caf\xe9>; rel=\"next\"\r\n",
            _ => b"X-Note: fin\xe9\r\n",
        };
        let body = page_of(15, page, 10);
        let length = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n",
            body.len()
        );
        let _ = stream.write_all(&[length.as_bytes(), link, b"\r\n", body.as_bytes()].concat());
    });
    let spec = ReadSpec {
        pagination: Pagination::LinkHeader,
        ..server.spec()
    };
    let (pages, failure) = read(spec, Arc::new(server.transport()));
    assert_eq!((failure, numbers(&pages)), (None, (0..15).collect::<Vec<_>>()));
    assert_eq!(target(&server.requests()[1]), "/v1/x?page=2&q=caf%C3%A9");
}

/// F-N18: nothing remains, and the reset lies in the past: a floor keeps the repetition from being a busy loop.
#[test]
fn a_rate_limit_that_was_reset_in_the_past_is_waited_for_a_moment() {
    let refused = AtomicUsize::new(0);
    let transport = Arc::new(MemoryTransport::new(move |request| {
        let page = param(request, "page").unwrap();
        let mut answer = match page == 2 && refused.fetch_add(1, Ordering::SeqCst) < 1 {
            true => status(429, "{}")?,
            false => ok(page_of(25, page, 10))?,
        };
        for (name, value) in [
            ("Date", "Sat, 03 Jan 2026 00:00:00 GMT"),
            ("Retry-After", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("X-RateLimit-Limit", "100"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "1767225600"),
        ] {
            answer.headers.push(name, value);
        }
        Ok(answer)
    }));
    let mut spec = spec(by_page(Stop::Empty));
    spec.concurrency = 1;
    let began = Instant::now();
    let (pages, failure) = read(spec, Arc::clone(&transport) as Arc<dyn Transport>);
    assert_eq!((failure, numbers(&pages)), (None, (0..25).collect::<Vec<_>>()));
    assert_eq!(transport.seen().len(), 5, "four pages, and one of them asked for again");
    assert!(began.elapsed() >= Duration::from_secs(1));
}
