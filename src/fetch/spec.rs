//! What to read, and within which bounds.

use std::collections::HashMap;
use std::time::Duration;

use sluice_core::error_rule::ErrorRules;
use sluice_core::http::status::redirect_target;
use sluice_core::http::{Auth, HeaderValue, HttpError, Json, Method, Request, Response};
use sluice_core::pagination::{Ask, Carrier, KnownPage, Pagination, ParamPlace, Position, with_param};
use sluice_core::rate::Terms;
use sluice_core::retry::RetryPolicy;
use sluice_core::settings::MOST_CONCURRENCY;
use sluice_core::url_policy::address::AddressPolicy;
use sluice_core::url_policy::join;
use url::Url;

use crate::agent::AgentSettings;
use crate::failures::Failures;
use crate::pace::Pace;
use crate::tls::Tls;

/// Time limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolution, and connecting with TLS.
    pub connect: Duration,
    /// The whole request, body included.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(45),
        }
    }
}

/// Bounds on what a remote may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Decoded bytes of one body.
    pub max_body: u64,
    /// Decoded bytes per byte on the wire, from 1 MiB on.
    pub max_ratio: u32,
    /// Pages of one collection. An empty one more is no page too many: it may be the end.
    pub pages: Option<u64>,
    /// Bytes of decoded bodies whose pages may wait to be taken before fetching stops for them: while its caller writes
    /// one batch, the next one comes in.
    pub ahead: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_body: 64 * 1024 * 1024,
            max_ratio: 100,
            pages: Some(100_000),
            ahead: 0,
        }
    }
}

/// Everything that a read needs to know.
#[derive(Debug, Clone)]
pub struct ReadSpec {
    /// The connection's base URL; credentials go to its origin only.
    pub base: Url,
    /// Below the base; see [`join::join`].
    pub path: String,
    pub method: Method,
    /// What a POST sends, as JSON.
    pub body: Option<Json>,
    pub params: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub auth: Auth,
    pub pagination: Pagination,
    /// Where the pages' parameters go.
    pub param_place: ParamPlace,
    pub page_size: Option<u64>,
    /// Requests at a time; 0 counts as 1.
    pub concurrency: usize,
    /// Whether taking the pages is much work too: then one processor is left to it.
    pub caller_computes: bool,
    /// The budget that requests are sent on.
    pub pace: Pace,
    pub retry: RetryPolicy,
    /// What answers and failures mean for this job.
    pub rules: ErrorRules,
    /// The error budget of the run, and what failed in it.
    pub failures: Failures,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub policy: AddressPolicy,
    pub tls: Tls,
    /// None: the first page.
    pub start: Option<Position>,
    /// Pages by number that need not come again where they are unchanged.
    pub known: HashMap<u64, KnownPage>,
    /// For the jitter of delays.
    pub seed: u64,
}

impl ReadSpec {
    /// A read of one page with the defaults of DESIGN section 3.2.
    pub fn new(base: Url, path: impl Into<String>) -> ReadSpec {
        ReadSpec {
            base,
            path: path.into(),
            method: Method::Get,
            body: None,
            params: Vec::new(),
            headers: Vec::new(),
            auth: Auth::None,
            pagination: Pagination::None,
            param_place: ParamPlace::Query,
            page_size: None,
            concurrency: 8,
            caller_computes: true,
            pace: Pace::alone(Terms::new(None, 1, Duration::ZERO, MOST_CONCURRENCY)),
            retry: RetryPolicy::default(),
            rules: ErrorRules::default(),
            failures: Failures::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            policy: AddressPolicy::default(),
            tls: Tls::default(),
            start: None,
            known: HashMap::new(),
            seed: 0,
        }
    }

    /// What an agent for this read has to keep to.
    pub fn agent_settings(&self) -> AgentSettings {
        AgentSettings {
            policy: self.policy.clone(),
            tls: self.tls.clone(),
            timeouts: self.timeouts,
            limits: self.limits,
            connections: self.concurrency.max(1),
        }
    }

    /// The job's own URL: base, path and params, without pagination.
    ///
    /// # Errors
    /// `BadPath`.
    pub fn first_url(&self) -> Result<Url, HttpError> {
        let url = join::join(&self.base, &self.path).map_err(|reason| HttpError::BadPath {
            path: self.path.clone(),
            reason,
        })?;
        Ok(self
            .params
            .iter()
            .fold(url, |url, (name, value)| with_param(&url, name, value)))
    }

    /// The request for one page, with credentials.
    ///
    /// # Errors
    /// `BadPath`, `BadToken`, `ForeignLink`.
    pub fn request(&self, ask: &Ask) -> Result<Request, HttpError> {
        let carrier = Carrier {
            url: &self.first_url()?,
            base: &self.base,
            body: self.body.as_ref(),
            place: self.param_place,
            page_size: self.page_size,
        };
        let (url, body) = self.pagination.carried(ask, &carrier)?;
        Ok(self.addressed(url, body.map(|body| body.to_string().into_bytes())))
    }

    /// What is known of the page that `ask` wants: of the same number, at the same place.
    pub(crate) fn known(&self, ask: &Ask) -> Option<&KnownPage> {
        self.known.get(&ask.number).filter(|page| page.token == ask.token)
    }

    /// Asks for the page only where it is another than the known one. What the job itself sends has precedence.
    pub(crate) fn condition(&self, request: &mut Request, known: &KnownPage) {
        let validators = [
            ("if-none-match", &known.etag),
            ("if-modified-since", &known.last_modified),
        ];
        for (name, value) in validators {
            let is_given = self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
            if let Some(value) = value.as_ref().filter(|_| !is_given) {
                request
                    .headers
                    .push((name.to_owned(), HeaderValue::Plain(value.clone())));
            }
        }
    }

    /// The request that a redirect asks for, where it may be followed; see [`redirect_target`].
    pub(crate) fn redirected(&self, request: &Request, response: &Response) -> Option<Request> {
        let target = redirect_target(request, response, &self.base)?;
        Some(self.addressed(target, request.body.clone()))
    }

    /// The request for an address below the base, with the job's own body.
    pub(crate) fn request_to(&self, url: Url) -> Request {
        let body = self.body.as_ref().map(|body| body.to_string().into_bytes());
        self.addressed(url, body)
    }

    fn addressed(&self, url: Url, body: Option<Vec<u8>>) -> Request {
        let plain = |(name, value): &(String, String)| (name.clone(), HeaderValue::Plain(value.clone()));
        let mut headers: Vec<_> = self.headers.iter().map(plain).collect();
        if body.is_some()
            && !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            let json = HeaderValue::Plain("application/json".to_owned());
            headers.push(("content-type".to_owned(), json));
        }
        let mut request = Request {
            method: self.method,
            url,
            headers,
            // A POST has a length, also where that is none (RFC 9110, 8.6).
            body: body.or_else(|| (self.method == Method::Post).then(Vec::new)),
        };
        self.auth.apply(&mut request, &self.base);
        request
    }
}
