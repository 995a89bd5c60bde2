//! Reading the options of the three `oauth2_…` kinds of `auth`.

use url::Url;

use super::auth::AuthKind;
use super::error::{ConfigError, Subject};
use super::fault::ConnectionFault;
use super::names::is_secret_name;
use super::options::{Given, wrong};
use super::spelling::nearest;
use crate::data::SingularQuery;
use crate::oauth::{ClientAuth, Grant, OAuthOptions, TokenBody};
use crate::url_policy;

/// Options that every kind takes.
pub(super) const COMMON: [&str; 9] = [
    "token_url",
    "client_id",
    "client_secret",
    "client_auth",
    "client_key_id",
    "scope",
    "audience",
    "token_body",
    "token_path",
];

impl Given<'_> {
    pub(super) fn oauth(&self, auth: AuthKind) -> Result<Option<OAuthOptions>, ConfigError> {
        let Some(grant) = auth.grant() else { return Ok(None) };
        let because = format!("auth is \"{}\"", auth.as_str());
        let token_url = url_policy::parse_endpoint("token_url", self.required("token_url", &because)?)?;
        let endpoint = |option: &'static str, of: Grant| -> Result<Option<Url>, ConfigError> {
            match grant == of {
                true => url_policy::parse_endpoint(option, self.required(option, &because)?).map(Some),
                false => Ok(None),
            }
        };
        let client_auth = self.client_auth()?;
        let client_secret = self.client_secret((grant, client_auth), &because)?;
        Ok(Some(OAuthOptions {
            grant,
            token_url,
            authorization_url: endpoint("authorization_url", Grant::AuthorizationCode)?,
            device_url: endpoint("device_url", Grant::Device)?,
            client_id: self
                .visible("client_id")?
                .ok_or_else(|| ConnectionFault::MissingOption {
                    option: "client_id",
                    because: because.clone(),
                })?,
            client_secret,
            client_auth,
            client_key_id: self.client_key_id(client_auth)?,
            scope: self.visible("scope")?,
            audience: self.visible("audience")?,
            token_body: match self.word("token_body", &["form", "json"])? {
                Some("json") => TokenBody::Json,
                _ => TokenBody::Form,
            },
            token_path: self.token_path()?,
        }))
    }

    fn client_auth(&self) -> Result<ClientAuth, ConfigError> {
        Ok(
            match self.word("client_auth", &["basic", "post", "private_key_jwt", "tls"])? {
                Some("post") => ClientAuth::Post,
                Some("private_key_jwt") => ClientAuth::PrivateKeyJwt,
                Some("tls") => {
                    self.required("client_cert", "client_auth is \"tls\"")?;
                    ClientAuth::Tls
                }
                _ => ClientAuth::Basic,
            },
        )
    }

    fn client_key_id(&self, auth: ClientAuth) -> Result<Option<String>, ConfigError> {
        let option = "client_key_id";
        if self.get(option).is_some() && auth != ClientAuth::PrivateKeyJwt {
            let because = "client_auth is not \"private_key_jwt\"".to_owned();
            let uses = Vec::new();
            return Err(ConnectionFault::UselessOption { option, because, uses }.into());
        }
        self.visible(option)
    }

    fn client_secret(&self, how: (Grant, ClientAuth), because: &str) -> Result<Option<String>, ConfigError> {
        let option = "client_secret";
        let name = match (self.get(option), how) {
            (Some(_), (_, ClientAuth::Tls)) => {
                let because = "client_auth is \"tls\"".to_owned();
                let uses = Vec::new();
                return Err(ConnectionFault::UselessOption { option, because, uses }.into());
            }
            (None, (_, ClientAuth::PrivateKeyJwt)) => self.required(option, "client_auth is \"private_key_jwt\"")?,
            (None, (Grant::ClientCredentials, ClientAuth::Basic | ClientAuth::Post)) => {
                self.required(option, because)?
            }
            (None, _) => return Ok(None),
            (Some(name), _) => name,
        };
        match is_secret_name(name) {
            true => Ok(Some(name.to_owned())),
            false => Err(ConnectionFault::NotASecretName { option }.into()),
        }
    }

    /// A text that is sent as it is.
    fn visible(&self, option: &'static str) -> Result<Option<String>, ConfigError> {
        match self.get(option) {
            None => Ok(None),
            Some(text) if !text.is_empty() && text.len() <= 2048 && !text.chars().any(char::is_control) => {
                Ok(Some(text.to_owned()))
            }
            Some(_) => Err(wrong(
                option,
                "a text of 1 to 2048 bytes on one line",
                None,
                &format!("{option} '…'"),
            )),
        }
    }

    /// One of these words.
    fn word(&self, option: &'static str, words: &[&'static str]) -> Result<Option<&'static str>, ConfigError> {
        let Some(given) = self.get(option) else { return Ok(None) };
        match words.iter().find(|word| **word == given) {
            Some(word) => Ok(Some(word)),
            None => Err(ConfigError::UnknownWord {
                subject: Subject::option(option),
                found: None,
                nearest: nearest(given, words),
                valid: words.to_vec(),
            }),
        }
    }

    fn token_path(&self) -> Result<Option<SingularQuery>, ConfigError> {
        let Some(text) = self.get("token_path") else {
            return Ok(None);
        };
        let refused = |_| {
            wrong(
                "token_path",
                "a singular JSONPath query to the object with the tokens",
                None,
                "token_path '$.data'",
            )
        };
        SingularQuery::parse(text).map(Some).map_err(refused)
    }
}
