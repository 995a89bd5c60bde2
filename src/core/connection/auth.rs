//! How a connection proves who it is: the option `auth` and those that belong to it.
//!
//! What was given in them is never shown: a token is easily put in the wrong one.

use super::error::{ConfigError, Subject};
use super::fault::ConnectionFault;
use super::names::{is_reserved_header, is_secret_name, is_token};
use super::options::{Given, wrong};
use super::spelling::nearest;

const AUTHS: [&str; 4] = ["none", "bearer", "basic", "api_key"];
const LATER_AUTHS: [&str; 3] = [
    "oauth2_client_credentials",
    "oauth2_authorization_code",
    "oauth2_device",
];

/// How requests prove who sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    None,
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617).
    Basic,
    /// A key of the remote's own, in a header or a query parameter.
    ApiKey,
}

impl AuthKind {
    pub fn as_str(self) -> &'static str {
        match self {
            AuthKind::None => "none",
            AuthKind::Bearer => "bearer",
            AuthKind::Basic => "basic",
            AuthKind::ApiKey => "api_key",
        }
    }

    /// The options that this kind takes.
    fn options(self) -> &'static [&'static str] {
        match self {
            AuthKind::None => &[],
            AuthKind::Bearer => &["secret"],
            AuthKind::Basic => &["username", "secret"],
            AuthKind::ApiKey => &["secret", "api_key_name", "api_key_in"],
        }
    }
}

/// Where an API key travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKeyIn {
    Header,
    Query,
}

impl Given<'_> {
    pub(super) fn auth(&self) -> Result<AuthKind, ConfigError> {
        let Some(given) = self.get("auth") else {
            return Ok(AuthKind::None);
        };
        match given {
            "none" => Ok(AuthKind::None),
            "bearer" => Ok(AuthKind::Bearer),
            "basic" => Ok(AuthKind::Basic),
            "api_key" => Ok(AuthKind::ApiKey),
            later if LATER_AUTHS.contains(&later) => Err(ConfigError::NotSupportedYet {
                what: format!("auth \"{later}\""),
                supported: AUTHS.to_vec(),
            }),
            // What was given is not shown: a token is easily put here by mistake.
            other => Err(ConfigError::UnknownWord {
                subject: Subject::option("auth"),
                found: None,
                nearest: nearest(other, &AUTHS),
                valid: AUTHS.to_vec(),
            }),
        }
    }

    /// Options of another `auth` than the one that is set are mistakes.
    pub(super) fn check_uses(&self, auth: AuthKind) -> Result<(), ConfigError> {
        for option in ["secret", "username", "api_key_name", "api_key_in"] {
            if self.get(option).is_some() && !auth.options().contains(&option) {
                let because = match self.get("auth") {
                    Some(_) => format!("auth is \"{}\"", auth.as_str()),
                    None => "auth is not given, and so \"none\"".to_owned(),
                };
                let uses = auth.options().to_vec();
                return Err(ConnectionFault::UselessOption { option, because, uses }.into());
            }
        }
        Ok(())
    }

    pub(super) fn secret(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
        if auth == AuthKind::None {
            return Ok(None);
        }
        let name = self.required("secret", &format!("auth is \"{}\"", auth.as_str()))?;
        match is_secret_name(name) {
            true => Ok(Some(name.to_owned())),
            false => Err(ConnectionFault::NotASecretName { option: "secret" }.into()),
        }
    }

    /// RFC 7617: a user name has neither a colon nor control characters.
    pub(super) fn username(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
        if auth != AuthKind::Basic {
            return Ok(None);
        }
        let name = self.required("username", "auth is \"basic\"")?;
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            return Err(wrong(
                "username",
                "a name without colons and control characters",
                None,
                "username 'alice'",
            ));
        }
        Ok(Some(name.to_owned()))
    }

    pub(super) fn api_key_name(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
        if auth != AuthKind::ApiKey {
            return Ok(None);
        }
        let name = self.required("api_key_name", "auth is \"api_key\"")?;
        let fits = match self.api_key_in()? {
            ApiKeyIn::Header => {
                is_token(name) && (name.eq_ignore_ascii_case("authorization") || !is_reserved_header(name))
            }
            ApiKeyIn::Query => !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()),
        };
        match fits {
            true => Ok(Some(name.to_owned())),
            false => {
                let expected = "the name of the header or parameter that holds the key, not one that HTTP itself uses";
                Err(wrong("api_key_name", expected, None, "api_key_name 'X-API-Key'"))
            }
        }
    }

    pub(super) fn api_key_in(&self) -> Result<ApiKeyIn, ConfigError> {
        match self.get("api_key_in") {
            None | Some("header") => Ok(ApiKeyIn::Header),
            Some("query") => Ok(ApiKeyIn::Query),
            Some(other) => Err(ConfigError::UnknownWord {
                subject: Subject::option("api_key_in"),
                found: None,
                nearest: nearest(other, &["header", "query"]),
                valid: vec!["header", "query"],
            }),
        }
    }
}
