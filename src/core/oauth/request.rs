//! The requests: where a person consents, and what is sent to the token endpoint.
//!
//! Credentials stand in headers or in the body, never in a URL, and go to the token endpoint's origin only.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::kept::Fingerprint;
use super::options::{ClientAuth, OAuthOptions, TokenBody};
use super::pkce::Verifier;
use crate::http::{HeaderValue, Method, Request, Secret};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a token is asked for with.
pub enum Asked<'a> {
    ClientCredentials,
    Code {
        code: &'a Secret,
        redirect_uri: &'a str,
        verifier: &'a Secret,
    },
    Refresh {
        token: &'a Secret,
    },
    DeviceCode {
        code: &'a Secret,
    },
}

impl Asked<'_> {
    fn grant_type(&self) -> &'static str {
        match self {
            Asked::ClientCredentials => "client_credentials",
            Asked::Code { .. } => "authorization_code",
            Asked::Refresh { .. } => "refresh_token",
            Asked::DeviceCode { .. } => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// The secrets in it, which an answer might repeat.
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Asked::ClientCredentials => Vec::new(),
            Asked::Code { code, verifier, .. } => vec![(*code).clone(), (*verifier).clone()],
            Asked::Refresh { token } => vec![(*token).clone()],
            Asked::DeviceCode { code } => vec![(*code).clone()],
        }
    }

    /// What the question is known by where it can be asked once; None: it can be asked again.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let once = match self {
            Asked::ClientCredentials => return None,
            Asked::Code { code, .. } => code,
            Asked::Refresh { token } => token,
            Asked::DeviceCode { code } => code,
        };
        let text = Zeroizing::new(format!("{} {}", self.grant_type(), once.expose()));
        Some(*blake3::hash(text.as_bytes()).as_bytes())
    }
}

/// The address at which a person consents (RFC 6749, 4.1.1). PKCE is always used.
pub fn authorization_url(options: &OAuthOptions, redirect_uri: &str, state: &str, verifier: &Verifier) -> Option<Url> {
    let mut url = options.authorization_url.clone()?;
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &options.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state)
            .append_pair("code_challenge", &verifier.challenge())
            .append_pair("code_challenge_method", "S256");
        let further = [("scope", &options.scope), ("audience", &options.audience)];
        for (name, value) in further {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
    }
    Some(url)
}

/// Asks for tokens. `client_secret`: what the client proves itself with, its secret or an assertion.
pub fn token_request(options: &OAuthOptions, client_secret: Option<&Secret>, asked: &Asked<'_>) -> Request {
    let mut fields = vec![("grant_type", asked.grant_type().to_owned())];
    match asked {
        Asked::ClientCredentials => fields.extend(wanted(options)),
        Asked::Code {
            code,
            redirect_uri,
            verifier,
        } => fields.extend([
            ("code", code.expose().to_owned()),
            ("redirect_uri", (*redirect_uri).to_owned()),
            ("code_verifier", verifier.expose().to_owned()),
        ]),
        Asked::Refresh { token } => fields.push(("refresh_token", token.expose().to_owned())),
        Asked::DeviceCode { code } => fields.push(("device_code", code.expose().to_owned())),
    }
    post(options, &options.token_url, client_secret, fields)
}

/// Asks for a device code (RFC 8628, 3.1); None where the connection is of another kind.
pub fn device_request(options: &OAuthOptions, client_secret: Option<&Secret>) -> Option<Request> {
    let url = options.device_url.as_ref()?;
    // The secret belongs to the token endpoint: elsewhere the client only says who it is.
    let secret = client_secret.filter(|_| url.origin() == options.token_url.origin());
    Some(post(options, url, secret, wanted(options).collect()))
}

fn wanted(options: &OAuthOptions) -> impl Iterator<Item = (&'static str, String)> {
    let given = [("scope", &options.scope), ("audience", &options.audience)];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
}

fn post(
    options: &OAuthOptions,
    url: &Url,
    client_secret: Option<&Secret>,
    mut fields: Vec<(&'static str, String)>,
) -> Request {
    let plain = |value: &str| HeaderValue::Plain(value.to_owned());
    let mut headers = vec![("accept".to_owned(), plain("application/json"))];
    match (client_secret, options.client_auth) {
        (Some(secret), ClientAuth::Basic) => headers.push(("authorization".to_owned(), basic(options, secret))),
        (Some(assertion), ClientAuth::PrivateKeyJwt) => fields.extend([
            ("client_id", options.client_id.clone()),
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", assertion.expose().to_owned()),
        ]),
        (Some(secret), ClientAuth::Post | ClientAuth::Tls) => fields.extend([
            ("client_id", options.client_id.clone()),
            ("client_secret", secret.expose().to_owned()),
        ]),
        (None, _) => fields.push(("client_id", options.client_id.clone())),
    }
    let (content_type, body) = match options.token_body {
        TokenBody::Form => ("application/x-www-form-urlencoded", form(&fields)),
        TokenBody::Json => ("application/json", json(fields)),
    };
    headers.push(("content-type".to_owned(), plain(content_type)));
    Request {
        method: Method::Post,
        url: url.clone(),
        headers,
        body: Some(body.into_bytes()),
    }
}

/// RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
fn basic(options: &OAuthOptions, secret: &Secret) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(&options.client_id), encoded(secret.expose()));
    HeaderValue::Hidden(Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair))))
}

fn form(fields: &[(&'static str, String)]) -> String {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(fields.iter().map(|(name, value)| (*name, value.as_str())));
    form.finish()
}

fn json(fields: Vec<(&'static str, String)>) -> String {
    let members: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    Value::Object(members).to_string()
}
