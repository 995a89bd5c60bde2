//! What a status code means (RFC 9110 section 15), as far as a page of a collection is concerned.

use std::time::{Duration, SystemTime};

use url::Url;

use super::{Auth, HttpError, Method, Request, Response, remote};
use crate::class::Class;
use crate::data::excerpt_of;
use crate::rate::told;
use crate::retry;
use crate::url_policy::join::is_below;

/// Longest excerpt of a body in an error, in characters.
const EXCERPT_CHARS: usize = 200;
/// As much of a body is looked at for it.
const MOST_LOOKED_AT: usize = 256 * 1024;

/// What a response is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A body to be decoded (200, 201, 203).
    Page,
    /// Success without content (204, 205): a page without records.
    NoContent,
    /// 304 to a validator of ours: the page is as it was.
    Unchanged,
    /// There is no such page: past the end where the pagination says so, else a failure.
    Absent,
}

/// Whether a status may mean that there is no such page. Some APIs answer a page past the end with 400, 416 or 422.
pub fn says_absent(status: u16) -> bool {
    matches!(status, 400 | 404 | 410 | 416 | 422)
}

/// Whether such a status says it for sure. A 400 or 422 may as well be a gate's in front of the API, about anything.
pub fn is_surely_absent(status: u16) -> bool {
    matches!(status, 404 | 410 | 416)
}

/// Whether a status for a page whose token the remote gave says that it no longer knows that token.
pub fn says_token_lost(status: u16) -> bool {
    matches!(status, 400 | 404 | 410 | 422)
}

/// How long an answer asks to wait. A 403 with that is no refusal of the credential: some APIs, GitHub among them, say so
/// that there were too many requests, by a Retry-After or by telling that none is left.
pub fn asked_wait(response: &Response, now: SystemTime) -> Option<Duration> {
    let asked = retry::retry_after(&response.headers, now);
    if response.status != 403 || asked.is_some() {
        return asked;
    }
    let told = told(&response.headers, now);
    let is_spent = told.left == Some(0);
    is_spent.then(|| {
        told.reset
            .unwrap_or(retry::DEFAULT_RATE_WAIT)
            .min(retry::LONGEST_RETRY_AFTER)
    })
}

/// The class of a failure, by its status and by whether it asks to wait.
pub fn class_of(status: u16, wait: Option<Duration>) -> Class {
    match (status, wait) {
        (403, Some(_)) => Class::RateLimit,
        _ => class(status),
    }
}

/// The class of a failure status; 3xx and unknown ones are `config`.
fn class(status: u16) -> Class {
    match status {
        408 | 425 | 500..=599 => Class::Server,
        429 => Class::RateLimit,
        401 | 403 => Class::Auth,
        _ => Class::Config,
    }
}

pub(super) fn sqlstate(status: u16, wait: Option<Duration>) -> &'static str {
    match class_of(status, wait) {
        Class::Server => "08006",
        Class::RateLimit => "08004",
        Class::Auth => "28000",
        _ => "22023",
    }
}

pub(super) fn hint(status: u16, wait: Option<Duration>) -> Option<&'static str> {
    Some(match status {
        _ if class_of(status, wait) == Class::RateLimit => {
            "Lower requests_per_second or max_concurrency of the connection."
        }
        401 => "Check the connection's auth options, and set the secret again with sluice.set_secret.",
        403 => "The credentials are known but may not read this. Check their rights at the remote.",
        404 | 410 => "Check the path, and the base URL that it is appended to.",
        400..=499 if class(status) == Class::Config => {
            "Check path, params and pagination against the API's documentation."
        }
        408 | 425 | 500..=599 => {
            "The fault is the remote's: a job tries again by itself, and whoever runs the remote can mend it."
        }
        _ => return None,
    })
}

/// Says what a response is good for, or which failure it is. `now` is used for a Retry-After date only where the
/// response has no Date of its own.
pub fn judge(request: &Request, response: &Response, auth: &Auth, now: SystemTime) -> Result<Meaning, HttpError> {
    let status = response.status;
    match status {
        200 | 201 | 203 => Ok(Meaning::Page),
        204 | 205 => Ok(Meaning::NoContent),
        _ if says_absent(status) => Ok(Meaning::Absent),
        300..=399 if status != 304 => Err(redirected(request, response)),
        400.. => Err(failure(request, response, auth, now)),
        _ => Err(HttpError::NotAPage {
            remote: request.remote(),
            path: request.url.path().to_owned(),
            status,
        }),
    }
}

/// The failure that a status is, with what the remote says about it.
pub fn failure(request: &Request, response: &Response, auth: &Auth, now: SystemTime) -> HttpError {
    HttpError::Status {
        remote: request.remote(),
        path: request.url.path().to_owned(),
        status: response.status,
        excerpt: excerpt(&response.body, auth),
        retry_after: asked_wait(response, now),
    }
}

/// The failure that an answer with a good status is by a rule.
pub fn refused(request: &Request, response: &Response, auth: &Auth, now: SystemTime) -> HttpError {
    HttpError::AnswerIsError {
        remote: request.remote(),
        path: request.url.path().to_owned(),
        status: response.status,
        excerpt: excerpt(&response.body, auth),
        retry_after: retry::retry_after(&response.headers, now),
    }
}

fn redirected(request: &Request, response: &Response) -> HttpError {
    let target = response
        .headers
        .get("location")
        .and_then(|target| request.url.join(target).ok());
    HttpError::Redirected {
        remote: remote(&request.url),
        status: response.status,
        to_origin: target.as_ref().and_then(web_origin),
    }
}

/// Where a redirect leads, if it may be followed: below the base, and for a POST only where method and body stay as they
/// are (RFC 9110, 15.4). Elsewhere neither the credentials nor the answer would be what the connection stands for.
pub fn redirect_target(request: &Request, response: &Response, base: &Url) -> Option<Url> {
    let keeps_method = matches!(response.status, 307 | 308);
    let may_follow = keeps_method || (matches!(response.status, 301..=303) && request.method != Method::Post);
    let location = response.headers.get("location").filter(|_| may_follow)?;
    let target = request.url.join(location).ok()?;
    is_below(base, &target).then_some(target)
}

/// `scheme://host[:port]` of an http or https URL.
pub fn web_origin(url: &Url) -> Option<String> {
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

/// The first characters of a JSON body, on one line, without credentials. Other bodies (HTML pages, banners of things
/// that are no API) are not shown: they say little, and an error must not read a foreign service aloud (S-26).
fn excerpt(body: &[u8], auth: &Auth) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    if !text.starts_with(['{', '[', '"']) {
        return None;
    }
    // Redacted before it is cut, so that no cut can leave the head of a credential; no credential is so long.
    let text = &text[..text.floor_char_boundary(MOST_LOOKED_AT)];
    Some(excerpt_of(&auth.redact(text), EXCERPT_CHARS))
}

#[cfg(test)]
mod tests {
    use super::super::{Headers, Secret};
    use super::*;
    use crate::error::Explain;

    fn answer(status: u16, headers: Headers, body: &str) -> Result<Meaning, HttpError> {
        let request = Request::get(Url::parse("https://api.example/v1/x?token=hunter2").unwrap());
        let response = Response {
            status,
            headers,
            body: body.as_bytes().to_vec(),
            wire_bytes: 0,
        };
        judge(
            &request,
            &response,
            &Auth::Bearer(Secret::new("hunter2")),
            SystemTime::UNIX_EPOCH,
        )
    }

    /// F-N8, F-N16: 425, 408, 429 and 5xx are repeated; 202, 206 and a 304 without a validator are no pages.
    #[test]
    fn each_status_has_one_meaning() {
        use Class::*;
        assert_eq!(answer(200, Headers::new(), ""), Ok(Meaning::Page));
        assert_eq!(answer(204, Headers::new(), ""), Ok(Meaning::NoContent));
        for status in [400, 404, 410, 416, 422] {
            assert_eq!(answer(status, Headers::new(), ""), Ok(Meaning::Absent));
        }
        let table = [
            (202, Data, "22032"),
            (206, Data, "22032"),
            (304, Data, "22032"),
            (301, Config, "22023"),
            (307, Config, "22023"),
            (401, Auth, "28000"),
            (403, Auth, "28000"),
            (405, Config, "22023"),
            (408, Server, "08006"),
            (425, Server, "08006"),
            (429, RateLimit, "08004"),
            (500, Server, "08006"),
            (503, Server, "08006"),
            (599, Server, "08006"),
        ];
        for (status, class, sqlstate) in table {
            let error = answer(status, Headers::new(), "").unwrap_err();
            assert_eq!((error.class(), error.sqlstate()), (class, sqlstate), "{status}");
        }
    }

    /// GitHub's limits.
    #[test]
    fn a_403_that_asks_to_wait_is_a_rate_limit() {
        let met = |fields: &[(&str, &str)]| {
            let error = answer(403, fields.iter().copied().collect(), "").unwrap_err();
            let HttpError::Status { retry_after, .. } = &error else {
                panic!("{error:?}")
            };
            (error.class(), error.sqlstate(), retry_after.map(|wait| wait.as_secs()))
        };
        assert_eq!(met(&[("Retry-After", "60")]), (Class::RateLimit, "08004", Some(60)));
        let spent = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "90")];
        assert_eq!(met(&spent), (Class::RateLimit, "08004", Some(90)));
        assert_eq!(met(&spent[..1]), (Class::RateLimit, "08004", Some(4)));
        let left = [("X-RateLimit-Remaining", "7"), ("X-RateLimit-Reset", "90")];
        assert_eq!(met(&left), (Class::Auth, "28000", None));
    }

    #[test]
    fn an_error_shows_a_json_body_shortened_and_redacted_and_no_query() {
        let body = format!("{{\"error\":\"bad token hunter2\n{}\"}}", "x".repeat(500));
        let error = answer(409, Headers::new(), &body).unwrap_err();
        let told = format!("{error} {}", error.detail().unwrap());
        assert!(told.contains("bad token ***\\nxxx"), "{told}");
        assert!(!told.contains("hunter2") && told.len() < 400, "{told}");
        let html = answer(500, Headers::new(), "<html>SSH-2.0 hunter2</html>").unwrap_err();
        assert_eq!(html.detail().unwrap(), "The request was for /v1/x.");
    }

    /// F-N10.
    #[test]
    fn a_redirect_is_followed_below_the_base_only_and_a_post_stays_a_post() {
        let base = Url::parse("https://api.example/v1").unwrap();
        let to = |method, status, location: &str| {
            let mut request = Request::get(Url::parse("https://api.example/v1/items?page=2").unwrap());
            request.method = method;
            let response = Response {
                status,
                headers: [("Location", location)].into_iter().collect(),
                body: Vec::new(),
                wire_bytes: 0,
            };
            redirect_target(&request, &response, &base).map(String::from)
        };
        let below = Some("https://api.example/v1/items/?page=2".to_owned());
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(to(Method::Get, status, "/v1/items/?page=2"), below, "{status}");
            let kept = below.clone().filter(|_| status > 303);
            assert_eq!(to(Method::Post, status, "items/?page=2"), kept, "{status}");
        }
        for elsewhere in [
            "http://api.example/v1/items",
            "//evil.example/v1/items",
            "https://evil.example/v1/items",
            "http://169.254.169.254/latest",
            "https://api.example:8443/v1/items",
            "https://user:pw@api.example/v1/items",
            "/v2/items",
            "/v1/../admin",
            "/v1x",
            "file:///etc/passwd",
            "http://[",
        ] {
            assert_eq!(to(Method::Get, 307, elsewhere), None, "{elsewhere}");
        }
        assert_eq!(to(Method::Get, 304, "/v1/x"), None);
        assert_eq!(to(Method::Get, 300, "/v1/x"), None);
    }

    #[test]
    fn a_redirect_names_the_origin_it_leads_to_and_nothing_else() {
        let to = |location: &str| match answer(302, [("Location", location)].into_iter().collect(), "").unwrap_err() {
            HttpError::Redirected { to_origin, .. } => to_origin,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            to("http://169.254.169.254/latest?x=1").as_deref(),
            Some("http://169.254.169.254")
        );
        assert_eq!(to("//evil.example/a").as_deref(), Some("https://evil.example"));
        assert_eq!(to("/v2/x?token=1").as_deref(), Some("https://api.example"));
        assert_eq!(to("file:///etc/passwd"), None);
    }
}
