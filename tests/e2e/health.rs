//! Health from the age of the data and the ledger, figures for dashboards, and history that is forgotten in time.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};

/// A shop of three pages, loaded, with an hourly schedule and requests that are sent once only.
fn shop() -> Shop {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app.exec(
        "SELECT sluice.alter_job('products', schedule => '1 hour', settings => '{\"retry\": {\"request_attempts\": 1}}')",
    );
    shop
}

fn judged(shop: &mut Shop) -> String {
    shop.health("concat_ws(' | ', status, reason, action)")
}

/// Makes what is known of the job older, as time would.
fn ages(shop: &mut Shop, interval: &str) {
    shop.db.exec(&format!(
        "UPDATE sluice._job_state SET last_success_at = last_success_at - interval '{interval}'; \
         UPDATE sluice._total SET records_at = records_at - interval '{interval}', first_success_at = first_success_at - interval '{interval}'"
    ));
}

#[test]
fn a_job_that_never_ran_is_unknown_and_a_good_one_healthy() {
    let mut shop = Shop::with_job(300, PAGES);
    assert_eq!(judged(&mut shop), "unknown | no run has ended yet | wait");
    shop.sync();
    assert_eq!(judged(&mut shop), "healthy | the last run succeeded | nobody");
}

#[test]
fn one_recoverable_failure_with_fresh_data_stays_healthy_and_with_stale_data_is_degraded() {
    let mut shop = shop();
    shop.api.misbehave(Rule::new(Fault::status(503, &[])));
    shop.failing_sync();
    assert_eq!(
        judged(&mut shop),
        "healthy | the last run failed (server) and the data is fresh | wait"
    );
    ages(&mut shop, "4 hours");
    assert_eq!(
        judged(&mut shop),
        "degraded | nothing has arrived for more than three intervals: the last run failed (server) | wait"
    );
}

/// The pause between two runs is that of the cron expression, for health as for repair.
#[test]
fn a_job_that_is_due_once_a_week_is_not_stale_after_a_day() {
    let mut shop = shop();
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '30 3 * * 1')");
    let planned = "SELECT next_run_at FROM sluice.sync_status";
    let next = shop.db.value(planned);
    ages(&mut shop, "20 days");
    assert_eq!(judged(&mut shop), "healthy | the last run succeeded | nobody");
    shop.app.exec("SELECT sluice.repair_sync('products')");
    assert_eq!(shop.db.value(planned), next);
    ages(&mut shop, "2 days");
    assert!(judged(&mut shop).starts_with("degraded | "));
}

#[test]
fn data_that_grows_old_because_the_job_is_paused_is_degraded_and_says_so() {
    let mut shop = shop();
    shop.app.exec("SELECT sluice.pause_job('products', 'stocktaking')");
    assert_eq!(
        judged(&mut shop),
        "healthy | the last run succeeded | you: resume_job()"
    );
    ages(&mut shop, "4 hours");
    assert_eq!(
        judged(&mut shop),
        "degraded | nothing has arrived for more than three intervals: the job is paused (stocktaking) | you: resume_job()"
    );
}

#[test]
fn a_job_that_is_green_while_nothing_arrives_for_too_long_is_degraded_and_says_why() {
    let mut shop = shop();
    // Ten runs, and the last record came two days ago: each run since was a success without one.
    shop.db
        .exec("UPDATE sluice._total SET succeeded = 10, records_at = now() - interval '2 days'");
    let told = judged(&mut shop);
    assert!(
        told.starts_with("degraded | runs succeed and have brought no record since ")
            && told.ends_with("longer than ever before | you: look at the remote"),
        "{told}"
    );
    // It was as quiet before.
    shop.db
        .exec("UPDATE sluice._total SET longest_quiet = interval '1 day'");
    assert_eq!(shop.health("status"), "healthy");
    shop.db.exec(
        "UPDATE sluice._total SET longest_quiet = '0', records_at = NULL, first_success_at = now() - interval '2 days'",
    );
    assert!(
        judged(&mut shop).starts_with("degraded | runs succeed and have never brought a record"),
        "{}",
        judged(&mut shop)
    );
}

#[test]
fn refused_credentials_and_a_broken_definition_are_unhealthy_and_a_person_must_act() {
    let mut shop = shop();
    shop.api.misbehave(Rule::new(Fault::status(401, &[])));
    shop.failing_sync();
    assert_eq!(
        judged(&mut shop),
        "unhealthy | the last run failed (auth) | you: see sync_status.hint"
    );
    shop.api.clear_faults();
    shop.db.exec("DROP TABLE app.products");
    shop.failing_sync();
    assert_eq!(
        judged(&mut shop),
        "unhealthy | the last run failed (schema) | you: see sync_status.hint"
    );
}

#[test]
fn a_run_that_is_held_is_degraded_until_somebody_decides() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.api.remove(80.0, 1);
    shop.failing_sync();
    assert!(
        judged(&mut shop).starts_with("degraded | a run is held: "),
        "{}",
        judged(&mut shop)
    );
    assert!(
        judged(&mut shop).ends_with("| you: approve or discard"),
        "{}",
        judged(&mut shop)
    );
}

#[test]
fn others_report_their_health_beside_the_jobs() {
    let mut shop = shop();
    shop.db
        .exec("SELECT sluice.update_connection_health_status('nightly_import', 'healthy', 1200)");
    let row = |shop: &mut Shop| {
        shop.db.text(
            "SELECT concat_ws(' ', status, item_count, consecutive_failures, last_success_time IS NOT NULL, coalesce(error_message, '-'), source) \
             FROM sluice.get_connection_health('nightly_import')",
        )
    };
    assert_eq!(row(&mut shop), "healthy 1200 0 t - reported");
    shop.db.exec(
        "SELECT sluice.update_connection_health_status('nightly_import', 'unhealthy', NULL, 'the file is missing')",
    );
    shop.db.exec(
        "SELECT sluice.update_connection_health_status('nightly_import', 'unhealthy', NULL, 'the file is missing')",
    );
    assert_eq!(row(&mut shop), "unhealthy 1200 2 t the file is missing reported");
    shop.db
        .exec("SELECT sluice.update_connection_health_status('nightly_import', 'healthy')");
    assert_eq!(row(&mut shop), "healthy 1200 0 t - reported");
    let error = shop
        .db
        .error("SELECT sluice.update_connection_health_status('products', 'healthy')");
    assert_eq!(error.sqlstate, "42710", "{error}");
    let error = shop
        .app
        .error("SELECT sluice.update_connection_health_status('other', 'healthy')");
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert_eq!(shop.app.number("SELECT count(*) FROM sluice.sync_connection_health"), 1);
    assert!(
        shop.db
            .is_true("SELECT sluice.forget_connection_health_status('nightly_import')")
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_connection_health"), 1);
}

#[test]
fn the_figures_and_the_system_health_agree_with_the_views() {
    let mut shop = shop();
    let metric = |shop: &mut Shop, key: &str| shop.app.text(&format!("SELECT sluice.get_sync_metrics() ->> '{key}'"));
    let health = |shop: &mut Shop, path: &str| {
        shop.app
            .text(&format!("SELECT sluice.get_sync_system_health() #>> '{{{path}}}'"))
    };
    assert_eq!(metric(&mut shop, "sync_success_rate"), "100.00");
    assert_eq!(metric(&mut shop, "data_in_sync"), "true");
    assert_eq!(metric(&mut shop, "queue_length"), "0");
    assert_eq!(health(&mut shop, "overall"), "healthy");
    assert_eq!(health(&mut shop, "workers,limit"), "3");
    let same = "SELECT (sluice.get_sync_metrics() ->> 'last_sync_time')::timestamptz = (SELECT max(last_sync_time) FROM sluice.sync_metadata)
                AND (sluice.get_sync_metrics() ->> 'next_sync_time')::timestamptz = (SELECT min(next_run_at) FROM sluice.sync_status)
                AND (sluice.get_sync_metrics() ->> 'average_sync_time')::numeric > 0";
    assert!(shop.app.is_true(same));
    for key in ["pending_creates", "pending_updates", "pending_deletes", "failed_items"] {
        assert_eq!(metric(&mut shop, key), "0", "{key}");
    }
    shop.api.misbehave(Rule::new(Fault::status(503, &[])));
    shop.failing_sync();
    assert_eq!(metric(&mut shop, "queue_length"), "1");
    assert_eq!(metric(&mut shop, "sync_success_rate"), "50.00");
    assert_eq!(health(&mut shop, "overall"), "degraded");
    assert_eq!(health(&mut shop, "queue,pending"), "1");
    assert_eq!(health(&mut shop, "freshness,oldest_failure,data_type"), "products");
    let check = "SELECT c ->> 'status' FROM jsonb_array_elements(sluice.get_sync_system_health() -> 'checks') c WHERE c ->> 'name' = 'success rate'";
    assert_eq!(shop.app.text(check), "warning");
    shop.api.misbehave(Rule::new(Fault::status(401, &[])));
    shop.failing_sync();
    assert_eq!(health(&mut shop, "overall"), "unhealthy");
    assert_eq!(metric(&mut shop, "data_in_sync"), "false");
}

#[test]
fn counters_survive_the_pruning_of_runs_and_have_no_label_called_job() {
    let mut shop = shop();
    for _ in 0..3 {
        shop.sync();
    }
    let counter = |shop: &mut Shop, metric: &str, label: &str| {
        shop.db.text(&format!(
            "SELECT value FROM sluice.sync_metrics WHERE metric = '{metric}' AND data_type = 'products' AND label IS NOT DISTINCT FROM {label}"
        ))
    };
    assert_eq!(counter(&mut shop, "sluice_runs_total", "'succeeded'"), "4");
    assert_eq!(counter(&mut shop, "sluice_records_total", "NULL"), "1200");
    assert_eq!(counter(&mut shop, "sluice_rows_total", "'inserted'"), "300");
    assert_eq!(counter(&mut shop, "sluice_health", "'healthy'"), "1");
    shop.db
        .exec("DELETE FROM sluice._undo; UPDATE sluice._run SET finished_at = finished_at - interval '40 days'");
    shop.db.exec("SELECT sluice.cleanup()");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_runs"), 1);
    assert_eq!(counter(&mut shop, "sluice_runs_total", "'succeeded'"), "4");
    let columns =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'sluice.sync_metrics'::regclass AND attname = 'job'";
    assert_eq!(shop.db.number(columns), 0);
}

#[test]
fn history_is_forgotten_by_age_and_count_but_never_the_last_success_or_failure() {
    let mut shop = shop();
    shop.api.misbehave(Rule::new(Fault::status(401, &[])));
    for _ in 0..2 {
        shop.failing_sync();
    }
    shop.api.clear_faults();
    for _ in 0..12 {
        shop.sync();
    }
    let kept = |shop: &mut Shop| shop.runs().len();
    assert_eq!(kept(&mut shop), 15);
    shop.cluster.configure("sluice.keep_runs", "10");
    shop.db.exec("SELECT pg_reload_conf()");
    sluice_e2e::wait_until(&mut shop.db, "the setting holds", crate::shop::SOON, |db| {
        db.is_true("SELECT current_setting('sluice.keep_runs') = '10'")
    });
    shop.db.exec("DELETE FROM sluice._undo");
    assert_eq!(shop.db.number("SELECT sluice.cleanup()"), 4);
    // The ten newest, and the last failure.
    assert_eq!(kept(&mut shop), 11);
    assert!(shop.runs().contains(&"manual failed".to_string()));
    shop.db
        .exec("UPDATE sluice._run SET finished_at = finished_at - interval '31 days'");
    shop.db.exec("SELECT sluice.cleanup()");
    assert_eq!(shop.runs(), ["manual failed", "manual succeeded"]);
}

#[test]
fn old_failures_are_forgotten_however_many_there_are() {
    let mut shop = shop();
    shop.db.exec(
        "INSERT INTO sluice._failure (job_id, run_id, failed_at, error_class, sqlstate, error_message, default_class, basis, next_step)
         SELECT j.id, 1, now() - interval '1 year', 'server', '08006', 'x', 'server', 'x', 'stopped'
         FROM sluice._job AS j, generate_series(1, 20001)",
    );
    shop.cluster.configure("sluice.debug_clock_offset", "61 min");
    shop.db.exec("SELECT pg_reload_conf()");
    shop.sync();
    sluice_e2e::wait_until(&mut shop.db, "they are forgotten", crate::shop::SOON, |db| {
        db.number("SELECT count(*) FROM sluice._failure") == 0
    });
}
