//! What an exchange says of the remote, as far as its budget is concerned.

use std::time::{Duration, SystemTime};

use super::headers::{Told, told};
use crate::class::Class;
use crate::error::Explain;
use crate::http::{HttpError, Response, status};
use crate::retry::rate_wait;

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The remote answered and works.
    Good,
    /// It refused because there were too many (429, or a 403 that asks to wait).
    Refused,
    /// It could not be reached, or failed by its own account.
    Failed,
    /// The same, in a way that says it has too much to do (503, a time-out).
    Overloaded,
    /// Nothing was learned: the request could not be sent for a reason of ours.
    Unknown,
}

/// How a request went, and what the remote told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    pub outcome: Outcome,
    /// Nobody is to send before that.
    pub wait: Option<Duration>,
    pub told: Told,
}

/// What an exchange says. `now` counts only where the response has no Date of its own.
pub fn outcome(exchange: &Result<Response, HttpError>, now: SystemTime) -> Answered {
    let response = match exchange {
        Ok(response) => response,
        Err(error) => return of_error(error),
    };
    let asked = status::asked_wait(response, now);
    let outcome = match status::class_of(response.status, asked) {
        Class::RateLimit => Outcome::Refused,
        Class::Server if response.status == 503 => Outcome::Overloaded,
        Class::Server => Outcome::Failed,
        _ => Outcome::Good,
    };
    let told = told(&response.headers, now);
    let wait = match outcome {
        Outcome::Refused => Some(refused(asked, &told)),
        Outcome::Failed | Outcome::Overloaded => asked.filter(|wait| !wait.is_zero()),
        Outcome::Good | Outcome::Unknown => None,
    };
    Answered { outcome, wait, told }
}

/// How long to wait after a refusal: as it says, else until its limit is new, else a few seconds; never nothing at
/// all, since a reset in the past must not become a busy loop.
fn refused(asked: Option<Duration>, told: &Told) -> Duration {
    let reset = told.reset.filter(|_| told.left.unwrap_or(0) == 0);
    rate_wait(asked.or(reset))
}

fn of_error(error: &HttpError) -> Answered {
    let outcome = match error.class() {
        Class::Timeout => Outcome::Overloaded,
        Class::Network | Class::Server => Outcome::Failed,
        // What came was too large or not readable: it came.
        Class::Data => Outcome::Good,
        _ => Outcome::Unknown,
    };
    Answered {
        outcome,
        wait: None,
        told: Told::default(),
    }
}
