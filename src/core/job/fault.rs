//! What can be wrong with a job's definition, besides what [`ConfigError`](crate::connection::ConfigError) says of all
//! definitions, [`CallError`](crate::call::CallError) of names and rights, and [`TargetError`](crate::target::TargetError)
//! of the target.

use super::path::PathFault;
use crate::class::Class;
use crate::connection::{Subject, quoted};
use crate::error::Explain;
use crate::foreach::Unusable;

/// A fault of a job's definition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobFault {
    #[error("{subject} {fault}")]
    Path { subject: Subject, fault: PathFault },
    /// No key was given for a table that is to be made; `proposed` are columns that are unique in the first page.
    #[error("job {} needs a key", quoted(.name))]
    KeyNeeded { name: String, proposed: Vec<String> },
    /// No key was given and the table that is there has no primary key. `table` is its full name.
    #[error("table {table} has no primary key")]
    TableWithoutKey { table: String },
    /// A key for a table that is to be made; `members` are the first page's.
    #[error("the records have no member {} for the key", quoted(.column))]
    KeyNotInRecords { column: String, members: Vec<String> },
    /// A path or a parameter of a job that reads below the rows of a query.
    #[error("a brace in {} has no partner", quoted(.text))]
    Braces { text: String },
    #[error("neither path, params nor body has a place for a parent's value")]
    NoPlace,
    /// A collection is to be looked at below the first parent.
    #[error("there is no parent to look below")]
    NoParent { unusable: Option<Unusable> },
    #[error("a superuser does not run the query of setting \"foreach\"")]
    QueryOfSuperuser,
    #[error("argument \"key\" names no column")]
    EmptyKey,
    #[error("argument \"key\" names column {} twice", quoted(.column))]
    KeyColumnTwice { column: String },
    #[error("time zone {} does not exist", quoted(.name))]
    UnknownTimeZone { name: String },
    #[error("job {} of setting \"depends_on\" does not exist", quoted(.name))]
    UnknownDependency { name: String, nearest: Option<String> },
    /// `names` begins and ends with the job itself.
    #[error("job {} would wait for itself", quoted(.name))]
    DependencyCycle { name: String, names: Vec<String> },
    /// The schema of a table that is to be made.
    #[error("schema {} does not exist", quoted(.schema))]
    UnknownSchema { schema: String },
    /// No schema was given for a table that is to be made, and the search path has none.
    #[error("no schema has been selected to make table {} in", quoted(.table))]
    NoSchema { table: String },
}

impl Explain for JobFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            JobFault::UnknownSchema { .. } | JobFault::NoSchema { .. } => "3F000",
            JobFault::KeyNotInRecords { .. } => "42703",
            JobFault::UnknownDependency { .. } => "42704",
            JobFault::QueryOfSuperuser => "42501",
            JobFault::UnknownTimeZone { .. } | JobFault::DependencyCycle { .. } => "22023",
            JobFault::Path { .. }
            | JobFault::Braces { .. }
            | JobFault::NoPlace
            | JobFault::NoParent { .. }
            | JobFault::KeyNeeded { .. }
            | JobFault::TableWithoutKey { .. }
            | JobFault::EmptyKey
            | JobFault::KeyColumnTwice { .. } => "22023",
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            JobFault::Path { fault, .. } => Some(fault.detail().to_owned()),
            JobFault::KeyNeeded { proposed, .. } => Some(key_proposal(proposed)),
            JobFault::TableWithoutKey { .. } => Some("Rows can be told apart only by a key.".to_owned()),
            JobFault::KeyNotInRecords { members, .. } => Some(format!("The first page has: {}.", members.join(", "))),
            JobFault::UnknownSchema { .. } => Some("The target is not there and would be made in it.".to_owned()),
            JobFault::NoSchema { .. } => Some("No schema of the search path exists.".to_owned()),
            JobFault::Braces { .. } | JobFault::NoPlace => Some(
                "A job with the setting \"foreach\" reads the same collection below each row of its query.".to_owned(),
            ),
            JobFault::NoParent { unusable } => Some(match unusable {
                None => "The query of setting \"foreach\" gives no row.".into(),
                Some(unusable) => format!("The first row of setting \"foreach\" cannot be asked for: {unusable}."),
            }),
            JobFault::QueryOfSuperuser => {
                Some("Its views and functions may be anybody's, and would run with all rights.".into())
            }
            JobFault::UnknownTimeZone { .. } => Some("It is one that PostgreSQL knows.".to_owned()),
            JobFault::UnknownDependency { .. } => Some("A job waits for jobs that are there.".to_owned()),
            JobFault::DependencyCycle { names, .. } => Some(format!("Each waits for the next: {}.", names.join(", "))),
            JobFault::EmptyKey | JobFault::KeyColumnTwice { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            JobFault::Path { fault, .. } => fault.hint().to_owned(),
            JobFault::KeyNeeded { proposed, .. } => {
                let column = proposed.first().map_or("id", String::as_str);
                format!("For example: key => ARRAY['{}']", column.replace('\'', "''"))
            }
            JobFault::TableWithoutKey { table } => format!(
                "ALTER TABLE {table} ADD PRIMARY KEY (…); or name the columns of a unique index: key => ARRAY['id']"
            ),
            JobFault::KeyNotInRecords { .. } => {
                "Name members of the records; capitals count. \"columns\" in the settings gives others.".to_owned()
            }
            JobFault::UnknownTimeZone { .. } => "SELECT name FROM pg_timezone_names; shows them.".to_owned(),
            JobFault::UnknownDependency {
                nearest: Some(nearest), ..
            } => format!("Did you mean {}?", quoted(nearest)),
            JobFault::UnknownDependency { nearest: None, .. } => {
                "SELECT name FROM sluice.sync_jobs shows the jobs that you may see.".to_owned()
            }
            JobFault::DependencyCycle { .. } => {
                "Take one of them out of the other's setting \"depends_on\".".to_owned()
            }
            JobFault::EmptyKey => "For example: key => ARRAY['id']; leave it away to use the primary key.".to_owned(),
            JobFault::KeyColumnTwice { .. } => "Name each column once.".to_owned(),
            JobFault::UnknownSchema { schema } => {
                format!("CREATE SCHEMA {}; or name a target in another schema.", quoted(schema))
            }
            JobFault::Braces { .. } | JobFault::NoPlace => {
                "Write the name of a column of the query in braces, for example: '/orders/{id}/items'.".to_owned()
            }
            JobFault::NoParent { .. } => {
                "Have the query give a row first; a job whose table is there already needs none.".to_owned()
            }
            JobFault::QueryOfSuperuser => {
                "SET ROLE to the table's owner first; or name it: settings => '{\"owner\": \"app\", …}'.".to_owned()
            }
            JobFault::NoSchema { table } => format!("Name one: target => 'public.{}'.", quoted(table)),
        })
    }
}

fn key_proposal(proposed: &[String]) -> String {
    let needed = "The table is made from the data, and rows can be told apart only by a key.";
    match proposed {
        [] => format!("{needed} No single member is unique in the first page."),
        columns => format!("{needed} Unique in the first page: {}.", columns.join(", ")),
    }
}
