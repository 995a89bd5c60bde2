//! The way to a remote, step by step, as one request shows it.

use sluice_core::Class;
use sluice_core::call::CallError;
use sluice_core::data::DataError;
use sluice_core::http::{Headers, HttpError, Response, TlsProblem};
use sluice_core::pagination::{Pagination, Stop};
use sluice_fetch::MemoryTransport;
use sluice_fetch::probe::{first_page, steps, without_credential};

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
    let steps = steps(&spec(Pagination::None), transport, |_| Ok(2));
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
        "resolve=failed address=- connect=- tls=- auth=- response=- records=- rate limit=-"
    );
    assert_eq!(
        failing(HttpError::BlockedHost {
            host: "api.example".into()
        }),
        "resolve=ok address=failed connect=- tls=- auth=- response=- records=- rate limit=-"
    );
    assert_eq!(
        failing(HttpError::Tls {
            remote: remote(),
            problem: TlsProblem::Expired
        }),
        "resolve=ok address=ok connect=ok tls=failed auth=- response=- records=- rate limit=-"
    );
    assert_eq!(
        shown(&answering(401, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=failed response=- records=- rate limit=-"
    );
    assert_eq!(
        shown(&answering(404, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=ok response=failed records=- rate limit=-"
    );
    assert_eq!(
        shown(&answering(429, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=ok response=failed records=- rate limit=failed"
    );
    assert_eq!(
        shown(&answering(200, Headers::new())),
        "resolve=ok address=ok connect=ok tls=ok auth=ok response=ok records=ok rate limit=ok"
    );
}

#[test]
fn a_failed_step_says_what_happened_and_what_to_do() {
    let steps = steps(&spec(Pagination::None), &answering(401, Headers::new()), |_| Ok(2));
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
    let steps = steps(&spec(Pagination::None), &answering(200, headers), |_| Ok(2));
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

#[test]
fn the_records_are_counted_in_the_one_response() {
    let transport = answering(200, Headers::new());
    let found = |counted| {
        let steps = steps(&spec(Pagination::None), &transport, |_| counted);
        let step = steps.into_iter().find(|step| step.check == "records").unwrap();
        (step.ok, step.detail.unwrap())
    };
    assert_eq!(found(Ok(1)), (Some(true), "1 record on the first page".to_owned()));
    let missing = DataError::EmptyBody;
    let told = missing.to_string();
    let (ok, detail) = found(Err(missing.into()));
    assert!(ok == Some(false) && detail.starts_with(&told), "{detail}");
    assert_eq!(transport.seen().len(), 2, "one request a look");
}

#[test]
fn without_a_credential_only_that_is_told() {
    let missing = CallError::NoKey {
        detail: "None is set.".into(),
        hint: "Make one.".into(),
    };
    let steps = without_credential(&missing.into());
    let failed: Vec<&str> = steps.iter().filter(|s| s.ok == Some(false)).map(|s| s.check).collect();
    assert_eq!(failed, ["auth"]);
    assert!(steps.iter().all(|step| step.ok != Some(true)));
}
