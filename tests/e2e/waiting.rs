//! While the remote is waited for, no transaction is open, no snapshot is held, and no table or row is locked (P2).

use crate::scene::Scene;
use sluice_e2e::{Cluster, Db};

const WORKER: &str =
    "FROM pg_stat_activity AS a WHERE a.backend_type = 'sluice worker' AND a.datname = current_database()";

/// Whether the worker holds nothing that others could wait for, but its job's own lock.
fn holds_nothing(db: &mut Db) {
    let activity = db.rows(&format!("SELECT xact_start, backend_xid, backend_xmin {WORKER}"));
    assert_eq!(activity.rows, [[None, None, None]], "{activity}");
    let locks = db.rows(&format!(
        "SELECT locktype, mode, classid::regclass FROM pg_locks WHERE pid IN (SELECT pid {WORKER}) AND locktype <> 'virtualxid'"
    ));
    let job = ["object", "ExclusiveLock", "sluice._job"].map(|text| Some(text.to_string()));
    assert_eq!(locks.rows, [job], "{locks}");
}

#[test]
fn a_run_that_waits_for_the_remote_holds_no_transaction_no_snapshot_and_no_lock() {
    let mut scene = Scene::on(Cluster::shared());
    scene.job();
    scene.hang_at_page_3();
    holds_nothing(&mut scene.admin);
    // What the longest transaction would stand in the way of.
    for sql in [
        "ALTER TABLE app.product ADD COLUMN note text",
        "VACUUM FULL app.product",
        "TRUNCATE app.product",
    ] {
        scene.admin.exec(sql);
    }
    scene.app.exec("SELECT sluice.stop_sync('product')");
}

#[test]
fn a_refresh_that_waits_for_the_remote_holds_no_transaction_no_snapshot_and_no_lock() {
    let mut scene = Scene::on(Cluster::shared());
    scene.job();
    scene.sync();
    scene.api.clear_log();
    scene.hang_at_page_3();
    holds_nothing(&mut scene.admin);
    scene.app.exec("SELECT sluice.stop_sync('product')");
}

#[test]
fn a_call_that_waits_for_a_run_uses_no_transaction_ids() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.api.hold_page(3);
    let call = cluster
        .db_as("app", &scene.database)
        .call("CALL sluice.sync('product')");
    scene.wait_for_pages(2);
    let before = scene.admin.number(NEXT_XID);
    let looked = scene.admin.number(LOOKS);
    scene.admin_waits("the call has looked ten times", |db| db.number(LOOKS) > looked + 10);
    scene
        .admin
        .exec("SELECT sluice.get_sync_status(); SELECT * FROM sluice.sync_status");
    let used = scene.admin.number(NEXT_XID) - before;
    assert_eq!(used, 0, "transaction ids used while waiting");
    scene.api.release();
    call.finish().0.expect("the run succeeds");
}

/// The next transaction id that will be given out.
const NEXT_XID: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";
/// The number of the waiting call's transaction: each look is one.
const LOOKS: &str = "SELECT split_part(l.virtualxid, '/', 2) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) \
     WHERE l.locktype = 'virtualxid' AND a.query LIKE 'CALL sluice.sync%'";

#[test]
fn a_call_that_waits_for_a_run_holds_no_snapshot() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.api.hold_page(3);
    let call = cluster
        .db_as("app", &scene.database)
        .call("CALL sluice.sync('product')");
    scene.wait_for_pages(2);
    // Each look of the call has a snapshot, for as long as it takes.
    scene.admin_waits("no snapshot is held", |db| {
        db.is_true("SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE query LIKE 'CALL sluice.sync%' AND pid <> pg_backend_pid()")
    });
    scene.api.release();
    call.finish().0.expect("the run succeeds");
}
