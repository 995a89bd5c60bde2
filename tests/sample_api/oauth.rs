//! An authorization server, as strict as they come: PKCE is checked, codes serve once, refresh tokens are replaced at
//! each use, and one that is used twice ends its whole family (RFC 9700, 4.14). Paths: `/oauth/token`, `/oauth/device`;
//! a person's consent is [`crate::SampleApi::consent`].

use std::collections::{HashMap, HashSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::query::Query;
use crate::request::Request;

/// Requests for tokens are held while this page is.
pub const TOKEN_PAGE: u64 = 1_000_000_000;

/// One request for a token, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    pub grant_type: String,
    pub status: u16,
    /// The member `error` of the answer; empty where tokens were given.
    pub error: String,
    /// What was sent, without its values.
    pub parameters: Vec<String>,
    pub authorization: bool,
    pub content_type: String,
    pub target: String,
}

/// What it knows, and how it behaves.
#[derive(Debug)]
pub struct OAuthServer {
    pub client_id: String,
    /// None: a public client.
    pub client_secret: Option<String>,
    /// The JSON text of `expires_in`; None: it is not in the answer.
    pub expires_in: Option<String>,
    /// Whether each use of a refresh token gives another.
    pub rotates: bool,
    /// Whether refresh tokens are given at all.
    pub refreshes: bool,
    pub scope: Option<String>,
    /// The answer's members stand in a member of this name.
    pub envelope: Option<String>,
    /// What the tokens begin with.
    pub prefix: String,
    serial: u64,
    answers: VecDeque<Answer>,
    codes: HashMap<String, Code>,
    /// Tokens with their family; a refresh token that was used stays known.
    access: HashMap<String, u64>,
    refresh: HashMap<String, u64>,
    used: HashSet<String>,
    revoked: HashSet<u64>,
    devices: HashMap<String, Device>,
    log: Vec<TokenRequest>,
}

#[derive(Debug)]
struct Code {
    challenge: String,
    redirect_uri: String,
    family: u64,
}

#[derive(Debug)]
struct Device {
    decision: Option<bool>,
    family: u64,
}

/// What RFC 6749 calls an error response.
type Refused = &'static str;

impl Default for OAuthServer {
    fn default() -> OAuthServer {
        OAuthServer {
            client_id: "sluice".to_owned(),
            client_secret: Some("client-s3cret".to_owned()),
            expires_in: Some("3600".to_owned()),
            rotates: true,
            refreshes: true,
            scope: None,
            envelope: None,
            prefix: String::new(),
            serial: 0,
            answers: VecDeque::new(),
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            used: HashSet::new(),
            revoked: HashSet::new(),
            devices: HashMap::new(),
            log: Vec::new(),
        }
    }
}

impl OAuthServer {
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.log.clone()
    }

    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// The next request for a token gets this instead; nothing else happens.
    pub fn answer_next(&mut self, status: u16, content_type: &str, body: &str) {
        let mut answer = Answer::json(status, body);
        answer.set_header("Content-Type", content_type);
        self.answers.push_back(answer);
    }

    /// The same with a field of the header.
    pub fn answer_next_with(&mut self, status: u16, field: (&str, &str), body: &str) {
        self.answer_next(status, "application/json", body);
        if let Some(answer) = self.answers.back_mut() {
            answer.set_header(field.0, field.1);
        }
    }

    /// The API takes none of the access tokens of now any more.
    pub fn expire_access(&mut self) {
        self.access.clear();
    }

    /// The person takes the consent back.
    pub fn revoke_grants(&mut self) {
        self.revoked.extend(0..=self.serial);
    }

    /// What every device that waits hears from now on.
    pub fn decide_devices(&mut self, consents: bool) {
        self.devices
            .values_mut()
            .for_each(|device| device.decision = Some(consents));
    }

    /// Whether a request for products shows a token of ours.
    pub(crate) fn admits(&self, request: &Request) -> bool {
        let token = request
            .header("authorization")
            .and_then(|header| header.strip_prefix("Bearer "));
        let family = token.and_then(|token| self.access.get(token));
        family.is_some_and(|family| !self.revoked.contains(family))
    }

    fn next(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{}{kind}-{}", self.prefix, self.serial)
    }

    /// A person consents to what an authorization address asks for; where the browser goes.
    pub(crate) fn consent(&mut self, address: &str, issuer: &str) -> String {
        let query = Query::parse(address.split_once('?').map_or("", |(_, query)| query));
        let given = |name: &str| query.get(name).unwrap_or_default().to_owned();
        assert_eq!(given("response_type"), "code");
        assert_eq!(given("client_id"), self.client_id);
        assert_eq!(given("code_challenge_method"), "S256", "PKCE is always used");
        let code = self.next("code");
        let family = self.serial;
        let redirect_uri = given("redirect_uri");
        let known = Code {
            challenge: given("code_challenge"),
            redirect_uri: redirect_uri.clone(),
            family,
        };
        self.codes.insert(code.clone(), known);
        let joint = if redirect_uri.contains('?') { '&' } else { '?' };
        format!("{redirect_uri}{joint}code={code}&state={}&iss={issuer}", given("state"))
    }

    pub(crate) fn serve(&mut self, request: &Request, base: &str) -> Answer {
        let query = match request.header("content-type") {
            Some("application/json") => request.query.clone(),
            _ => Query::parse(&String::from_utf8_lossy(&request.body)),
        };
        if request.path == "/oauth/device" {
            return self.begin_device(&query, base);
        }
        let answer = match self.answers.pop_front() {
            Some(scripted) => scripted,
            None => match self.grant(request, &query) {
                Ok(family) => self.tokens(family),
                Err(error) => Answer::json(
                    status_of(error),
                    json!({ "error": error, "error_description": "as asked" }).to_string(),
                ),
            },
        };
        self.note(request, &query, &answer);
        answer
    }

    fn note(&mut self, request: &Request, query: &Query, answer: &Answer) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let names = [
            "client_id",
            "client_secret",
            "refresh_token",
            "code",
            "code_verifier",
            "device_code",
            "scope",
            "audience",
        ];
        self.log.push(TokenRequest {
            grant_type: query.get("grant_type").unwrap_or_default().to_owned(),
            status: answer.status,
            error: body.get("error").and_then(Value::as_str).unwrap_or_default().to_owned(),
            parameters: names
                .into_iter()
                .filter(|name| query.get(name).is_some())
                .map(str::to_owned)
                .collect(),
            authorization: request.header("authorization").is_some(),
            content_type: request.header("content-type").unwrap_or_default().to_owned(),
            target: request.target.clone(),
        });
    }

    /// The family that a request has a right to.
    fn grant(&mut self, request: &Request, query: &Query) -> Result<u64, Refused> {
        self.check_client(request, query)?;
        let given = |name: &str| query.get(name).unwrap_or_default().to_owned();
        match given("grant_type").as_str() {
            "client_credentials" => {
                self.serial += 1;
                Ok(self.serial)
            }
            "authorization_code" => {
                let code = self.codes.remove(&given("code")).ok_or("invalid_grant")?;
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(given("code_verifier")));
                let fits = challenge == code.challenge && given("redirect_uri") == code.redirect_uri;
                if fits { Ok(code.family) } else { Err("invalid_grant") }
            }
            "refresh_token" => self.use_refresh(&given("refresh_token")),
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let device = self.devices.get(&given("device_code")).ok_or("invalid_grant")?;
                match device.decision {
                    None => Err("authorization_pending"),
                    Some(false) => Err("access_denied"),
                    Some(true) => Ok(device.family),
                }
            }
            _ => Err("unsupported_grant_type"),
        }
    }

    fn use_refresh(&mut self, token: &str) -> Result<u64, Refused> {
        let family = *self.refresh.get(token).ok_or("invalid_grant")?;
        if self.revoked.contains(&family) {
            return Err("invalid_grant");
        }
        if self.rotates && !self.used.insert(token.to_owned()) {
            self.revoked.insert(family);
            return Err("invalid_grant");
        }
        Ok(family)
    }

    fn check_client(&self, request: &Request, query: &Query) -> Result<(), Refused> {
        let Some(secret) = &self.client_secret else {
            return if query.get("client_id") == Some(&self.client_id) {
                Ok(())
            } else {
                Err("invalid_client")
            };
        };
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.client_id)));
        let by_header = request.header("authorization") == Some(&basic);
        let by_body = query.get("client_id") == Some(&self.client_id) && query.get("client_secret") == Some(secret);
        if by_header || by_body {
            Ok(())
        } else {
            Err("invalid_client")
        }
    }

    fn tokens(&mut self, family: u64) -> Answer {
        let access = self.next("access");
        self.access.insert(access.clone(), family);
        let mut members = Map::new();
        members.insert("access_token".to_owned(), access.into());
        members.insert("token_type".to_owned(), "Bearer".into());
        if self.refreshes {
            let refresh = self.next("refresh");
            self.refresh.insert(refresh.clone(), family);
            members.insert("refresh_token".to_owned(), refresh.into());
        }
        if let Some(scope) = &self.scope {
            members.insert("scope".to_owned(), scope.as_str().into());
        }
        if let Some(text) = &self.expires_in {
            members.insert(
                "expires_in".to_owned(),
                serde_json::from_str(text).expect("the test gives JSON"),
            );
        }
        let body = match &self.envelope {
            Some(name) => json!({ name: members, "ok": true }),
            None => Value::Object(members),
        };
        Answer::json(200, body.to_string())
    }

    fn begin_device(&mut self, query: &Query, base: &str) -> Answer {
        assert_eq!(query.get("client_id").unwrap_or(&self.client_id), self.client_id);
        let code = self.next("device");
        let family = self.serial;
        self.devices.insert(code.clone(), Device { decision: None, family });
        let body = json!({
            "device_code": code, "user_code": format!("WDJB-{family}"), "verification_uri": format!("{base}/device"),
            "expires_in": 600, "interval": 1,
        });
        Answer::json(200, body.to_string())
    }
}

fn status_of(error: Refused) -> u16 {
    if error == "invalid_client" { 401 } else { 400 }
}
