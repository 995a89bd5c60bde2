//! The whole table of classes: how a request or a statement ended, by its structure → class, what is done, how soon.

use super::*;
use crate::error::{DatabaseError, HttpError};
use crate::failure;
use crate::http::status::{self, Meaning};
use crate::http::{Auth, Breakage, Headers, Phase, Request, SizeLimit, TlsProblem};
use crate::retry::{RetryPolicy, rate_wait, repeated_as};
use crate::retry_queue::{Failed, Next, QueuePolicy};
use std::time::SystemTime;
use url::Url;

/// What becomes of a failure.
#[derive(Debug, PartialEq)]
struct Fate {
    class: Class,
    /// The bound of the first delay in the run, in milliseconds; None: it is not repeated there.
    first: Option<u64>,
    /// Whether the retry queue takes the run.
    queued: bool,
}

fn request() -> Request {
    Request::get(Url::parse("https://api.example/v1/items?token=hunter2").unwrap())
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers.iter().copied().collect::<Headers>(),
        body: body.as_bytes().to_vec(),
        wire_bytes: 0,
    }
}

/// As the fetch threads have it: the first rule, then what the status means.
fn judged(rules: &ErrorRules, response: &Response) -> Option<Error> {
    let (request, now) = (request(), SystemTime::UNIX_EPOCH);
    let failed = |error: HttpError| Some(rules.of_failure(error.into(), Some(response)));
    match status::judge(&request, response, &Auth::None, now) {
        Ok(Meaning::Absent) => failed(status::failure(&request, response, &Auth::None, now)),
        Ok(_) => rules.of_good_answer(response, || {
            status::refused(&request, response, &Auth::None, now).into()
        }),
        Err(error) => failed(error),
    }
}

fn fate(error: &Error) -> Fate {
    let asked = match error.cause() {
        Error::Http(HttpError::Status { retry_after, .. } | HttpError::AnswerIsError { retry_after, .. }) => {
            *retry_after
        }
        _ => None,
    };
    let class = error.class();
    let in_run = match error.ruling().map(|ruling| ruling.action) {
        None => Some(class),
        Some(Action::Retry) => Some(repeated_as(class)),
        Some(_) => None,
    };
    let first = in_run.and_then(|class| match class {
        Class::RateLimit => Some(rate_wait(asked)),
        class => RetryPolicy::default().delay(class, 1, 1.0),
    });
    let failed = Failed {
        class,
        recoverable: error.is_recoverable(),
        retries: 0,
        progressed: false,
    };
    Fate {
        class,
        first: first.map(|delay| delay.as_millis() as u64),
        queued: matches!(QueuePolicy::default().next(failed, false, 0.5), Next::Wait { .. }),
    }
}

fn rule(document: &str, class: Option<Class>, action: Action) -> ErrorRule {
    ErrorRule {
        id: 7,
        name: "a rule".into(),
        pattern: Pattern::parse(document).unwrap_or_else(|error| panic!("{document}: {error}")),
        class,
        action,
        hint: Some("Ask Ann.".into()),
        pause_for: None,
    }
}

/// R-9. Every way in which an exchange fails without an answer.
#[test]
fn a_failure_of_the_transport_is_told_by_its_kind() {
    let (host, remote) = (|| "h".to_owned(), || "h:1".to_owned());
    let broken = |how| HttpError::Broken { remote: remote(), how };
    let timeout = |phase| HttpError::Timeout {
        remote: remote(),
        phase,
    };
    let tls = |problem| HttpError::Tls {
        remote: remote(),
        problem,
    };
    let too_large = |limit| HttpError::TooLarge {
        remote: remote(),
        limit,
    };
    use Class::*;
    let network = (Network, Some(1500), true);
    let table = [
        (HttpError::Resolve { host: host() }, network),
        (HttpError::Refused { remote: remote() }, network),
        (HttpError::Connect { remote: remote() }, network),
        (broken(Breakage::Reset), network),
        (broken(Breakage::Truncated), network),
        (broken(Breakage::Garbled), network),
        (tls(TlsProblem::Handshake), network),
        (tls(TlsProblem::Expired), (Config, None, false)),
        (tls(TlsProblem::UnknownIssuer), (Config, None, false)),
        (timeout(Phase::Resolve), (Timeout, Some(2000), true)),
        (timeout(Phase::Connect), (Timeout, Some(2000), true)),
        (timeout(Phase::Response), (Timeout, Some(2000), true)),
        (timeout(Phase::Body), (Timeout, Some(2000), true)),
        (too_large(SizeLimit::Body(1)), (Data, None, false)),
        (HttpError::PaginationLoop { page: 2 }, (PaginationLoop, None, false)),
        (HttpError::BlockedHost { host: host() }, (Config, None, false)),
        (HttpError::NoThread, (Resource, Some(250), true)),
        (HttpError::Panicked { page: 1 }, (Internal, None, false)),
    ];
    for (error, (class, first, queued)) in table {
        let error = Error::from(error);
        assert_eq!(fate(&error), Fate { class, first, queued }, "{error:?}");
    }
}

/// R-9, F-N8, F-N9. Every status, with what its headers say.
#[test]
fn a_status_has_one_class_and_a_rate_limit_waits_as_it_says() {
    use Class::*;
    let none: &[(&str, &str)] = &[];
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], (Class, Option<u64>, bool));
    let table: &[Row] = &[
        (202, none, (Data, None, false)),
        (301, none, (Config, None, false)),
        (400, none, (Config, None, false)),
        (401, none, (Auth, None, false)),
        (403, none, (Auth, None, false)),
        (404, none, (Config, None, false)),
        (405, none, (Config, None, false)),
        (408, none, (Server, Some(4000), true)),
        (410, none, (Config, None, false)),
        (422, none, (Config, None, false)),
        (425, none, (Server, Some(4000), true)),
        (429, none, (RateLimit, Some(4000), true)),
        (429, &[("Retry-After", "90")], (RateLimit, Some(90_000), true)),
        (429, &[("Retry-After", "0")], (RateLimit, Some(1000), true)),
        (429, &[("Retry-After", "99999")], (RateLimit, Some(3_600_000), true)),
        (500, none, (Server, Some(4000), true)),
        (502, none, (Server, Some(4000), true)),
        (503, none, (Server, Some(4000), true)),
        (504, none, (Server, Some(4000), true)),
        (599, none, (Server, Some(4000), true)),
    ];
    for (status, headers, (class, first, queued)) in table {
        let error = judged(&ErrorRules::default(), &answer(*status, headers, "{}")).expect("a failure");
        let (class, first, queued) = (*class, *first, *queued);
        assert_eq!(fate(&error), Fate { class, first, queued }, "{status} {headers:?}");
        let basis = failure::basis(&error);
        assert!(basis.contains(&status.to_string()), "{basis}");
    }
    assert_eq!(
        judged(&ErrorRules::default(), &answer(200, none, "{\"error\": 1}")),
        None
    );
    assert_eq!(judged(&ErrorRules::default(), &answer(204, none, "")), None);
}

/// R-9. What PostgreSQL reports.
#[test]
fn an_sqlstate_has_one_class() {
    use Class::*;
    let table = [
        ("40001", (Database, Some(250), true)),
        ("40P01", (Database, Some(250), true)),
        ("55P03", (Database, Some(250), true)),
        ("53100", (Resource, Some(250), true)),
        ("53200", (Resource, Some(250), true)),
        ("53300", (Resource, Some(250), true)),
        ("22003", (Data, None, false)),
        ("23505", (Data, None, false)),
        ("21000", (Data, None, false)),
        ("P0001", (Data, None, false)),
        ("42501", (Config, None, false)),
        ("42P01", (Schema, None, false)),
        ("42703", (Schema, None, false)),
        ("57014", (Cancelled, None, false)),
        ("XX000", (Internal, None, false)),
    ];
    for (sqlstate, (class, first, queued)) in table {
        let error = refused(sqlstate);
        assert_eq!(fate(&error), Fate { class, first, queued }, "{sqlstate}");
        assert_eq!(failure::basis(&error), format!("SQLSTATE {sqlstate}"));
    }
}

fn refused(sqlstate: &str) -> Error {
    DatabaseError {
        sqlstate: sqlstate.into(),
        message: "refused".into(),
        detail: None,
        hint: None,
        record: None,
    }
    .into()
}

/// Rule, its class and action → what becomes of an answer (status, headers, body); None: it is a good one.
type RuledAnswer = (
    (&'static str, Option<Class>, Action),
    (u16, &'static [(&'static str, &'static str)], &'static str),
    Option<(Class, Option<u64>, bool)>,
);

#[rustfmt::skip] // a table
const RULED: &[RuledAnswer] = &[
    ((r#"{"status": 200, "body": "$.error"}"#, Some(Class::Server), Action::Retry), (200, &[], r#"{"error": "x"}"#), Some((Class::Server, Some(4000), true))),
    ((r#"{"body": "$.error.code == 'limit'"}"#, Some(Class::RateLimit), Action::Retry), (200, &[("Retry-After", "7")], r#"{"error": {"code": "limit"}}"#), Some((Class::RateLimit, Some(7000), true))),
    ((r#"{"body": "$.error.code == 'limit'"}"#, Some(Class::RateLimit), Action::Retry), (200, &[], r#"{"error": {"code": "other"}}"#), None),
    ((r#"{"body": "$.error"}"#, Some(Class::Server), Action::Retry), (200, &[], "<html>"), None),
    ((r#"{"body": "@.ok == false && $['a $ b'] == '$'"}"#, Some(Class::Data), Action::Fail), (200, &[], r#"{"ok": false, "a $ b": "$"}"#), Some((Class::Data, None, false))),
    ((r#"{"status": "5xx"}"#, Some(Class::Config), Action::Fail), (503, &[], ""), Some((Class::Config, None, false))),
    ((r#"{"status": "400-499"}"#, None, Action::RetryLater), (404, &[], ""), Some((Class::Config, None, true))),
    ((r#"{"status": [404, "410-411"]}"#, None, Action::Retry), (410, &[], ""), Some((Class::Config, Some(4000), true))),
    ((r#"{"status": [404, "410-411"]}"#, None, Action::Retry), (409, &[], ""), Some((Class::Config, None, false))),
    ((r#"{"status": 403, "header": {"name": "x-quota", "value": "Spent"}}"#, Some(Class::RateLimit), Action::RetryLater), (403, &[("X-Quota", " spent ")], ""), Some((Class::RateLimit, None, true))),
    ((r#"{"status": 403, "header": {"name": "x-quota", "value": "Spent"}}"#, Some(Class::RateLimit), Action::RetryLater), (403, &[("X-Quota", "left")], ""), Some((Class::Auth, None, false))),
    ((r#"{"header": {"name": "X-Maintenance"}}"#, Some(Class::Server), Action::PauseConnection), (200, &[("x-maintenance", "1")], "[]"), Some((Class::Server, None, false))),
    ((r#"{"status": 401}"#, None, Action::RefreshTokenThenRetry), (401, &[], ""), Some((Class::Auth, None, false))),
    ((r#"{"status": 409}"#, None, Action::RestartRead), (409, &[], ""), Some((Class::Config, None, true))),
    ((r#"{"sqlstate": "08006"}"#, Some(Class::Config), Action::Fail), (503, &[], ""), Some((Class::Config, None, false))),
];

/// A 200 whose body says error or rate limit is one; a rule on status, header, body; ranges.
#[test]
fn a_rule_decides_by_status_header_and_body() {
    for ((document, class, action), (status, headers, body), expected) in RULED {
        let rules = ErrorRules::new(vec![rule(document, *class, *action)]);
        let error = judged(&rules, &answer(*status, headers, body));
        let expected = expected.map(|(class, first, queued)| Fate { class, first, queued });
        assert_eq!(
            error.as_ref().map(fate),
            expected,
            "{document} on {status} {headers:?} {body}"
        );
    }
}

#[test]
fn a_rule_decides_by_sqlstate_or_its_class() {
    let rules = ErrorRules::new(vec![
        rule(
            r#"{"sqlstate": ["P0001", "23"]}"#,
            Some(Class::Database),
            Action::RetryLater,
        ),
        rule(r#"{"status": 500}"#, Some(Class::Config), Action::Fail),
    ]);
    for (sqlstate, expected) in [
        ("P0001", (Class::Database, Some("a rule"))),
        ("23503", (Class::Database, Some("a rule"))),
        ("22003", (Class::Data, None)),
        ("57014", (Class::Cancelled, None)),
    ] {
        let error = rules.of_failure(refused(sqlstate), None);
        let by = error.ruling().map(|ruling| ruling.name.as_str());
        assert_eq!((error.class(), by), expected, "{sqlstate}");
    }
    assert!(rules.look_at_answers() && !ErrorRules::default().look_at_answers());
}

#[test]
fn the_first_rule_decides_and_tells_what_it_looked_for_and_its_hint() {
    let rules = ErrorRules::new(vec![
        rule(r#"{"status": 404, "body": "$.gone"}"#, None, Action::Ignore),
        rule(r#"{"status": "4xx"}"#, Some(Class::Auth), Action::Fail),
        rule(r#"{"status": 404}"#, None, Action::Retry),
    ]);
    let error = judged(&rules, &answer(404, &[], r#"{"why": "hunter2 is a secret"}"#)).expect("a failure");
    let ruling = error.ruling().expect("a rule decided");
    assert_eq!(
        (ruling.matched.as_str(), ruling.action),
        ("status 400-499", Action::Fail)
    );
    assert_eq!(error.hint().as_deref(), Some("Ask Ann."));
    assert_eq!(failure::http_status(&error), Some(404));
    assert_eq!(failure::excerpt(&error), Some(r#"{"why": "hunter2 is a secret"}"#));
    // What is decided is decided.
    let again = rules.of_failure(error.clone(), None);
    assert_eq!(again, error);
}

#[test]
fn a_body_that_is_too_large_to_look_into_is_taken_as_it_is() {
    let rules = ErrorRules::new(vec![rule(r#"{"body": "$.error"}"#, None, Action::Fail)]);
    let body = format!(r#"{{"error": "{}"}}"#, "x".repeat(LONGEST_BODY));
    assert_eq!(judged(&rules, &answer(200, &[], &body)), None);
}

/// R-9: hostile bodies end in no panic and no recursion without bound.
#[test]
fn a_hostile_body_holds_for_no_rule() {
    let rules = ErrorRules::new(vec![rule(r#"{"body": "$..error"}"#, None, Action::Fail)]);
    for body in ["[".repeat(100_000), "\u{0}".into(), "{\"error\"".into()] {
        assert_eq!(judged(&rules, &answer(200, &[], &body)), None);
    }
}

#[test]
fn what_could_never_hold_is_refused_with_its_place() {
    let table = [
        ("[]", "argument \"match\" must be an object that says what to look for"),
        ("{}", "argument \"match\" must be an object that says what to look for"),
        (r#"{"states": 1}"#, "unknown setting \"match.states\""),
        (
            r#"{"status": 99}"#,
            "setting \"match.status\" must be a status, a range of them, or an array of these",
        ),
        (
            r#"{"status": "500-400"}"#,
            "setting \"match.status\" must be a status, a range of them, or an array of these",
        ),
        (
            r#"{"status": []}"#,
            "setting \"match.status\" must be a status, a range of them, or an array of these",
        ),
        (
            r#"{"status": "6xx"}"#,
            "setting \"match.status\" must be a status, a range of them, or an array of these",
        ),
        (
            r#"{"header": {"value": "x"}}"#,
            "setting \"match.header\" must be an object with a name",
        ),
        (r#"{"header": "X"}"#, "setting \"match.header\" must be an object"),
        (
            r#"{"body": "error"}"#,
            "setting \"match.body\" must be a path, or a logical expression of RFC 9535 on the answer $",
        ),
        (
            r#"{"sqlstate": "4000"}"#,
            "setting \"match.sqlstate\" must be an SQLSTATE, a class of them, or an array of these",
        ),
        (
            r#"{"sqlstate": "40", "status": 500}"#,
            "setting \"match.sqlstate\" has no effect here",
        ),
    ];
    for (document, message) in table {
        assert_eq!(Pattern::parse(document).unwrap_err().to_string(), message, "{document}");
    }
    let of_database = Pattern::parse(r#"{"sqlstate": "40"}"#).unwrap();
    assert!(of_database.check(Action::Ignore).is_err() && of_database.check(Action::RestartRead).is_ok());
    let of_answers = Pattern::parse(r#"{"status": "4xx"}"#).unwrap();
    assert!(Action::ALL.into_iter().all(|action| of_answers.check(action).is_ok()));
}

#[test]
fn each_action_and_next_step_has_one_word() {
    for action in Action::ALL {
        assert_eq!(Action::parse(action.as_str()), Some(action));
    }
    assert_eq!(Action::parse("explode"), None);
    let mut words: Vec<&str> = failure::NextStep::ALL.map(failure::NextStep::as_str).to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), failure::NextStep::ALL.len());
}
