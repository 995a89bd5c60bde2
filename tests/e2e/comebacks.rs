//! What comes back: a remote that refuses until somebody mends it, and a connection that is let go on.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;

fn next_run(shop: &mut Shop, between: &str) -> bool {
    shop.db.is_true(&format!(
        "SELECT bool_and(next_run_at - now() - current_setting('sluice.debug_clock_offset')::interval BETWEEN {between})
         FROM sluice.sync_jobs"
    ))
}

/// What a person must mend is not queued. It is asked for on a slow schedule, by one request a job, however wide the job
/// reads and however often it tries, until it is mended; then the schedule is the job's own again.
#[test]
fn jobs_that_a_person_must_mend_ask_once_every_six_hours_until_it_is_mended() {
    for (status, class) in [(401, "auth"), (404, "config")] {
        let mut shop = Shop::loaded(500, PAGES);
        shop.create_job("others", "/page/products", PAGES);
        shop.app.exec("CALL sluice.sync('others')");
        shop.app
            .exec("SELECT sluice.alter_job(name, schedule => '20 minutes') FROM sluice.sync_jobs");
        shop.api.misbehave(Rule::new(Fault::status(status, &[])));
        let mut clock = 0;
        for round in 1..=2 {
            shop.api.clear_log();
            clock += 30 + (round - 1) * 360;
            shop.move_clock(clock);
            let failed = format!(
                "SELECT count(*) = {} FROM sluice.sync_runs WHERE status = 'failed' AND error_class = '{class}'",
                2 * round
            );
            wait_until(&mut shop.db, "both have failed", SOON, |db| db.is_true(&failed));
            wait_until(&mut shop.db, "both are planned", SOON, |db| {
                db.number("SELECT count(next_run_at) FROM sluice.sync_jobs") == 2
            });
            assert_eq!(shop.api.requests().len(), 2, "{:?}", shop.api.requests());
            assert!(next_run(&mut shop, "'5 hours 55 min' AND '6 hours 5 min'"));
        }
        assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 0);
        shop.api.clear_faults();
        shop.move_clock(clock + 390);
        shop.wait_for_successes(4);
        assert!(next_run(&mut shop, "'15 min' AND '25 min'"));
    }
}

/// Whoever resumes a connection says that its remote is well: what waits there is due at once, and nothing of another one.
#[test]
fn a_connection_that_is_resumed_has_its_waiting_retries_run_and_its_late_jobs_start_at_once() {
    let mut shop = Shop::open(300);
    let url = shop.api.url();
    shop.db.exec(&format!(
        "CREATE SERVER away FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{url}'); GRANT USAGE ON FOREIGN SERVER away TO app"
    ));
    let settings = PAGES.replacen('{', r#"{"retry": {"request_attempts": 1}, "#, 1);
    for (name, connection) in [("products", "shop"), ("late", "shop"), ("elsewhere", "away")] {
        shop.app.exec(&format!(
            "SELECT sluice.create_job('{name}', '{connection}', '/page/products', key => '{{id}}', schedule => 'manual', settings => '{settings}')"
        ));
        shop.app.exec(&format!("CALL sluice.sync('{name}')"));
        shop.app
            .exec(&format!("SELECT sluice.alter_job('{name}', schedule => '1 hour')"));
    }
    shop.api.misbehave(Rule::new(Fault::status(503, &[])));
    for name in ["products", "elsewhere"] {
        shop.app.error(&format!("CALL sluice.sync('{name}')"));
    }
    let waiting = "SELECT string_agg(data_type, ' ' ORDER BY data_type) FROM sluice.sync_retry_queue WHERE status = 'pending' AND next_retry_at > now() + interval '4 min'";
    wait_until(&mut shop.db, "both retries wait", SOON, |db| {
        db.value(waiting).as_deref() == Some("elsewhere products")
    });
    shop.db.exec("SELECT sluice.pause_connection('shop', 'it moves')");
    shop.api.clear_faults();
    shop.db.exec(
        "UPDATE sluice._job_state SET next_run_at = now() WHERE job_id = (SELECT id FROM sluice._job WHERE name = 'late')",
    );
    let before = shop.db.number("SELECT max(id) FROM sluice._run");
    shop.db.exec("SELECT sluice.resume_connection('shop')");
    let runs = format!(
        "SELECT string_agg(concat_ws(' ', data_type, source, status), ', ' ORDER BY data_type) FROM sluice.sync_runs WHERE id > {before}"
    );
    wait_until(&mut shop.db, "both have run", SOON, |db| {
        db.value(&runs).as_deref() == Some("late schedule succeeded, products retry succeeded")
    });
    assert_eq!(shop.db.text(waiting), "elsewhere");
}
