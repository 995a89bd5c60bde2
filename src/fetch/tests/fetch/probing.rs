//! The way to a remote, step by step, as one request shows it.

use sluice_core::Class;
use sluice_core::http::{Headers, HttpError, Response, TlsProblem};
use sluice_core::pagination::{Pagination, Stop};
use sluice_fetch::MemoryTransport;
use sluice_fetch::probe::{first_page, steps};

use crate::reading::{by_page, ok, spec};

fn answering(status: u16, headers: Headers) -> MemoryTransport {
    MemoryTransport::new(move |_| {
        Ok(Response {
            status,
            headers: headers.clone(),
            body: b"[]".to_vec(),
            wire_bytes: 2,
        })
    })
}

/// `resolve=ok address=failed connect=- …`
fn shown(transport: &MemoryTransport) -> String {
    let word = |ok| match ok {
        Some(true) => "ok",
        Some(false) => "failed",
        None => "-",
    };
    let steps = steps(&spec(Pagination::None), transport);
    steps
        .iter()
        .map(|step| format!("{}={}", step.check, word(step.ok)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn what_comes_before_a_failure_has_worked_and_what_comes_after_was_not_tried() {
    let failing = |error: HttpError| shown(&MemoryTransport::new(move |_| Err(error.clone())));
    let remote = || "api.example:443".to_owned();
    assert_eq!(
        failing(HttpError::Resolve {
            host: "api.example".into()
        }),
        "resolve=failed address=- connect=- tls=- auth=- response=- rate limit=-"
    );
    assert_eq!(
        failing(HttpError::BlockedHost {
            host: "api.example".into()
        }),
        "resolve=ok address=failed connect=- tls=- auth=- response=- rate limit=-"
    );
    assert_eq!(
        failing(HttpError::Tls {
            remote: remote(),
            problem: TlsProblem::Expired
        }),
        "resolve=ok address=ok connect=ok tls=failed auth=- response=- rate limit=-"
    );
    assert_eq!(
        shown(&answering(401, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=failed response=- rate limit=-"
    );
    assert_eq!(
        shown(&answering(404, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=ok response=failed rate limit=-"
    );
    assert_eq!(
        shown(&answering(429, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=ok response=failed rate limit=failed"
    );
    assert_eq!(
        shown(&answering(200, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=ok response=ok rate limit=ok"
    );
}

#[test]
fn a_failed_step_says_what_happened_and_what_to_do() {
    let steps = steps(&spec(Pagination::None), &answering(401, Headers::new()));
    let auth = steps.iter().find(|step| step.check == "auth").unwrap();
    let detail = auth.detail.as_deref().unwrap();
    assert!(
        detail.starts_with("api.example:443 answered with status 401. The request was for /v1/x."),
        "{detail}"
    );
    assert!(auth.hint.as_deref().unwrap().contains("sluice.set_secret"));
}

#[test]
fn a_rate_limit_that_the_remote_tells_is_shown() {
    let headers = [("X-RateLimit-Limit", "5000"), ("X-RateLimit-Remaining", "4999")]
        .into_iter()
        .collect();
    let steps = steps(&spec(Pagination::None), &answering(200, headers));
    assert_eq!(
        steps.last().unwrap().detail.as_deref(),
        Some("4999 of 5000 requests are left.")
    );
}

#[test]
fn a_probe_sends_one_request_and_never_repeats_it() {
    let transport = answering(503, Headers::new());
    let error = first_page(&spec(by_page(Stop::Empty)), &transport).unwrap_err();
    assert_eq!((error.class(), transport.seen().len()), (Class::Server, 1));
    let transport = MemoryTransport::new(|_| ok("[1]"));
    assert_eq!(
        first_page(&spec(by_page(Stop::Empty)), &transport).unwrap().body,
        b"[1]"
    );
    assert_eq!(transport.seen()[0].url.query(), Some("page=1&size=10"));
}
