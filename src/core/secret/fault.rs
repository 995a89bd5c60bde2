//! What can be wrong with secrets and their key. No variant holds a byte of either. Whose a secret is and where it may
//! go is asked by the caller, which has its own errors for that.

use super::key::KeyId;
use super::reference::ReferenceFault;
use crate::class::Class;
use crate::connection::quoted;
use crate::counted::counted;
use crate::error::{Error, Explain};
use crate::sql_text::literal;

/// The command that makes a key, for hints; `path` is quoted for a shell.
fn make_key(path: &str) -> String {
    format!("(umask 077; openssl rand -hex 32 > {path})")
}

/// A fault of a secret or of the master key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// `bytes`: its length with the line end.
    #[error("the key file does not hold a key")]
    KeyLength { bytes: usize },
    #[error("the key file does not hold a key")]
    KeyNotHex,
    #[error("the key file holds a placeholder, not a key")]
    KeyIsConstant,
    #[error("the key file {} cannot be used", quoted(.path))]
    KeyFile { path: String, fault: KeyFileFault },
    #[error("the key command gave no key")]
    KeyCommand { what: String },
    #[error("secret {} was sealed with another key", quoted(.name))]
    AnotherKey {
        name: String,
        sealed_with: KeyId,
        present: KeyId,
    },
    /// Authentication failed: truncated, changed, or moved from another row.
    #[error("secret {} is damaged", quoted(.name))]
    Damaged { name: String },
    #[error("secret {} is stored in a format that this release does not know", quoted(.name))]
    UnknownFormat { name: String, format: u8 },
    #[error("the name of a secret must be an identifier")]
    WrongName,
    #[error("the value of secret {} cannot be sent", quoted(.name))]
    WrongSecretValue { name: String },
    #[error("the source of a secret must be a file, a command or the vault")]
    WrongReference,
    #[error("the path of a secret's source must be whole")]
    WrongPath,
    #[error("secret {} cannot be read from its source", quoted(.name))]
    Reference { name: String, fault: ReferenceFault },
}

/// Why the key file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFileFault {
    Missing,
    Unreadable,
    /// Its mode lets others than the owner in; `mode` are the permission bits.
    Mode {
        mode: u32,
    },
    NotOwned,
    NotAFile,
    BelowDataDirectory,
    /// A directory above it lets others replace it.
    Replaceable,
    /// Longer than a value may be.
    TooLarge,
}

impl KeyFileFault {
    pub const ALL: [KeyFileFault; 8] = [
        KeyFileFault::Missing,
        KeyFileFault::Unreadable,
        KeyFileFault::Mode { mode: 0o644 },
        KeyFileFault::NotOwned,
        KeyFileFault::NotAFile,
        KeyFileFault::BelowDataDirectory,
        KeyFileFault::Replaceable,
        KeyFileFault::TooLarge,
    ];

    pub(super) fn detail(self) -> String {
        match self {
            KeyFileFault::Missing => "There is no such file.".to_owned(),
            KeyFileFault::Unreadable => "The server's user cannot read it.".to_owned(),
            KeyFileFault::Mode { mode } => format!("Its mode is {mode:04o}; only its owner may have any right to it."),
            KeyFileFault::NotOwned => "It does not belong to the user that the server runs as.".to_owned(),
            KeyFileFault::NotAFile => "It is not a regular file.".to_owned(),
            KeyFileFault::BelowDataDirectory => {
                "It lies below the data directory, and so would be in every base backup, beside what it protects."
                    .to_owned()
            }
            KeyFileFault::Replaceable => "A directory above it can be written by other users.".to_owned(),
            KeyFileFault::TooLarge => "It is too large.".to_owned(),
        }
    }

    fn hint(self, path: &str) -> String {
        let path = shell_quoted(path);
        match self {
            KeyFileFault::Missing => format!("As the server's user: {}", make_key(&path)),
            KeyFileFault::Unreadable | KeyFileFault::Mode { .. } => format!("As the server's user: chmod 600 {path}"),
            KeyFileFault::NotOwned => {
                format!("As root, with the server's user in place of postgres: chown postgres {path}")
            }
            KeyFileFault::NotAFile
            | KeyFileFault::BelowDataDirectory
            | KeyFileFault::Replaceable
            | KeyFileFault::TooLarge => "Put it elsewhere, and set sluice.key_file to its path.".to_owned(),
        }
    }
}

impl Explain for SecretFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            SecretFault::KeyLength { .. }
            | SecretFault::KeyNotHex
            | SecretFault::KeyIsConstant
            | SecretFault::KeyCommand { .. }
            | SecretFault::KeyFile { .. } => "F0000",
            SecretFault::AnotherKey { .. } => "SY008",
            SecretFault::Damaged { .. } | SecretFault::UnknownFormat { .. } => "XX001",
            SecretFault::WrongName => "42602",
            SecretFault::WrongSecretValue { .. } | SecretFault::WrongReference | SecretFault::WrongPath => "22023",
            SecretFault::Reference { fault, .. } => fault.sqlstate(),
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            SecretFault::KeyLength { bytes } => {
                format!(
                    "It has {}; a key is 32 raw bytes or 64 hexadecimal digits.",
                    counted(*bytes, "byte")
                )
            }
            SecretFault::KeyNotHex => "It has 64 characters, but not all of them are hexadecimal digits.".to_owned(),
            SecretFault::KeyIsConstant => "All of its bytes are the same.".to_owned(),
            SecretFault::KeyFile { fault, .. } => match fault {
                KeyFileFault::Missing => {
                    "There is no such file. Secrets are sealed with the key that it holds.".to_owned()
                }
                fault => fault.detail(),
            },
            SecretFault::KeyCommand { what } => what.clone(),
            SecretFault::AnotherKey {
                sealed_with, present, ..
            } => {
                format!("It was sealed with key {sealed_with}; the key file holds key {present}.")
            }
            SecretFault::Damaged { .. } => {
                "What is stored was changed, cut short or moved here from another secret, version or origin.".to_owned()
            }
            SecretFault::UnknownFormat { format, .. } => {
                format!("Its format is {format}; this release knows format 1.")
            }
            SecretFault::WrongName => {
                "It begins with a letter or an underscore and has at most 63 letters, digits, underscores, dots and \
                 hyphens."
                    .to_owned()
            }
            SecretFault::WrongSecretValue { .. } => {
                "It is empty, longer than 8192 bytes, or has a line break or another control character.".to_owned()
            }
            SecretFault::WrongReference => {
                "It begins with file:, command: or vault:, and names a place on one line. What was given is not shown."
                    .to_owned()
            }
            SecretFault::WrongPath => "It begins with / and has no empty part, no . and no ..".to_owned(),
            SecretFault::Reference { fault, .. } => fault.detail(),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            SecretFault::KeyLength { .. } | SecretFault::KeyNotHex | SecretFault::KeyIsConstant => {
                format!(
                    "Make one as the server's user: {}",
                    make_key("/path/of/sluice.key_file")
                )
            }
            SecretFault::KeyFile { path, fault } => fault.hint(path),
            SecretFault::KeyCommand { .. } => {
                "Run what sluice.key_command says as the server's user; it prints the key as 64 hexadecimal digits."
                    .to_owned()
            }
            SecretFault::AnotherKey { name, .. } => format!(
                "Put the key back that it was sealed with, or set the secret again: SELECT sluice.set_secret({}, '…');",
                literal(&plain(name))
            ),
            SecretFault::Damaged { name } => {
                format!(
                    "Find out who changed it, then set it again: SELECT sluice.set_secret({}, '…');",
                    literal(&plain(name))
                )
            }
            SecretFault::UnknownFormat { .. } => "Install the release that stored it, or a later one.".to_owned(),
            SecretFault::WrongName => "For example: 'shop_token'".to_owned(),
            SecretFault::WrongSecretValue { .. } => "Give the value as the remote issued it, on one line.".to_owned(),
            SecretFault::WrongReference => {
                "For example: 'file:/run/secrets/shop_token'. A value itself is given to set_secret.".to_owned()
            }
            SecretFault::WrongPath => "For example: 'file:/run/secrets/shop_token'".to_owned(),
            SecretFault::Reference { fault, .. } => fault.hint(),
        })
    }
}

impl From<SecretFault> for Error {
    fn from(fault: SecretFault) -> Error {
        Error::Config(fault.into())
    }
}

/// A name that somebody may have made up, on one line.
fn plain(name: &str) -> String {
    name.replace(char::is_control, "")
}

fn shell_quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match path.chars().all(is_plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''").replace(char::is_control, "")),
    }
}
