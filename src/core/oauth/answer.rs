//! What a token endpoint answered (RFC 6749, 5.1 and 5.2).

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::fault::OAuthFault;
use super::options::OAuthOptions;
use crate::class::Class;
use crate::data::{SingularQuery, Step, excerpt_of};
use crate::http::{HeaderValue, Request, Response, Secret, redact, status};
use crate::retry::rate_wait;

/// Longest text of a remote in an error, in characters.
const EXCERPT: usize = 200;
/// Longest token, in bytes: headers have limits, too.
const LONGEST_TOKEN: usize = 16 * 1024;
/// A lifetime beyond this is a mistake of the remote's, and no reason to trust a token for ever.
const LONGEST_LIFE: u64 = 366 * 86_400;

/// What was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    pub access: Secret,
    /// None: the one that was sent stays valid.
    pub refresh: Option<Secret>,
    /// None where the remote does not say, or says something absurd: the token serves until it is refused.
    pub lifetime: Option<Duration>,
    /// How long the refresh token lives, where the remote says so (`refresh_expires_in`, `refresh_token_expires_in`).
    pub refresh_lifetime: Option<Duration>,
    pub scope: Option<String>,
}

/// An answer that is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Tokens(Tokens),
    /// The person has not decided yet (RFC 8628, 3.5).
    Pending,
    /// The same, and we ask too often.
    SlowDown,
}

/// How long the token endpoint is to be left alone, where it says so: it counts as no failure.
pub fn asked_to_wait(response: &Response, now: SystemTime) -> Option<Duration> {
    let asked = status::asked_wait(response, now);
    match status::class_of(response.status, asked) {
        Class::RateLimit => Some(rate_wait(asked)),
        Class::Server => asked.filter(|wait| !wait.is_zero()),
        _ => None,
    }
}

/// Reads an answer; `sent` are the secrets of the request, which are taken out of anything that is told of it.
///
/// # Errors
/// What the remote says instead of giving tokens, or what is wrong with its tokens.
pub fn read_answer(
    options: &OAuthOptions,
    request: &Request,
    response: &Response,
    sent: &[Secret],
) -> Result<Answer, OAuthFault> {
    let remote = request.remote();
    let unreadable = |what| OAuthFault::Unreadable {
        remote: remote.clone(),
        status: response.status,
        what,
    };
    let document: Value = serde_json::from_slice(&response.body).map_err(|_| unreadable("It is not JSON."))?;
    let found = member(&document, options.token_path.as_ref()).and_then(Value::as_object);
    // An error may stand beside the envelope's place.
    let places = [found, document.as_object()];
    let error = places.into_iter().flatten().find_map(|place| text(place, "error"));
    let has_token = found.is_some_and(|place| text(place, "access_token").is_some());
    if let (Some(code), false) = (error, has_token) {
        let sent = [sent, &in_headers(request)].concat();
        return refusal(&remote, places, code, &sent);
    }
    if !(200..300).contains(&response.status) {
        return Err(unreadable("It has no member \"error\"."));
    }
    let found = found.ok_or_else(|| unreadable("There is no object where the tokens should stand."))?;
    tokens(found).map(Answer::Tokens).map_err(unreadable)
}

/// The secrets in a request's headers: of `Basic dXNlcjpwYXNz` the part that is one.
fn in_headers(request: &Request) -> Vec<Secret> {
    let hidden = request.headers.iter().filter_map(|(_, value)| match value {
        HeaderValue::Hidden(secret) => Some(secret.expose()),
        HeaderValue::Plain(_) => None,
    });
    hidden
        .filter_map(|value| value.rsplit(' ').next())
        .map(Secret::new)
        .collect()
}

fn refusal(
    remote: &str,
    places: [Option<&Map<String, Value>>; 2],
    code: &str,
    sent: &[Secret],
) -> Result<Answer, OAuthFault> {
    match code {
        "authorization_pending" => return Ok(Answer::Pending),
        "slow_down" => return Ok(Answer::SlowDown),
        _ => {}
    }
    let description = places
        .into_iter()
        .flatten()
        .find_map(|place| text(place, "error_description"));
    Err(OAuthFault::Refused {
        remote: remote.to_owned(),
        code: shown(code, sent),
        description: description.map(|text| shown(text, sent)),
    })
}

fn tokens(found: &Map<String, Value>) -> Result<Tokens, &'static str> {
    let access = text(found, "access_token").ok_or("It has no access token.")?;
    if !may_stand_in_a_header(access) {
        return Err("Its access token has characters that no header may have, or is too long.");
    }
    let kind = text(found, "token_type").unwrap_or("bearer").to_ascii_lowercase();
    if matches!(kind.as_str(), "mac" | "pop" | "dpop") {
        return Err("Its token is bound to a key of the client's, which is not supported.");
    }
    let refresh = text(found, "refresh_token").filter(|token| !token.is_empty());
    if refresh.is_some_and(|token| token.len() > LONGEST_TOKEN || token.chars().any(char::is_control)) {
        return Err("Its refresh token has control characters, or is too long.");
    }
    Ok(Tokens {
        access: Secret::new(access),
        refresh: refresh.map(Secret::new),
        lifetime: lifetime(found.get("expires_in")),
        refresh_lifetime: ["refresh_expires_in", "refresh_token_expires_in"]
            .into_iter()
            .find_map(|name| lifetime(found.get(name))),
        scope: text(found, "scope").map(|scope| shown(scope, &[])),
    })
}

fn text<'a>(place: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    place.get(name).and_then(Value::as_str)
}

/// Seconds as a number or, as some write them, as a text. Nothing, zero and less say nothing.
fn lifetime(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let is_sane = seconds >= 1.0 && seconds.is_finite();
    is_sane.then(|| Duration::from_secs((seconds as u64).min(LONGEST_LIFE)))
}

fn may_stand_in_a_header(token: &str) -> bool {
    !token.is_empty() && token.len() <= LONGEST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic())
}

fn member<'a>(document: &'a Value, path: Option<&SingularQuery>) -> Option<&'a Value> {
    let steps = path.map_or(&[][..], |path| &path.steps);
    steps.iter().try_fold(document, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Element(at) => value.get(usize::try_from(*at).ok()?),
    })
}

/// A short text of the remote's on one line, without the secrets that were sent.
pub(super) fn shown(text: &str, sent: &[Secret]) -> String {
    excerpt_of(&redact(text, sent).replace(char::is_control, " "), EXCERPT)
}
