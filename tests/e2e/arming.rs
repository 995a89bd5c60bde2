//! A restored or copied database calls nobody until somebody arms it (O-30, F-O3, F-O13).

use crate::scene::{A_WHILE, SOON, Scene, create_job};
use sample_api::{Auth, SampleApi};
use sluice_e2e::{Cluster, Db, assert_table_equals_source, wait_until};

/// What must be found in no dump.
const TOKEN: &str = "canary-4f1c7a90";
/// The key of the test servers (see `Cluster`).
const KEY: &str = "0123456789abcdef";

/// Two jobs, one with a schedule, behind a bearer token; both have run.
fn shop(cluster: &Cluster) -> Scene {
    let mut scene = Scene::on(cluster);
    scene
        .api
        .set(|settings| settings.auth = Auth::Bearer(TOKEN.to_string()));
    scene.admin.exec(&format!(
        "SELECT sluice.set_secret('shop_token', '{TOKEN}', origin => '{}'); \
         ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'shop_token')",
        scene.api.url()
    ));
    scene.job();
    scene.app.exec("CREATE TABLE hourly (LIKE product INCLUDING ALL)");
    let hourly = create_job("hourly", "{}").replace("'manual'", "'1 hour'");
    scene.app.exec(&hourly);
    scene.sync();
    scene.admin_waits("both jobs have run", |db| {
        db.number("SELECT count(*) FROM sluice.sync_runs WHERE status = 'succeeded'") == 2
    });
    scene.api.clear_log();
    scene
}

/// Nothing runs in this database until it is armed; then both jobs do.
fn sleeps_until_armed(db: &mut Db, api: &SampleApi) {
    let status = db.rows("SELECT data_type, status, error_message, action FROM sluice.sync_status ORDER BY 1");
    for row in &status.rows {
        assert_eq!(row[1].as_deref(), Some("not_armed"), "{status}");
        assert_eq!(
            row[2].as_deref(),
            Some("this database was restored, copied or upgraded"),
            "{status}"
        );
        assert_eq!(row[3].as_deref(), Some("you: arm()"), "{status}");
    }
    assert_eq!(status.rows.len(), 2);
    assert_eq!(db.number("SELECT count(*) FROM sluice.sync_jobs WHERE armed"), 0);
    for sql in ["SELECT sluice.start_sync('hourly')", "CALL sluice.sync('product')"] {
        let error = db.error(sql);
        assert_eq!(
            (error.sqlstate.as_str(), error.message.starts_with("job \"")),
            ("SY009", true),
            "{error}"
        );
        assert!(error.message.ends_with("is not armed"), "{error}");
        assert!(
            error
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("SELECT sluice.arm()")),
            "{error}"
        );
    }
    assert_eq!(db.number("SELECT sluice.force_sync_all()"), 0);
    // This wakes the scheduler, which finds nothing to do.
    db.exec("SELECT sluice.resume_job('hourly')");
    assert!(!api.wait_for_requests(1, A_WHILE), "nothing is sent");

    assert_eq!(db.number("SELECT sluice.arm()"), 2);
    assert_eq!(db.number("SELECT sluice.arm()"), 0, "there is nothing left to arm");
    db.exec("CALL sluice.sync('product')");
    wait_until(db, "the job with a schedule runs by itself", SOON, |db| {
        db.is_true("SELECT bool_or(data_type = 'hourly' AND status = 'succeeded') FROM sluice.sync_runs WHERE created_at > (SELECT max(updated_at) - interval '1 minute' FROM sluice._job)")
            && db.is_true("SELECT bool_and(status = 'idle') FROM sluice.sync_status")
    });
    for table in ["app.product", "app.hourly"] {
        assert_table_equals_source(db, table, api);
    }
}

/// S-38: the key is in no dump.
#[test]
fn a_restored_database_sends_nothing_until_it_is_armed() {
    let cluster = Cluster::start();
    let mut scene = shop(&cluster);
    let dump = cluster.folder().join("dump");
    let dump = dump.to_str().expect("our own path");
    client(
        &cluster,
        "pg_dump",
        &["--format=plain", "--file", dump, &scene.database],
    );
    let text = std::fs::read_to_string(dump).expect("the dump is readable");
    assert!(
        !text.contains(TOKEN) && !text.contains(KEY),
        "no secret and no key in the dump"
    );
    let sealed = scene.admin.text("SELECT encode(sealed, 'hex') FROM sluice._secret");
    assert!(text.contains(&sealed), "the ciphertext is dumped");

    scene.admin.exec("CREATE DATABASE restored");
    client(
        &cluster,
        "psql",
        &[
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--dbname=restored",
            "--file",
            dump,
        ],
    );
    scene.admin.exec("SELECT sluice.pause_job('hourly')");
    scene.api.change(10.0, 3);
    let mut db = cluster.db_as("postgres", "restored");
    let servers = db.text("SELECT srvname FROM pg_foreign_server");
    assert_eq!(servers, "shop");
    sleeps_until_armed(&mut db, &scene.api);
}

#[test]
fn a_copied_database_sends_nothing_until_it_is_armed() {
    let cluster = Cluster::start();
    let Scene {
        api,
        admin,
        app,
        database,
    } = shop(&cluster);
    drop((admin, app));
    let mut db = cluster.db();
    wait_until(&mut db, "our sessions are gone", SOON, |db| {
        db.is_true(&format!(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '{database}'"
        ))
    });
    db.exec(&format!("CREATE DATABASE copied TEMPLATE {database}"));
    cluster
        .db_as("postgres", &database)
        .exec("SELECT sluice.pause_job('hourly')");
    api.change(10.0, 3);
    sleeps_until_armed(&mut cluster.db_as("postgres", "copied"), &api);
}

/// F-O16: nothing of ours runs while it upgrades, although the library is preloaded, and nothing after it until it is armed.
#[test]
fn an_upgraded_server_sends_nothing_until_it_is_armed() {
    let mut cluster = Cluster::start();
    let Scene {
        api,
        admin,
        app,
        database,
    } = shop(&cluster);
    drop((admin, app));
    let mut upgraded = cluster.upgraded().unwrap_or_else(|told| panic!("{told}"));
    assert!(api.requests().is_empty(), "nothing was sent meanwhile");
    upgraded.start_again();
    let mut db = upgraded.db_as("postgres", &database);
    assert!(
        db.is_true("SELECT count(*) > 0 FROM sluice.sync_runs"),
        "the history is there"
    );
    api.change(10.0, 3);
    sleeps_until_armed(&mut db, &api);
}

/// Runs a client program to its end; it may print nothing.
fn client(cluster: &Cluster, name: &str, arguments: &[&str]) {
    let output = cluster
        .client_program(name)
        .args(arguments)
        .output()
        .expect("the program is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{name} {arguments:?}: {said}"
    );
}
