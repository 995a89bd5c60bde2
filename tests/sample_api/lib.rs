//! A product catalogue behind an HTTP/1.1 API, for tests and demos: paged in seven ways, with a truth to compare with,
//! and able to misbehave in every way that a client has to survive. No HTTP library is used, because those refuse to
//! send broken HTTP.
//!
//! The way of a request: `server` (threads, connections) → `request`, `query` (reading it) → `exchange`, which is the
//! story of the rest → `gate` (held until released) → `script`, `fault` (what goes wrong) → `listing` with `paging`, `catalogue`, `record` (the page) → `answer`,
//! `compress`, `deliver` (sending it, well or badly) → `log`. Steering: the methods of [`SampleApi`], or the same over
//! HTTP in `control` with `control_fault` and `control_settings`; `truth` is what to compare with.
//!
//! ```
//! use sample_api::{Fault, Options, Rule, SampleApi};
//!
//! let api = SampleApi::start(Options { products: 1_000, ..Options::default() });
//! api.misbehave(Rule::new(Fault::status(503, &[("Retry-After", "1")])).page(3).times(2));
//! assert!(api.url().starts_with("http://127.0.0.1:"));
//! ```

mod answer;
mod calendar;
mod catalogue;
mod compress;
mod control;
mod control_fault;
mod control_settings;
mod deliver;
mod exchange;
mod fault;
mod format;
mod gate;
mod listing;
mod log;
mod oauth;
mod paging;
mod query;
mod record;
mod request;
mod script;
mod server;
mod settings;
mod truth;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use fault::{Fault, Total};
pub use log::RequestLine;
pub use oauth::{OAuthServer, TOKEN_PAGE, TokenRequest};
pub use script::Rule;
pub use settings::{Auth, LastPage, PastEnd, Settings};
pub use truth::Checksum;

use gate::lock;
use log::Log;
use server::Server;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many products there are at the start, with ids from 1. 100,000.
    pub products: u64,
    /// 127.0.0.1.
    pub bind: IpAddr,
    /// 0: any free one.
    pub port: u16,
    pub settings: Settings,
    /// A file that gets a line of JSON for each request.
    pub log_file: Option<PathBuf>,
    /// The same lines on stdout.
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            products: 100_000,
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            settings: Settings::default(),
            log_file: None,
            verbose: false,
        }
    }
}

/// A running server. Stops when dropped: connections are closed, whatever they wait for.
pub struct SampleApi {
    server: Arc<Server>,
    accepting: Option<JoinHandle<()>>,
}

impl SampleApi {
    /// Starts a server for a test.
    ///
    /// # Panics
    /// Where [`SampleApi::try_start`] gives an error.
    pub fn start(options: Options) -> SampleApi {
        SampleApi::try_start(options).expect("a test can open a port and write its log")
    }

    /// Starts a server; an error when the port is taken, or the log cannot be written.
    pub fn try_start(options: Options) -> io::Result<SampleApi> {
        let listener = TcpListener::bind((options.bind, options.port))?;
        let log = Log::new(options.log_file.as_deref(), options.verbose)?;
        let server = Arc::new(Server::new(
            listener.local_addr()?,
            options.products,
            options.settings,
            log,
        ));
        let accepting = {
            let server = Arc::clone(&server);
            thread::Builder::new()
                .name("sample-api".to_owned())
                .spawn(move || server.run(&listener))?
        };
        Ok(SampleApi {
            server,
            accepting: Some(accepting),
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Gives that share (in percent, rounded, at least one product) a new price and `updated_at`; the same products for
    /// the same seed. Returns their ids, sorted, as the methods below do.
    pub fn change(&self, percent: f64, seed: u64) -> Vec<u64> {
        lock(&self.server.catalogue).change(percent, seed)
    }

    /// Changes those of the given products that exist.
    pub fn change_ids(&self, ids: &[u64]) -> Vec<u64> {
        lock(&self.server.catalogue).change_ids(ids)
    }

    /// Removes that share (in percent) of the products.
    pub fn remove(&self, percent: f64, seed: u64) -> Vec<u64> {
        lock(&self.server.catalogue).remove(percent, seed)
    }

    /// Removes those of the given products that exist.
    pub fn remove_ids(&self, ids: &[u64]) -> Vec<u64> {
        lock(&self.server.catalogue).remove_ids(ids)
    }

    /// Adds products with new ids, at the end.
    pub fn add(&self, count: u64) -> Vec<u64> {
        lock(&self.server.catalogue).add(count)
    }

    /// The products of the start again. Faults, holds, settings and the log stay.
    pub fn reset(&self) {
        lock(&self.server.catalogue).reset(None);
    }

    /// All products as the server holds them now: id to record, as its JSON text.
    pub fn truth(&self) -> BTreeMap<u64, String> {
        truth::records(&self.server.snapshot())
    }

    /// One record as its JSON text; `None` when there is no such product.
    pub fn record(&self, id: u64) -> Option<String> {
        truth::record(&self.server.snapshot(), id)
    }

    pub fn checksum(&self) -> Checksum {
        truth::checksum(&self.server.snapshot())
    }

    /// Adds a rule to the script. A fault alone is a rule for all requests for products, until cleared.
    pub fn misbehave(&self, rule: impl Into<Rule>) {
        lock(&self.server.script).add(rule.into());
    }

    pub fn clear_faults(&self) {
        lock(&self.server.script).clear();
    }

    /// Holds requests for this page, in any scheme, before they are answered from what is true at their release.
    pub fn hold_page(&self, page: u64) {
        self.server.gate.hold(page);
    }

    /// Whether a request for this page is held, at the latest after that time.
    pub fn wait_until_held(&self, page: u64, timeout: Duration) -> bool {
        self.server.gate.wait_until_held(page, timeout)
    }

    /// Lets all held requests go and holds nothing any more.
    pub fn release(&self) {
        self.server.gate.release();
    }

    /// Lets the requests go that are held now, and goes on holding: for a request whose client is gone.
    pub fn release_waiting(&self) {
        self.server.gate.release_waiting();
    }

    /// Lets all held requests go and holds this page alone, in one step.
    pub fn hold_only(&self, page: u64) {
        self.server.gate.hold_only(page);
    }

    /// Looks at, or changes, the authorization server.
    pub fn oauth<T>(&self, look: impl FnOnce(&mut OAuthServer) -> T) -> T {
        look(&mut lock(&self.server.oauth))
    }

    /// A person opens an authorization address and consents; where the browser goes then.
    pub fn consent(&self, address: &str) -> String {
        let issuer = self.url();
        self.oauth(|oauth| oauth.consent(address, &issuer))
    }

    pub fn settings(&self) -> Settings {
        self.server.settings().clone()
    }

    /// Changes the settings for all requests from now on: `api.set(|settings| settings.max_page_size = 50)`.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.server.settings_mut());
    }

    /// The log of requests for products, in the order of their arrival.
    pub fn requests(&self) -> Vec<RequestLine> {
        self.server.log.lines()
    }

    pub fn clear_log(&self) {
        self.server.log.clear();
    }

    /// The pages of the log, in the order in which they were asked for, each as often as it was.
    pub fn pages_asked(&self) -> Vec<u64> {
        let mut pages = Vec::new();
        self.server.log.for_each(|line| pages.extend(line.page));
        pages
    }

    /// The most requests that were unanswered at one moment since the log was cleared.
    pub fn most_at_once(&self) -> u64 {
        self.server.log.most_open()
    }

    /// Whether the log has that many requests, at the latest after that time.
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        self.server.log.wait_for(count, timeout)
    }

    /// Blocks while the server runs, for the program.
    pub fn join(mut self) {
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join(); // it ends with the process
        }
    }
}

impl Drop for SampleApi {
    fn drop(&mut self) {
        self.server.stop();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join(); // a panic there has been printed
        }
    }
}
