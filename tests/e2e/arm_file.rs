//! The arm file: without it a server starts nothing, so that a physical copy of one stays quiet (O-30, F-O14).

use crate::scene::{PROMPT, SOON, Scene};
use sluice_e2e::{Cluster, Db, assert_table_equals_source, wait_until};
use std::path::{Path, PathBuf};

/// The name of the file in a server's folder, which is beside its data directory.
fn file_of(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("armed")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("our own folder");
}

/// A scene whose server wants an arm file and has it, with a job that has run.
fn armed() -> (Cluster, Scene) {
    let mut cluster = Cluster::with(&[]);
    cluster.configure("sluice.arm_file", &file_of(&cluster).to_string_lossy());
    write(&file_of(&cluster), "");
    cluster.restart();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.sync();
    scene.api.clear_log();
    (cluster, scene)
}

/// Nothing runs on this server, it says why, and what asks for work is refused.
fn is_held_back(db: &mut Db, scene: &Scene, why: &str) {
    let status = "SELECT status || '|' || error_message || '|' || action FROM sluice.sync_status";
    assert_eq!(
        db.text(status),
        format!("not_armed|the arm file of this server {why}|you: the arm file")
    );
    assert!(db.is_true("SELECT NOT armed FROM sluice.sync_jobs"));
    for sql in [
        "SELECT sluice.start_sync('product')",
        "CALL sluice.sync('product')",
        "SELECT sluice.arm()",
    ] {
        let error = db.error(sql);
        assert_eq!(error.sqlstate, "SY009", "{sql}: {error}");
        assert_eq!(error.message, format!("the arm file of this server {why}"), "{sql}");
        assert!(error.hint.is_some(), "{error}");
    }
    assert_eq!(db.number("SELECT sluice.force_sync_all()"), 0);
    // Due at once, if it were for the schedule.
    db.exec("SELECT sluice.alter_job('product', schedule => '1 hour'); SELECT sluice.pause_job('product')");
    db.exec("SELECT sluice.resume_job('product')");
    assert!(!scene.api.wait_for_requests(1, PROMPT), "nothing is sent");
}

#[test]
fn a_promoted_copy_without_the_arm_file_does_nothing_until_it_is_given_one() {
    let (primary, mut scene) = armed();
    let standby = primary.standby();
    // A copy of the machine's disk would not have the file; this one is on the same machine, and looks for its own.
    standby.configure("sluice.arm_file", &file_of(&standby).to_string_lossy());
    let mut db = standby.db_as("postgres", &scene.database);
    db.exec("SELECT pg_reload_conf()");
    wait_until(&mut db, "the setting is read", SOON, |db| {
        db.is_true("SELECT current_setting('sluice.arm_file') LIKE '%/armed'")
    });
    scene.admin.exec("SELECT sluice.pause_job('product')");
    scene.admin.exec("SELECT sluice.resume_job('product')");
    primary.wait_for_standby(&mut db);
    db.exec("SELECT pg_promote()");
    is_held_back(&mut db, &scene, "is missing");
    assert!(
        standby
            .log()
            .contains("pg_sluice starts nothing: the arm file of this server is missing")
    );

    // Its original works on.
    scene.sync();
    scene.api.change(50.0, 3);
    scene.api.clear_log();
    write(&file_of(&standby), "");
    // The schedule was given while it was held back.
    wait_until(&mut db, "the copy works once it is armed", SOON, |db| {
        db.is_true("SELECT status = 'succeeded' AND source = 'schedule' FROM sluice.sync_runs ORDER BY id DESC LIMIT 1")
    });
    assert_table_equals_source(&mut db, "app.product", &scene.api);
}

#[test]
fn a_copy_on_the_same_machine_is_held_back_by_a_file_that_names_the_originals_directory() {
    let (primary, mut scene) = armed();
    write(
        &file_of(&primary),
        &format!("# the production server\n{}/\n", primary.data().display()),
    );
    let standby = primary.standby();
    let mut db = standby.db_as("postgres", &scene.database);
    assert!(db.is_true(&format!(
        "SELECT current_setting('sluice.arm_file') = '{}'",
        file_of(&primary).display()
    )));
    db.exec("SELECT pg_promote()");
    is_held_back(&mut db, &scene, "names other data directories");
    scene.sync();
}

#[test]
fn a_file_that_each_copy_would_have_arms_nothing_and_a_relative_one_cannot_be_named() {
    let (mut cluster, mut scene) = armed();
    let inside = cluster.data().join("armed");
    write(&inside, "");
    cluster.configure("sluice.arm_file", &inside.to_string_lossy());
    let database = scene.database.clone();
    cluster.restart();
    scene.admin = cluster.db_as("postgres", &database);
    let mut db = cluster.db_as("postgres", &database);
    is_held_back(&mut db, &scene, "lies in the data directory, so that each copy has it");
    let error = db.error("ALTER SYSTEM SET sluice.arm_file = 'armed'");
    assert_eq!(error.sqlstate, "22023", "{error}");
    // Without the setting no file is asked for.
    cluster.configure("sluice.arm_file", "");
    cluster.restart();
    cluster.db_as("postgres", &database).exec("CALL sluice.sync('product')");
}
