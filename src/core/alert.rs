//! Event rules: which changes of a job's health call somebody, and what can be wrong with a rule.

use crate::error::Explain;
use crate::job::FunctionName;
use crate::{Class, sql_text::literal};

/// What a rule can be called for.
pub const EVENTS: [&str; 3] = ["repeated_failure", "degraded", "recovered"];

/// Whom a rule calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    Function(FunctionName),
    Webhook { connection: String, path: String },
}

/// A rule that cannot be made, or a call that cannot be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertFault {
    #[error("the name of an event rule has 1 to 63 bytes")]
    Name,
    #[error("event rule \"{name}\" already exists")]
    Exists { name: String },
    #[error("event rule \"{name}\" does not exist")]
    Unknown { name: String },
    #[error("unknown event \"{event}\"")]
    UnknownEvent { event: String },
    #[error("an event rule needs an event")]
    NoEvent,
    #[error("an event rule calls a function or a connection with a path")]
    Callee,
    #[error("\"{name}\" is no name of a function")]
    FunctionName { name: String },
    #[error("function {name}(jsonb) does not exist")]
    NoFunction { name: FunctionName },
    #[error("argument \"after_failures\" must be from 1 to 1000")]
    AfterFailures { found: i32 },
    #[error("argument \"time_limit\" must be from 1 second to 5 minutes")]
    TimeLimit,
    #[error("function {name}(jsonb) belongs to another role now")]
    OtherOwner {
        name: FunctionName,
        was: String,
        is: String,
    },
    #[error("function {name}(jsonb) belongs to a superuser")]
    Superuser { name: FunctionName },
    #[error("the worker ended while it made the call")]
    WorkerEnded,
}

impl Explain for AlertFault {
    fn class(&self) -> Class {
        match self {
            AlertFault::WorkerEnded => Class::Internal,
            _ => Class::Config,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            AlertFault::Name => "42602",
            AlertFault::Exists { .. } => "42710",
            AlertFault::Unknown { .. } => "42704",
            AlertFault::NoFunction { .. } => "42883",
            AlertFault::OtherOwner { .. } | AlertFault::Superuser { .. } => "42501",
            AlertFault::WorkerEnded => "58000",
            _ => "22023",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            AlertFault::UnknownEvent { .. } | AlertFault::NoEvent => format!("The events are {}.", EVENTS.join(", ")),
            AlertFault::Callee => {
                "One of the two, and not both: a POST goes to a path below the connection's base URL.".into()
            }
            AlertFault::NoFunction { .. } => "It takes one jsonb and returns no set.".into(),
            AlertFault::AfterFailures { found } => format!("It is {found}."),
            AlertFault::OtherOwner { was, is, .. } => {
                format!("It was \"{was}\" when the rule was made, and is \"{is}\".")
            }
            AlertFault::Superuser { .. } => "sluice.allow_superuser_jobs is off.".into(),
            _ => return None,
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            AlertFault::Name | AlertFault::NoEvent | AlertFault::UnknownEvent { .. } | AlertFault::Callee => {
                "For example: SELECT sluice.on_event('page me', '{degraded,recovered}', function => 'ops.page_me');"
                    .into()
            }
            AlertFault::Exists { name } => format!(
                "Choose another name, or drop it: SELECT sluice.drop_event_rule({}).",
                literal(name)
            ),
            AlertFault::Unknown { .. } => "SELECT name FROM sluice.sync_event_rules shows the rules.".into(),
            AlertFault::FunctionName { .. } => {
                "Write it as schema.name, each part in double quotes where it needs them.".into()
            }
            AlertFault::NoFunction { name } => format!("CREATE FUNCTION {name}(event jsonb) RETURNS void …"),
            AlertFault::AfterFailures { .. } => {
                "After so many failed runs in a row the rule is called; 3 is usual.".into()
            }
            AlertFault::TimeLimit => {
                "A call that takes longer is cancelled and tried again; 10 seconds are usual.".into()
            }
            AlertFault::OtherOwner { .. } => "Drop the rule and make it again, if that is meant.".into(),
            AlertFault::Superuser { .. } => {
                "Give the function to an ordinary role: ALTER FUNCTION … OWNER TO ….".into()
            }
            AlertFault::WorkerEnded => "The server's log says why.".into(),
        })
    }
}
