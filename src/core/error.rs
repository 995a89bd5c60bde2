//! The one error of pg_sluice: what a person reads, and what the retry policy looks at.
//!
//! Each area has an enum of its own with the facts as fields ([`ConfigError`], [`HttpError`], [`DataError`],
//! [`TargetError`], [`DatabaseError`]); [`Error`] joins them. An error knows its SQLSTATE, detail and hint itself, because it is told in
//! three places: raised in a session, written to a run's row by a worker, and shown in a view.

use crate::alert::AlertFault;
pub use crate::call::CallError;
use crate::class::Class;
pub use crate::connection::ConfigError;
use crate::connection::ConnectionFault;
pub use crate::data::DataError;
use crate::data::excerpt;
use crate::error_rule::{Ruled, Ruling};
pub use crate::http::HttpError;
use crate::job::{FunctionFault, JobFault};
use crate::oauth::OAuthFault;
use crate::openapi::OpenApiFault;
pub use crate::target::TargetError;
use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

/// What every error can say of itself. The `Display` text is the primary message: lower case, one line, no full stop.
pub trait Explain: std::error::Error {
    /// What the retry policy looks at.
    fn class(&self) -> Class;
    /// The five characters of the SQLSTATE.
    fn sqlstate(&self) -> &'static str;
    /// The facts, as whole sentences.
    fn detail(&self) -> Option<String>;
    /// The next step for the person who reads it.
    fn hint(&self) -> Option<String>;
}

/// Any failure of pg_sluice.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    OAuth(#[from] OAuthFault),
    #[error(transparent)]
    OpenApi(#[from] OpenApiFault),
    #[error(transparent)]
    Internal(#[from] InternalError),
    /// A failure that a rule of the user's has decided about.
    #[error(transparent)]
    Ruled(Box<Ruled>),
}

impl From<ConnectionFault> for Error {
    fn from(fault: ConnectionFault) -> Error {
        Error::Config(fault.into())
    }
}

impl From<AlertFault> for Error {
    fn from(fault: AlertFault) -> Error {
        Error::Call(fault.into())
    }
}

impl From<FunctionFault> for Error {
    fn from(fault: FunctionFault) -> Error {
        Error::Target(fault.into())
    }
}

impl From<JobFault> for Error {
    fn from(fault: JobFault) -> Error {
        Error::Config(fault.into())
    }
}

/// A broken invariant: a bug in pg_sluice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InternalError {
    #[error("panic: {message}")]
    Panic { message: String },
    #[error("unexpected answer from SPI: {what}")]
    Spi { what: String },
    #[error("column {column} of an internal statement is null")]
    UnexpectedNull { column: usize },
    #[error("{what} is not what was stored")]
    Corrupt { what: String },
    #[error("a thread or pipe could not be made: {what}")]
    Os { what: String },
}

impl Explain for InternalError {
    fn class(&self) -> Class {
        Class::Internal
    }
    fn sqlstate(&self) -> &'static str {
        "XX000"
    }
    fn detail(&self) -> Option<String> {
        None
    }
    fn hint(&self) -> Option<String> {
        Some("This is a bug in pg_sluice: please report it with the server's log around this time.".into())
    }
}

/// A failure that PostgreSQL reported, carried over as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DatabaseError {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// What was being written, where that is one record.
    pub record: Option<Box<RefusedRecord>>,
}

/// A record that PostgreSQL refused, which itself names at most a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    pub page: i64,
    /// Counted from 1 within its page.
    pub record: u64,
    /// The values of its key's columns, as they came.
    pub key: Vec<String>,
    /// The columns without whose values it would not have been refused so.
    pub columns: Vec<String>,
    /// The value of the column, where it is one.
    pub value: Option<String>,
}

impl fmt::Display for RefusedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.join(", ");
        write!(f, "Record {} of page {}, key {key}", self.record, self.page)?;
        let columns: Vec<String> = self.columns.iter().map(|c| format!("\"{c}\"")).collect();
        match columns.len() {
            0 => {}
            1 => write!(f, ", column {}", columns[0])?,
            _ => write!(f, ", columns {}", columns.join(", "))?,
        }
        match &self.value {
            Some(value) => write!(f, ": the value is {value}."),
            None => f.write_str("."),
        }
    }
}

impl DatabaseError {
    /// Class by SQLSTATE: what may pass by itself, what a person must mend, what a record caused.
    pub fn class(&self) -> Class {
        match self.sqlstate.as_str() {
            "40001" | "40P01" | "55P03" | "55006" => Class::Database,
            "57014" | "57P01" | "57P02" | "57P03" => Class::Cancelled,
            "42501" | "28000" => Class::Config,
            "42P01" | "42703" | "42704" | "42804" | "42P10" | "3F000" | "428C9" => Class::Schema,
            s if s.starts_with("53") => Class::Resource,
            s if s.starts_with("22") || s.starts_with("23") || s == "21000" => Class::Data,
            // A trigger of the target would not have the record: asking again would not help.
            s if s.starts_with("P0") => Class::Data,
            s if s.starts_with("XX") => Class::Internal,
            s if s.starts_with("54") => Class::Data,
            s if s.starts_with("0A") || s.starts_with("42") => Class::Config,
            _ => Class::Database,
        }
    }

    /// Whether a record can be the cause. A trigger's own SQLSTATE arrives as XX000.
    pub fn may_be_a_records(&self) -> bool {
        self.class() == Class::Data || self.sqlstate == "XX000"
    }

    /// PostgreSQL's detail, after the record where it is known. A failing row can be long and is only begun.
    fn detail(&self) -> Option<String> {
        let told = self.detail.as_deref();
        match &self.record {
            None => told.map(str::to_owned),
            Some(record) => Some(match told {
                None => record.to_string(),
                Some(told) => format!("{record} {}", excerpt(told)),
            }),
        }
    }

    /// The next step: PostgreSQL's own hint, else what its SQLSTATE means for a run.
    fn hint(&self) -> Option<String> {
        let text = match self.sqlstate.as_str() {
            "22001" | "22003" => "Give the column a wider type, or map another member.",
            "40001" | "40P01" | "55P03" | "55006" => "Another session held what the run needed; it is tried again.",
            "42501" => "Give the run-as role, the target's owner, this right.",
            "23503" => {
                "A row that goes and is still referred to: remove what refers to it, or set \"on_missing\" to \"mark\". A \
                 record that refers to a row that is not there: load that row first."
            }
            s if s.starts_with("22") => "Mend the record at the remote, or map another member.",
            s if s.starts_with("23") => "Mend the record at the remote, or change the constraint that refuses it.",
            s if s.starts_with("P0") && self.hint.is_none() => {
                "Mend the record at the remote, or change the trigger that refuses it."
            }
            s if s.starts_with("53") => "The server is short of what it names; the run is tried again.",
            _ => return self.hint.clone(),
        };
        self.hint.clone().or_else(|| Some(text.into()))
    }
}

impl Error {
    fn explain(&self) -> Option<&dyn Explain> {
        match self {
            Error::Config(e) => Some(e),
            Error::Http(e) => Some(e),
            Error::Data(e) => Some(e),
            Error::Call(e) => Some(e),
            Error::Internal(e) => Some(e),
            Error::Target(e) => Some(e),
            Error::OAuth(e) => Some(e),
            Error::OpenApi(e) => Some(e),
            Error::Database(_) | Error::Ruled(_) => None,
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Error::Ruled(e) => e.ruling.class,
            Error::Database(e) => e.class(),
            other => other.explain().map_or(Class::Internal, Explain::class),
        }
    }

    pub fn sqlstate(&self) -> &str {
        match self {
            Error::Ruled(e) => e.error.sqlstate(),
            Error::Database(e) => &e.sqlstate,
            Error::Call(e) => e.carried_sqlstate().unwrap_or_else(|| e.sqlstate()),
            Error::Target(e) => e.carried_sqlstate().unwrap_or_else(|| e.sqlstate()),
            other => other.explain().map_or("XX000", Explain::sqlstate),
        }
    }

    pub fn detail(&self) -> Option<String> {
        match self {
            Error::Ruled(e) => e.error.detail(),
            Error::Database(e) => e.detail(),
            other => other.explain().and_then(Explain::detail),
        }
    }

    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Ruled(e) => e.ruling.hint.clone().or_else(|| e.error.hint()),
            Error::Database(e) => e.hint(),
            other => other.explain().and_then(Explain::hint),
        }
    }

    /// What a rule has decided about it.
    pub fn ruling(&self) -> Option<&Ruling> {
        match self {
            Error::Ruled(e) => Some(&e.ruling),
            _ => None,
        }
    }

    /// The failure itself, whatever a rule has decided about it.
    pub fn cause(&self) -> &Error {
        match self {
            Error::Ruled(e) => &e.error,
            other => other,
        }
    }

    /// Whether the same work is to be done again later.
    pub fn is_recoverable(&self) -> bool {
        match self.ruling() {
            Some(ruling) => ruling.action.is_queued(),
            None => self.class().is_recoverable(),
        }
    }
}
