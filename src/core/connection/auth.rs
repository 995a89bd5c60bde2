//! How a connection proves who it is: the option `auth` and those that belong to it.
//!
//! What was given in them is never shown: a token is easily put in the wrong one.

use super::error::{ConfigError, Subject};
use super::fault::ConnectionFault;
use super::names::{is_reserved_header, is_secret_name, is_token};
use super::oauth;
use super::options::{Given, wrong};
use super::spelling::nearest;
use crate::oauth::Grant;

const AUTHS: [&str; 7] = [
    "none",
    "bearer",
    "basic",
    "api_key",
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
    /// A bearer token that is got by OAuth 2; see [`crate::oauth`].
    OAuth2(Grant),
}

impl AuthKind {
    pub fn as_str(self) -> &'static str {
        match self {
            AuthKind::OAuth2(Grant::ClientCredentials) => "oauth2_client_credentials",
            AuthKind::OAuth2(Grant::AuthorizationCode) => "oauth2_authorization_code",
            AuthKind::OAuth2(Grant::Device) => "oauth2_device",
            AuthKind::None => "none",
            AuthKind::Bearer => "bearer",
            AuthKind::Basic => "basic",
            AuthKind::ApiKey => "api_key",
        }
    }

    pub fn grant(self) -> Option<Grant> {
        match self {
            AuthKind::OAuth2(grant) => Some(grant),
            _ => None,
        }
    }

    /// The options that this kind takes.
    fn options(self) -> Vec<&'static str> {
        let of_grant = |further: &[&'static str]| oauth::COMMON.iter().chain(further).copied().collect();
        match self {
            AuthKind::None => vec![],
            AuthKind::Bearer => vec!["secret"],
            AuthKind::Basic => vec!["username", "secret"],
            AuthKind::ApiKey => vec!["secret", "api_key_name", "api_key_in"],
            AuthKind::OAuth2(Grant::ClientCredentials) => of_grant(&[]),
            AuthKind::OAuth2(Grant::AuthorizationCode) => of_grant(&["authorization_url"]),
            AuthKind::OAuth2(Grant::Device) => of_grant(&["device_url"]),
        }
    }

    /// Whether the option `secret` names what is sent.
    fn has_secret(self) -> bool {
        matches!(self, AuthKind::Bearer | AuthKind::Basic | AuthKind::ApiKey)
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
            "oauth2_client_credentials" => Ok(AuthKind::OAuth2(Grant::ClientCredentials)),
            "oauth2_authorization_code" => Ok(AuthKind::OAuth2(Grant::AuthorizationCode)),
            "oauth2_device" => Ok(AuthKind::OAuth2(Grant::Device)),
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
        let static_kinds = ["secret", "username", "api_key_name", "api_key_in"];
        let endpoints = ["authorization_url", "device_url"];
        let all = static_kinds.into_iter().chain(oauth::COMMON).chain(endpoints);
        for option in all {
            if self.get(option).is_some() && !auth.options().contains(&option) {
                let because = match self.get("auth") {
                    Some(_) => format!("auth is \"{}\"", auth.as_str()),
                    None => "auth is not given, and so \"none\"".to_owned(),
                };
                let uses = auth.options();
                return Err(ConnectionFault::UselessOption { option, because, uses }.into());
            }
        }
        Ok(())
    }

    pub(super) fn secret(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
        if !auth.has_secret() {
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
