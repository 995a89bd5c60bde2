//! Whole reads under rules for errors, and within an error budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_core::Class;
use sluice_core::error::Error;
use sluice_core::error_rule::{Action, ErrorRule, ErrorRules, Pattern};
use sluice_core::http::{HttpError, Response};
use sluice_core::pagination::Stop;
use sluice_core::retry::{ErrorBudget, Spent};
use sluice_fetch::{Failures, MemoryTransport, Sequel};

use crate::reading::*;

fn rules(document: &str, class: Option<Class>, action: Action) -> ErrorRules {
    ErrorRules::new(vec![ErrorRule {
        id: 1,
        name: "a rule".into(),
        pattern: Pattern::parse(document).unwrap(),
        class,
        action,
        hint: None,
        pause_for: None,
    }])
}

#[test]
fn a_200_that_is_an_error_by_a_rule_is_repeated_and_noted() {
    let asked = AtomicUsize::new(0);
    let transport = MemoryTransport::new(move |request| match param(request, "page") {
        Some(2) if asked.fetch_add(1, Ordering::SeqCst) < 2 => status(200, "{\"error\": \"busy\"}"),
        page => ok(page_of(25, page.unwrap(), 10)),
    });
    let mut spec = spec(by_page(Stop::Empty));
    spec.concurrency = 1;
    spec.rules = rules("{\"body\": \"$.error\"}", Some(Class::Server), Action::Retry);
    let failures = spec.failures.clone();
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!((pages.len(), failure), (4, None));
    let taken = failures.take().unwrap();
    let noted: Vec<_> = taken
        .noted
        .iter()
        .map(|f| (f.page, f.attempt, f.error.class()))
        .collect();
    assert_eq!(noted, [(2, 1, Class::Server), (2, 2, Class::Server)]);
    // The answer after them ended the row.
    assert_eq!(taken.spent, Spent { in_row: 0, in_all: 2 });
    assert!(failures.take().is_none());
}

#[test]
fn an_ignored_answer_ends_the_read_without_a_failure() {
    let transport = MemoryTransport::new(|request| match param(request, "page") {
        Some(3) => status(500, "{}"),
        page => ok(page_of(100, page.unwrap(), 10)),
    });
    let mut spec = spec(by_page(Stop::Empty));
    spec.rules = rules("{\"status\": 500}", None, Action::Ignore);
    let failures = spec.failures.clone();
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!(failure, None);
    let seen: Vec<_> = pages
        .iter()
        .map(|page| (page.number, page.records, page.ignored, page.last))
        .collect();
    assert_eq!(seen, [(1, 10, false, false), (2, 10, false, false), (3, 0, true, true)]);
    let noted = failures.take().unwrap().noted;
    assert!(noted.iter().all(|failed| failed.sequel == Sequel::Ignored), "{noted:?}");
}

#[test]
fn an_action_other_than_retry_takes_one_request() {
    for action in [
        Action::RetryLater,
        Action::Fail,
        Action::RestartRead,
        Action::PauseConnection,
    ] {
        let transport = Arc::new(MemoryTransport::new(|_| status(503, "{}")));
        let mut spec = spec(by_page(Stop::Empty));
        spec.rules = rules("{\"status\": \"5xx\"}", None, action);
        let (_, failure) = read(spec, transport);
        let failure = failure.unwrap();
        assert_eq!((failure.attempts, failure.error.ruling().unwrap().action), (1, action));
    }
}

#[test]
fn a_404_that_ends_the_collection_is_no_matter_of_rules() {
    let transport = MemoryTransport::new(|request| match param(request, "page") {
        Some(page) if page <= 3 => ok(page_of(30, page, 10)),
        _ => status(404, "{}"),
    });
    let mut spec = spec(by_page(Stop::NotFound));
    spec.rules = rules("{\"status\": \"4xx\"}", None, Action::Fail);
    let (pages, failure) = read(spec, Arc::new(transport));
    assert_eq!((pages.len(), failure), (4, None));
}

#[test]
fn a_read_ends_when_the_error_budget_is_spent_and_says_what_failed_last() {
    for (budget, spent, attempts, in_row) in [
        (ErrorBudget { in_row: 3, in_all: 50 }, Spent::default(), 3, true),
        (
            ErrorBudget { in_row: 35, in_all: 4 },
            Spent { in_row: 0, in_all: 2 },
            2,
            false,
        ),
    ] {
        let transport = Arc::new(MemoryTransport::new(|_| status(503, "{}")));
        let mut spec = spec(by_page(Stop::Empty));
        (spec.concurrency, spec.retry.attempts) = (1, 100);
        spec.failures = Failures::new(budget, spent);
        let (_, failure) = read(spec, transport);
        let failure = failure.unwrap();
        assert_eq!(failure.attempts, attempts);
        assert_eq!(failure.error.class(), Class::Server);
        let Error::Http(HttpError::TooManyFailures { in_row: told, .. }) = failure.error else {
            panic!("{failure:?}")
        };
        assert_eq!(told, in_row);
    }
}

/// A 429 that asks for the shortest wait.
fn limited() -> Result<Response, HttpError> {
    let mut answer = status(429, "{}")?;
    answer.headers.push("Retry-After", "0");
    Ok(answer)
}

/// F-N18.
#[test]
fn a_rate_limit_spends_nothing_of_the_error_budget() {
    let asked = AtomicUsize::new(0);
    let transport = MemoryTransport::new(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => limited(),
        _ => ok(page_of(5, param(request, "page").unwrap(), 10)),
    });
    let mut spec = spec(by_page(Stop::Short));
    spec.concurrency = 1;
    spec.failures = Failures::new(ErrorBudget { in_row: 1, in_all: 1 }, Spent::default());
    spec.rules = rules("{\"status\": 429}", Some(Class::RateLimit), Action::Retry);
    let failures = spec.failures.clone();
    let (_, failure) = read(spec, Arc::new(transport));
    assert_eq!(failure, None);
    assert_eq!(failures.take().unwrap().spent, Spent::default());
}
