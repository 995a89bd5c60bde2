//! Streaming standbys of a test server.

use crate::cluster::Cluster;
use crate::db::Db;
use crate::folder::new_folder;
use crate::installation::run;
use crate::wait::wait_until;
use std::time::Duration;

/// How long a standby may take to catch up on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

impl Cluster {
    /// A running hot standby that streams from this server and has replayed everything up to now.
    pub fn standby(&self) -> Cluster {
        let folder = new_folder();
        let mut backup = self.client_program("pg_basebackup");
        backup.args(["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"]);
        run(backup.arg("--pgdata").arg(folder.join("data")));
        let mut standby = Cluster::of_folder(folder);
        standby.start_again();
        self.wait_for_standby(&mut standby.db());
        standby
    }

    /// Waits until a standby has replayed what this server has written so far.
    pub fn wait_for_standby(&self, standby: &mut Db) {
        let written = self.db().text("SELECT pg_current_wal_insert_lsn()");
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        wait_until(standby, "the standby has caught up", LIMIT, |db| db.is_true(&replayed));
    }
}
