//! Reading a connection's options.

use url::Url;

use super::credentials::{names_a_credential, option_smells_of_a_credential};
use super::error::{ConfigError, Subject};
use super::fault::ConnectionFault;
use super::names::{is_reserved_header, is_secret_name, is_token};
use super::spelling::{found, nearest};
use crate::url_policy;

/// How many requests a connection has under way at most, where its options do not say.
pub const DEFAULT_MAX_CONCURRENCY: u32 = 8;

const MOST_CONCURRENCY: u32 = 75;
const FASTEST: f64 = 100_000.0;

const OPTIONS: [&str; 11] = [
    "base_url",
    "auth",
    "secret",
    "username",
    "api_key_name",
    "api_key_in",
    "requests_per_second",
    "max_concurrency",
    "plain_http",
    "methods",
    "allow_push",
];

/// Options of the design that this release recognises, and refuses.
const LATER: [&str; 10] = [
    "token_url",
    "authorization_url",
    "device_url",
    "client_id",
    "client_secret",
    "client_auth",
    "scope",
    "audience",
    "token_body",
    "token_path",
];

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

/// A method that jobs may read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMethod {
    Get,
    Head,
}

/// The options of a foreign server, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionOptions {
    pub base_url: Url,
    pub auth: AuthKind,
    /// The name of the secret; present exactly where `auth` is not `None`.
    pub secret: Option<String>,
    /// Present exactly with `Basic`.
    pub username: Option<String>,
    /// Present exactly with `ApiKey`.
    pub api_key_name: Option<String>,
    pub api_key_in: ApiKeyIn,
    pub requests_per_second: Option<f64>,
    /// 1 to 75; [`DEFAULT_MAX_CONCURRENCY`] where it is none.
    pub max_concurrency: Option<u32>,
    /// Plain http is accepted whatever the addresses.
    pub plain_http: bool,
    pub methods: Vec<ReadMethod>,
}

impl ConnectionOptions {
    /// Reads the whole list of a server's options, in any order. Pure: neither DNS nor settings.
    pub fn parse(options: &[(String, String)]) -> Result<ConnectionOptions, ConfigError> {
        let given = Given { options };
        given.check_names()?;
        let base_url = url_policy::parse_base(given.required("base_url", "a connection is one remote API")?)?;
        let auth = given.auth()?;
        given.check_uses(auth)?;
        given.check_push()?;
        Ok(ConnectionOptions {
            base_url,
            auth,
            secret: given.secret(auth)?,
            username: given.username(auth)?,
            api_key_name: given.api_key_name(auth)?,
            api_key_in: given.api_key_in()?,
            requests_per_second: given.requests_per_second()?,
            max_concurrency: given.max_concurrency()?,
            plain_http: given.switch("plain_http")?,
            methods: given.methods()?,
        })
    }

    /// The one origin that requests and credentials go to.
    pub fn origin(&self) -> String {
        url_policy::origin(&self.base_url)
    }
}

/// The options as they were given.
struct Given<'a> {
    options: &'a [(String, String)],
}

impl<'a> Given<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.options
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn required(&self, option: &'static str, because: &str) -> Result<&'a str, ConfigError> {
        let missing = || ConnectionFault::MissingOption {
            option,
            because: because.to_owned(),
        };
        Ok(self.get(option).ok_or_else(missing)?)
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        for (place, (name, _)) in self.options.iter().enumerate() {
            if LATER.contains(&name.as_str()) {
                let what = Subject::option(name).to_string();
                return Err(ConfigError::NotSupportedYet {
                    what,
                    supported: Vec::new(),
                });
            }
            if !OPTIONS.contains(&name.as_str()) {
                return Err(unknown(name));
            }
            if self.options[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(ConnectionFault::OptionTwice { option: name.clone() }.into());
            }
        }
        Ok(())
    }

    fn auth(&self) -> Result<AuthKind, ConfigError> {
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
    fn check_uses(&self, auth: AuthKind) -> Result<(), ConfigError> {
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

    fn check_push(&self) -> Result<(), ConfigError> {
        match self.switch("allow_push")? {
            false => Ok(()),
            true => Err(ConfigError::NotSupportedYet {
                what: "option \"allow_push\"".to_owned(),
                supported: vec!["off"],
            }),
        }
    }

    fn secret(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
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
    fn username(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
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

    fn api_key_name(&self, auth: AuthKind) -> Result<Option<String>, ConfigError> {
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

    fn api_key_in(&self) -> Result<ApiKeyIn, ConfigError> {
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

    fn requests_per_second(&self) -> Result<Option<f64>, ConfigError> {
        let Some(text) = self.get("requests_per_second") else {
            return Ok(None);
        };
        match text.trim().parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate <= FASTEST => Ok(Some(rate)),
            _ => Err(wrong(
                "requests_per_second",
                "a number above 0 and at most 100000",
                Some(text),
                "requests_per_second '5', or '0.2' for one request in five seconds",
            )),
        }
    }

    fn max_concurrency(&self) -> Result<Option<u32>, ConfigError> {
        let Some(text) = self.get("max_concurrency") else {
            return Ok(None);
        };
        match text.trim().parse::<u32>() {
            Ok(count) if (1..=MOST_CONCURRENCY).contains(&count) => Ok(Some(count)),
            _ => Err(wrong(
                "max_concurrency",
                "a whole number from 1 to 75",
                Some(text),
                "max_concurrency '8'",
            )),
        }
    }

    /// A boolean as PostgreSQL reads it from options; off where it is not given.
    fn switch(&self, option: &'static str) -> Result<bool, ConfigError> {
        let Some(text) = self.get(option) else { return Ok(false) };
        match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Ok(true),
            "off" | "false" | "no" | "0" => Ok(false),
            _ => Err(wrong(option, "on or off", Some(text), &format!("{option} 'on'"))),
        }
    }

    fn methods(&self) -> Result<Vec<ReadMethod>, ConfigError> {
        let Some(text) = self.get("methods") else {
            return Ok(vec![ReadMethod::Get, ReadMethod::Head]);
        };
        text.split(',').map(|word| read_method(word.trim(), text)).collect()
    }
}

fn read_method(word: &str, text: &str) -> Result<ReadMethod, ConfigError> {
    match word.to_ascii_uppercase().as_str() {
        "GET" => Ok(ReadMethod::Get),
        "HEAD" => Ok(ReadMethod::Head),
        "POST" => Err(ConfigError::NotSupportedYet {
            what: "POST in option \"methods\"".to_owned(),
            supported: vec!["GET", "HEAD"],
        }),
        _ => Err(wrong(
            "methods",
            "a list of methods for reading: GET, HEAD",
            Some(text),
            "methods 'GET, HEAD'",
        )),
    }
}

/// An option that we do not know: its value is never shown, and a name that speaks of credentials gets its own answer.
fn unknown(name: &str) -> ConfigError {
    let (name, nearest) = (name.to_owned(), nearest(name, &OPTIONS));
    match names_a_credential(&name) || option_smells_of_a_credential(&name) {
        true => ConnectionFault::CredentialOption { option: name, nearest }.into(),
        false => ConfigError::UnknownOption {
            name,
            nearest,
            valid: OPTIONS.to_vec(),
        },
    }
}

fn wrong(option: &str, expected: &str, given: Option<&str>, example: &str) -> ConfigError {
    ConfigError::WrongValue {
        subject: Subject::option(option),
        expected: expected.to_owned(),
        found: given.map(found),
        example: example.to_owned(),
    }
}
