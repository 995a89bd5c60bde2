//! Databases and the extension can be dropped, renamed and copied while a run waits for the remote (F-O1 to F-O4).

use crate::scene::{A_WHILE, PROMPT, SOON, Scene, run_status, workers_of};
use sample_api::{Fault, Rule, SampleApi};
use sluice_e2e::{Cluster, Db, assert_table_equals_source, eventually, wait_until};
use std::time::Instant;

/// A run that hangs at its third page, in a database without any session of ours.
fn left_alone(cluster: &Cluster) -> (String, SampleApi) {
    let mut scene = Scene::on(cluster);
    scene.job();
    scene.hang_at_page_3();
    scene.api.clear_log();
    let Scene {
        api,
        admin,
        app,
        database,
    } = scene;
    drop((admin, app));
    let left = eventually(SOON, || {
        cluster.db().is_true(&format!(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend'"
        ))
    });
    assert!(left, "our own sessions are gone");
    (database, api)
}

/// Runs a statement that has to work at once and within a second.
fn promptly(db: &mut Db, sql: &str) {
    let since = Instant::now();
    db.exec(sql);
    assert!(since.elapsed() <= PROMPT, "{sql}: {:?}", since.elapsed());
}

/// The run goes on at its third page and the target is complete.
fn goes_on(cluster: &Cluster, database: &str, api: &SampleApi) {
    let mut db = cluster.db_as("postgres", database);
    wait_until(&mut db, "the run has gone on", SOON, |db| run_status(db) == "succeeded");
    assert_eq!(api.pages_asked()[0], 3);
    assert_table_equals_source(&mut db, "app.product", api);
}

#[test]
fn dropping_another_database_does_not_wait_for_a_run() {
    let cluster = Cluster::start();
    let (_database, _api) = left_alone(&cluster);
    let mut db = cluster.db();
    let worker = db.pids("sluice worker");
    db.exec("CREATE DATABASE other");
    promptly(&mut db, "DROP DATABASE other");
    assert_eq!(db.pids("sluice worker"), worker, "the run is not disturbed");
}

#[test]
fn the_database_of_a_run_is_dropped_at_the_first_try_with_and_without_force() {
    let cluster = Cluster::start();
    for force in ["", " WITH (FORCE)"] {
        let (database, api) = left_alone(&cluster);
        let mut db = cluster.db();
        promptly(&mut db, &format!("DROP DATABASE {database}{force}"));
        assert!(
            !api.wait_for_requests(1, A_WHILE),
            "nothing is asked for a database that is gone"
        );
        assert!(db.pids("sluice worker").is_empty());
    }
}

#[test]
fn a_database_is_renamed_at_the_first_try_and_its_run_goes_on() {
    let cluster = Cluster::start();
    let (database, api) = left_alone(&cluster);
    promptly(
        &mut cluster.db(),
        &format!("ALTER DATABASE {database} RENAME TO renamed"),
    );
    goes_on(&cluster, "renamed", &api);
}

#[test]
fn a_database_is_moved_to_another_tablespace_and_its_run_goes_on() {
    let cluster = Cluster::with(&[("allow_in_place_tablespaces", "on")]);
    let (database, api) = left_alone(&cluster);
    let mut db = cluster.db();
    db.exec("CREATE TABLESPACE elsewhere LOCATION ''");
    db.exec(&format!("ALTER DATABASE {database} SET TABLESPACE elsewhere"));
    goes_on(&cluster, &database, &api);
}

#[test]
fn a_database_with_a_run_serves_as_template_and_its_run_goes_on() {
    let cluster = Cluster::start();
    let (database, api) = left_alone(&cluster);
    cluster.db().exec(&format!("CREATE DATABASE copy TEMPLATE {database}"));
    goes_on(&cluster, &database, &api);
}

/// O-32.
#[test]
fn the_extension_is_dropped_in_mid_run_and_the_table_stays() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.hang_at_page_3();
    promptly(&mut scene.admin, "DROP EXTENSION pg_sluice CASCADE");
    assert!(workers_of(&mut scene.admin).is_empty());
    assert_eq!(scene.rows(), 20);
    scene.api.clear_log();
    assert!(!scene.api.wait_for_requests(1, A_WHILE), "nothing is asked any more");
    // The database may have it again, from nothing.
    scene.admin.exec("CREATE EXTENSION pg_sluice");
    assert_eq!(scene.admin.number("SELECT count(*) FROM sluice.sync_jobs"), 0);
}

#[test]
fn a_schema_that_is_dropped_in_mid_run_takes_the_extension_along() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.hang_at_page_3();
    let pid = scene.worker();
    let since = Instant::now();
    scene.admin.exec("DROP SCHEMA sluice CASCADE");
    assert!(since.elapsed() <= PROMPT, "{:?}", since.elapsed());
    assert!(eventually(SOON, || !workers_of(&mut scene.admin).contains(&pid)));
    assert_eq!(scene.rows(), 20);
}

#[test]
fn a_drop_of_the_extension_that_is_rolled_back_leaves_the_job_going_on() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.hang_at_page_3();
    scene.api.clear_log();
    scene.admin.exec("BEGIN");
    scene.admin.exec("DROP EXTENSION pg_sluice CASCADE");
    assert!(
        !scene.api.wait_for_requests(1, A_WHILE),
        "nothing runs while it is undecided"
    );
    scene.admin.exec("ROLLBACK");
    scene.wait_for_run("succeeded");
    assert_eq!(scene.api.pages_asked()[0], 3);
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}

/// Commands that PostgreSQL refuses for want of a right end nothing of ours: whoever may log in could stop every run else.
#[test]
fn a_command_that_is_refused_disturbs_no_run() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene
        .admin
        .exec("CREATE ROLE stranger LOGIN; CREATE ROLE maker LOGIN CREATEDB");
    scene.job();
    scene.hang_at_page_3();
    let pid = scene.worker();
    let database = scene.database.clone();
    let attempts = [
        ("stranger", "DROP EXTENSION pg_sluice CASCADE".to_string()),
        ("stranger", "DROP SCHEMA sluice CASCADE".to_string()),
        ("stranger", "ALTER EXTENSION pg_sluice UPDATE".to_string()),
        ("stranger", format!("DROP DATABASE {database}")),
        (
            "stranger",
            format!("ALTER DATABASE {database} SET TABLESPACE pg_default"),
        ),
        ("stranger", format!("CREATE DATABASE another TEMPLATE {database}")),
        ("maker", format!("ALTER DATABASE {database} RENAME TO another")),
        ("maker", format!("CREATE DATABASE another TEMPLATE {database}")),
    ];
    for (role, attempt) in attempts {
        let elsewhere = if attempt.contains("DATABASE") {
            "postgres"
        } else {
            &database
        };
        let error = cluster.db_as(role, elsewhere).error(&attempt);
        assert_eq!(error.sqlstate, "42501", "{attempt}: {error}");
        assert_eq!(workers_of(&mut scene.admin), [pid], "{attempt}");
    }
    assert_eq!(run_status(&mut scene.admin), "running");
}

/// What made room is no crash: however often that happens, the job stays enabled.
#[test]
fn a_drop_that_is_rolled_back_to_a_savepoint_lets_the_job_go_on_and_counts_as_no_crash() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.hang_at_page_3();
    for _ in 0..4 {
        scene.api.clear_faults();
        scene.api.misbehave(Rule::new(Fault::Hang).page(3));
        scene.api.clear_log();
        scene
            .admin
            .exec("BEGIN; SAVEPOINT before; DROP EXTENSION pg_sluice CASCADE; ROLLBACK TO before");
        // The session keeps its transaction open.
        assert!(scene.api.wait_for_requests(1, SOON), "the run goes on");
        scene.admin.exec("COMMIT");
    }
    // The last one hangs as well.
    scene.api.clear_faults();
    scene.admin.exec("BEGIN; DROP EXTENSION pg_sluice CASCADE; ROLLBACK");
    scene.admin_waits("a run has succeeded", |db| {
        db.is_true("SELECT EXISTS (SELECT FROM sluice.sync_runs WHERE status = 'succeeded')")
    });
    assert_eq!(scene.admin.number("SELECT crashes FROM sluice._job_state"), 0);
    assert!(scene.admin.is_true("SELECT enabled FROM sluice.sync_jobs"));
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}
