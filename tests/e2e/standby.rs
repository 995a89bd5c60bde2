//! A streaming standby runs nothing, shows everything, and goes on with the work when it is promoted (F-D8, F-O12,
//! O-34).

use crate::scene::{A_WHILE, PRODUCT, SOON, Scene, create_job, run_status};
use sluice_e2e::{Cluster, assert_table_equals_source, wait_until};

#[test]
fn a_promoted_standby_goes_on_at_the_next_page_by_itself() {
    let mut primary = Cluster::start();
    let mut scene = Scene::on(&primary);
    scene.app.exec(&format!("CREATE TABLE loaded {PRODUCT}"));
    scene.app.exec(&create_job("loaded", "{}"));
    scene.app.exec("CALL sluice.sync('loaded')");
    scene.api.clear_log();
    scene.job();
    scene.hang_at_page_3();
    let standby = primary.standby();
    let mut db = standby.db_as("postgres", &scene.database);

    // Nothing runs there, everything can be read, nothing can be asked for.
    assert!(db.pids("sluice launcher").is_empty());
    let jobs = "SELECT string_agg(name, ',' ORDER BY name) FROM sluice.sync_jobs";
    assert_eq!(db.text(jobs), "loaded,product");
    for view in views(&mut db) {
        db.exec(&format!("SELECT * FROM sluice.{view}"));
    }
    db.exec("SELECT sluice.get_sync_status()");
    let preview = "SELECT deleted FROM sluice.preview_rollback('loaded') WHERE run_id IS NULL";
    assert_eq!(db.number(preview), scene.api.truth().len() as i64);
    let look = "SELECT bool_and(ok IS NOT false) FROM sluice.test_connection('shop', '/page/products', '{\"records\": \"$.data\"}')";
    assert!(db.is_true(look));
    let unknown = db.error("SELECT * FROM sluice.preview_rollback('load')");
    assert_eq!(unknown.sqlstate, "42704", "{unknown}");
    let writing = [
        "SELECT sluice.start_sync('product')",
        "CALL sluice.sync('product')",
        "SELECT sluice.stop_sync()",
        "SELECT sluice.pause_job('product')",
        "SELECT sluice.resume_job('product')",
        "SELECT sluice.drop_job('product')",
        "SELECT sluice.alter_job('product', path => '/other')",
        "SELECT sluice.create_job('other', 'shop', '/page/products')",
        "SELECT sluice.force_sync_all()",
        "SELECT sluice.discard(1)",
        "CALL sluice.approve(1)",
        "CALL sluice.rollback_to('product')",
        "SELECT sluice.arm()",
        "SELECT sluice.set_secret('token', 'value')",
        "SELECT sluice.drop_secret('token')",
        "SELECT sluice.grant_secret('token', 'app')",
        "SELECT sluice.create_connection('other', 'https://api.example.com')",
        "SELECT sluice.drop_connection('shop')",
    ];
    for sql in writing {
        let error = db.error(sql);
        assert_eq!(error.sqlstate, "25006", "{sql}: {error}");
    }

    // The primary dies, and the standby takes over.
    primary.wait_for_standby(&mut db);
    primary.crash();
    scene.api.clear_log();
    assert!(
        !scene.api.wait_for_requests(1, A_WHILE),
        "nobody asks before the promotion"
    );
    standby.db().exec("SELECT pg_promote()");
    wait_until(&mut db, "the run has gone on by itself", SOON, |db| {
        run_status(db) == "succeeded"
    });
    assert_eq!(scene.api.pages_asked()[..2], [3, 4]);
    assert_table_equals_source(&mut db, "app.product", &scene.api);
}

fn views(db: &mut sluice_e2e::Db) -> Vec<String> {
    let sql = "SELECT viewname FROM pg_views WHERE schemaname = 'sluice' AND viewname LIKE 'sync\\_%' ORDER BY 1";
    db.rows(sql).rows.into_iter().flatten().flatten().collect()
}
