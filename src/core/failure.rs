//! What is written down of a failure: what decided about it, and what comes next.

use crate::error::{Error, HttpError};

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// The request is sent again in the same run.
    RetryInRun,
    /// The run is in the retry queue.
    Queued,
    /// The job's next run comes on its schedule; of a manual job, when somebody asks for it.
    Scheduled,
    /// The read begins again at its first page, in the same run.
    ReadRestarted,
    /// The answer was taken for a page without records.
    Ignored,
    /// The jobs of the connection wait.
    ConnectionPaused,
    /// Nothing by itself.
    Stopped,
}

impl NextStep {
    pub const ALL: [NextStep; 7] = [
        NextStep::RetryInRun,
        NextStep::Queued,
        NextStep::Scheduled,
        NextStep::ReadRestarted,
        NextStep::Ignored,
        NextStep::ConnectionPaused,
        NextStep::Stopped,
    ];

    /// The word used in tables, views and docs.
    pub fn as_str(self) -> &'static str {
        match self {
            NextStep::RetryInRun => "retry_in_run",
            NextStep::Queued => "queued",
            NextStep::Scheduled => "scheduled",
            NextStep::ReadRestarted => "read_restarted",
            NextStep::Ignored => "ignored",
            NextStep::ConnectionPaused => "connection_paused",
            NextStep::Stopped => "stopped",
        }
    }
}

/// The basis of an answer that is a failure by a rule only; `explain_error` knows it.
pub const GOOD_STATUS: &str = "a good status";

/// What a class was decided from where no rule did: the structure of the error, in a few words.
pub fn basis(error: &Error) -> String {
    match error.cause() {
        Error::Http(HttpError::Status { status, .. }) => format!("HTTP status {status}"),
        Error::Http(HttpError::AnswerIsError { .. }) => GOOD_STATUS.to_owned(),
        Error::Http(HttpError::TooManyFailures { last, .. }) => basis(&Error::Http((**last).clone())),
        Error::Http(other) => format!("how the request ended: {other}"),
        Error::Database(database) => format!("SQLSTATE {}", database.sqlstate),
        _ => "what pg_sluice itself found".to_owned(),
    }
}

/// The status that the remote answered with, where it answered.
pub fn http_status(error: &Error) -> Option<u16> {
    match error.cause() {
        Error::Http(error) => status_of(error),
        _ => None,
    }
}

fn status_of(error: &HttpError) -> Option<u16> {
    match error {
        HttpError::Status { status, .. }
        | HttpError::AnswerIsError { status, .. }
        | HttpError::NotAPage { status, .. }
        | HttpError::Redirected { status, .. }
        | HttpError::TokenLost { status, .. } => Some(*status),
        HttpError::TooManyFailures { last, .. } => status_of(last),
        _ => None,
    }
}

/// What the remote said, shortened and redacted.
pub fn excerpt(error: &Error) -> Option<&str> {
    match error.cause() {
        Error::Http(error) => excerpt_of(error),
        _ => None,
    }
}

fn excerpt_of(error: &HttpError) -> Option<&str> {
    match error {
        HttpError::Status { excerpt, .. } | HttpError::AnswerIsError { excerpt, .. } => excerpt.as_deref(),
        HttpError::TooManyFailures { last, .. } => excerpt_of(last),
        _ => None,
    }
}
