//! What the clock does: steps, suspensions, downtime (F-K1 to F-K6). The clock is moved, never waited for.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{Stop, resume, suspend, wait_until};

const YEAR: i64 = 366 * 24 * 60;

/// A shop of two pages with a job on this schedule, whose first run is over.
fn shop(schedule: &str, settings: &str) -> Shop {
    let mut shop = Shop::with_job(200, PAGES);
    shop.sync();
    alter(&mut shop, schedule, settings);
    shop
}

fn alter(shop: &mut Shop, schedule: &str, settings: &str) {
    shop.app.exec(&format!(
        "SELECT sluice.alter_job('products', schedule => '{schedule}', settings => '{settings}')"
    ));
}

/// Waits until the next run is planned between so many seconds ahead of the moved clock.
fn wait_for_plan(shop: &mut Shop, minutes: i64, least: i64, most: i64) {
    let sql = format!(
        "SELECT extract(epoch FROM next_run_at - clock_timestamp() - {minutes} * interval '1 min') BETWEEN {least} AND {most} \
         FROM sluice.sync_jobs"
    );
    wait_until(&mut shop.db, &format!("planned in {least} to {most} s"), SOON, |db| {
        db.is_true(&sql)
    });
}

/// F-K1.
#[test]
fn a_clock_that_jumps_ahead_gives_one_run_that_catches_up() {
    let mut shop = shop("5 minutes", "{}");
    shop.move_clock(10);
    assert_eq!(shop.wait_for_successes(2), ["manual", "catch_up"]);
    wait_for_plan(&mut shop, 10, 200, 330);
    shop.move_clock(YEAR);
    // What is older than the history is kept is forgotten meanwhile.
    let latest = "SELECT concat_ws(' ', id, source, status) FROM sluice.sync_runs ORDER BY id DESC LIMIT 1";
    wait_until(&mut shop.db, "one more run", SOON, |db| {
        db.value(latest).as_deref() == Some("3 catch_up succeeded")
    });
    wait_for_plan(&mut shop, YEAR, 200, 330);
    assert_eq!(shop.db.text(latest), "3 catch_up succeeded");
    shop.assert_equal();
}

/// F-K2.
#[test]
fn a_clock_that_is_set_back_lets_no_interval_sleep_until_then() {
    let mut shop = shop("30 minutes", "{}");
    for minutes in [-60, -24 * 60] {
        shop.move_clock(minutes);
        wait_for_plan(&mut shop, minutes, 1700, 1840);
    }
    shop.move_clock(-24 * 60 + 32);
    shop.wait_for_successes(2);
}

/// F-K2.
#[test]
fn a_clock_that_is_set_back_repeats_no_fixed_time() {
    let mut shop = shop("30 minutes", "{}");
    // Due at the next full hour that is at least a minute away, in a zone of half hours.
    let hour = shop
        .db
        .text("SELECT extract(hour FROM now() AT TIME ZONE 'Asia/Kolkata' + interval '61 min')::int");
    alter(
        &mut shop,
        &format!("0 {hour} * * *"),
        "{\"time_zone\": \"Asia/Kolkata\"}",
    );
    let due = shop
        .db
        .number("SELECT ceil(extract(epoch FROM next_run_at - now()) / 60)::int FROM sluice.sync_jobs");
    assert!((1..=61).contains(&due), "due in {due} minutes");
    shop.move_clock(due + 1);
    shop.wait_for_successes(2);
    wait_for_plan(&mut shop, due, 23 * 3600, 24 * 3600);
    // An hour back, and over the same time again.
    shop.move_clock(due - 59);
    wait_for_plan(&mut shop, due - 59, 24 * 3600, 25 * 3600);
    shop.sync();
    wait_for_plan(&mut shop, due - 59, 24 * 3600, 25 * 3600);
    shop.move_clock(due + 2);
    wait_for_plan(&mut shop, due + 2, 23 * 3600 - 60, 24 * 3600);
    let sources = shop.wait_for_successes(3);
    assert_eq!(
        sources.iter().filter(|source| *source != "manual").count(),
        1,
        "{sources:?}"
    );
}

/// F-K2.
#[test]
fn a_retry_that_was_queued_before_the_clock_was_set_back_comes_after_its_delay() {
    let mut shop = shop("1 hour", "{\"retry\": {\"request_attempts\": 1}}");
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
    shop.failing_sync();
    shop.api.clear_faults();
    shop.move_clock(-24 * 60);
    let waits = "SELECT extract(epoch FROM next_retry_at - clock_timestamp() + interval '1 day') BETWEEN 0 AND 2410 \
                 FROM sluice.sync_retry_queue";
    wait_until(&mut shop.db, "the retry waits as long as it may", SOON, |db| {
        db.is_true(waits)
    });
    shop.move_clock(-24 * 60 + 41);
    assert_eq!(shop.wait_for_successes(2), ["manual", "retry"]);
    shop.assert_equal();
}

/// F-K3 in the server's own zones; the table of rules is in `sluice_core::schedule::cron`.
#[test]
fn a_cron_expression_follows_the_rules_of_its_time_zone() {
    let mut shop = shop("manual", "{}");
    for (zone, offset) in [
        ("Asia/Kolkata", "05:30"),
        ("America/St_Johns", "-03:30"),
        ("Etc/GMT-14", "14:00"),
    ] {
        alter(&mut shop, "0 3 * 1 *", &format!("{{\"time_zone\": \"{zone}\"}}"));
        let local = format!(
            "SELECT to_char(next_run_at AT TIME ZONE 'UTC' + interval '{offset}', 'MM HH24:MI') FROM sluice.sync_jobs"
        );
        assert_eq!(shop.db.text(&local), "01 03:00", "{zone}");
        let planned = format!("SELECT to_char(next_run_at AT TIME ZONE '{zone}', 'HH24:MI') FROM sluice.sync_jobs");
        assert_eq!(shop.db.text(&planned), "03:00", "{zone}");
    }
    // Without a setting it is the database's own, which is not the session's.
    shop.db.exec("ALTER DATABASE postgres SET TimeZone = 'Asia/Kathmandu'");
    shop.app.exec("SET TimeZone = 'America/New_York'");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"time_zone\": null}')");
    shop.sync();
    wait_until(&mut shop.db, "the scheduler has seen the zone", SOON, |db| {
        db.pids("sluice scheduler").is_empty()
    });
    shop.sync();
    assert_eq!(
        shop.db
            .text("SELECT to_char(next_run_at AT TIME ZONE 'Asia/Kathmandu', 'HH24:MI') FROM sluice.sync_jobs"),
        "03:00"
    );
}

/// F-K4: the whole cluster stands still for a while, and the clock goes on.
#[test]
fn a_suspended_server_goes_on_where_it_was_and_replaces_no_worker() {
    let mut shop = Shop::with_job(1_000, PAGES);
    let committed = shop.start_and_hold_at(4);
    let pids = shop
        .db
        .rows("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        .rows;
    let pids: Vec<u32> = pids
        .into_iter()
        .flatten()
        .flatten()
        .map(|pid| pid.parse().expect("a pid"))
        .collect();
    suspend(&pids);
    shop.cluster.configure("sluice.debug_clock_offset", "30 min");
    shop.db.exec("SELECT pg_reload_conf()");
    resume(&pids);
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(shop.runs(), ["manual succeeded"]);
    shop.assert_asked_at_most_once_after(&committed);
    shop.assert_equal();
}

/// F-K5.
#[test]
fn a_server_that_was_down_over_a_hundred_times_makes_up_for_them_with_one_run() {
    let mut shop = shop("1 minute", "{}");
    shop.cluster.stop(Stop::Fast);
    shop.cluster.configure("sluice.debug_clock_offset", "100 min");
    shop.cluster.start_again();
    shop.reconnect();
    // Put off by at most a twentieth of its minute, it is over long before the next.
    assert_eq!(shop.wait_for_successes(2), ["manual", "catch_up"]);
    wait_for_plan(&mut shop, 100, 1, 64);
}

/// F-K6.
#[test]
fn a_run_that_outlasts_its_interval_is_followed_by_one_at_once_and_then_in_step() {
    let mut shop = shop("10 minutes", "{}");
    shop.api.hold_page(2);
    shop.move_clock(11);
    assert!(shop.api.wait_until_held(2, SOON));
    shop.move_clock(45);
    assert_eq!(
        shop.db.number("SELECT count(*) FROM sluice.sync_runs"),
        2,
        "no second run beside it"
    );
    shop.api.release();
    shop.wait_for_successes(3);
    wait_for_plan(&mut shop, 45, 540, 640);
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_runs"), 3);
    let overlaps = "SELECT count(*) FROM sluice.sync_runs a JOIN sluice.sync_runs b ON a.id < b.id \
                    AND (a.started_at, a.finished_at) OVERLAPS (b.started_at, b.finished_at)";
    assert_eq!(shop.db.number(overlaps), 0);
}

/// A clock that jumps ahead while a scheduler is being started makes the launcher start another one: whichever comes first
/// stays, the other leaves and takes nothing away from it.
#[test]
fn a_clock_that_jumps_ahead_while_a_scheduler_starts_lets_no_second_one_in() {
    let mut shop = Shop::loaded(300, PAGES);
    let schedulers = |shop: &mut Shop, count: usize| {
        wait_until(&mut shop.db, &format!("{count} schedulers"), SOON, |db| {
            db.pids("sluice scheduler").len() == count
        });
    };
    schedulers(&mut shop, 0);
    shop.db.failpoint("scheduler.entering", "pause");
    shop.start();
    schedulers(&mut shop, 1);
    shop.move_clock(2);
    schedulers(&mut shop, 2);
    // Whoever is let in stays until it is let go.
    shop.db.failpoint("scheduler.looked", "pause");
    shop.db.failpoint("scheduler.entering", "off");
    schedulers(&mut shop, 1);
    shop.db
        .exec("SELECT sluice._failpoint('launcher.watched', 'error', 1000000)");
    shop.db.exec("SELECT sluice.process_sync_retries()");
    shop.move_clock(3);
    wait_until(&mut shop.db, "the launcher has looked", SOON, |db| {
        db.number("SELECT sluice._failpoint_hits('launcher.watched')") >= 1
    });
    schedulers(&mut shop, 1);
    shop.db.failpoint("scheduler.looked", "off");
    shop.wait_for_successes(2);
    assert_eq!(shop.runs(), ["manual succeeded", "manual succeeded"]);
    shop.assert_equal();
}
