//! What pg_sluice itself refuses of a target table, before PostgreSQL would.

use crate::class::Class;
use crate::counted::counted;
use crate::data::{InferredType, JsonKind};
use crate::error::Explain;
use crate::guard::{KeptBack, Live};
use crate::job::FunctionFault;
use crate::sql_text::{literal, quote};

/// The columns that a table can have, dropped ones included (MaxHeapAttributeNumber).
pub const MOST_COLUMNS: usize = 1600;

/// The column that says since when a row is gone, with the setting `on_missing` mark.
pub const DELETED_AT: &str = "_deleted_at";

/// A target that cannot be written as the job asks.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TargetError {
    #[error("target \"{target}\" of job \"{job}\" does not exist any more")]
    Gone { target: String, job: String },
    #[error("a superuser owns target \"{table}\", and superuser jobs are off")]
    SuperuserJobsOff { table: String },
    #[error("a superuser will not write to target \"{table}\"")]
    ForeignCode {
        table: String,
        kind: String,
        name: String,
        remedy: String,
    },
    /// Of PostgreSQL or of pg_sluice.
    #[error("\"{table}\" cannot be a target: it belongs to the system")]
    OfTheSystem { table: String },
    #[error("\"{table}\" cannot be a target: it is a temporary table")]
    Temporary { table: String },
    #[error("table \"{table}\" cannot be made: the first page has no records")]
    NothingToMakeItFrom { table: String },
    #[error(transparent)]
    KeptBack(#[from] KeptBack),
    #[error(transparent)]
    Function(#[from] FunctionFault),
    /// Of a webhook's payload.
    #[error("too many rows would vanish")]
    TooManyTombstones { job: String, live: Live, max_shrink: f64 },
    #[error("the run would have left target \"{table}\" empty")]
    Emptied { table: String },
    /// The target went away under a run.
    #[error("target \"{table}\" was dropped during the work")]
    Dropped { table: String },
    #[error("target table with OID {oid} does not exist")]
    Missing { oid: u32 },
    #[error("\"{table}\" cannot be a target: it is not a table")]
    NotATable { table: String, kind: char },
    #[error("\"{table}\" cannot be a target: it has rules")]
    HasRules { table: String },
    #[error("target \"{table}\" has no unique index on its key")]
    NoUniqueIndex { table: String, key: Vec<String> },
    /// Of pagination by the last key.
    #[error("keyset column \"{column}\" of target \"{table}\" is not unique")]
    NoKeyset { table: String, column: String },
    #[error("target \"{table}\" has no column \"{column}\"")]
    UnknownColumn { table: String, column: String },
    #[error("target \"{table}\" has no column \"_deleted_at\" of type timestamp with time zone")]
    NoMarkColumn { table: String },
    #[error("column \"{column}\" of target \"{table}\" is generated")]
    GeneratedColumn { table: String, column: String },
    #[error("column \"{column}\" of target \"{table}\" is always an identity")]
    IdentityColumn { table: String, column: String },
    #[error("row-level security applies to the writer of target \"{table}\"")]
    RowSecurity { table: String },
    #[error("permission denied to insert into target \"{table}\"")]
    NoInsertPrivilege { table: String },
    #[error("target \"{table}\" has changed its shape during the work")]
    ShapeChanged { table: String },
    #[error("target \"{table}\" has got another owner during the work")]
    OwnerChanged { table: String },
    #[error("rows of target \"{table}\" were written by someone else at the same moment")]
    ConcurrentInsert { table: String },
    #[error("a trigger of target \"{table}\" changes the key of rows")]
    KeyAltered { table: String, key: Vec<String> },
    #[error("a decoded batch for target \"{table}\" is not well formed")]
    MalformedBatch { table: String, column: usize },
    #[error("a decoded batch for target \"{table}\" ends early")]
    TruncatedBatch { table: String, records: u64, found: usize },
    #[error("target \"{table}\" has lost column \"{column}\", by which a run's rows are found")]
    UndoKeyDropped { table: String, column: String },
    /// Refused by "on_new_field".
    #[error("records have a member \"{field}\" for which target \"{table}\" has no column")]
    NewField {
        job: String,
        table: String,
        field: String,
        /// As the type of the value that came is called.
        sample: JsonKind,
        /// The column that it could have, for statements.
        column: String,
        /// The column's type; None where only nulls came.
        ty: Option<InferredType>,
    },
    /// In a database of another encoding than UTF8.
    #[error("{what} is not ASCII")]
    NotAscii {
        what: String,
        encoding: String,
        remedy: &'static str,
    },
    #[error("an undo set for target \"{table}\" is not well formed")]
    MalformedUndo { table: String, reason: String },
}

/// What `pg_class.relkind` calls by a letter.
fn relation_kind(kind: char) -> &'static str {
    match kind {
        'v' => "a view",
        'm' => "a materialized view",
        'f' => "a foreign table",
        'S' => "a sequence",
        'i' | 'I' => "an index",
        'c' => "a composite type",
        _ => "another kind of relation",
    }
}

impl TargetError {
    /// The SQLSTATE that a function of the owner's ended with.
    pub fn carried_sqlstate(&self) -> Option<&str> {
        match self {
            TargetError::Function(fault) => fault.carried_sqlstate(),
            _ => None,
        }
    }
}

impl Explain for TargetError {
    fn class(&self) -> Class {
        match self {
            TargetError::KeptBack(kept) => kept.class(),
            TargetError::Function(fault) => fault.class(),
            TargetError::Emptied { .. } | TargetError::TooManyTombstones { .. } => Class::Empty,
            TargetError::RowSecurity { .. }
            | TargetError::NoInsertPrivilege { .. }
            | TargetError::SuperuserJobsOff { .. }
            | TargetError::ForeignCode { .. } => Class::Config,
            TargetError::ConcurrentInsert { .. } => Class::Database,
            TargetError::MalformedBatch { .. }
            | TargetError::TruncatedBatch { .. }
            | TargetError::MalformedUndo { .. } => Class::Internal,
            _ => Class::Schema,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            TargetError::KeptBack(kept) => kept.sqlstate(),
            TargetError::Function(fault) => fault.sqlstate(),
            TargetError::Emptied { .. } | TargetError::TooManyTombstones { .. } => "SY003",
            TargetError::Missing { .. } | TargetError::Gone { .. } | TargetError::Dropped { .. } => "42P01",
            TargetError::SuperuserJobsOff { .. } | TargetError::ForeignCode { .. } => "42501",
            TargetError::NothingToMakeItFrom { .. } => "22032",
            TargetError::NotATable { .. }
            | TargetError::HasRules { .. }
            | TargetError::Temporary { .. }
            | TargetError::OfTheSystem { .. } => "42809",
            TargetError::NoUniqueIndex { .. } | TargetError::NoKeyset { .. } => "42P10",
            TargetError::UnknownColumn { .. }
            | TargetError::UndoKeyDropped { .. }
            | TargetError::NoMarkColumn { .. }
            | TargetError::NewField { .. } => "42703",
            TargetError::GeneratedColumn { .. } | TargetError::IdentityColumn { .. } => "428C9",
            TargetError::RowSecurity { .. } | TargetError::NoInsertPrivilege { .. } => "42501",
            TargetError::ShapeChanged { .. } | TargetError::OwnerChanged { .. } | TargetError::KeyAltered { .. } => {
                "55000"
            }
            TargetError::ConcurrentInsert { .. } => "40001",
            TargetError::NotAscii { .. } => "0A000",
            TargetError::MalformedBatch { .. }
            | TargetError::TruncatedBatch { .. }
            | TargetError::MalformedUndo { .. } => "XX000",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            TargetError::KeptBack(kept) => kept.detail(),
            TargetError::TooManyTombstones { live, max_shrink, .. } => Some(format!(
                "Of {}, the payloads of one run would have removed {}, and max_shrink is {max_shrink}.",
                counted(live.rows_before, "row"),
                live.candidates_gone
            )),
            TargetError::Function(fault) => fault.detail(),
            TargetError::Emptied { .. } => {
                Some("Records came and were written, and no row was left; the rows from before are there again.".into())
            }
            TargetError::SuperuserJobsOff { .. } => Some("The setting sluice.allow_superuser_jobs is off.".into()),
            TargetError::ForeignCode { kind, name, .. } => Some(format!(
                "Code that an ordinary role can add or change would run as superuser: {kind} {name}."
            )),
            TargetError::OfTheSystem { .. } => {
                Some("Nobody, superusers included, fills these tables from a remote.".into())
            }
            TargetError::Temporary { .. } => Some("A worker has a session of its own and would not see it.".into()),
            TargetError::HasRules { .. } => Some(
                "Rules do something else with what is written, and INSERT … ON CONFLICT does not work with them."
                    .into(),
            ),
            TargetError::NotATable { kind, .. } => Some(format!("It is {}.", relation_kind(*kind))),
            TargetError::NoUniqueIndex { key, .. } => Some(format!("The key is ({}).", key.join(", "))),
            TargetError::NoKeyset { .. } => Some(
                "It is not the whole key, and no unique index is on it alone: two records with one value may stand on two \
                 pages, and the second would never be asked for."
                    .into(),
            ),
            TargetError::NoMarkColumn { .. } => {
                Some("With on_missing \"mark\" it says since when a row is gone.".into())
            }
            TargetError::RowSecurity { .. } => {
                Some("Policies would filter or refuse rows without a word, so the target is not written at all.".into())
            }
            TargetError::OwnerChanged { .. } => {
                Some("A run writes as the table's owner, and does not go on as one that is it no more.".into())
            }
            TargetError::KeyAltered { key, .. } => Some(format!(
                "A row that was not sent with the key ({}) was overwritten under it.",
                key.join(", ")
            )),
            TargetError::MalformedBatch { column, .. } => Some(format!("The fault is in mapped column {column}.")),
            TargetError::TruncatedBatch { records, found, .. } => Some(format!(
                "It says {}, and {found} could be read.",
                counted(*records, "record")
            )),
            TargetError::UndoKeyDropped { .. } => Some("It was in the key when the run wrote them.".into()),
            TargetError::NewField { sample, .. } => Some(format!(
                "It is {sample}, and \"on_new_field\" is fail. What came before it is kept."
            )),
            TargetError::NotAscii { encoding, .. } => Some(format!(
                "The database's encoding is {encoding}. Names and definitions are ASCII where it is not UTF8."
            )),
            TargetError::MalformedUndo { reason, .. } => Some(format!("{reason}.")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            TargetError::KeptBack(kept) => return kept.hint(),
            TargetError::TooManyTombstones { job, .. } => format!(
                "Look at it in sluice.sync_ingest. If the rows are to go, raise the setting max_shrink, then \
                 SELECT sluice.retry_ingest({}).",
                literal(job)
            ),
            TargetError::Function(fault) => return fault.hint(),
            TargetError::Emptied { .. } => "Look at the target's triggers and rules.".into(),
            TargetError::Gone { job, .. } => {
                let job = literal(job);
                format!("Drop the job, SELECT sluice.drop_job({job}), and make it again with a target that is there.")
            }
            TargetError::SuperuserJobsOff { table } => {
                format!("Give the table to an ordinary role: ALTER TABLE {table} OWNER TO ….")
            }
            TargetError::ForeignCode { remedy, .. } => format!("{remedy};"),
            TargetError::NothingToMakeItFrom { .. } => {
                "Create the table yourself and name it as the target, or check \"records\" and the path.".into()
            }
            TargetError::OfTheSystem { .. } => "Give a table of your own as the target.".into(),
            TargetError::Missing { .. } => "Create the table again, or drop the job.".into(),
            TargetError::Dropped { .. } => "Drop the job, and make it again with a target that is there.".into(),
            TargetError::HasRules { table } => {
                format!("Drop them (\\d {table} shows them): a trigger can do the same.")
            }
            TargetError::NotATable { .. } | TargetError::Temporary { .. } => {
                "Use an ordinary or a partitioned table.".into()
            }
            TargetError::NoUniqueIndex { table, key } => format!(
                "Add a primary key or a unique index that is neither partial nor deferrable: \
                 CREATE UNIQUE INDEX ON {table} ({});",
                key.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", ")
            ),
            TargetError::NoKeyset { .. } => {
                "Name the key's column, or use another type of pagination; a unique index on the column proves it too."
                    .into()
            }
            TargetError::NoMarkColumn { table } => format!("ALTER TABLE {table} ADD COLUMN {DELETED_AT} timestamptz;"),
            TargetError::UnknownColumn { .. } => "Add the column, or take it out of the job's \"columns\".".into(),
            TargetError::UndoKeyDropped { .. } => {
                "Add the column again with its values and a unique index, or roll back to a later run.".into()
            }
            TargetError::NewField {
                job, table, column, ty, ..
            } => format!(
                "ALTER TABLE {table} ADD COLUMN {column} {}; where the job names its \"columns\", add it there; \
                 or leave it out: SELECT sluice.alter_job({}, settings => '{{\"on_new_field\": \"ignore\"}}').",
                ty.unwrap_or(InferredType::Text).sql(),
                literal(job)
            ),
            TargetError::GeneratedColumn { .. } => "Take the column out of the job's \"columns\".".into(),
            TargetError::IdentityColumn { table, column } => format!(
                "Take the column out of the job's \"columns\", or let it be set: \
                 ALTER TABLE {table} ALTER COLUMN {} SET GENERATED BY DEFAULT.",
                quote(column)
            ),
            TargetError::RowSecurity { table } => {
                format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY lets the table's owner write.")
            }
            TargetError::NoInsertPrivilege { table } => format!("GRANT INSERT ON {table} to the run-as role."),
            TargetError::ShapeChanged { .. } => "The next run works with the new shape.".into(),
            TargetError::OwnerChanged { .. } => "The next run writes as the new owner.".into(),
            TargetError::KeyAltered { .. } => {
                "Let the trigger keep the key as it comes, or use a key that the trigger does not touch.".into()
            }
            TargetError::ConcurrentInsert { .. } => "The batch is tried again.".into(),
            TargetError::NotAscii { remedy, .. } => (*remedy).into(),
            TargetError::MalformedBatch { .. }
            | TargetError::TruncatedBatch { .. }
            | TargetError::MalformedUndo { .. } => return None,
        };
        Some(hint)
    }
}
