//! What many scenarios begin with: a shop's API, a database with a role `app` that may write, and a job between them.

use sample_api::{Fault, Options, Rule, SampleApi};
use sluice_e2e::{Cluster, Db, wait_until};
use std::time::Duration;

/// Long enough for anything that works, on a loaded machine.
pub const SOON: Duration = Duration::from_secs(30);
/// How long the end of a process may take here. R-13 allows a second; the rest is for a machine that other scenarios crowd, and
/// is still less than any time-out of ours that a run could be waiting for.
pub const PROMPT: Duration = Duration::from_secs(5);
/// How long nothing must happen.
pub const A_WHILE: Duration = Duration::from_secs(1);
/// Records a page; the API has six pages unless a scenario says otherwise.
pub const PAGE: u64 = 10;

/// The columns of the sample API's products.
pub const PRODUCT: &str = "(id bigint PRIMARY KEY, sku text, name text, description text, price numeric, stock integer, \
     active boolean, category text, updated_at timestamptz, attributes jsonb)";

/// An API, a database of its own, a superuser's session and one of the ordinary role that owns schema and jobs.
pub struct Scene {
    pub api: SampleApi,
    pub admin: Db,
    pub app: Db,
    pub database: String,
}

impl Scene {
    /// A new database on this cluster, with the extension, the connection `shop`, and an empty table `product` of `app`.
    pub fn on(cluster: &Cluster) -> Scene {
        Scene::in_database(cluster, cluster.new_database())
    }

    /// The same in a database that is there; `admin` is a superuser's session in it.
    pub fn in_database(cluster: &Cluster, mut admin: Db) -> Scene {
        let api = SampleApi::start(Options {
            products: 6 * PAGE,
            ..Options::default()
        });
        let database = admin.text("SELECT current_database()");
        make_role(&mut admin, "app");
        admin.exec("CREATE EXTENSION pg_sluice; CREATE SCHEMA app AUTHORIZATION app");
        admin.exec("SELECT sluice.grant_access('app', 'writer')");
        admin.exec(&format!(
            "SELECT sluice.create_connection('shop', '{}'); GRANT USAGE ON FOREIGN SERVER shop TO app",
            api.url()
        ));
        let mut app = cluster.db_as("app", &database);
        app.exec(&format!("SET search_path = app; CREATE TABLE product {PRODUCT}"));
        Scene {
            api,
            admin,
            app,
            database,
        }
    }

    /// Makes the job `product`: manual, one request at a time, a commit after each page.
    pub fn job(&mut self) {
        self.job_with("{}");
    }

    /// The same with further settings (a JSON object), which replace the usual ones.
    pub fn job_with(&mut self, settings: &str) {
        self.app.exec(&create_job("product", settings));
    }

    /// Runs the job and waits for its end.
    pub fn sync(&mut self) {
        self.app.exec("CALL sluice.sync('product')");
    }

    /// Starts a run that waits for the third page, which never comes; pages 1 and 2 are committed.
    pub fn hang_at_page_3(&mut self) {
        self.api.misbehave(Rule::new(Fault::Hang).page(3).times(1));
        self.app.exec("SELECT sluice.start_sync('product')");
        assert!(self.api.wait_for_requests(3, SOON), "page 3 was never asked for");
        self.wait_for_pages(2);
        self.admin_waits("the worker waits for the remote", |db| {
            db.is_true(
                "SELECT wait_event_type = 'Extension' AND query = 'waiting for the remote' FROM pg_stat_activity \
                 WHERE backend_type = 'sluice worker' AND datname = current_database()",
            )
        });
    }

    /// Waits until the newest run has committed that many pages.
    pub fn wait_for_pages(&mut self, pages: i64) {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM sluice._run WHERE id = (SELECT max(id) FROM sluice._run) AND pages = {pages})"
        );
        self.admin_waits(&format!("{pages} pages are committed"), |db| db.is_true(&sql));
    }

    /// Waits until the newest run has this status.
    pub fn wait_for_run(&mut self, status: &str) {
        let what = format!("the newest run is {status}");
        self.admin_waits(&what, |db| run_status(db) == status);
    }

    /// Waits, as superuser, until something holds.
    pub fn admin_waits(&mut self, what: &str, holds: impl FnMut(&mut Db) -> bool) {
        wait_until(&mut self.admin, what, SOON, holds);
    }

    /// The worker's process id.
    pub fn worker(&mut self) -> u32 {
        let pids = workers_of(&mut self.admin);
        assert_eq!(pids.len(), 1, "one worker");
        pids[0]
    }

    /// How many rows the target has.
    pub fn rows(&mut self) -> i64 {
        self.app.number("SELECT count(*) FROM app.product")
    }
}

/// The statement that makes a manual job into the table of its name.
pub fn create_job(name: &str, settings: &str) -> String {
    format!(
        "SELECT sluice.create_job('{name}', 'shop', '/page/products', target => 'app.{name}', schedule => 'manual', \
         settings => jsonb_strip_nulls('{{\"records\": \"$.data\", \"pagination\": {{\"type\": \"page\", \"size_param\": \"per_page\"}}, \
         \"page_size\": {PAGE}, \"concurrency\": 1, \"commit_every\": {{\"pages\": 1}}}}'::jsonb || '{settings}'::jsonb))"
    )
}

/// The newest run's status; empty where there is none.
pub fn run_status(db: &mut Db) -> String {
    db.value("SELECT status FROM sluice.sync_runs ORDER BY id DESC LIMIT 1")
        .unwrap_or_default()
}

/// The workers of the session's database.
pub fn workers_of(db: &mut Db) -> Vec<u32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'sluice worker' AND datname = current_database()";
    let pids = db.rows(sql).rows.into_iter().flatten().flatten();
    pids.map(|pid| pid.parse().expect("a pid is a number")).collect()
}

/// Makes a role that may log in, unless another scenario on this cluster has.
pub fn make_role(admin: &mut Db, name: &str) {
    admin.exec(&format!(
        "DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    ));
}
