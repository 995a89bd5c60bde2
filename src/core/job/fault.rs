//! What can be wrong with a job's definition, besides what [`ConfigError`](super::ConfigError) says of all definitions.

use super::path::PathFault;
use crate::class::Class;
use crate::connection::{Subject, quoted};
use crate::error::Explain;

/// A fault of a job's definition, or of a call that names a job.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobFault {
    #[error("{subject} {fault}")]
    Path { subject: Subject, fault: PathFault },
    #[error("job {} does not exist", quoted(.name))]
    UnknownJob { name: String, nearest: Option<String> },
    #[error("job {} already exists", quoted(.name))]
    JobExists { name: String },
    #[error("connection {} does not exist", quoted(.name))]
    UnknownConnection { name: String, nearest: Option<String> },
    /// `role` is the creator or the owner of the target.
    #[error("role {} may not use connection {}", quoted(.role), quoted(.connection))]
    NoUsage { role: String, connection: String },
    /// The server's wrapper is not ours.
    #[error("server {} is not a pg_sluice connection", quoted(.name))]
    NotAConnection { name: String },
    #[error("job {} is paused", quoted(.name))]
    Paused { name: String, reason: Option<String> },
    /// No key was given and the target has none; `proposed` are columns that are unique in the first page.
    #[error("job {} needs a key", quoted(.name))]
    KeyNeeded { name: String, proposed: Vec<String> },
    #[error("argument \"key\" names no column")]
    EmptyKey,
    #[error("argument \"key\" names column {} twice", quoted(.column))]
    KeyColumnTwice { column: String },
    /// `target` is the table, `columns` what is available.
    #[error("key column {} is not among the columns of {target}", quoted(.column))]
    KeyColumnUnknown {
        column: String,
        target: String,
        nearest: Option<String>,
    },
    /// An existing target without a unique index on exactly the key's columns.
    #[error("{target} has no unique index on the key")]
    KeyNotUnique { target: String, key: Vec<String> },
    #[error("column {} of setting \"columns\" is not in {target}", quoted(.column))]
    ColumnUnknown {
        column: String,
        target: String,
        nearest: Option<String>,
    },
    #[error("column {} of {target} is generated", quoted(.column))]
    ColumnGenerated { column: String, target: String },
    /// `kind` says what it is: "a view".
    #[error("{target} is {kind}, not a table")]
    NotATable { target: String, kind: String },
    #[error("{target} is already the target of job {}", quoted(.job))]
    TargetTaken { target: String, job: String },
}

impl Explain for JobFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            JobFault::UnknownJob { .. } | JobFault::UnknownConnection { .. } => "42704",
            JobFault::JobExists { .. } => "42710",
            JobFault::NoUsage { .. } => "42501",
            JobFault::NotAConnection { .. } | JobFault::NotATable { .. } => "42809",
            JobFault::Paused { .. } | JobFault::TargetTaken { .. } => "55000",
            JobFault::KeyColumnUnknown { .. } | JobFault::ColumnUnknown { .. } => "42703",
            JobFault::KeyNotUnique { .. } => "42P10",
            JobFault::ColumnGenerated { .. } => "428C9",
            JobFault::Path { .. }
            | JobFault::KeyNeeded { .. }
            | JobFault::EmptyKey
            | JobFault::KeyColumnTwice { .. } => "22023",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            JobFault::Path { fault, .. } => Some(fault.detail().to_owned()),
            JobFault::NoUsage { .. } => {
                Some("Whoever creates a job and the owner of its target both need USAGE on the server.".to_owned())
            }
            JobFault::NotAConnection { .. } => Some("Its foreign data wrapper is another one.".to_owned()),
            JobFault::Paused { reason, .. } => reason.as_ref().map(|reason| format!("Reason: {reason}")),
            JobFault::KeyNeeded { proposed, .. } => Some(key_proposal(proposed)),
            JobFault::KeyNotUnique { key, .. } => Some(format!("The key is: {}.", key.join(", "))),
            JobFault::ColumnGenerated { .. } => Some("PostgreSQL computes it, so a record cannot fill it.".to_owned()),
            JobFault::NotATable { .. } => Some("Rows can be kept in tables and partitioned tables.".to_owned()),
            JobFault::TargetTaken { .. } => Some(
                "Two jobs would remove each other's rows, since a job removes what its remote no longer has."
                    .to_owned(),
            ),
            JobFault::UnknownJob { .. }
            | JobFault::JobExists { .. }
            | JobFault::UnknownConnection { .. }
            | JobFault::EmptyKey
            | JobFault::KeyColumnTwice { .. }
            | JobFault::KeyColumnUnknown { .. }
            | JobFault::ColumnUnknown { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            JobFault::Path { fault, .. } => fault.hint().to_owned(),
            JobFault::UnknownJob { nearest, .. } => meant(nearest, "SELECT name FROM sluice.sync_jobs lists the jobs."),
            JobFault::JobExists { .. } => {
                "Change it with sluice.alter_job, drop it with sluice.drop_job, or choose another name.".to_owned()
            }
            JobFault::UnknownConnection { nearest, .. } => meant(
                nearest,
                "SELECT name FROM sluice.sync_connections lists them; sluice.create_connection makes one.",
            ),
            JobFault::NoUsage { role, connection } => {
                format!(
                    "GRANT USAGE ON FOREIGN SERVER {} TO {};",
                    identifier(connection),
                    identifier(role)
                )
            }
            JobFault::NotAConnection { .. } => "Create a connection with sluice.create_connection.".to_owned(),
            JobFault::Paused { name, .. } => format!("SELECT sluice.resume_job({});", literal(name)),
            JobFault::KeyNeeded { proposed, .. } => {
                let column = proposed.first().map_or("id", String::as_str);
                format!("For example: key => ARRAY[{}]", literal(column))
            }
            JobFault::EmptyKey => "For example: key => ARRAY['id']; leave it away to use the primary key.".to_owned(),
            JobFault::KeyColumnTwice { .. } => "Name each column once.".to_owned(),
            JobFault::KeyColumnUnknown { nearest, .. } | JobFault::ColumnUnknown { nearest, .. } => {
                meant(nearest, "Use a column of the target, or add the column first.")
            }
            JobFault::KeyNotUnique { target, key } => {
                let columns: Vec<String> = key.iter().map(|column| identifier(column)).collect();
                format!("CREATE UNIQUE INDEX ON {target} ({});", columns.join(", "))
            }
            JobFault::ColumnGenerated { .. } => "Leave the column out of \"columns\".".to_owned(),
            JobFault::NotATable { .. } => "Give a table as target, or none to have one made.".to_owned(),
            JobFault::TargetTaken { .. } => "Give another target, or drop the other job.".to_owned(),
        })
    }
}

fn key_proposal(proposed: &[String]) -> String {
    let needed = "The target has no primary key, and rows can be told apart only by a key.";
    match proposed {
        [] => format!("{needed} No single member is unique in the first page."),
        columns => format!("{needed} Unique in the first page: {}.", columns.join(", ")),
    }
}

fn meant(nearest: &Option<String>, otherwise: &str) -> String {
    match nearest {
        Some(name) => format!("Did you mean {}?", quoted(name)),
        None => otherwise.to_owned(),
    }
}

/// An identifier for a statement in a hint, on one line.
fn identifier(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        true => name.to_owned(),
        false => format!("\"{}\"", one_line(name).replace('"', "\"\"")),
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", one_line(text).replace('\'', "''"))
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
