//! One read of a collection, as its caller sees it: what to read, how pages are decoded, and what came.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_core::error::Error;
use sluice_core::http::{Auth, HeaderValue, HttpError, Method, Request, Response};
use sluice_core::pagination::{Ask, PageToken, Pagination, Position, with_param};
use sluice_core::retry::RetryPolicy;
use sluice_core::url_policy::address::AddressPolicy;
use sluice_core::url_policy::join;
use url::Url;

use crate::agent::AgentSettings;
use crate::exchange::work;
use crate::pool::Shared;
use crate::transport::Transport;

/// Stack of a fetch thread: decoding is bounded in depth, and TLS needs little.
const THREAD_STACK: usize = 1024 * 1024;

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
    /// Pages of one generation.
    pub pages: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_body: 64 * 1024 * 1024,
            max_ratio: 100,
            pages: Some(100_000),
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
    pub params: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub auth: Auth,
    pub pagination: Pagination,
    pub page_size: Option<u64>,
    /// Requests at a time; 0 counts as 1.
    pub concurrency: usize,
    /// Least time between the starts of two requests.
    pub min_delay: Duration,
    pub retry: RetryPolicy,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub policy: AddressPolicy,
    /// None: the first page.
    pub start: Option<Position>,
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
            params: Vec::new(),
            headers: Vec::new(),
            auth: Auth::None,
            pagination: Pagination::None,
            page_size: None,
            concurrency: 8,
            min_delay: Duration::ZERO,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            policy: AddressPolicy::default(),
            start: None,
            seed: 0,
        }
    }

    /// What an agent for this read has to keep to.
    pub fn agent_settings(&self) -> AgentSettings {
        AgentSettings {
            policy: self.policy.clone(),
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
        let url = self
            .pagination
            .url(ask, &self.first_url()?, &self.base, self.page_size)?;
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::Plain(value.clone())));
        let mut request = Request {
            method: self.method,
            url,
            headers: headers.collect(),
            body: None,
        };
        self.auth.apply(&mut request, &self.base);
        Ok(request)
    }
}

/// What decoding a page shows about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageFacts {
    pub records: u64,
    /// The declared total, where the job's pagination takes it from the body.
    pub total: Option<u64>,
    /// Identifies the records, so that a page that comes twice is noticed; None: the body's own hash is taken.
    pub digest: Option<[u8; 32]>,
}

/// Turns a response into a page. Runs on the fetch threads.
pub trait Decode: Send + Sync + 'static {
    type Page: Send + 'static;

    /// # Errors
    /// Any error ends the read: content is not asked for again.
    fn decode(&self, response: &Response) -> Result<(Self::Page, PageFacts), Error>;
}

/// One page, given out in page order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPage<P> {
    /// Ordinal within the generation, from 1 on.
    pub number: u64,
    pub token: PageToken,
    /// Where a later read would go on; None on the last page.
    pub next: Option<PageToken>,
    pub last: bool,
    /// None: a response without content (404 past the end, 204).
    pub page: Option<P>,
    pub records: u64,
    /// The declared total in this page.
    pub total: Option<u64>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
    pub etag: Option<String>,
    /// Requests that this page took, repeated ones included.
    pub requests: u32,
}

/// Why a read ended early. All pages before `page` were given out.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub error: Error,
    pub page: u64,
    /// Requests that were sent for that page.
    pub attempts: u32,
}

/// What a read has to give now.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll<P> {
    Page(FetchedPage<P>),
    /// Every page was given out.
    Finished,
    /// The read ended early, and says so at each poll.
    Failed(Failure),
    /// Nothing yet; `wake` will be called.
    Pending,
}

/// A read in progress. Dropping it stops it.
pub struct Read<P: Send + 'static> {
    shared: Arc<Shared<P>>,
}

/// Starts a read on threads of its own, named `sl-fetch-N`. They are never joined and hold no lock while they wait for
/// the network. The caller blocks signals around this call, so that the threads inherit that. `wake` is called from
/// those threads after each change that [`Read::poll`] shows; it must not block.
pub fn start<D: Decode>(
    spec: ReadSpec,
    transport: Arc<dyn Transport>,
    decode: Arc<D>,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> Read<D::Page> {
    let threads = spec.concurrency.max(1);
    let shared = Arc::new(Shared::new(spec, wake));
    let mut running = 0;
    for n in 1..=threads {
        let (shared, transport, decode) = (Arc::clone(&shared), Arc::clone(&transport), Arc::clone(&decode));
        let builder = std::thread::Builder::new()
            .name(format!("sl-fetch-{n}"))
            .stack_size(THREAD_STACK);
        running += usize::from(builder.spawn(move || work(&shared, &*transport, &*decode)).is_ok());
    }
    if running == 0 {
        shared.fail(HttpError::NoThread);
    }
    Read { shared }
}

impl<P: Send + 'static> Read<P> {
    /// The next page in order, or how the read stands. Taking a page lets the threads go on to later ones.
    pub fn poll(&self) -> Poll<P> {
        self.shared.poll()
    }

    /// Ends the read; returns at once. Requests that hang end by their time limits, on threads that nobody waits for;
    /// [`Transport::close`] ends them now.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// What the earliest page waits for, such as `retry 3 of 12 in 2.1 s: connection to h:443 was refused`.
    pub fn waiting(&self) -> Option<String> {
        self.shared.waiting()
    }

    /// Whether the remote has told us to slow down and the wait is not over.
    pub fn is_waiting_for_rate(&self) -> bool {
        self.shared.is_waiting_for_rate()
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Requests that repeated an earlier one.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }
}

impl<P: Send + 'static> Drop for Read<P> {
    fn drop(&mut self) {
        self.stop();
    }
}
