//! One request without retries, for a person who waits: the first page, or how far the way to it goes.
//!
//! Each step follows from how the one request ended, by the structure of its error: what comes before the failing
//! step has worked, what comes after it was not tried.

use std::time::SystemTime;

use sluice_core::class::Class;
use sluice_core::error::{Error, Explain};
use sluice_core::http::status::{self, Meaning};
use sluice_core::http::{Headers, HttpError, Phase, Response};
use sluice_core::pagination::ReadPlan;

use crate::spec::ReadSpec;
use crate::transport::Transport;

/// One step on the way to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// resolve, address, connect, tls, auth, response or rate limit.
    pub check: &'static str,
    /// None: not tried.
    pub ok: Option<bool>,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

const CHECKS: [&str; 6] = ["resolve", "address", "connect", "tls", "auth", "response"];

/// The response that holds the first page, or the page where `spec.start` says.
///
/// # Errors
/// What the one request met.
pub fn first_page(spec: &ReadSpec, transport: &dyn Transport) -> Result<Response, Error> {
    Ok(ask(spec, transport)?)
}

/// Every step in order, and the remote's rate limit where it tells one.
pub fn steps(spec: &ReadSpec, transport: &dyn Transport) -> Vec<Probed> {
    let outcome = ask(spec, transport);
    let failed = outcome.as_ref().err().map(|error| (failed_step(error), error));
    let mut steps: Vec<Probed> = CHECKS.iter().map(|check| probed(check, failed)).collect();
    if spec.base.scheme() == "http" {
        // Nothing was encrypted, and nothing failed to be.
        steps[3] = Probed {
            check: "tls",
            ok: None,
            detail: Some("The base URL is http://.".to_owned()),
            hint: None,
        };
    }
    steps.push(rate_limit(outcome.as_ref()));
    steps
}

fn ask(spec: &ReadSpec, transport: &dyn Transport) -> Result<Response, HttpError> {
    let start = spec.start.clone().unwrap_or_default();
    let number = start.number.max(1);
    let mut plan = ReadPlan::new(&spec.pagination, spec.page_size, start)?;
    let ask = plan.next_ask(number).ok_or(HttpError::BadToken { page: number })?;
    let request = spec.request(&ask)?;
    let response = transport.send(&request)?;
    match status::judge(&request, &response, &spec.auth, SystemTime::now())? {
        Meaning::Page | Meaning::NoContent => Ok(response),
        Meaning::Absent => Err(status::failure(&request, &response, &spec.auth, SystemTime::now())),
    }
}

/// Index into [`CHECKS`].
fn failed_step(error: &HttpError) -> usize {
    match error {
        HttpError::Resolve { .. }
        | HttpError::Timeout {
            phase: Phase::Resolve, ..
        } => 0,
        HttpError::BlockedAddress { .. } | HttpError::BlockedHost { .. } | HttpError::PlainHttp { .. } => 1,
        HttpError::Refused { .. }
        | HttpError::Connect { .. }
        | HttpError::Timeout {
            phase: Phase::Connect, ..
        } => 2,
        HttpError::Tls { .. } => 3,
        other if other.class() == Class::Auth => 4,
        _ => 5,
    }
}

fn probed(check: &&'static str, failed: Option<(usize, &HttpError)>) -> Probed {
    let step = CHECKS.iter().position(|c| c == check).unwrap_or_default();
    match failed {
        Some((at, _)) if step > at => Probed {
            check,
            ok: None,
            detail: Some("not tried".to_owned()),
            hint: None,
        },
        Some((at, error)) if step == at => {
            let facts = error.detail().map_or(String::new(), |detail| format!(". {detail}"));
            Probed {
                check,
                ok: Some(false),
                detail: Some(format!("{error}{facts}")),
                hint: error.hint(),
            }
        }
        _ => Probed {
            check,
            ok: Some(true),
            detail: None,
            hint: None,
        },
    }
}

/// What is left of the remote's budget, in the fields that many APIs send.
fn rate_limit(outcome: Result<&Response, &HttpError>) -> Probed {
    let of = |ok, detail: String| Probed {
        check: "rate limit",
        ok,
        detail: Some(detail),
        hint: None,
    };
    match outcome {
        Ok(response) => match (
            number(&response.headers, "remaining"),
            number(&response.headers, "limit"),
        ) {
            (Some(left), Some(limit)) => of(Some(left > 0), format!("{left} of {limit} requests are left.")),
            (Some(left), None) => of(Some(left > 0), format!("{left} requests are left.")),
            _ => of(Some(true), "The remote tells none.".to_owned()),
        },
        Err(error) if error.class() == Class::RateLimit => of(Some(false), error.to_string()),
        Err(_) => of(None, "not tried".to_owned()),
    }
}

fn number(headers: &Headers, what: &str) -> Option<u64> {
    ["x-ratelimit-", "x-rate-limit-", "ratelimit-"]
        .iter()
        .find_map(|prefix| headers.get(&format!("{prefix}{what}"))?.trim().parse().ok())
}
