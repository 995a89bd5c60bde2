//! One request without retries, for a person who waits: the first page, or how far the way to it goes.
//!
//! Each step follows from how the one request ended, by the structure of its error: what comes before the failing
//! step has worked, what comes after it was not tried.

use std::time::SystemTime;

use sluice_core::class::Class;
use sluice_core::counted::{agreed, counted};
use sluice_core::error::{Error, Explain};
use sluice_core::http::status::{self, Meaning};
use sluice_core::http::{HttpError, Phase, Request, Response};
use sluice_core::pagination::ReadPlan;
use sluice_core::rate::{Told, told};

use url::Url;

use crate::exchange::MOST_REDIRECTS;
use crate::spec::ReadSpec;
use crate::transport::Transport;

/// One step on the way to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// resolve, address, connect, tls, auth, response, records or rate limit.
    pub check: &'static str,
    /// None: not tried.
    pub ok: Option<bool>,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

const CHECKS: [&str; 7] = ["resolve", "address", "connect", "tls", "auth", "response", "records"];
const RATE_LIMIT: &str = "rate limit";
const TLS: usize = 3;
const AUTH: usize = 4;
const RESPONSE: usize = 5;
const RECORDS: usize = 6;

/// The response that holds the first page, or the page where `spec.start` says.
///
/// # Errors
/// What the one request met.
pub fn first_page(spec: &ReadSpec, transport: &dyn Transport) -> Result<Response, Error> {
    Ok(ask(spec, transport)?)
}

/// Every step in order, and the remote's rate limit where it tells one. `count` finds the records of the one response.
pub fn steps(
    spec: &ReadSpec,
    transport: &dyn Transport,
    count: impl FnOnce(&Response) -> Result<u64, Error>,
) -> Vec<Probed> {
    let outcome = ask(spec, transport);
    let limit = rate_limit(outcome.as_ref());
    let records = outcome
        .map_err(|error| (failed_step(&error), error.into()))
        .and_then(|response| count(&response).map_err(|error| (RECORDS, error)));
    let failed = records.as_ref().err().map(|(step, error)| (*step, error));
    let mut steps: Vec<Probed> = (0..CHECKS.len()).map(|step| probed(step, failed)).collect();
    if spec.base.scheme() == "http" {
        // Nothing was encrypted, and nothing failed to be.
        steps[TLS].ok = None;
        steps[TLS].detail = Some("The base URL is http://.".to_owned());
    }
    if let Ok(number) = records {
        steps[RECORDS].detail = Some(format!("{} on the first page", counted(number as i64, "record")));
    }
    steps.push(limit);
    steps
}

/// The steps where there is nothing to prove with who is asking: nothing is sent, and only that is told.
pub fn without_credential(error: &Error) -> Vec<Probed> {
    let untried = |check| Probed::untried(check);
    let mut steps: Vec<Probed> = CHECKS.into_iter().map(untried).chain([untried(RATE_LIMIT)]).collect();
    steps[AUTH] = probed(AUTH, Some((AUTH, error)));
    steps
}

fn ask(spec: &ReadSpec, transport: &dyn Transport) -> Result<Response, HttpError> {
    let start = spec.start.clone().unwrap_or_default();
    let number = start.number.max(1);
    let mut plan = ReadPlan::new(&spec.pagination, spec.page_size, start)?;
    let ask = plan.next_ask(number).ok_or(HttpError::BadToken { page: number })?;
    send(spec, spec.request(&ask)?, transport)
}

/// The response to the request for an address, which must lie below the base.
///
/// # Errors
/// What the one request met.
pub fn at(spec: &ReadSpec, url: Url, transport: &dyn Transport) -> Result<Response, Error> {
    Ok(send(spec, spec.request_to(url), transport)?)
}

fn send(spec: &ReadSpec, mut request: Request, transport: &dyn Transport) -> Result<Response, HttpError> {
    let mut response = spec.pace.send(&request, transport)?;
    for _ in 0..MOST_REDIRECTS {
        let Some(elsewhere) = spec.redirected(&request, &response) else {
            break;
        };
        request = elsewhere;
        response = spec.pace.send(&request, transport)?;
    }
    match status::judge(&request, &response, &spec.auth, SystemTime::now())? {
        Meaning::Page | Meaning::NoContent => Ok(response),
        Meaning::Absent | Meaning::Unchanged => {
            Err(status::failure(&request, &response, &spec.auth, SystemTime::now()))
        }
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
        HttpError::Tls { .. } => TLS,
        other if other.class() == Class::Auth => AUTH,
        _ => RESPONSE,
    }
}

impl Probed {
    fn untried(check: &'static str) -> Probed {
        Probed {
            check,
            ok: None,
            detail: Some("not tried".to_owned()),
            hint: None,
        }
    }
}

/// How a step went, where another or the same one failed, or none did.
fn probed(step: usize, failed: Option<(usize, &Error)>) -> Probed {
    let check = CHECKS[step];
    match failed {
        Some((at, _)) if step > at => Probed::untried(check),
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
        check: RATE_LIMIT,
        ok,
        detail: Some(detail),
        hint: None,
    };
    match outcome {
        Ok(response) => match told(&response.headers, SystemTime::now()) {
            Told {
                left: Some(left),
                limit: Some(limit),
                ..
            } => of(
                Some(left > 0),
                format!(
                    "{left} of {} {} left.",
                    counted(limit, "request"),
                    agreed(&left, "is", "are")
                ),
            ),
            Told { left: Some(left), .. } => of(
                Some(left > 0),
                format!("{} {} left.", counted(left, "request"), agreed(&left, "is", "are")),
            ),
            _ => of(Some(true), "The remote tells none.".to_owned()),
        },
        Err(error) if error.class() == Class::RateLimit => of(Some(false), error.to_string()),
        Err(_) => Probed::untried(RATE_LIMIT),
    }
}
