//! The harness on a plain server: what it promises to the scenarios holds before any extension exists.

use sample_api::{Options, SampleApi};
use sluice_e2e::{Cluster, Stop, assert_table_equals_source, differences, eventually, kill9, wait_until};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_client_gets_rows_notices_and_whole_errors() {
    let cluster = Cluster::plain();
    let mut db = cluster.db();
    let rows = db.rows("SELECT 1 AS one, NULL AS nothing");
    assert_eq!(rows.columns, ["one", "nothing"]);
    assert_eq!(rows.rows, [[Some("1".to_string()), None]]);

    db.exec("DO $$ BEGIN RAISE NOTICE 'look'; END $$");
    assert_eq!(db.take_notices(), ["look"]);

    let error = db.error("DO $$ BEGIN RAISE 'bad' USING ERRCODE = '22023', DETAIL = 'Facts.', HINT = 'Next.'; END $$");
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("22023", "bad"));
    assert_eq!(
        (error.detail.as_deref(), error.hint.as_deref()),
        (Some("Facts."), Some("Next."))
    );
}

#[test]
fn a_stopped_server_starts_again_with_its_data() {
    let mut cluster = Cluster::plain();
    cluster.db().exec("CREATE TABLE kept AS SELECT 7 AS n");
    for how in [Stop::Fast, Stop::Immediate, Stop::Smart] {
        cluster.stop(how);
        cluster.start_again();
    }
    assert_eq!(cluster.db().number("SELECT n FROM kept"), 7);
}

#[test]
fn a_killed_postmaster_leaves_no_process_and_recovers() {
    let mut cluster = Cluster::plain();
    cluster
        .db()
        .exec("CREATE TABLE kept AS SELECT 7 AS n; CHECKPOINT; INSERT INTO kept VALUES (8)");
    cluster.crash();
    cluster.start_again();
    assert_eq!(cluster.db().number("SELECT sum(n) FROM kept"), 15);
    assert!(
        cluster.log().contains("was not properly shut down"),
        "{}",
        cluster.log()
    );
}

#[test]
fn a_killed_backend_restarts_the_server() {
    let cluster = Cluster::plain();
    let mut victim = cluster.db();
    // A session of its own: it ends only when the postmaster has noticed, and takes no new sessions until it is up again.
    let mut witness = cluster.db();
    let pid = victim.number("SELECT pg_backend_pid()");
    kill9(u32::try_from(pid).expect("a pid is positive"));
    assert!(eventually(SOON, || witness.try_rows("SELECT 1").is_err()));
    cluster.wait_for_recovery();
    assert_eq!(cluster.db().number("SELECT 1"), 1);
}

#[test]
fn each_new_database_is_another_one() {
    let cluster = Cluster::plain();
    cluster.new_database().exec("CREATE TABLE mine (n int)");
    let missing = cluster.new_database().error("SELECT * FROM mine");
    assert_eq!(missing.sqlstate, "42P01");
}

#[test]
fn processes_are_found_by_their_backend_type() {
    let cluster = Cluster::plain();
    let mut db = cluster.db();
    assert_eq!(db.pids("checkpointer").len(), 1);
    assert!(db.pids("sluice worker").is_empty());
}

#[test]
fn a_call_can_be_awaited_and_cancelled() {
    let cluster = Cluster::plain();
    let call = cluster.db().call("SELECT pg_sleep(600)");
    let mut db = cluster.db();
    wait_until(&mut db, "the call runs", SOON, |db| {
        db.number("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1
    });
    assert!(!call.is_over());
    call.cancel();
    let (answer, mut session) = call.finish();
    assert_eq!(answer.expect_err("it was cancelled").sqlstate, "57014");
    assert_eq!(session.number("SELECT 1"), 1);
}

#[test]
fn a_wait_in_vain_tells_what_the_server_was_doing() {
    let cluster = Cluster::plain();
    let mut db = cluster.db();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_until(&mut db, "never", Duration::ZERO, |_| false);
    }));
    let text = *panic
        .expect_err("it never holds")
        .downcast::<String>()
        .expect("a message");
    assert!(
        text.contains("never") && text.contains("checkpointer") && text.contains("ready to accept"),
        "{text}"
    );
}

#[test]
fn a_table_is_compared_with_the_source_row_by_row() {
    let cluster = Cluster::plain();
    let mut db = cluster.db();
    let api = SampleApi::start(Options {
        products: 50,
        ..Options::default()
    });
    db.exec("CREATE TABLE product (id bigint PRIMARY KEY, name text, price numeric, updated_at timestamptz)");
    let records: Vec<String> = api.truth().into_values().collect();
    let json = records.join(",").replace('\'', "''");
    db.exec(&format!(
        "INSERT INTO product SELECT * FROM json_populate_recordset(NULL::product, '[{json}]')"
    ));
    assert_table_equals_source(&mut db, "product", &api);

    db.exec("UPDATE product SET name = 'wrong' WHERE id = 3; DELETE FROM product WHERE id = 4");
    let found = differences(&mut db, "product", &records);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].starts_with("49 rows, expected 50") && found[1].contains("(3,wrong,"),
        "{found:#?}"
    );
}
