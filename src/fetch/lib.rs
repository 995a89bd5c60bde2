//! I/O without PostgreSQL: HTTP over ureq, and the threads that read a collection's pages.
//!
//! ```text
//! start(ReadSpec) ─► threads "sl-fetch-N":  ask ─► request ─► Transport ─► judge ─► Decode ─► in page order ─► Read::poll
//!                                            ▲        │ retries, rate waits                       │
//!                                            └────────┴───────────── ReadPlan (core) ◄────────────┘
//! ```
//!
//! - [`start`], [`Read`]: one read of a collection; the caller polls, and is woken when something came.
//! - [`Transport`]: one request to one response. [`UreqTransport`] is the real one, [`MemoryTransport`] serves tests.
//! - [`probe`]: one request without retries, for a person who waits.
//! - [`Pace`]: every request, of a read or a probe, has a permit of the budget of its host and credential.
//! - `agent`, `resolver`, `connector`: ureq with every default set by hand and every address checked.
//! - [`Failures`]: the error budget of a run, and the requests of it that failed and were repeated.
//! - `body`: decoded bodies under caps on the decoded bytes. `classify`: ureq's errors by structure.
//!
//! No thread is ever joined: stopping a read returns at once, whatever the network does.

mod agent;
mod body;
mod classify;
mod connector;
mod exchange;
pub mod failures;
mod figures;
mod memory;
mod order;
mod pace;
pub mod pages;
mod pool;
pub mod probe;
mod resolver;
mod signing;
mod spec;
mod tls;
pub mod transport;
mod turns;

pub use agent::AgentSettings;
pub use failures::{FailedRequest, Failures, Sequel};
pub use memory::MemoryTransport;
pub use pace::Pace;
pub use pages::{Decode, Failure, FetchedPage, Figures, PageFacts, Poll, Read, start};
pub use signing::SigningKey;
pub use spec::{Limits, ReadSpec, Timeouts};
pub use tls::Tls;
pub use transport::{Transport, UreqTransport};
