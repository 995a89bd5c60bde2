//! Reading a connection's options; those of `auth` are in [`super::auth`].

use url::Url;

use super::auth::{ApiKeyIn, AuthKind};
use super::credentials::{names_a_credential, option_smells_of_a_credential};
use super::error::{ConfigError, Subject};
use super::fault::ConnectionFault;
use super::spelling::{found, nearest};
use super::tls::TlsOptions;
use crate::http::Method;
use crate::oauth::OAuthOptions;
use crate::settings::MOST_CONCURRENCY;
use crate::url_policy;

/// How many requests a connection has under way at most, where its options do not say.
pub const DEFAULT_MAX_CONCURRENCY: u32 = 8;

const FASTEST: f64 = 100_000.0;
const MOST_BURST: u32 = 1_000;

const OPTIONS: [&str; 26] = [
    "base_url",
    "auth",
    "secret",
    "username",
    "api_key_name",
    "api_key_in",
    "requests_per_second",
    "burst",
    "max_concurrency",
    "plain_http",
    "methods",
    "allow_push",
    "ca",
    "client_cert",
    "client_key",
    "token_url",
    "authorization_url",
    "device_url",
    "client_id",
    "client_secret",
    "client_auth",
    "client_key_id",
    "scope",
    "audience",
    "token_body",
    "token_path",
];

/// The options of a foreign server, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionOptions {
    pub base_url: Url,
    pub auth: AuthKind,
    /// The name of the secret; present exactly with `Bearer`, `Basic` and `ApiKey`.
    pub secret: Option<String>,
    /// Present exactly with `Basic`.
    pub username: Option<String>,
    /// Present exactly with `ApiKey`.
    pub api_key_name: Option<String>,
    pub api_key_in: ApiKeyIn,
    /// Present exactly with `OAuth2`.
    pub oauth: Option<OAuthOptions>,
    pub tls: TlsOptions,
    pub requests_per_second: Option<f64>,
    /// Requests that may be sent at once after a pause; 1 where it is not given.
    pub burst: u32,
    /// 1 to 75; [`DEFAULT_MAX_CONCURRENCY`] where it is none.
    pub max_concurrency: Option<u32>,
    /// Plain http is accepted whatever the addresses.
    pub plain_http: bool,
    /// The methods that jobs may read with: what `methods` lists, else GET and HEAD.
    pub methods: Vec<Method>,
    /// Whether the option `methods` is there to be changed.
    pub names_methods: bool,
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
            auth,
            secret: given.secret(auth)?,
            username: given.username(auth)?,
            api_key_name: given.api_key_name(auth)?,
            api_key_in: given.api_key_in()?,
            oauth: given.oauth(auth)?,
            tls: given.tls(base_url.scheme())?,
            base_url,
            requests_per_second: given.requests_per_second()?,
            burst: given.burst()?,
            max_concurrency: given.max_concurrency()?,
            plain_http: given.switch("plain_http")?,
            methods: given.methods()?,
            names_methods: given.get("methods").is_some(),
        })
    }

    /// Refuses a method that the connection, which has that name, does not allow for reading.
    ///
    /// # Errors
    /// `MethodNotAllowed`.
    pub fn check_method(&self, connection: &str, method: Method) -> Result<(), ConfigError> {
        if self.methods.contains(&method) {
            return Ok(());
        }
        Err(ConnectionFault::MethodNotAllowed {
            connection: connection.to_owned(),
            method: method.as_str(),
            allowed: self.methods.iter().map(|allowed| allowed.as_str()).collect(),
            names_methods: self.names_methods,
        }
        .into())
    }

    /// The one origin that requests and credentials go to.
    pub fn origin(&self) -> String {
        url_policy::origin(&self.base_url)
    }

    /// Every address that the connection sends something to: its own, and those of its authorization server. The address
    /// at which a person consents is not among them: only a browser goes there.
    pub fn endpoints(&self) -> Vec<&Url> {
        let oauth = self.oauth.as_ref();
        let of_oauth = oauth.map(|oauth| [Some(&oauth.token_url), oauth.device_url.as_ref()]);
        std::iter::once(&self.base_url)
            .chain(of_oauth.into_iter().flatten().flatten())
            .collect()
    }
}

/// The options as they were given.
pub(super) struct Given<'a> {
    options: &'a [(String, String)],
}

impl<'a> Given<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.options
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, option: &'static str, because: &str) -> Result<&'a str, ConfigError> {
        let missing = || ConnectionFault::MissingOption {
            option,
            because: because.to_owned(),
        };
        Ok(self.get(option).ok_or_else(missing)?)
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        for (place, (name, _)) in self.options.iter().enumerate() {
            if !OPTIONS.contains(&name.as_str()) {
                return Err(unknown(name));
            }
            if self.options[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(ConnectionFault::OptionTwice { option: name.clone() }.into());
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

    fn burst(&self) -> Result<u32, ConfigError> {
        let Some(text) = self.get("burst") else {
            return Ok(1);
        };
        self.required(
            "requests_per_second",
            "burst says how many requests of it may come at once",
        )?;
        match text.trim().parse::<u32>() {
            Ok(count) if (1..=MOST_BURST).contains(&count) => Ok(count),
            _ => Err(wrong(
                "burst",
                "a whole number from 1 to 1000",
                Some(text),
                "burst '10'",
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

    fn methods(&self) -> Result<Vec<Method>, ConfigError> {
        let Some(text) = self.get("methods") else {
            return Ok(vec![Method::Get, Method::Head]);
        };
        text.split(',').map(|word| read_method(word.trim(), text)).collect()
    }
}

fn read_method(word: &str, text: &str) -> Result<Method, ConfigError> {
    match word.to_ascii_uppercase().as_str() {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        "POST" => Ok(Method::Post),
        _ => Err(wrong(
            "methods",
            "a list of methods for reading: GET, HEAD, POST",
            Some(text),
            "methods 'GET, HEAD, POST'",
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

pub(super) fn wrong(option: &str, expected: &str, given: Option<&str>, example: &str) -> ConfigError {
    ConfigError::WrongValue {
        subject: Subject::option(option),
        expected: expected.to_owned(),
        found: given.map(found),
        example: example.to_owned(),
    }
}
