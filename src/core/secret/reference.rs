//! Values that are not kept in the database: where they are read when they are needed.
//!
//! ```text
//! file:/path               below one of sluice.secret_directories
//! command:/program words   what the program prints; no shell reads the words
//! vault:name               a row of vault.decrypted_secrets
//! ```
//!
//! A reference is set by a function of its own: a value that begins like one is a value.

use super::SecretFault;
use super::fault::KeyFileFault;
use crate::connection::quoted;

/// Where the value of a secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is sealed here.
    Value,
    File,
    Command,
    Vault,
}

impl Source {
    pub const ALL: [Source; 4] = [Source::Value, Source::File, Source::Command, Source::Vault];

    /// The word that is stored and shown, and that the sealed text is bound to.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Value => "value",
            Source::File => "file",
            Source::Command => "command",
            Source::Vault => "vault",
        }
    }

    /// The source that is stored under this word.
    pub fn of(word: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// Takes a reference apart. What was given is not told: it may be a value, given to the wrong function.
///
/// # Errors
/// Text that is no reference, or one that could mean two places.
pub fn parse_reference(text: &str) -> Result<(Source, &str), SecretFault> {
    let (word, place) = text.split_once(':').ok_or(SecretFault::WrongReference)?;
    let source = Source::of(word).filter(|source| *source != Source::Value);
    let source = source.ok_or(SecretFault::WrongReference)?;
    if place.is_empty() || place.len() > super::LONGEST_VALUE || place.chars().any(char::is_control) {
        return Err(SecretFault::WrongReference);
    }
    let path = match source {
        Source::File => Some(place),
        Source::Command => Some(place.split(' ').next().unwrap_or_default()),
        _ => None,
    };
    match path.is_none_or(is_whole) {
        true => Ok((source, place)),
        false => Err(SecretFault::WrongPath),
    }
}

/// The program of a command and its words.
pub fn words(command: &str) -> Vec<&str> {
    command.split(' ').filter(|word| !word.is_empty()).collect()
}

/// From the root, without detours.
fn is_whole(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
    parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | "..")))
}

/// What a file or a program gave, without the line's end.
pub fn without_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// Why a value cannot be had from where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceFault {
    /// The file lies in no directory that its owner may read secrets from.
    Outside {
        role: String,
    },
    File(KeyFileFault),
    /// Nobody with fewer rights than the server's user may have a program run.
    MayNotRun {
        role: String,
    },
    Program {
        what: String,
    },
    NoVault,
    NotInVault {
        role: String,
    },
    /// The reason is the server's own.
    Vault {
        why: String,
    },
}

impl ReferenceFault {
    pub(super) fn sqlstate(&self) -> &'static str {
        match self {
            ReferenceFault::Outside { .. } | ReferenceFault::MayNotRun { .. } => "42501",
            _ => "F0000",
        }
    }

    pub(super) fn detail(&self) -> String {
        match self {
            ReferenceFault::Outside { role } => format!(
                "The file lies below no directory of sluice.secret_directories that is for {}: an admin's may lie anywhere \
                 below one, another role's in the folder of its name there.",
                quoted(role)
            ),
            ReferenceFault::File(fault) => fault.detail(),
            ReferenceFault::MayNotRun { role } => {
                format!(
                    "A program runs as the server's user, and {} has no right to that.",
                    quoted(role)
                )
            }
            ReferenceFault::Program { what } => what.clone(),
            ReferenceFault::NoVault => {
                "This database has no view vault.decrypted_secrets of a superuser's or of the extension supabase_vault."
                    .into()
            }
            ReferenceFault::NotInVault { role } => {
                format!(
                    "Role {} sees no secret of this name in it, or one without a value.",
                    quoted(role)
                )
            }
            ReferenceFault::Vault { why } => format!("The server says: {why}."),
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            ReferenceFault::Outside { .. } => {
                "A superuser says where files with secrets lie: ALTER SYSTEM SET sluice.secret_directories = '/run/secrets';"
            }
            ReferenceFault::File(KeyFileFault::Missing) => "Put the file there, for the server's user alone.",
            ReferenceFault::File(_) => {
                "It is a file of up to 8192 bytes below directories that nobody else writes, owned by the server's user with \
                 mode 0600 or stricter, or by root with 0640 or stricter."
            }
            ReferenceFault::MayNotRun { .. } => "GRANT pg_execute_server_program to its owner, or keep the value in a file.",
            ReferenceFault::Program { .. } => {
                "Run the program as the server's user: it prints the value, on one line, within ten seconds."
            }
            ReferenceFault::NoVault => "CREATE EXTENSION supabase_vault makes it where that is installed.",
            ReferenceFault::NotInVault { .. } => "SELECT vault.create_secret('…', 'name') makes one.",
            ReferenceFault::Vault { .. } => {
                "Its owner needs USAGE on the schema vault, and SELECT on vault.decrypted_secrets and what that calls."
            }
        }
        .into()
    }
}
