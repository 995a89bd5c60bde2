//! The error of everything that a person defines.
//!
//! What all areas share (an unknown word, a wrong value, a word whose time has not come) is a variant here; the rest is a
//! `*Fault` enum beside the code that finds it. No variant holds a value that may be a credential: those that show
//! what was found carry a sentence made by [`super::found`].

use std::fmt;

use super::fault::ConnectionFault;
use super::spelling::{list, quoted};
use crate::class::Class;
use crate::error::Explain;
use crate::job::JobFault;
use crate::secret::SecretFault;
use crate::settings::SettingsFault;
use crate::url_policy::UrlFault;

/// What an error speaks of, as the person wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An option of a server.
    Option(String),
    /// A setting of a job, by its path in the document: `commit_every.bytes`.
    Setting(String),
    /// An argument of a function.
    Argument(String),
}

impl Subject {
    pub fn option(name: &str) -> Subject {
        Subject::Option(name.to_owned())
    }

    pub fn setting(path: &str) -> Subject {
        Subject::Setting(path.to_owned())
    }

    pub fn argument(name: &str) -> Subject {
        Subject::Argument(name.to_owned())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Option(name) => write!(f, "option {}", quoted(name)),
            Subject::Setting(path) => write!(f, "setting {}", quoted(path)),
            Subject::Argument(name) => write!(f, "argument {}", quoted(name)),
        }
    }
}

/// A definition that cannot work as it stands.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("unknown option {}", quoted(.name))]
    UnknownOption {
        name: String,
        nearest: Option<&'static str>,
        valid: Vec<&'static str>,
    },
    /// `path` is the key's place in the document.
    #[error("unknown setting {}", quoted(.path))]
    UnknownSetting {
        path: String,
        nearest: Option<&'static str>,
        valid: Vec<&'static str>,
    },
    /// A word that is none of the words allowed; `found` is a sentence or nothing.
    #[error("{subject} has a value that it does not know")]
    UnknownWord {
        subject: Subject,
        found: Option<String>,
        nearest: Option<&'static str>,
        valid: Vec<&'static str>,
    },
    /// `expected` completes "must be …"; `found` is a sentence; `example` is a complete value as one would write it.
    #[error("{subject} must be {expected}")]
    WrongValue {
        subject: Subject,
        expected: String,
        found: Option<String>,
        example: String,
    },
    /// Part of the design, not of this release. `what` names it, `supported` what can be used today.
    #[error("{what} is not supported yet")]
    NotSupportedYet { what: String, supported: Vec<&'static str> },
    #[error("{subject} {fault}")]
    Url { subject: Subject, fault: UrlFault },
    #[error(transparent)]
    Connection(#[from] ConnectionFault),
    #[error(transparent)]
    Settings(#[from] SettingsFault),
    #[error(transparent)]
    Job(#[from] JobFault),
    #[error(transparent)]
    Secret(#[from] SecretFault),
}

impl Explain for ConfigError {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            ConfigError::UnknownOption { .. } => "HV00D",
            ConfigError::NotSupportedYet { .. } => "0A000",
            ConfigError::UnknownSetting { .. }
            | ConfigError::UnknownWord { .. }
            | ConfigError::WrongValue { .. }
            | ConfigError::Url { .. } => "22023",
            ConfigError::Connection(fault) => fault.sqlstate(),
            ConfigError::Settings(fault) => fault.sqlstate(),
            ConfigError::Job(fault) => fault.sqlstate(),
            ConfigError::Secret(fault) => fault.sqlstate(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            ConfigError::UnknownOption { valid, .. } => Some(format!("The options are: {}.", list(valid))),
            ConfigError::UnknownSetting { path, valid, .. } => Some(match path.rsplit_once('.') {
                Some((place, _)) => format!("In {} the settings are: {}.", quoted(place), list(valid)),
                None => format!("The settings are: {}.", list(valid)),
            }),
            ConfigError::UnknownWord { found, valid, .. } => {
                Some(sentences([found.clone(), Some(format!("Valid are: {}.", list(valid)))]))
            }
            ConfigError::WrongValue { found, .. } => found.clone(),
            ConfigError::NotSupportedYet { supported, .. } if supported.is_empty() => {
                Some("This release knows the word, but does not act on it.".to_owned())
            }
            ConfigError::NotSupportedYet { supported, .. } => Some(format!("Supported are: {}.", list(supported))),
            ConfigError::Url { fault, .. } => Some(fault.detail()),
            ConfigError::Connection(fault) => fault.detail(),
            ConfigError::Settings(fault) => fault.detail(),
            ConfigError::Job(fault) => fault.detail(),
            ConfigError::Secret(fault) => fault.detail(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ConfigError::UnknownOption { nearest, .. }
            | ConfigError::UnknownSetting { nearest, .. }
            | ConfigError::UnknownWord { nearest, .. } => Some(match nearest {
                Some(word) => format!("Did you mean \"{word}\"?"),
                None => "Remove it, or use one of the words in the detail.".to_owned(),
            }),
            ConfigError::WrongValue { example, .. } => Some(format!("For example: {example}")),
            ConfigError::NotSupportedYet { supported, .. } if supported.is_empty() => {
                Some("Remove it; a later release will accept it.".to_owned())
            }
            ConfigError::NotSupportedYet { .. } => {
                Some("Use what is supported; a later release will accept this too.".to_owned())
            }
            ConfigError::Url { fault, .. } => Some(fault.hint()),
            ConfigError::Connection(fault) => fault.hint(),
            ConfigError::Settings(fault) => fault.hint(),
            ConfigError::Job(fault) => fault.hint(),
            ConfigError::Secret(fault) => fault.hint(),
        }
    }
}

fn sentences<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
