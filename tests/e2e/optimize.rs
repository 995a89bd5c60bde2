//! `optimize_sync`: what runs teach about a job's settings.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{Db, wait_until};
use std::time::Duration;

fn told(db: &mut Db, call: &str) -> Vec<String> {
    let sql = format!("SELECT concat_ws(' | ', what, current, proposed, applied) FROM sluice.optimize_sync({call})");
    db.rows(&sql).rows.into_iter().flatten().flatten().collect()
}

/// Six runs; as if pages of 50 had taken twice the time per record, and the host had put up with three requests at a time.
fn shop() -> Shop {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    for _ in 0..5 {
        shop.sync();
    }
    // The last run's worker may be writing them down still.
    wait_until(&mut shop.db, "what the six runs took is written down", SOON, |db| {
        db.number("SELECT count(*) FROM sluice._run_pace") == 6
    });
    shop.db.exec(
        "UPDATE sluice._run_pace SET requests = 20, p95_ms = 100, concurrency = 3; \
         UPDATE sluice._run_pace SET page_size = 200 WHERE run_id IN (SELECT max(id) FROM sluice._run UNION SELECT max(id) - 1 FROM sluice._run)",
    );
    shop
}

#[test]
fn it_says_how_many_runs_it_lacks() {
    let mut shop = Shop::loaded(300, PAGES);
    assert_eq!(told(&mut shop.app, "'products'"), ["runs | 1 | f"]);
    assert_eq!(told(&mut shop.app, "'products', true"), ["runs | 1 | f"]);
}

#[test]
fn it_proposes_from_real_runs_and_applies_as_alter_job_does() {
    let mut shop = shop();
    let proposed = [
        "page_size | 100 | 200 | f",
        "concurrency | 8 | 3 | f",
        "schedule | 1 hour | 6 hours | f",
    ];
    assert_eq!(told(&mut shop.app, ""), proposed);
    let applied = [
        "page_size | 100 | 200 | t",
        "concurrency | 8 | 3 | t",
        "schedule | 1 hour | 6 hours | t",
    ];
    assert_eq!(told(&mut shop.app, "'products', apply => true"), applied);
    assert_eq!(shop.db.text(ASKED), "6 hours | 200 | 3");
    assert!(shop.db.is_true(
        "SELECT count(*) = 1 FROM sluice.sync_audit_log WHERE action = 'optimize_sync' AND object = 'products'"
    ));
    shop.sync();
    shop.assert_equal();
}

/// Nothing is made up here: three reads with pages of 50 and three with pages of 100, each answer a third of a second late.
#[test]
fn what_was_measured_of_two_sizes_says_that_the_larger_one_is_better() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.api
        .misbehave(Rule::new(Fault::DelayHeaders(Duration::from_millis(300))).path("/page/"));
    for size in [100, 50] {
        shop.app.exec(&format!(
            "SELECT sluice.alter_job('products', settings => '{{\"page_size\": {size}}}')"
        ));
        for _ in 0..3 {
            shop.sync();
        }
    }
    let measured = "SELECT string_agg(page_size::text, ' ' ORDER BY run_id) FROM sluice._run_pace WHERE p95_ms >= 250";
    let measured = shop.db.text(measured);
    assert!(measured.ends_with("100 100 100 50 50 50"), "{measured}");
    assert_eq!(told(&mut shop.app, "'products'")[0], "page_size | 50 | 100 | f");
}

const ASKED: &str =
    "SELECT concat_ws(' | ', schedule, settings ->> 'page_size', settings ->> 'concurrency') FROM sluice.sync_jobs";

/// A run is open, then a read that nobody works on: neither loses what it has, and the schedule changes all the same.
#[test]
fn what_a_read_is_asked_for_with_does_not_change_in_the_middle_of_it() {
    let mut shop = shop();
    shop.api.change(30.0, 3);
    let committed = shop.start_and_hold_at(3);
    let refused = [
        "page_size | 100 | 200 | f",
        "concurrency | 8 | 3 | f",
        "schedule | 1 hour | 6 hours | t",
    ];
    assert_eq!(told(&mut shop.app, "'products', true"), refused);
    assert_eq!(shop.db.text(ASKED), "6 hours | 100");
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.wait_until_tidied();

    let reason = "SELECT reason FROM sluice.optimize_sync('products', true) WHERE what = 'page_size'";
    let reason = shop.app.text(reason);
    assert!(
        reason.ends_with("; not changed while a read is under way or waits to be approved"),
        "{reason}"
    );
    assert_eq!(shop.db.text(ASKED), "6 hours | 100");
    shop.api.release();
    shop.api.clear_log();
    shop.sync();
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();

    assert_eq!(told(&mut shop.app, "'products', true")[0], "page_size | 100 | 200 | t");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_held_run_can_still_be_approved_after_it() {
    let mut shop = shop();
    shop.api.remove(80.0, 1);
    shop.failing_sync();
    assert_eq!(shop.run("status"), "held");
    assert_eq!(told(&mut shop.app, "'products', true")[0], "page_size | 100 | 200 | f");
    let run = shop.run("id");
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    shop.assert_equal();
}

/// No worker begins a read between the look at the job and the commit of its change.
#[test]
fn a_read_that_is_asked_for_while_it_is_applied_begins_with_what_was_applied() {
    let mut shop = shop();
    shop.api.clear_log();
    shop.app.exec("BEGIN");
    assert_eq!(told(&mut shop.app, "'products', true")[0], "page_size | 100 | 200 | t");
    shop.db.exec("SELECT sluice.start_sync('products')");
    wait_until(&mut shop.db, "a process has looked for it", SOON, |db| {
        !db.pids("sluice scheduler").is_empty() || !db.pids("sluice worker").is_empty()
    });
    shop.app.exec("COMMIT");
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    let requests = shop.api.requests();
    assert!(!requests.is_empty());
    assert!(
        requests.iter().all(|line| line.target.contains("per_page=200")),
        "{requests:?}"
    );
}

/// An operator may for every job, others for their own; without a name it is what the caller may.
#[test]
fn who_may_operate_a_job_may_apply() {
    let mut shop = shop();
    shop.db.exec(
        "CREATE ROLE ops LOGIN; SELECT sluice.grant_access('ops', 'operator'); \
         CREATE ROLE other LOGIN; SELECT sluice.grant_access('other', level) FROM unnest('{writer,monitor}'::text[]) AS level; \
         CREATE ROLE looker LOGIN; SELECT sluice.grant_access('looker', 'monitor')",
    );
    let mut other = shop.cluster.db_as("other", "postgres");
    for call in ["'products'", "'products', true"] {
        let error = other.error(&format!("SELECT * FROM sluice.optimize_sync({call})"));
        assert_eq!(error.sqlstate, "42501", "{error}");
    }
    assert!(told(&mut other, "").is_empty());
    assert!(told(&mut other, "NULL, true").is_empty());
    let error = shop
        .cluster
        .db_as("looker", "postgres")
        .error("SELECT * FROM sluice.optimize_sync()");
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert_eq!(shop.db.text(ASKED), "1 hour | 100");

    let mut ops = shop.cluster.db_as("ops", "postgres");
    assert!(told(&mut ops, "NULL, true").iter().all(|row| row.ends_with("| t")));
    assert_eq!(shop.db.text(ASKED), "6 hours | 200 | 3");
    let noted =
        "SELECT concat_ws(' ', session_role, action, object) FROM sluice.sync_audit_log WHERE action = 'optimize_sync'";
    assert_eq!(shop.db.text(noted), "ops optimize_sync products");
}

#[test]
fn a_page_size_with_bounds_is_never_set() {
    let mut shop = Shop::open(300);
    let settings = PAGES.replacen("\"page_size\": 100", r#""page_size": {"min": 50, "max": 100}"#, 1);
    shop.create_job("products", "/page/products", &settings);
    for _ in 0..5 {
        shop.sync();
    }
    // As if another size had been tried, too, and had been better.
    shop.db.exec(
        "UPDATE sluice._run_pace SET p95_ms = 100; \
         UPDATE sluice._run_pace SET page_size = 50, p95_ms = 10 WHERE run_id < (SELECT max(id) - 2 FROM sluice._run)",
    );
    assert_eq!(told(&mut shop.app, "'products', true")[0], "page_size | 50 to 100 | f");
    let bounds = "SELECT settings ->> 'page_size' FROM sluice.sync_jobs";
    assert_eq!(shop.db.text(bounds), r#"{"max": 100, "min": 50}"#);
}
