//! Launcher, scheduler and workers: missing, too few, switched off, ended, and with definitions that cannot work
//! (F-P12, F-P13, F-P14, F-P17).

use crate::scene::{A_WHILE, SOON, Scene, create_job, make_role, run_status, workers_of};
use sluice_e2e::{Cluster, Db, assert_table_equals_source};

/// Makes further jobs like `product`, into tables like its own.
fn more_jobs(scene: &mut Scene, names: &[&str]) {
    for name in names {
        scene
            .app
            .exec(&format!("CREATE TABLE {name} (LIKE product INCLUDING ALL)"));
        scene.app.exec(&create_job(name, "{}"));
    }
}

fn status_of(db: &mut Db, job: &str) -> String {
    db.text(&format!(
        "SELECT status FROM sluice.sync_status WHERE data_type = '{job}'"
    ))
}

#[test]
fn a_server_without_preloading_says_which_line_to_add() {
    let cluster = Cluster::plain();
    let mut db = cluster.new_database();
    db.exec("CREATE EXTENSION pg_sluice");
    db.exec("CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com/v1')");
    for sql in [
        "SELECT sluice.create_job('product', 'shop', '/products')",
        "SELECT sluice.start_sync('product')",
        "CALL sluice.sync('product')",
        "SELECT sluice.stop_sync()",
        "SELECT sluice.force_sync_all()",
        "SELECT sluice.arm()",
        "SELECT sluice.pause_job('product')",
        "SELECT sluice.resume_job('product')",
        "SELECT sluice.alter_job('product', path => '/other')",
    ] {
        let error = db.error(sql);
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("55000", "pg_sluice is not loaded at server start"),
            "{sql}"
        );
        let hint = error.hint.unwrap_or_default();
        assert!(
            hint.contains("shared_preload_libraries = 'pg_sluice'") && hint.contains("restart"),
            "{sql}: {hint}"
        );
    }
    assert_eq!(db.number("SELECT count(*) FROM sluice.sync_status"), 0);
    assert!(db.is_true("SELECT NOT (sluice.get_sync_status() -> 'scheduler' -> 'is_running')::boolean"));
}

#[test]
fn a_server_that_lost_its_preloading_keeps_its_jobs_and_says_what_is_wrong() {
    let mut cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.sync();
    cluster.configure("shared_preload_libraries", "");
    cluster.restart();
    let mut db = cluster.db_as("app", &scene.database);
    assert_eq!(db.number("SELECT count(*) FROM sluice.sync_status"), 1);
    assert_eq!(db.error("SELECT sluice.start_sync('product')").sqlstate, "55000");
    cluster.configure("shared_preload_libraries", "pg_sluice");
    cluster.restart();
    cluster
        .db_as("app", &scene.database)
        .exec("CALL sluice.sync('product')");
}

#[test]
fn a_job_without_a_worker_slot_says_so_warns_once_and_runs_when_one_is_free() {
    // One process is the launcher, one the logical replication launcher, one the scheduler: none is left for a worker.
    let cluster = Cluster::with(&[("max_worker_processes", "3"), ("max_logical_replication_workers", "0")]);
    let mut scene = Scene::on(&cluster);
    scene.job();
    // Someone else's process takes the last slot for as long as we like.
    let mut other = Scene::on(&cluster);
    other.job();
    other.hang_at_page_3();
    scene.app.exec("SELECT sluice.start_sync('product')");
    scene.admin_waits("it waits for a worker", |db| {
        status_of(db, "product") == "waiting_for_worker"
    });
    assert_eq!(scene.app.text("SELECT action FROM sluice.sync_status"), "wait");
    assert!(scene.api.requests().is_empty());
    other.app.exec("SELECT sluice.stop_sync('product')");
    scene.wait_for_run("succeeded");
    let warnings = cluster.log().matches("no background worker slot is free").count();
    assert_eq!(warnings, 1, "{}", cluster.log());
}

#[test]
fn one_worker_serves_three_jobs_one_after_the_other() {
    let cluster = Cluster::with(&[("sluice.max_workers", "1")]);
    let mut scene = Scene::on(&cluster);
    scene.job();
    more_jobs(&mut scene, &["second", "third"]);
    assert_eq!(scene.app.number("SELECT sluice.force_sync_all()"), 3);
    scene.admin_waits("all three are done", |db| {
        assert!(workers_of(db).len() <= 1, "more than one worker");
        db.number("SELECT count(*) FROM sluice.sync_runs WHERE status = 'succeeded'") == 3
    });
    let overlaps = "SELECT count(*) FROM sluice.sync_runs a JOIN sluice.sync_runs b ON a.id < b.id \
                    AND (a.started_at, a.finished_at) OVERLAPS (b.started_at, b.finished_at)";
    assert_eq!(scene.admin.number(overlaps), 0);
    assert_eq!(scene.api.most_at_once(), 1);
    for table in ["app.product", "app.second", "app.third"] {
        assert_table_equals_source(&mut scene.app, table, &scene.api);
    }
}

#[test]
fn nothing_runs_while_it_is_switched_off_and_everything_after_it_is_on_again() {
    let cluster = Cluster::with(&[("sluice.enabled", "off")]);
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.app.exec("SELECT sluice.start_sync('product')");
    assert!(!scene.api.wait_for_requests(1, A_WHILE), "nothing is asked");
    scene.admin.exec("ALTER SYSTEM SET sluice.enabled = on");
    scene.admin.exec("SELECT pg_reload_conf()");
    scene.wait_for_run("succeeded");
}

#[test]
fn a_terminated_launcher_is_back_by_itself_and_runs_nothing_twice() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.api.hold_page(3);
    scene.app.exec("SELECT sluice.start_sync('product')");
    assert!(scene.api.wait_until_held(3, SOON));
    let (launcher, worker) = (scene.admin.pids("sluice launcher"), scene.worker());
    scene
        .admin
        .exec(&format!("SELECT pg_terminate_backend({})", launcher[0]));
    scene.admin_waits("another launcher is there", |db| {
        let now = db.pids("sluice launcher");
        now.len() == 1 && now != launcher
    });
    scene.app.exec("SELECT sluice.start_sync('product')");
    assert_eq!(scene.worker(), worker, "the run is not disturbed");
    scene.api.release();
    scene.wait_for_run("succeeded");
    assert_eq!(scene.admin.number("SELECT count(*) FROM sluice.sync_runs"), 1);
    assert_eq!(scene.api.pages_asked(), [1, 2, 3, 4, 5, 6, 7]);
    // It works as the one before it did.
    scene.sync();
}

#[test]
fn a_job_whose_owner_was_dropped_is_disabled_and_the_others_run() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    make_role(&mut scene.admin, "leaver");
    scene.admin.exec(
        "SELECT sluice.grant_access('leaver', 'writer'); GRANT app TO leaver; GRANT USAGE ON FOREIGN SERVER shop TO leaver",
    );
    scene.job();
    scene.app.exec("CREATE TABLE hourly (LIKE product INCLUDING ALL)");
    let hourly = create_job("hourly", "{}").replace("'manual'", "'1 hour'");
    cluster.db_as("leaver", &scene.database).exec(&hourly);
    scene.wait_for_run("succeeded");
    scene
        .admin
        .exec("SELECT sluice.revoke_access('leaver'); DROP OWNED BY leaver; DROP ROLE leaver");
    scene.admin.exec("UPDATE sluice._job_state SET next_run_at = now()");
    scene.sync();
    scene.admin_waits("the job without owner is disabled", |db| {
        status_of(db, "hourly") == "disabled"
    });
    assert_eq!(
        scene
            .admin
            .text("SELECT error_message FROM sluice.sync_status WHERE data_type = 'hourly'"),
        "the role that owns the job was dropped"
    );
}

#[test]
fn a_job_whose_connection_was_dropped_is_paused_with_its_name_and_the_others_run() {
    let mut scene = Scene::on(Cluster::shared());
    scene.job();
    scene.app.exec("CREATE TABLE elsewhere (LIKE product INCLUDING ALL)");
    let api = scene.api.url();
    scene.admin.exec(&format!(
        "SELECT sluice.create_connection('other', '{api}'); GRANT USAGE ON FOREIGN SERVER other TO app"
    ));
    scene
        .app
        .exec(&create_job("elsewhere", "{}").replace("'shop'", "'other'"));
    scene.admin.exec("DROP SERVER other CASCADE");
    let error = scene.app.error("CALL sluice.sync('elsewhere')");
    assert_eq!(error.sqlstate, "55000", "{error}");
    let detail = error.detail.clone().unwrap_or_default();
    assert!(detail.contains("connection \"other\" was dropped"), "{error}");
    let status = "SELECT concat_ws(' ', status, error_class) FROM sluice.sync_status WHERE data_type = 'elsewhere'";
    assert_eq!(scene.app.text(status), "paused config");
    scene.sync();
    assert_eq!(run_status(&mut scene.app), "succeeded");
}

#[test]
fn a_role_that_may_not_connect_stops_only_its_own_job() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    make_role(&mut scene.admin, "quiet");
    scene.admin.exec(&format!(
        "CREATE TABLE app.other (LIKE app.product INCLUDING ALL); ALTER TABLE app.other OWNER TO quiet; \
         GRANT USAGE ON SCHEMA app TO quiet; GRANT quiet TO app; \
         REVOKE CONNECT ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO app",
        scene.database
    ));
    scene.app.exec(&create_job("other", "{}"));
    let error = scene.app.error("CALL sluice.sync('other')");
    assert!(
        error
            .detail
            .as_deref()
            .is_some_and(|detail| detail.starts_with("no worker could be started")),
        "{error}"
    );
    scene.sync();
}

#[test]
fn errors_of_other_peoples_commands_pass_as_they_are() {
    let cluster = Cluster::start();
    let mut db = cluster.new_database();
    let error =
        db.error("DO $$ BEGIN RAISE 'theirs' USING ERRCODE = 'ZZ123', DETAIL = 'Facts.', HINT = 'Next.'; END $$");
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("ZZ123", "theirs"));
    assert_eq!(
        (error.detail.as_deref(), error.hint.as_deref()),
        (Some("Facts."), Some("Next."))
    );
    db.error("CREATE VIEW v AS SELECT no_such_column");
    assert!(
        cluster
            .log()
            .contains("\"no_such_column\" does not exist at character 25"),
        "{}",
        cluster.log()
    );
}

#[test]
fn a_database_that_the_setting_leaves_out_is_served_once_it_is_named() {
    let cluster = Cluster::with(&[("sluice.databases", "another")]);
    let mut scene = Scene::on(&cluster);
    scene.job();
    // The commit wakes the launcher.
    scene.app.exec("SELECT sluice.start_sync('product')");
    assert!(!scene.api.wait_for_requests(1, A_WHILE), "nothing runs here");
    assert!(
        scene
            .admin
            .is_true("SELECT NOT ok FROM sluice.self_test() WHERE check_name = 'enabled'")
    );
    cluster.configure("sluice.databases", &format!("another, {}", scene.database));
    scene.admin.exec("SELECT pg_reload_conf()");
    scene.wait_for_run("succeeded");
}
