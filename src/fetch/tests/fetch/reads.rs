//! Whole reads: order, bounds and ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluice_core::http::{Auth, KeyPlace, Secret};
use sluice_core::pagination::{KnownPage, PageToken, Pagination, Position, Stop};
use sluice_core::retry::SplitMix64;
use sluice_fetch::{MemoryTransport, Poll, Transport};

use crate::reading::*;

#[test]
fn pages_come_in_order_however_the_answers_come() {
    let random = Mutex::new(SplitMix64::new(1));
    let transport = MemoryTransport::new(move |request| {
        for _ in 0..random.lock().unwrap().next_u64() % 200 {
            std::thread::yield_now();
        }
        ok(page_of(993, param(request, "page").unwrap(), 10))
    });
    let (pages, failure) = read(spec(by_page(Stop::Empty)), Arc::new(transport));
    assert_eq!(failure, None);
    assert_eq!(numbers(&pages), (0..993).collect::<Vec<_>>());
    assert!(pages.iter().map(|page| page.number).eq(1..=101));
    assert!(pages.iter().rev().skip(1).all(|page| !page.last && page.next.is_some()));
    assert!(pages[100].last && pages[100].next.is_none());
    assert_eq!(
        (pages[3].token.clone(), pages[3].next.clone()),
        (PageToken("4".into()), Some(PageToken("5".into())))
    );
    assert_eq!((pages[3].records, pages[3].bytes, pages[3].requests), (10, 40, 1));
}

#[test]
fn an_offset_read_from_a_clamping_remote_gets_every_record_once() {
    let transport = Arc::new(MemoryTransport::new(|request| {
        let length = param(request, "limit").unwrap().min(7);
        let mut answer = ok(slice_of(100, param(request, "offset").unwrap(), length))?;
        answer.headers.push("X-Total", "100");
        Ok(answer)
    }));
    let (pages, failure) = read(spec(by_offset()), Arc::clone(&transport) as Arc<dyn Transport>);
    assert_eq!((failure, numbers(&pages)), (None, (0..100).collect::<Vec<_>>()));
    assert_eq!(pages[0].total, Some(100));
    assert!(
        transport
            .seen()
            .iter()
            .all(|request| param(request, "offset").unwrap() < 100)
    );
}

#[test]
fn a_read_goes_on_where_an_earlier_one_stopped() {
    let transport = MemoryTransport::new(|request| ok(page_of(95, param(request, "page").unwrap(), 10)));
    let mut spec = spec(by_page(Stop::Empty));
    spec.start = Some(Position {
        number: 4,
        token: Some(PageToken("4".into())),
        total_seen: None,
        pages_seen: None,
        records: 30,
        before: Vec::new(),
    });
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!((failure, numbers(&pages)), (None, (30..95).collect::<Vec<_>>()));
    assert_eq!(pages[0].number, 4);
}

#[test]
fn the_first_request_is_alone_and_never_more_than_concurrency_are_under_way() {
    let (under_way, widest) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen_widest = Arc::clone(&widest);
    let transport = MemoryTransport::new(move |request| {
        let page = param(request, "page").unwrap();
        let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(page > 1 || now == 1);
        seen_widest.fetch_max(now, Ordering::SeqCst);
        (0..50).for_each(|_| std::thread::yield_now());
        under_way.fetch_sub(1, Ordering::SeqCst);
        ok(page_of(500, page, 10))
    });
    let mut spec = spec(by_page(Stop::Empty));
    spec.concurrency = 3;
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!((pages.len(), failure), (51, None));
    assert!(widest.load(Ordering::SeqCst) <= 3);
}

#[test]
fn pages_that_nobody_takes_stop_the_read_at_its_window() {
    let transport = Arc::new(MemoryTransport::new(|request| {
        ok(page_of(10_000, param(request, "page").unwrap(), 10))
    }));
    let mut spec = spec(by_page(Stop::Empty));
    spec.concurrency = 4;
    let (read, bell) = begin(spec, Arc::clone(&transport) as Arc<dyn Transport>);
    let window = 4 + 2;
    while transport.seen().len() < window {
        std::thread::yield_now();
    }
    (0..1000).for_each(|_| std::thread::yield_now());
    assert_eq!(transport.seen().len(), window);
    assert!(matches!(bell.next(&read), Poll::Page(_)));
    while transport.seen().len() < window + 1 {
        std::thread::yield_now();
    }
}

#[test]
fn pages_that_wait_hold_a_read_up_only_from_the_bytes_on_that_may_run_ahead() {
    let transport = Arc::new(MemoryTransport::new(|request| {
        ok(page_of(200, param(request, "page").unwrap(), 10))
    }));
    let mut spec = spec(by_page(Stop::Short));
    spec.concurrency = 1;
    spec.limits.ahead = 1024 * 1024;
    let (_read, _bell) = begin(spec.clone(), Arc::clone(&transport) as Arc<dyn Transport>);
    while transport.seen().len() < 20 {
        std::thread::yield_now();
    }
    spec.limits.ahead = 1;
    let held = Arc::new(MemoryTransport::new(|request| {
        ok(page_of(200, param(request, "page").unwrap(), 10))
    }));
    let (_read, _bell) = begin(spec, Arc::clone(&held) as Arc<dyn Transport>);
    while held.seen().len() < 3 {
        std::thread::yield_now();
    }
    (0..1000).for_each(|_| std::thread::yield_now());
    assert_eq!(held.seen().len(), 3);
}

#[test]
fn status_404_past_the_end_is_an_end_page_without_content() {
    let transport = MemoryTransport::new(|request| match param(request, "page").unwrap() {
        page @ 1..=2 => ok(page_of(20, page, 10)),
        _ => status(404, "{}"),
    });
    let (pages, failure) = read(spec(by_page(Stop::NotFound)), Arc::new(transport));
    assert_eq!((failure, numbers(&pages)), (None, (0..20).collect::<Vec<_>>()));
    assert!(pages[2].last && pages[2].page.is_none());
}

#[test]
fn a_response_without_content_is_a_page_without_records() {
    let transport = MemoryTransport::new(|_| status(204, ""));
    let (pages, failure) = read(spec(Pagination::None), Arc::new(transport));
    assert_eq!((failure, pages.len()), (None, 1));
    assert!(pages[0].last && pages[0].page.is_none() && pages[0].records == 0);
}

#[test]
fn links_are_followed_and_the_stored_token_holds_no_credential() {
    let transport = Arc::new(MemoryTransport::new(|request| {
        let from = param(request, "from").unwrap_or(0);
        let mut answer = ok(slice_of(35, from, 10))?;
        if from < 30 {
            let link = format!("<?from={}&key=hunter2&per_page=10>; rel=\"next\"", from + 10);
            answer.headers.push("Link", link);
        }
        Ok(answer)
    }));
    let mut spec = spec(Pagination::LinkHeader);
    spec.params = vec![("per_page".into(), "10".into())];
    spec.auth = Auth::ApiKey {
        name: "key".into(),
        place: KeyPlace::Query,
        value: Secret::new("hunter2"),
    };
    let (pages, failure) = read(spec, Arc::clone(&transport) as Arc<dyn Transport>);
    assert_eq!((failure, numbers(&pages)), (None, (0..35).collect::<Vec<_>>()));
    assert_eq!(pages[0].token, PageToken::first());
    let next = pages[0].next.clone().unwrap();
    assert_eq!(next.0, "https://api.example/v1/x?from=10&per_page=10");
    let sent: Vec<String> = transport
        .seen()
        .iter()
        .map(|request| request.url.query().unwrap().to_owned())
        .collect();
    assert_eq!(
        sent[..2],
        ["per_page=10&key=hunter2", "from=10&per_page=10&key=hunter2"]
    );
}

#[test]
fn requests_keep_the_least_delay_between_them() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let transport = MemoryTransport::new(move |request| {
        seen.lock().unwrap().push(Instant::now());
        ok(page_of(100, param(request, "page").unwrap(), 10))
    });
    let mut spec = spec(by_page(Stop::Empty));
    spec.pace.terms.min_delay = Duration::from_millis(20);
    let (pages, _) = read(spec, Arc::new(transport));
    assert_eq!(pages.len(), 11);
    let times = times.lock().unwrap();
    let whole = *times.last().unwrap() - times[0];
    // The thread that sends may be late, so that single gaps can be shorter than the delay; their sum cannot.
    assert!(
        whole >= Duration::from_millis(20 * (times.len() as u64 - 2)),
        "{whole:?}"
    );
}

/// F-N16.
#[test]
fn a_page_that_is_known_is_asked_for_by_its_validators_and_a_304_gives_what_is_known() {
    let transport = MemoryTransport::new(|request| {
        let sent = |name: &str| {
            request
                .headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.expose().to_owned())
        };
        match param(request, "page") {
            Some(2) => {
                assert_eq!(sent("if-none-match").as_deref(), Some("W/\"2\""));
                assert_eq!(
                    sent("if-modified-since").as_deref(),
                    Some("Fri, 20 Nov 2026 10:00:00 GMT")
                );
                status(304, "")
            }
            page => {
                assert_eq!((sent("if-none-match"), sent("if-modified-since")), (None, None));
                ok(page_of(25, page.unwrap(), 10))
            }
        }
    });
    let known = |token: &str| KnownPage {
        token: PageToken(token.into()),
        etag: Some("W/\"2\"".into()),
        last_modified: Some("Fri, 20 Nov 2026 10:00:00 GMT".into()),
        next: None,
        records: 10,
        total: None,
        total_pages: None,
        digest: [7; 32],
    };
    let mut spec = spec(by_page(Stop::Empty));
    // The third page was somewhere else.
    spec.known = [(2, known("2")), (3, known("9"))].into();
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!(failure, None);
    assert_eq!(
        pages.iter().map(|page| page.records).collect::<Vec<_>>(),
        [10, 10, 5, 0]
    );
    assert_eq!(pages[1].page, Some(vec![0; 10]));
    assert_eq!(pages[1].etag.as_deref(), Some("W/\"2\""));
}
