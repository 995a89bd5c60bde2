//! What a connection is: the options of a foreign server, read and checked without any I/O.
//!
//! [`ConnectionOptions::parse`] runs in the wrapper's validator, on CREATE and on ALTER SERVER, and when a run reads the
//! server. It must therefore depend on nothing but the options (no DNS, no settings of the server), so that pg_restore
//! works anywhere. What depends on addresses is decided when they are known: [`crate::url_policy`].
//!
//! [`ConfigError`] is the error of everything that a person defines: options, settings, jobs, schedules, secrets.

mod auth;
mod credentials;
mod document;
mod error;
mod fault;
mod names;
mod oauth;
mod options;
mod spelling;
mod tls;

pub use auth::{ApiKeyIn, AuthKind};
pub use credentials::names_a_credential;
pub use document::options_of_document;
pub use error::{ConfigError, Subject};
pub use fault::ConnectionFault;
pub use names::{is_reserved_header, is_secret_name, is_token};
pub use options::{ConnectionOptions, DEFAULT_MAX_CONCURRENCY};
pub use spelling::{found, list, nearest, quoted};
pub use tls::{ClientCertificate, TlsOptions};

#[cfg(test)]
mod error_form;
#[cfg(test)]
mod tests;
