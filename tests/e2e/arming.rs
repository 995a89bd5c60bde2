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

/// Alice, Bob and Carol, each with a job, a secret and an origin; their database is restored after their oids have gone round.
fn gone_round(cluster: &Cluster) {
    let mut scene = Scene::on(cluster);
    let origin = "https://api.example.com";
    for role in ["alice", "bob", "carol"] {
        scene.admin.exec(&format!(
            "CREATE ROLE {role} LOGIN; SELECT sluice.grant_access('{role}', 'writer'); SELECT sluice.allow_origin('{origin}', '{role}');
             GRANT USAGE ON FOREIGN SERVER shop TO {role}; CREATE SCHEMA {role} AUTHORIZATION {role}"
        ));
        cluster.db_as(role, &scene.database).exec(&format!(
            "SELECT sluice.set_secret('token', 'of {role}', origin => '{origin}');
             CREATE TABLE {role}.things (id bigint PRIMARY KEY, name text);
             SELECT sluice.create_job('{role}s', 'shop', '/page/products', '{role}.things', schedule => 'manual')"
        ));
    }
    cluster.db_as("alice", &scene.database).exec(
        "BEGIN; SELECT sluice.grant_secret('token', 'carol'); SELECT sluice.pause_job('alices');
         SELECT sluice.ingest('alices', '{\"id\": 1}'); COMMIT",
    );
    scene
        .admin
        .exec("SELECT sluice.set_error_rule('a rule', '{\"status\": 500}', 'fail', connection => 'shop')");
    let dump = cluster.folder().join("dump");
    let dump = dump.to_str().expect("our own path");
    let save = ["--format=plain", "--file", dump, &scene.database];
    client(cluster, "pg_dump", &save);
    scene.admin.exec("CREATE DATABASE restored");
    scene.admin.exec(
        "ALTER ROLE alice RENAME TO former; ALTER ROLE bob RENAME TO alice; ALTER ROLE carol RENAME TO bob; ALTER ROLE former RENAME TO carol",
    );
    let restore = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname=restored"];
    client(cluster, "psql", &[&restore[..], &["--file", dump]].concat());
}

/// Oids mean something else after a restore: until it is armed a row is the role's of its name.
#[test]
fn a_restored_database_gives_rows_to_the_roles_of_their_names_and_never_to_those_of_their_oids() {
    let cluster = Cluster::start();
    gone_round(&cluster);
    // Carol has the oid that alice had, and is not the owner of anything of hers.
    let payloads = "SELECT count(payload) FROM sluice.sync_ingest";
    let jobs = "SELECT string_agg(name || ' ' || owner, ',') FROM sluice.sync_jobs";
    let mut carol = cluster.db_as("carol", "restored");
    assert_eq!(carol.number(payloads), 0);
    assert_eq!(carol.error("SELECT sluice.drop_job('alices')").sqlstate, "42704");
    assert_eq!(carol.text(jobs), "carols carol");
    let mut alice = cluster.db_as("alice", "restored");
    assert_eq!(alice.number(payloads), 1);
    let error = alice.error("SELECT sluice.drop_job('alices', drop_target => true)");
    assert_eq!(error.sqlstate, "SY009");
    alice.exec("SELECT sluice.set_secret('token', 'newer')");
    let secrets = "SELECT string_agg(owner || ' ' || version, ',') FROM sluice.sync_secrets";
    assert_eq!(alice.text(secrets), "alice 2");

    // Armed, a job stays its owner's under whatever name.
    let mut db = cluster.db_as("postgres", "restored");
    assert_eq!(db.number("SELECT sluice.arm()"), 3);
    db.exec("ALTER ROLE alice RENAME TO alicia");
    let mut alicia = cluster.db_as("alicia", "restored");
    assert_eq!(alicia.text(jobs), "alices alicia");
    alicia.exec("SELECT sluice.drop_job('alices', drop_target => true)");
}

/// Names stand for what they stood for, in whatever order the oids have changed; what is not here is left alone.
#[test]
fn arming_finds_every_object_by_its_name_and_leaves_jobs_alone_of_which_one_is_missing() {
    let cluster = Cluster::start();
    gone_round(&cluster);
    let mut db = cluster.db_as("postgres", "restored");
    db.exec("ALTER TABLE bob.things RENAME TO others");
    db.take_notices();
    assert_eq!(db.number("SELECT sluice.arm()"), 2);
    let notices = db.take_notices().join("\n");
    assert!(
        notices.contains("job \"bobs\" was not armed: table bob.things is not here"),
        "{notices}"
    );
    let unarmed = "SELECT string_agg(name, ',') FROM sluice.sync_jobs WHERE NOT armed";
    assert_eq!(db.text(unarmed), "bobs");
    db.exec("ALTER TABLE bob.others RENAME TO things");
    assert_eq!(db.number("SELECT sluice.arm()"), 1);
    for (table, role, name, rows) in [
        ("_job", "owner_oid", "owner_name", 3),
        ("_secret", "owner_oid", "owner_name", 3),
        ("_secret_grant", "role_oid", "role_name", 1),
        ("_allowed_origin", "role_oid", "role_name", 3),
    ] {
        let right =
            format!("SELECT count(*) FROM sluice.{table} WHERE {role}::regrole::text = {name} AND {name} <> 'former'");
        assert_eq!(db.number(&right), rows, "{table}");
    }
    assert_eq!(
        db.number("SELECT count(*) FROM sluice.sync_allowed_origins WHERE valid"),
        3
    );
    let rules = "SELECT count(*) FROM sluice._error_rule AS r JOIN pg_foreign_server AS s ON s.oid = r.server_oid WHERE s.srvname = 'shop'";
    assert_eq!(db.number(rules), 1);
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
