//! One read of a collection, as its caller sees it: how pages are decoded, and what came.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_core::error::Error;
use sluice_core::http::{HttpError, Response};
use sluice_core::pagination::{KnownPage, PageToken};

use crate::exchange::work;
use crate::pool::Shared;
pub use crate::spec::{Limits, ReadSpec, Timeouts};
use crate::transport::Transport;

/// Stack of a fetch thread: decoding is bounded in depth, and TLS needs little.
const THREAD_STACK: usize = 1024 * 1024;

/// What decoding a page shows about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFacts {
    pub records: u64,
    /// The declared total, where the job's pagination takes it from the body.
    pub total: Option<u64>,
    /// The declared number of pages, likewise.
    pub total_pages: Option<u64>,
    /// The JSON text that names the next page, where the job's pagination takes that from the body.
    pub next: Option<String>,
    /// Identifies the records, so that a page that comes twice is noticed; None: the body's own hash is taken.
    pub digest: Option<[u8; 32]>,
}

/// Turns a response into a page. Runs on the fetch threads.
pub trait Decode: Send + Sync + 'static {
    type Page: Send + 'static;

    /// # Errors
    /// Any error ends the read: content is not asked for again.
    fn decode(&self, response: &Response) -> Result<(Self::Page, PageFacts), Error>;

    /// The page that the remote says is as it was.
    fn unchanged(&self, known: &KnownPage) -> Self::Page;
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
    /// The declared number of pages in this page.
    pub total_pages: Option<u64>,
    /// Bytes of the body on the wire.
    pub bytes: u64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// Requests that this page took, repeated ones included.
    pub requests: u32,
    /// A rule has taken the answer for a page without records, whatever it held.
    pub ignored: bool,
}

/// How the exchanges of a read went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    pub requests: u64,
    pub retries: u64,
    /// What half of the answers took at most, and what all but a twentieth did.
    pub half: Option<Duration>,
    pub most: Option<Duration>,
    /// How many requests the budget lets be under way by now.
    pub concurrency: u32,
}

impl Figures {
    /// Before anything was asked.
    pub const NONE: Figures = Figures {
        requests: 0,
        retries: 0,
        half: None,
        most: None,
        concurrency: 0,
    };
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

    /// How the exchanges went so far.
    pub fn figures(&self) -> Figures {
        Figures {
            requests: self.requests(),
            retries: self.retries(),
            half: self.shared.latencies.quantile(0.5),
            most: self.shared.latencies.quantile(0.95),
            concurrency: self.shared.spec.pace.concurrency(),
        }
    }
}

impl<P: Send + 'static> Drop for Read<P> {
    fn drop(&mut self) {
        self.stop();
    }
}
