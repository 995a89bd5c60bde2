//! Whole reads: order, bounds, retries and ends, on a transport in memory and against a real socket.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use sluice_core::Class;
use sluice_core::error::Error;
use sluice_core::http::{Auth, Headers, HttpError, KeyPlace, Request, Response, Secret};
use sluice_core::pagination::{PageToken, Pagination, Position, Source, Stop};
use sluice_core::retry::{RetryPolicy, SplitMix64};
use sluice_fetch::{Decode, Failure, FetchedPage, MemoryTransport, PageFacts, Poll, Read, ReadSpec, Transport, start};
use url::Url;

use crate::scripted::{Scripted, response, target};

/// Pages are JSON arrays of numbers. The body `panic` makes the decoder panic, any other text is wrong content.
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
            ..PageFacts::default()
        };
        Ok((numbers, facts))
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
fn read(spec: ReadSpec, transport: Arc<dyn Transport>) -> (Vec<FetchedPage<Vec<u64>>>, Option<Failure>) {
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

fn numbers(pages: &[FetchedPage<Vec<u64>>]) -> Vec<u64> {
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
    };
    spec
}

pub fn by_page(stop: Stop) -> Pagination {
    Pagination::Page {
        param: "page".into(),
        start: 1,
        size_param: Some("size".into()),
        total: None,
        stop,
    }
}

fn by_offset() -> Pagination {
    let (total, stop) = (Some(Source::Header("x-total".into())), Stop::Total);
    Pagination::Offset {
        param: "offset".into(),
        limit_param: Some("limit".into()),
        total,
        stop,
    }
}

pub fn ok(body: impl Into<Vec<u8>>) -> Result<Response, HttpError> {
    status(200, body)
}

fn status(status: u16, body: impl Into<Vec<u8>>) -> Result<Response, HttpError> {
    let body = body.into();
    Ok(Response {
        status,
        headers: Headers::new(),
        wire_bytes: body.len() as u64,
        body,
    })
}

fn param(request: &Request, name: &str) -> Option<u64> {
    request.url.query_pairs().find(|(n, _)| n == name)?.1.parse().ok()
}

/// The records of page `page` of a collection of `size`, in pages of `length`.
fn page_of(size: u64, page: u64, length: u64) -> String {
    slice_of(size, (page - 1) * length, length)
}

fn slice_of(size: u64, from: u64, length: u64) -> String {
    format!("{:?}", (from.min(size)..(from + length).min(size)).collect::<Vec<_>>())
}

fn network() -> HttpError {
    HttpError::Refused {
        remote: "api.example:443".into(),
    }
}

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
        records: 30,
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
fn a_failure_that_passes_is_repeated_and_counted() {
    let failures = AtomicUsize::new(0);
    let transport =
        MemoryTransport::new(
            move |request| match (param(request, "page"), failures.load(Ordering::SeqCst)) {
                (Some(2), 0..3) => {
                    let n = failures.fetch_add(1, Ordering::SeqCst);
                    if n == 1 { status(503, "{}") } else { Err(network()) }
                }
                (page, _) => ok(page_of(25, page.unwrap(), 10)),
            },
        );
    let mut spec = spec(by_page(Stop::Empty));
    spec.concurrency = 1;
    let (read, bell) = begin(spec, Arc::new(transport));
    let mut requests = Vec::new();
    while let Poll::Page(page) = bell.next(&read) {
        requests.push(page.requests);
    }
    assert_eq!(read.poll(), Poll::Finished);
    assert_eq!(requests, [1, 4, 1, 1]);
    assert_eq!((read.requests(), read.retries()), (7, 3));
}

#[test]
fn attempts_run_out_and_the_pages_before_are_given_out() {
    let transport = MemoryTransport::new(|request| match param(request, "page") {
        Some(3) => Err(network()),
        page => ok(page_of(1000, page.unwrap(), 10)),
    });
    let (pages, failure) = read(spec(by_page(Stop::Empty)), Arc::new(transport));
    assert_eq!(pages.len(), 2);
    assert_eq!(
        failure,
        Some(Failure {
            error: network().into(),
            page: 3,
            attempts: 4
        })
    );
}

#[test]
fn what_a_person_must_mend_and_wrong_content_take_one_request() {
    for (code, body, class) in [
        (401, "{}", Class::Auth),
        (403, "{}", Class::Auth),
        (404, "{}", Class::Config),
        (400, "{}", Class::Config),
        (302, "", Class::Config),
        (202, "{}", Class::Data),
        (304, "", Class::Data),
        (200, "<html>", Class::Data),
        (200, "{\"error\":1}", Class::Data),
        (200, "[1,2", Class::Data),
    ] {
        let transport = Arc::new(MemoryTransport::new(move |_| status(code, body)));
        let (pages, failure) = read(
            spec(by_page(Stop::NotFound)),
            Arc::clone(&transport) as Arc<dyn Transport>,
        );
        let failure = failure.unwrap();
        assert_eq!(
            (pages.len(), failure.page, failure.attempts),
            (0, 1, 1),
            "{code} {body}"
        );
        assert_eq!(failure.error.class(), class, "{code} {body}");
        assert_eq!(transport.seen().len(), 1, "{code} {body}");
    }
}

#[test]
fn a_rate_limit_is_waited_out_by_every_thread_and_is_no_attempt() {
    let limited = AtomicUsize::new(0);
    let transport = MemoryTransport::new(move |request| {
        let page = param(request, "page").unwrap();
        if page == 2 && limited.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut answer = status(429, "{}")?;
            answer.headers.push("Retry-After", "1");
            return Ok(answer);
        }
        ok(page_of(15, page, 10))
    });
    let mut spec = spec(by_page(Stop::Empty));
    (spec.concurrency, spec.retry.attempts) = (1, 1);
    let (read, bell) = begin(spec, Arc::new(transport));
    let began = Instant::now();
    assert!(matches!(bell.next(&read), Poll::Page(_)));
    while !read.is_waiting_for_rate() {
        std::thread::yield_now();
    }
    let waiting = read.waiting().unwrap();
    assert!(
        waiting.starts_with("rate limit, ") && waiting.ends_with("api.example:443 answered with status 429"),
        "{waiting}"
    );
    assert!(matches!(bell.next(&read), Poll::Page(page) if page.requests == 2));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(matches!(bell.next(&read), Poll::Page(page) if page.last));
    assert_eq!((bell.next(&read), read.waiting()), (Poll::Finished, None));
}

#[test]
fn a_rate_limit_that_is_too_long_for_a_run_ends_it() {
    let transport = Arc::new(MemoryTransport::new(|_| {
        let mut answer = status(429, "{}")?;
        answer.headers.push("Retry-After", "86400");
        Ok(answer)
    }));
    let (_, failure) = read(spec(by_page(Stop::Empty)), Arc::clone(&transport) as Arc<dyn Transport>);
    let failure = failure.unwrap();
    assert_eq!((failure.error.class(), failure.attempts), (Class::RateLimit, 1));
}

#[test]
fn a_panic_in_the_decoder_is_an_internal_error_of_that_page() {
    let transport = MemoryTransport::new(|request| match param(request, "page") {
        Some(2) => ok("panic"),
        page => ok(page_of(1000, page.unwrap(), 10)),
    });
    let (pages, failure) = read(spec(by_page(Stop::Empty)), Arc::new(transport));
    let failure = failure.unwrap();
    assert_eq!(
        (pages.len(), failure.page, failure.error.class()),
        (1, 2, Class::Internal)
    );
}

#[test]
fn what_comes_past_the_end_is_ignored_even_where_it_fails() {
    let transport = MemoryTransport::new(|request| match param(request, "page").unwrap() {
        page @ 1..=5 => ok(page_of(40, page, 10)),
        6 => status(400, "{}"),
        7 => ok("panic"),
        _ => Err(network()),
    });
    let (pages, failure) = read(spec(by_page(Stop::Empty)), Arc::new(transport));
    assert_eq!((failure, numbers(&pages)), (None, (0..40).collect::<Vec<_>>()));
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
fn a_remote_that_gives_the_same_page_for_ever_is_a_loop() {
    let transport = MemoryTransport::new(|_| ok("[1,2,3,4,5,6,7,8,9,10]"));
    let (pages, failure) = read(spec(by_page(Stop::Empty)), Arc::new(transport));
    let failure = failure.unwrap();
    assert_eq!(
        (pages.len(), failure.page, failure.error.class()),
        (1, 2, Class::PaginationLoop)
    );
}

#[test]
fn a_read_has_a_hard_limit_of_pages() {
    let transport = MemoryTransport::new(|request| ok(page_of(u64::MAX, param(request, "page").unwrap(), 10)));
    let mut spec = spec(by_page(Stop::Empty));
    spec.limits.pages = Some(7);
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!(pages.len(), 7);
    assert_eq!(failure.unwrap().error, HttpError::TooManyPages { limit: 7 }.into());
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
fn a_link_to_another_origin_ends_the_read_without_a_request_there() {
    let transport = Arc::new(MemoryTransport::new(|_| {
        let mut answer = ok("[1]")?;
        answer.headers.push("Link", "<https://evil.example/v1/x?p=2>; rel=next");
        Ok(answer)
    }));
    let (pages, failure) = read(
        spec(Pagination::LinkHeader),
        Arc::clone(&transport) as Arc<dyn Transport>,
    );
    let to_origin = Some("https://evil.example".to_owned());
    assert_eq!(
        failure.unwrap().error,
        HttpError::ForeignLink { page: 1, to_origin }.into()
    );
    assert_eq!((pages.len(), transport.seen().len()), (0, 1));
}

#[test]
fn a_path_that_leaves_the_base_fails_before_anything_is_sent() {
    let transport = Arc::new(MemoryTransport::new(|_| ok("[]")));
    let mut spec = spec(Pagination::None);
    spec.path = "//evil.example/x".into();
    let (_, failure) = read(spec, Arc::clone(&transport) as Arc<dyn Transport>);
    let failure = failure.unwrap();
    assert_eq!(
        (failure.error.class(), failure.attempts, transport.seen().len()),
        (Class::Config, 0, 0)
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
    spec.min_delay = Duration::from_millis(20);
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

#[test]
fn a_whole_read_over_sockets_survives_broken_transfers() {
    let broken = AtomicUsize::new(0);
    let server = Scripted::new(move |head, stream| {
        let query = Url::parse("http://h").unwrap().join(target(head)).unwrap();
        let page = query
            .query_pairs()
            .find(|(n, _)| n == "page")
            .unwrap()
            .1
            .parse()
            .unwrap();
        let mut answer = response("200 OK", "", page_of(200, page, 10).as_bytes());
        if page % 4 == 0 && broken.fetch_add(1, Ordering::SeqCst) < 6 {
            answer.truncate(answer.len() - 5);
        }
        let _ = std::io::Write::write_all(stream, &answer);
    });
    let mut spec = ReadSpec {
        pagination: by_page(Stop::Empty),
        page_size: Some(10),
        ..server.spec()
    };
    spec.retry = RetryPolicy {
        attempts: 12,
        cap: Duration::from_millis(5),
    };
    let (pages, failure) = read(spec, Arc::new(server.transport()));
    assert_eq!((failure, numbers(&pages)), (None, (0..200).collect::<Vec<_>>()));
}
