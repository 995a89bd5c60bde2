//! What can be wrong with a settings document, besides what [`ConfigError`](crate::connection::ConfigError) says of all
//! definitions.

use super::type_name::{TypeFault, nearest_type};
use crate::class::Class;
use crate::connection::{Subject, quoted};
use crate::error::Explain;

/// A fault of a settings document. No variant holds the value of a parameter or a header.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsFault {
    /// `line` and `column` count from 1.
    #[error("the settings are not a JSON object")]
    NotAnObject { line: usize, column: usize },
    #[error("setting {} is given twice", quoted(.path))]
    Twice { path: String },
    /// `reason` is what the parser of paths says of the text.
    #[error("{subject} is not a path to one value")]
    WrongPath { subject: Subject, reason: String },
    /// `needs` is the path of another setting.
    #[error("{subject} needs setting {}", quoted(.needs))]
    Needs {
        subject: Subject,
        needs: String,
        because: &'static str,
    },
    /// The setting does nothing beside the others.
    #[error("{subject} has no effect here")]
    NoEffect {
        subject: Subject,
        because: &'static str,
        instead: &'static str,
    },
    #[error("header {} cannot be set by a job", quoted(.name))]
    ReservedHeader { name: String },
    /// `holder` is "parameter" or "header".
    #[error("{holder} {} looks like a credential", quoted(.name))]
    Credential { holder: &'static str, name: String },
    /// `by` is the pagination's setting that sets the parameter.
    #[error("parameter {} is set by the pagination", quoted(.name))]
    ParamTaken { name: String, by: &'static str },
    /// `key` is the path of the setting that names the parameter.
    #[error("parameter {} cannot go there", quoted(.name))]
    ParamPlace { key: &'static str, name: String },
    #[error("setting \"columns\" names no column")]
    NoColumns,
    #[error("column name {} cannot be used", quoted(.name))]
    ColumnName { name: String },
    #[error("column {} cannot have the type {}", quoted(.column), quoted(.type_name))]
    ColumnType {
        column: String,
        type_name: String,
        fault: TypeFault,
    },
    /// `order` names the members, the smallest first.
    #[error("{subject} is out of order")]
    Order { subject: Subject, order: &'static str },
}

impl Explain for SettingsFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            SettingsFault::ColumnName { .. } => "42602",
            SettingsFault::ColumnType {
                fault: TypeFault::Unknown,
                ..
            } => "42704",
            _ => "22023",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            SettingsFault::NotAnObject { line, column } => {
                format!("Reading stopped at line {line}, column {column}.")
            }
            SettingsFault::Twice { .. } => "Each setting has one value.".to_owned(),
            SettingsFault::WrongPath { reason, .. } => as_sentence(reason),
            SettingsFault::Needs { because, .. } | SettingsFault::NoEffect { because, .. } => (*because).to_owned(),
            SettingsFault::ReservedHeader { .. } => {
                "Host, Authorization, Cookie, Proxy-*, Content-Length, Transfer-Encoding and Connection are set by the \
                 connection or by HTTP itself."
                    .to_owned()
            }
            SettingsFault::Credential { .. } => {
                "A job's settings are shown in sluice.sync_jobs, so they never hold credentials.".to_owned()
            }
            SettingsFault::ParamTaken { by: setting, .. } | SettingsFault::ParamPlace { key: setting, .. } => {
                format!("It is the setting {}.", quoted(setting))
            }
            SettingsFault::NoColumns => "It is an empty object.".to_owned(),
            SettingsFault::ColumnType { fault, .. } => fault.detail(),
            SettingsFault::ColumnName { .. } => {
                "A column's name has 1 to 63 bytes without control characters and is not one of PostgreSQL's own \
                 (ctid, xmin, xmax, cmin, cmax, tableoid)."
                    .to_owned()
            }
            SettingsFault::Order { order, .. } => format!("From the shortest to the longest they are: {order}."),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            SettingsFault::NotAnObject { .. } => {
                "For example: '{\"records\": \"$.data\", \"page_size\": 100}'".to_owned()
            }
            SettingsFault::Twice { .. } => "Give it once.".to_owned(),
            SettingsFault::WrongPath { .. } => {
                "Paths are singular queries of RFC 9535, for example: \"$.data.items\" or \"$['first name']\""
                    .to_owned()
            }
            SettingsFault::Needs { needs, .. } => format!("Add {}.", quoted(needs)),
            SettingsFault::NoEffect { instead, .. } => (*instead).to_owned(),
            SettingsFault::ReservedHeader { .. } => {
                "Remove it; for credentials use the connection's options auth and secret.".to_owned()
            }
            SettingsFault::Credential { .. } => {
                "Use the connection's auth 'api_key' with api_key_name, api_key_in and a secret stored by \
                 sluice.set_secret."
                    .to_owned()
            }
            SettingsFault::ParamTaken { .. } => {
                "Remove it from \"params\", or give the pagination another one.".to_owned()
            }
            SettingsFault::ParamPlace { .. } => {
                "In a query it is a name; in a body a name, or a path such as \"$.variables.after\" that leads through \
                 objects only."
                    .to_owned()
            }
            SettingsFault::NoColumns => "Leave \"columns\" away to take every member, or name the columns.".to_owned(),
            SettingsFault::ColumnType { type_name, .. } => {
                format!("For example: {{\"type\": \"{}\"}}", nearest_type(type_name))
            }
            SettingsFault::Order { .. } => "Give those that are not at their default too.".to_owned(),
            SettingsFault::ColumnName { .. } => "Choose another name for the column, and keep its path.".to_owned(),
        })
    }
}

/// Another error's message as a sentence on one line.
pub(super) fn as_sentence(message: &str) -> String {
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut letters = line.trim_end_matches('.').chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
