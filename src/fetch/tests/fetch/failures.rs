//! Whole reads that meet failures: what is repeated, what ends the read, and what does not matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sluice_core::Class;
use sluice_core::data::{SingularQuery, locate};
use sluice_core::error::Error;
use sluice_core::http::{Auth, HttpError, Response, Secret};
use sluice_core::pagination::{KnownPage, Pagination, Stop};
use sluice_core::retry::RetryPolicy;
use sluice_fetch::{Decode, Failure, MemoryTransport, PageFacts, Poll, ReadSpec, Transport, start};
use url::Url;

use crate::reading::*;
use crate::scripted::{Scripted, response, target};

/// F-N8.
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
    // Before the threads begin: on a loaded machine the wait may be half over when this one comes to its turn.
    let began = Instant::now();
    let (read, bell) = begin(spec, Arc::new(transport));
    assert!(matches!(bell.next(&read), Poll::Page(_)));
    while !read.is_waiting_for_rate() {
        assert!(began.elapsed() < Duration::from_secs(10), "the wait was not seen");
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

/// F-N18.
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

/// F-P3.
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
fn a_collection_of_as_many_full_pages_as_are_allowed_is_read() {
    let transport = MemoryTransport::new(|request| ok(page_of(70, param(request, "page").unwrap(), 10)));
    let mut spec = spec(by_page(Stop::Empty));
    spec.limits.pages = Some(7);
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!((failure, numbers(&pages)), (None, (0..70).collect::<Vec<_>>()));
}

/// P4: whoever takes such an end for one takes all records behind it for gone.
#[test]
fn a_keyset_ends_with_an_empty_page_and_not_with_a_record_that_lacks_the_key() {
    let ended_by = |last: &'static str| {
        let transport = MemoryTransport::new(move |request| match param(request, "after") {
            None => ok("[1,2,3]"),
            Some(3) => ok(last),
            _ => ok("[]"),
        });
        let (pages, failure) = read(spec(by_keyset()), Arc::new(transport));
        (numbers(&pages), failure.map(|failure| failure.error))
    };
    assert_eq!(ended_by("[4,5]"), (vec![1, 2, 3, 4, 5], None));
    let lacks = HttpError::MissingKey { page: 2 };
    assert_eq!(ended_by("[4,0]"), (vec![1, 2, 3], Some(lacks.into())));
}

/// P9: a good status does not make what it came with harmless.
#[test]
fn an_error_of_an_answers_content_does_not_repeat_the_credential() {
    struct Pages;
    impl Decode for Pages {
        type Page = ();
        fn decode(&self, response: &Response) -> Result<((), PageFacts), Error> {
            Err(locate(&response.body, &SingularQuery::root()).unwrap_err().into())
        }
        fn unchanged(&self, _: &KnownPage) {}
    }
    for body in [
        "your token: trust/me",
        r"<html>trust\/me",
        r#"{"token": "trust\u002fme" oops}"#,
    ] {
        let mut spec = spec(Pagination::None);
        spec.auth = Auth::Bearer(Secret::new("trust/me"));
        let transport = Arc::new(MemoryTransport::new(move |_| ok(body)));
        let (bell, heard) = std::sync::mpsc::channel();
        let read = start(
            spec,
            transport,
            Arc::new(Pages),
            Arc::new(move || {
                let _ = bell.send(());
            }),
        );
        heard.recv_timeout(Duration::from_secs(10)).unwrap();
        let Poll::Failed(failure) = read.poll() else {
            panic!("{body}")
        };
        let told = failure.error.detail().unwrap();
        assert!(!told.contains("rust") && told.contains("not shown"), "{told}");
    }
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
        ..RetryPolicy::default()
    };
    let (pages, failure) = read(spec, Arc::new(server.transport()));
    assert_eq!((failure, numbers(&pages)), (None, (0..200).collect::<Vec<_>>()));
}
