//! The audit log: every change of a definition and every operation, who, from where, what; rows that nobody changes (S-51).

use crate::shop::{PAGES, SOON, Shop};
use sample_api::Fault;
use sluice_e2e::wait_until;

/// What the log says since `from`, oldest first: role, action, kind of object, object.
fn log(shop: &mut Shop) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', acting_role, action, object_type, object) FROM sluice.sync_audit_log ORDER BY id";
    shop.db.rows(sql).rows.into_iter().flatten().flatten().collect()
}

/// What the operations of the test below come to.
const EXPECTED: [&str; 19] = [
    "app create secret token",
    "app create secret grant postgres",
    "app alter job products",
    "app alter job products",
    "app alter job products",
    "app create_snapshot job products",
    "app restore_snapshot job products",
    "app alter job products",
    "app drop snapshot first",
    "app alter job products",
    "app rollback_to job products",
    "app alter job products",
    "app drop secret token",
    "app drop secret grant postgres",
    "app drop job products",
    "postgres alter connection shop",
    "postgres alter connection store",
    "postgres drop connection store",
    "postgres revoke_access role app",
];

#[test]
fn definitions_and_operations_are_noted_with_who_and_what() {
    let mut shop = Shop::loaded(300, PAGES);
    let setup = log(&mut shop);
    assert!(
        setup.contains(&"postgres create connection shop".to_string()),
        "{setup:?}"
    );
    assert!(
        setup.contains(&"postgres grant_access role app".to_string()),
        "{setup:?}"
    );
    assert!(setup.contains(&"app create job products".to_string()), "{setup:?}");
    assert!(setup.contains(&"app start_sync job products".to_string()), "{setup:?}");
    let before = setup.len();
    for statement in [
        "SELECT sluice.set_secret('token', 'a-value-that-nobody-sees', origin => 'https://api.example.com')",
        "SELECT sluice.grant_secret('token', 'postgres')",
        "SELECT sluice.alter_job('products', schedule => '2 hours')",
        "SELECT sluice.pause_job('products', 'cleaning')",
        "SELECT sluice.resume_job('products')",
        "CALL sluice.create_snapshot('products', 'first')",
    ] {
        shop.app.exec(statement);
    }
    let snapshot = shop.db.number("SELECT max(id) FROM sluice.sync_snapshots");
    shop.app.exec(&format!("CALL sluice.restore_snapshot({snapshot})"));
    shop.app.exec(&format!("SELECT sluice.drop_snapshot({snapshot})"));
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.api.change(10.0, 1);
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("SELECT sluice.drop_secret('token')");
    shop.app.exec("SELECT sluice.drop_job('products')");
    shop.db.exec("ALTER SERVER shop OPTIONS (ADD max_concurrency '2')");
    shop.db.exec("ALTER SERVER shop RENAME TO store");
    shop.db.exec("DROP SERVER store CASCADE");
    shop.db.exec("SELECT sluice.revoke_access('app')");
    let noted = log(&mut shop)[before..].to_vec();
    let count = |line: &str| noted.iter().filter(|there| *there == line).count();
    let mut missing: Vec<&str> = EXPECTED.to_vec();
    missing.retain(|line| count(line) < EXPECTED.iter().filter(|other| *other == line).count());
    assert!(missing.is_empty(), "missing {missing:?} in {noted:#?}");
    // A change says what was and what is, and nothing else.
    let change = "SELECT concat_ws(' ', before ->> 'schedule', after ->> 'schedule', (SELECT count(*) FROM jsonb_object_keys(after))) \
                  FROM sluice.sync_audit_log WHERE action = 'alter' AND after ? 'schedule'";
    assert_eq!(shop.db.text(change), "manual 2 hours 2");
    let renamed = "SELECT concat_ws(' ', before ->> 'name', after ->> 'name') FROM sluice.sync_audit_log \
                   WHERE object = 'store' AND action = 'alter'";
    assert_eq!(shop.db.text(renamed), "shop store");
    // A log line stays where a transaction is rolled back.
    shop.db
        .exec("BEGIN; SELECT sluice.grant_access('app', 'writer'); ROLLBACK");
    assert!(
        shop.cluster
            .log()
            .contains("pg_sluice audit: grant_access: role \"app\""),
        "{}",
        shop.cluster.log_tail(20)
    );
    let noted = log(&mut shop);
    assert_eq!(
        noted.last().map(String::as_str),
        Some("postgres revoke_access role app")
    );
    let everything = shop
        .db
        .text("SELECT string_agg(a::text, ' ') FROM sluice.sync_audit_log a");
    assert!(!everything.contains("nobody-sees"), "{everything}");
}

#[test]
fn who_may_use_a_connection_is_noted_when_it_changes() {
    let mut shop = Shop::open(10);
    shop.db.exec(
        "CREATE ROLE reader; CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
         CREATE SERVER other FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url 'https://api.example.com')",
    );
    let before = log(&mut shop).len();
    shop.db.exec("GRANT USAGE ON FOREIGN SERVER shop TO reader");
    shop.db.exec("REVOKE USAGE ON FOREIGN SERVER shop FROM app");
    // What changes nothing, and what is no connection of ours.
    shop.db.exec("GRANT USAGE ON FOREIGN SERVER shop TO reader");
    shop.db.exec("GRANT USAGE ON FOREIGN SERVER files TO reader");
    shop.db.exec("GRANT SELECT ON ALL TABLES IN SCHEMA app TO reader");
    assert_eq!(
        log(&mut shop)[before..],
        ["postgres grant connection shop", "postgres revoke connection shop"]
    );
    let told =
        "SELECT string_agg(concat_ws(' ', before ->> 'granted_to', '->', after ->> 'granted_to'), ', ' ORDER BY id)
                FROM sluice.sync_audit_log WHERE action IN ('grant', 'revoke')";
    assert_eq!(
        shop.db.text(told),
        "[] -> [\"app\"], [\"app\"] -> [\"app\", \"reader\"], [\"app\", \"reader\"] -> [\"reader\"]"
    );
}

/// S-51: what concerns the whole database, and what stops a job although nobody did anything.
#[test]
fn what_is_done_to_the_whole_database_and_what_is_refused_is_noted() {
    let mut shop = Shop::loaded(100, PAGES);
    shop.db.exec("SELECT sluice.arm()");
    shop.db.exec("SELECT sluice.rotate_key()");
    shop.db.exec("SELECT sluice.forget_secrets()");
    shop.api.remove_ids(&(1..=90).collect::<Vec<_>>());
    shop.failing_sync();
    // Any request is one to this machine.
    shop.db.exec("ALTER SYSTEM SET sluice.allowed_networks = ''");
    shop.db.exec("SELECT pg_reload_conf()");
    wait_until(&mut shop.db, "the setting holds", SOON, |db| {
        db.text("SELECT current_setting('sluice.allowed_networks')").is_empty()
    });
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "SY007", "{error}");
    let noted = log(&mut shop);
    for line in [
        "postgres arm database postgres",
        "postgres rotate_key database postgres",
        "postgres forget_secrets database postgres",
        "app hold job products",
        "app refused_address job products",
    ] {
        assert!(noted.iter().any(|there| there == line), "{line}: {noted:#?}");
    }
}

#[test]
fn values_that_a_job_sends_are_not_told() {
    let mut shop = Shop::open(100);
    let settings = r#"{"records": "$.data", "params": {"region": "hush"}, "headers": {"X-Mode": "hush"}}"#;
    shop.create_job("products", "/page/products", settings);
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"params\": {\"region\": \"hush hush\"}}')");
    let told = shop
        .db
        .text("SELECT string_agg(concat(before, after), ' ') FROM sluice.sync_audit_log WHERE object = 'products'");
    assert!(
        told.contains("region") && told.contains("X-Mode") && !told.contains("hush"),
        "{told}"
    );
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM sluice.sync_audit_log WHERE object = 'products'"),
        2
    );
}

#[test]
fn nobody_changes_a_row_and_only_age_takes_one_away() {
    let mut shop = Shop::open(100);
    for statement in [
        "UPDATE sluice._audit SET object = 'x'",
        "DELETE FROM sluice._audit",
        "TRUNCATE sluice._audit",
    ] {
        let error = shop.db.error(statement);
        assert_eq!(error.sqlstate, "42501", "{error}");
        assert_eq!(error.message, "the audit log cannot be changed");
    }
    shop.db.exec("INSERT INTO sluice._audit (happened_at, action, object_type, object) VALUES (now() - interval '400 days', 'create', 'job', 'old')");
    let before = shop.db.number("SELECT count(*) FROM sluice._audit");
    assert_eq!(shop.db.number("SELECT sluice.cleanup()"), 1);
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._audit"), before - 1);
}

/// A year has days of 23 and of 25 hours: a row's age is what has passed, for those who forget it and for the table.
#[test]
fn rows_leave_by_the_time_that_has_passed_whatever_the_clocks_did_meanwhile() {
    let mut shop = Shop::loaded(100, PAGES);
    for days in [200, 100] {
        shop.cluster.configure("sluice.keep_audit", &format!("{days}d"));
        shop.db.exec("SELECT pg_reload_conf()");
        wait_until(&mut shop.db, "the setting holds", SOON, |db| {
            db.text("SHOW sluice.keep_audit") == format!("{days}d")
        });
        for zone in ["Europe/Berlin", "Australia/Sydney"] {
            shop.db.exec(&format!("SET timezone = '{zone}'"));
            shop.db.exec(&format!(
                "INSERT INTO sluice._audit (happened_at, action, object_type, object)
                 SELECT clock_timestamp() - make_interval(hours => 24 * {days}, mins => m), 'create', 'secret', '{zone} {days}'
                 FROM unnest('{{-30, 30}}'::integer[]) AS m"
            ));
            shop.db.exec("SELECT sluice.cleanup()");
            let left = format!("SELECT count(*) FROM sluice.sync_audit_log WHERE object = '{zone} {days}'");
            assert_eq!(shop.db.number(&left), 1, "{zone} {days}");
        }
    }
}

#[test]
fn what_became_of_a_dropped_job_is_not_told_to_whoever_takes_its_name() {
    let mut shop = Shop::loaded(100, PAGES);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '2 hours')");
    shop.app.exec("SELECT sluice.drop_job('products', drop_target => true)");
    shop.db.exec(
        "CREATE ROLE other LOGIN; SELECT sluice.grant_access('other', 'writer'); GRANT USAGE ON FOREIGN SERVER shop TO other;
         CREATE SCHEMA other AUTHORIZATION other",
    );
    let database = shop.db.text("SELECT current_database()");
    let mut other = shop.cluster.db_as("other", &database);
    other.exec(
        "CREATE TABLE other.products (id bigint PRIMARY KEY, name text);
         SELECT sluice.create_job('products', 'shop', '/page/products', 'other.products', schedule => 'manual')",
    );
    let seen = "SELECT string_agg(DISTINCT acting_role, ',') FROM sluice.sync_audit_log WHERE object_type = 'job'";
    assert_eq!(other.text(seen), "other");
    assert_eq!(shop.app.text(seen), "app", "its own history stays");
}

/// The operation is noted once, with who, as whom and from where, and with the latest run where it is about one.
fn noted(shop: &mut Shop, action: &str, of_a_run: bool) {
    let run = shop.run("id");
    let sql = format!(
        "SELECT string_agg(concat_ws(' ', session_role, acting_role, application_name, client_address, object_type, object, run_id), '; ')
         FROM sluice.sync_audit_log WHERE action = '{action}'"
    );
    let object = match of_a_run {
        true => format!("job products {run}"),
        false => "job products".into(),
    };
    assert_eq!(
        shop.db.text(&sql),
        format!("postgres app console 127.0.0.1 {object}"),
        "{action}"
    );
}

/// Over the network, as one who logged in and acts as another.
fn console(shop: &Shop, sql: &str) {
    let mut psql = shop.cluster.client_program("psql");
    psql.env("PGHOST", "127.0.0.1")
        .args(["-Xqd", "postgres", "-v", "ON_ERROR_STOP=1"]);
    let asked = psql.args(["-c", "SET application_name = 'console'; SET ROLE app", "-c", sql]);
    let asked = asked.output().expect("psql runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
}

fn wait_for_entry(shop: &mut Shop, status: &str) {
    wait_until(&mut shop.db, &format!("the retry is {status}"), SOON, |db| {
        db.is_true(&format!(
            "SELECT bool_or(status = '{status}') FROM sluice.sync_retry_queue"
        ))
    });
}

/// S-51: what people decide and ask for, once each, with who, as whom, from where, and the run that it was about.
#[test]
fn what_people_decide_and_ask_for_is_noted_with_who_and_from_where() {
    let settings = PAGES.replacen(
        '{',
        r#"{"retry": {"request_attempts": 1, "attempts": 1}, "max_shrink": 0.2, "#,
        1,
    );
    let mut shop = Shop::loaded(300, &settings);

    // A run that is stopped.
    shop.start_and_hold_at(2);
    console(&shop, "SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    noted(&mut shop, "stop_sync", true);
    shop.api.release();
    shop.sync();

    // Two runs that are held.
    shop.api.remove_ids(&(1..=100).collect::<Vec<u64>>());
    shop.failing_sync();
    let run = shop.run("id");
    console(&shop, &format!("SELECT sluice.discard({run})"));
    noted(&mut shop, "discard", true);
    shop.failing_sync();
    let run = shop.run("id");
    console(&shop, &format!("CALL sluice.approve({run})"));
    noted(&mut shop, "approve", true);

    // A retry that waits, is hastened, is dead, is put back, and is dropped.
    shop.api.misbehave(Fault::status(503, &[]));
    shop.failing_sync();
    wait_for_entry(&mut shop, "pending");
    console(&shop, "SELECT sluice.retry_now('products')");
    wait_for_entry(&mut shop, "dead");
    noted(&mut shop, "retry_now", false);
    console(&shop, "SELECT sluice.redrive('products')");
    noted(&mut shop, "redrive", false);
    wait_until(&mut shop.db, "the second retry has failed", SOON, |db| {
        db.is_true(
            "SELECT count(*) = 2 AND bool_and(status = 'retryable') FROM sluice.sync_runs WHERE source = 'retry'",
        )
    });
    wait_for_entry(&mut shop, "dead");
    shop.failing_sync();
    wait_for_entry(&mut shop, "pending");
    console(&shop, "SELECT sluice.clear_queue('products')");
    noted(&mut shop, "clear_queue", false);
    // Nothing is noted where nothing was done.
    console(&shop, "SELECT sluice.clear_queue('products')");
    noted(&mut shop, "clear_queue", false);

    // Arming is about the database, and about each job that it arms, before and after.
    shop.db.exec("UPDATE sluice._job SET armed_system = 0");
    shop.db.exec("SET application_name = 'console'; SELECT sluice.arm()");
    let armed = "SELECT string_agg(concat_ws(' ', session_role, action, object_type, object, before ->> 'armed_system'), '; ' ORDER BY id)
                 FROM sluice.sync_audit_log WHERE application_name = 'console' AND session_role = acting_role";
    assert_eq!(
        shop.db.text(armed),
        "postgres alter job products 0; postgres arm database postgres"
    );
}
