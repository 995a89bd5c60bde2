//! One request to one response.

use sluice_core::http::{Headers, HttpError, Request, Response};
use ureq::http;

use crate::agent::{AgentSettings, agent};
use crate::body::{self, Caps, Encoding};
use crate::classify::{classify, unsendable};

/// Sends a request and reads the whole response. Every status is a response; only what is no response is an error.
pub trait Transport: Send + Sync + 'static {
    fn send(&self, request: &Request) -> Result<Response, HttpError>;

    /// Breaks off every request that is under way, on whatever thread; later ones fail. Returns at once.
    fn close(&self) {}
}

/// HTTP/1.1 over ureq, under the settings' policy and limits. One per run: its connections, and the addresses that it
/// resolved, are not shared with other runs.
pub struct UreqTransport {
    agent: ureq::Agent,
    caps: Caps,
}

impl UreqTransport {
    pub fn new(settings: AgentSettings) -> UreqTransport {
        let caps = Caps {
            max_body: settings.limits.max_body,
            max_ratio: settings.limits.max_ratio,
        };
        UreqTransport {
            agent: agent(settings),
            caps,
        }
    }
}

impl Transport for UreqTransport {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let failed = |error| classify(error, &request.url);
        let answer = match &request.body {
            Some(bytes) => self.agent.run(message(request, bytes.as_slice())?),
            None => self.agent.run(message(request, ())?),
        };
        let answer = answer.map_err(failed)?;
        let status = answer.status().as_u16();
        let headers = fields(answer.headers());
        let mut sent = answer.into_body();
        if !(200..300).contains(&status) {
            let body = body::read_head(sent.as_reader(), &headers);
            return Ok(Response {
                status,
                headers,
                wire_bytes: body.len() as u64,
                body,
            });
        }
        let remote = request.remote();
        let encoding = Encoding::of(&headers).map_err(|encoding| HttpError::BadEncoding { remote, encoding })?;
        let (body, wire_bytes) =
            body::read(sent.as_reader(), encoding, self.caps).map_err(|error| error.into_http(&request.url))?;
        Ok(Response {
            status,
            headers,
            body,
            wire_bytes,
        })
    }

    fn close(&self) {
        self.agent.clone().shutdown();
    }
}

/// The request as ureq takes it.
fn message<B>(request: &Request, body: B) -> Result<http::Request<B>, HttpError> {
    let mut builder = http::Request::builder()
        .method(request.method.as_str())
        .uri(request.url.as_str());
    for (name, value) in &request.headers {
        let bad = || HttpError::BadHeader { name: name.clone() };
        let field = http::HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
        let mut text = http::HeaderValue::try_from(value.expose()).map_err(|_| bad())?;
        text.set_sensitive(true);
        builder = builder.header(field, text);
    }
    builder.body(body).map_err(|_| unsendable(&request.url))
}

/// A value that is no UTF-8 is ISO-8859-1, as it was for HTTP before (RFC 9110, 5.5): left out, a `Link` with such a byte
/// would pass for the last page's.
fn fields(map: &http::HeaderMap) -> Headers {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let text = match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => text.to_owned(),
            Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
        };
        (name.as_str().to_owned(), text)
    };
    map.iter().map(field).collect()
}
