//! A PostgreSQL server with a connection to a peer, and the comparison of its table `app.items` with records.

use serde_json::Value;
use sluice_e2e::{Cluster, Db, connect_shop, differences, eventually};
use std::time::Duration;

/// How long anything may take on a loaded machine.
const SOON: Duration = Duration::from_secs(60);

pub struct Stage {
    cluster: Cluster,
    pub db: Db,
    pub app: Db,
}

impl Stage {
    /// The role `app` has the connection `shop` to this URL, and the table `items` with these columns.
    pub fn open(url: &str, columns: &str) -> Stage {
        Stage::with(url, columns, &[])
    }

    /// With further server settings.
    pub fn with(url: &str, columns: &str, settings: &[(&str, &str)]) -> Stage {
        let cluster = Cluster::with(settings);
        let (db, mut app) = connect_shop(&cluster, url);
        app.exec(&format!("CREATE TABLE items ({columns})"));
        Stage { cluster, db, app }
    }

    /// Gives the connection credentials; app owns it, because a server may name its owner's secrets.
    pub fn sign_in(&mut self, options: &str, secret: &str) {
        self.db.exec(&format!(
            "SELECT sluice.allow_origin(origin, 'app') FROM sluice.sync_connections WHERE name = 'shop';
             ALTER SERVER shop OPTIONS ({options}); ALTER SERVER shop OWNER TO app"
        ));
        self.app.exec(&format!("SELECT sluice.set_secret('token', '{secret}')"));
    }

    /// A manual job into `items`.
    pub fn job(&mut self, path: &str, mode: &str, settings: &Value) {
        self.app.exec(&format!(
            "SELECT sluice.create_job('items', 'shop', '{path}', target => 'app.items', mode => '{mode}',
                                      schedule => 'manual', settings => $set${settings}$set$)"
        ));
    }

    pub fn sync(&mut self) {
        self.app.exec("CALL sluice.sync('items')");
    }

    /// Reads until what is missing is confirmed: twice, where the pagination proves nothing by itself.
    pub fn sync_twice(&mut self) {
        self.sync();
        self.sync();
    }

    /// Waits until the server has noticed that one of its processes was killed and is up again; new sessions.
    pub fn recover(&mut self) {
        let gone = eventually(SOON, || {
            self.db.try_rows("SELECT 1").is_err() && self.app.try_rows("SELECT 1").is_err()
        });
        assert!(gone, "the server did not notice:\n{}", self.cluster.log_tail(20));
        self.cluster.wait_for_recovery();
        self.db = self.cluster.db();
        self.app = self.cluster.db_as("app", "postgres");
    }

    /// A column of the newest run.
    pub fn run(&mut self, column: &str) -> String {
        self.db.text(&format!(
            "SELECT {column} FROM sluice.sync_runs ORDER BY id DESC LIMIT 1"
        ))
    }

    /// Panics unless the table holds exactly these records, every column with the same value.
    pub fn assert_equal(&mut self, records: &[Value]) {
        assert!(!records.is_empty(), "an empty source would prove nothing");
        let records: Vec<String> = records.iter().map(Value::to_string).collect();
        let found = differences(&mut self.db, "app.items", &records);
        assert!(
            found.is_empty(),
            "app.items differs from the source:\n{}",
            found.join("\n")
        );
    }
}
