//! The stage of most scenarios: a server, a catalogue behind an API, an ordinary role `app`, and a connection `shop`.
//!
//! Jobs are manual and commit each page by itself unless a scenario says otherwise, so that nothing happens by the clock
//! and a crash can be put between any two pages.

use sample_api::{Options, SampleApi};
use sluice_e2e::{Cluster, Db, SqlError, connect_shop, eventually, wait_until};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long anything may take on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Page pagination with a declared total, 100 records a page, one page a commit.
pub const PAGES: &str = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;
/// The same without a total: what is missing has to be confirmed by a second read.
pub const PAGES_WITHOUT_TOTAL: &str = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1},
    "pagination": {"type": "page", "size_param": "per_page"}}"#;

pub struct Shop {
    pub cluster: Cluster,
    pub api: SampleApi,
    /// A superuser's session.
    pub db: Db,
    /// A session of the role `app`, which owns the schema `app` and works in it.
    pub app: Db,
}

impl Shop {
    pub fn open(products: u64) -> Shop {
        Shop::with(products, &[])
    }

    /// With further server settings.
    pub fn with(products: u64, settings: &[(&str, &str)]) -> Shop {
        let api = SampleApi::start(Options {
            products,
            ..Options::default()
        });
        let cluster = Cluster::with(settings);
        let (db, app) = connect_shop(&cluster, &api.url());
        Shop { cluster, api, db, app }
    }

    /// A shop whose job `products` is made, in the table app.products, and has not run yet.
    pub fn with_job(products: u64, settings: &str) -> Shop {
        let mut shop = Shop::open(products);
        shop.create_job("products", "/page/products", settings);
        shop
    }

    /// The same after its first load.
    pub fn loaded(products: u64, settings: &str) -> Shop {
        let mut shop = Shop::with_job(products, settings);
        shop.sync();
        shop
    }

    /// A manual job of `app` on a table of its name, keyed by id.
    pub fn create_job(&mut self, name: &str, path: &str, settings: &str) {
        self.app.exec(&format!(
            "SELECT sluice.create_job('{name}', 'shop', '{path}', key => '{{id}}', schedule => 'manual', settings => '{settings}')"
        ));
        // To make the table it has looked at the first page.
        self.api.clear_log();
    }

    /// Runs the job `products` to its end, which must be good.
    pub fn sync(&mut self) {
        self.app.exec("CALL sluice.sync('products')");
    }

    /// Runs the job `products`; the error that the run ended with.
    pub fn failing_sync(&mut self) -> SqlError {
        self.app.error("CALL sluice.sync('products')")
    }

    /// Asks for a run of `products` without waiting; its id.
    pub fn start(&mut self) -> i64 {
        self.app.number("SELECT sluice.start_sync('products')")
    }

    /// A column of the latest run, or an expression over it.
    pub fn run(&mut self, column: &str) -> String {
        self.db
            .value(&format!(
                "SELECT {column} FROM sluice.sync_runs ORDER BY id DESC LIMIT 1"
            ))
            .unwrap_or_else(|| "NULL".to_string())
    }

    /// A column of the row of `products` in sync_status.
    pub fn status(&mut self, column: &str) -> String {
        self.view("sync_status", column)
    }

    /// A column of the row of `products` in sync_connection_health.
    pub fn health(&mut self, column: &str) -> String {
        self.view("sync_connection_health", column)
    }

    fn view(&mut self, view: &str, column: &str) -> String {
        self.db
            .value(&format!(
                "SELECT {column} FROM sluice.{view} WHERE data_type = 'products'"
            ))
            .unwrap_or_else(|| "NULL".to_string())
    }

    /// The pages of the read in progress that are committed.
    pub fn committed_pages(&mut self) -> BTreeSet<u64> {
        let sql = "SELECT p.number FROM sluice._page p JOIN sluice._job_state t USING (job_id, generation)";
        let rows = self.db.rows(sql).rows.into_iter().flatten().flatten();
        rows.map(|number| number.parse().expect("a page's number")).collect()
    }

    /// Starts a run and waits until it hangs at that page with all pages before it committed.
    pub fn start_and_hold_at(&mut self, page: u64) -> BTreeSet<u64> {
        self.api.hold_page(page);
        self.start();
        self.wait_for_page(page)
    }

    /// Waits until that page is asked for and held, and all pages before it are committed.
    pub fn wait_for_page(&mut self, page: u64) -> BTreeSet<u64> {
        assert!(self.api.wait_until_held(page, SOON), "page {page} was never asked for");
        let before: BTreeSet<u64> = (1..page).collect();
        let arrived = eventually(SOON, || self.committed_pages() == before);
        assert!(arrived, "committed: {:?}", self.committed_pages());
        before
    }

    /// Waits until the worker is gone: a run has ended before what it no longer needs is forgotten.
    pub fn wait_until_tidied(&mut self) {
        wait_until(&mut self.db, "the worker is gone", SOON, |db| {
            db.pids("sluice worker").is_empty()
        });
    }

    /// Moves pg_sluice's clock, forwards or backwards; the launcher looks at once.
    pub fn move_clock(&mut self, minutes: i64) {
        self.cluster
            .configure("sluice.debug_clock_offset", &format!("{minutes} min"));
        self.db.exec("SELECT pg_reload_conf()");
        let shown = format!("SELECT current_setting('sluice.debug_clock_offset')::interval = '{minutes} min'");
        wait_until(&mut self.db, "the clock is moved", SOON, |db| db.is_true(&shown));
    }

    /// Waits until so many runs have succeeded; their sources, oldest first.
    pub fn wait_for_successes(&mut self, count: usize) -> Vec<String> {
        let sql = "SELECT source FROM sluice.sync_runs WHERE status = 'succeeded' ORDER BY id";
        let mut sources = Vec::new();
        wait_until(&mut self.db, &format!("{count} runs have succeeded"), SOON, |db| {
            sources = db.rows(sql).rows.into_iter().flatten().flatten().collect();
            sources.len() == count
        });
        sources
    }

    /// Waits until the latest run has this status.
    pub fn wait_for_run(&mut self, status: &str) {
        wait_until(&mut self.db, &format!("the latest run is {status}"), SOON, |db| {
            let sql = "SELECT status FROM sluice.sync_runs ORDER BY id DESC LIMIT 1";
            db.value(sql).as_deref() == Some(status)
        });
    }

    /// The statuses of all runs, oldest first, with what asked for them: `manual interrupted`.
    pub fn runs(&mut self) -> Vec<String> {
        let rows = self
            .db
            .rows("SELECT source || ' ' || status FROM sluice.sync_runs ORDER BY id");
        rows.rows.into_iter().flatten().flatten().collect()
    }

    /// The process that works on a run, once there is one.
    pub fn worker(&mut self) -> u32 {
        wait_until(&mut self.db, "a worker is there", SOON, |db| {
            !db.pids("sluice worker").is_empty()
        });
        self.db.pids("sluice worker")[0]
    }

    /// Waits until the server has noticed that one of its processes was killed and is up again; new sessions.
    pub fn recover(&mut self) {
        // Both: the killed process may have been the session of one of them, which tells nothing of the server.
        let gone = eventually(SOON, || {
            self.db.try_rows("SELECT 1").is_err() && self.app.try_rows("SELECT 1").is_err()
        });
        assert!(gone, "the server did not notice:\n{}", self.cluster.log_tail(20));
        self.cluster.wait_for_recovery();
        self.reconnect();
    }

    pub fn reconnect(&mut self) {
        self.db = self.cluster.db();
        self.app = self.cluster.db_as("app", "postgres");
    }

    /// The pages that were committed when the server crashed: those that were asked for and are in the ledger.
    pub fn committed_before_the_crash(&mut self) -> BTreeSet<u64> {
        let sql = "SELECT p.number FROM sluice._page p JOIN sluice._job_state t USING (job_id, generation)
                   WHERE p.received_at < pg_postmaster_start_time() OR p.run_id < (SELECT max(id) FROM sluice._run)
                      OR NOT EXISTS (SELECT FROM sluice._run WHERE source = 'resume')";
        let rows = self.db.rows(sql).rows.into_iter().flatten().flatten();
        rows.map(|number| number.parse().expect("a page's number")).collect()
    }

    /// Panics where a committed page was asked for more than once in the whole log.
    pub fn assert_asked_at_most_once_after(&mut self, committed: &BTreeSet<u64>) {
        let asked = self.api.pages_asked();
        for page in committed {
            let times = asked.iter().filter(|p| *p == page).count();
            assert!(
                times <= 1,
                "page {page} was asked for {times} times, committed: {committed:?}"
            );
        }
    }

    /// Panics unless app.products holds exactly what the API holds.
    pub fn assert_equal(&mut self) {
        sluice_e2e::assert_table_equals_source(&mut self.db, "app.products", &self.api);
    }

    /// Panics where a page that was committed before is asked for again in the log since then.
    pub fn assert_none_asked_again(&mut self, committed: &BTreeSet<u64>) {
        let again: Vec<u64> = self
            .api
            .pages_asked()
            .into_iter()
            .filter(|p| committed.contains(p))
            .collect();
        assert!(again.is_empty(), "asked again: {again:?}");
    }
}
