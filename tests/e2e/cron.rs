//! pg_cron, the real one, which processes retries where a DBA wants it to.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;
use std::time::Duration;

/// Two whole minutes of pg_cron and some.
const TWO_MINUTES: Duration = Duration::from_secs(150);

/// A shop with pg_cron beside pg_sluice and a job whose last run failed. Each retry is due after a minute.
fn shop() -> Shop {
    let mut shop = Shop::with(
        300,
        &[
            ("shared_preload_libraries", "pg_cron, pg_sluice"),
            ("cron.use_background_workers", "on"),
            ("cron.database_name", "postgres"),
            ("max_worker_processes", "20"),
        ],
    );
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.app.exec(
        "SELECT sluice.alter_job('products', settings => '{\"retry\": {\"request_attempts\": 1, \"delays\": [\"1 min\"]}}')",
    );
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
    shop.failing_sync();
    shop.db.exec("CREATE EXTENSION pg_cron");
    shop
}

/// Moves pg_sluice's clock, which pg_cron knows nothing of.
fn clock(shop: &mut Shop, seconds: u32) {
    shop.cluster
        .configure("sluice.debug_clock_offset", &format!("{seconds} s"));
    shop.db.exec("SELECT pg_reload_conf()");
}

fn wait_for_queue(shop: &mut Shop, column: &str, value: &str) {
    let sql = format!("SELECT {column} FROM sluice.sync_retry_queue ORDER BY id DESC LIMIT 1");
    wait_until(&mut shop.db, &format!("{column} is {value}"), TWO_MINUTES, |db| {
        db.value(&sql).as_deref() == Some(value)
    });
}

#[test]
fn pg_cron_processes_a_retry_that_fails_again_and_then_the_next_one() {
    let mut shop = shop();
    let made = shop
        .db
        .number("SELECT count(*) FROM sluice.install_cron_jobs() WHERE installed AND statement IS NULL");
    assert_eq!(made, 2);
    assert_eq!(
        shop.db.text(
            "SELECT string_agg(jobname || ': ' || schedule || ' ' || command, '; ' ORDER BY jobid) FROM cron.job"
        ),
        "process-sync-retries: */2 * * * * SELECT sluice.process_sync_retries(); \
         sluice-cleanup: 17 3 * * * SELECT sluice.cleanup()"
    );
    // Every minute, so that the test need not wait for every second one.
    shop.db.exec(
        "SELECT cron.alter_job(jobid, schedule => '* * * * *') FROM cron.job WHERE jobname = 'process-sync-retries'",
    );
    clock(&mut shop, 120);
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "pending 1");
    shop.api.clear_faults();
    // Half a minute late, and at most one and a half when pg_cron comes.
    clock(&mut shop, 210);
    wait_for_queue(&mut shop, "status || ' ' || retry_count", "completed 2");
    // The scheduler, which steps in for what is more than three minutes late, took none of them.
    assert_eq!(
        shop.db
            .text("SELECT string_agg(requested_by, ' ' ORDER BY id) FROM sluice.sync_runs WHERE source = 'retry'"),
        "postgres postgres"
    );
    let failed = "SELECT count(*) FROM cron.job_run_details WHERE status = 'failed'";
    assert_eq!(
        shop.db.number(failed),
        0,
        "{:?}",
        shop.db.value("SELECT return_message FROM cron.job_run_details")
    );
    shop.assert_equal();

    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM sluice.remove_cron_jobs() WHERE removed"),
        2
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM cron.job"), 0);
}

/// pg_cron knows a name once a role, whatever the database: one job would silently take the place of the other.
#[test]
fn the_jobs_of_another_database_are_left_alone() {
    let mut shop = shop();
    let names = ["process-sync-retries", "sluice-cleanup"];
    for name in names {
        shop.db.exec(&format!(
            "SELECT cron.schedule_in_database('{name}', '1 1 1 1 *', 'SELECT 1', 'template1')"
        ));
    }
    let here = "SELECT string_agg(jobname, ', ' ORDER BY jobid) FROM cron.job WHERE database = 'postgres'";
    for _ in 0..2 {
        shop.db.exec("SELECT sluice.install_cron_jobs()");
        let made = "process-sync-retries in postgres, sluice-cleanup in postgres";
        assert_eq!(shop.db.text(here), made);
    }
    assert!(shop.db.is_true("SELECT sluice._is_processed_by_cron()"));
    let removed = "SELECT count(*) FROM sluice.remove_cron_jobs() WHERE removed";
    assert_eq!(shop.db.number(removed), 2);
    assert_eq!(shop.db.number(removed), 0);
    let left = "SELECT string_agg(jobname, ', ' ORDER BY jobid) FROM cron.job WHERE database = 'template1' AND command = 'SELECT 1'";
    assert_eq!(shop.db.text(left), names.join(", "));
}

#[test]
fn an_operator_who_may_not_use_pg_cron_is_told_what_to_grant() {
    let mut shop = shop();
    shop.db
        .exec("CREATE ROLE keeper LOGIN; SELECT sluice.grant_access('keeper', 'operator')");
    let mut keeper = shop.cluster.db_as("keeper", "postgres");
    for call in ["install_cron_jobs", "remove_cron_jobs"] {
        let error = keeper.error(&format!("SELECT sluice.{call}()"));
        assert_eq!(
            error.hint.as_deref(),
            Some("As a superuser: GRANT USAGE ON SCHEMA cron TO keeper;"),
            "{call}"
        );
    }
    shop.db.exec("GRANT USAGE ON SCHEMA cron TO keeper");
    let made = "SELECT count(*) FROM sluice.install_cron_jobs() WHERE installed";
    assert_eq!(keeper.number(made), 2);
}

#[test]
fn the_scheduler_steps_in_for_a_retry_that_pg_cron_leaves_for_more_than_three_minutes() {
    let mut shop = shop();
    shop.db.exec("SELECT sluice.install_cron_jobs()");
    // A pg_cron whose job never comes.
    shop.db.exec(
        "SELECT cron.alter_job(jobid, schedule => '0 0 1 1 *') FROM cron.job WHERE jobname = 'process-sync-retries'",
    );
    shop.api.clear_faults();
    clock(&mut shop, 600);
    wait_for_queue(&mut shop, "status", "completed");
    assert_eq!(shop.run("source || ' ' || requested_by"), "retry scheduler");
}
