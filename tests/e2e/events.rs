//! NOTIFY on `sluice_events`: state changes and completion, never rows, never in a transaction of the data or of a caller.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{Db, eventually, wait_until};

/// A session that listens.
fn listener(shop: &Shop) -> Db {
    let mut ear = shop.cluster.db();
    ear.exec("LISTEN sluice_events");
    ear
}

/// The events so far, each as `event status` of its JSON, once `last` is among them.
fn events_until(ear: &mut Db, heard: &mut Vec<serde_json::Value>, last: &str) -> Vec<String> {
    let arrived = eventually(SOON, || {
        heard.extend(ear.take_notifications().iter().map(|(channel, payload)| {
            assert_eq!(channel, "sluice_events");
            assert!(payload.len() < 8000);
            serde_json::from_str(payload).expect("an event is JSON")
        }));
        short(heard).iter().any(|line| line == last)
    });
    assert!(arrived, "{last} never came: {heard:?}");
    short(heard)
}

fn short(heard: &[serde_json::Value]) -> Vec<String> {
    let word = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_string();
    let line = |value| format!("{} {}", word(value, "event"), word(value, "status"));
    heard.iter().map(line).collect()
}

#[test]
fn each_state_change_of_a_run_is_told_in_order_after_its_commit_and_no_row_is() {
    let mut shop = Shop::with_job(1000, PAGES);
    let mut ear = listener(&shop);
    let mut heard = Vec::new();
    shop.sync();
    let told = events_until(&mut ear, &mut heard, "run succeeded");
    assert_eq!(told, ["run scheduled", "run running", "run succeeded"]);
    assert_eq!(heard[0]["data_type"], "products");
    assert_eq!(
        heard[2]["run"].as_i64(),
        shop.db
            .value("SELECT max(id) FROM sluice.sync_runs")
            .and_then(|id| id.parse().ok())
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._event"), 0);
    heard.clear();
    shop.api
        .misbehave(sample_api::Rule::new(sample_api::Fault::status(401, &[])));
    shop.failing_sync();
    events_until(&mut ear, &mut heard, "run failed");
    assert_eq!(heard.last().unwrap()["error_class"], "auth");
    heard.clear();
    shop.app.exec("SELECT sluice.pause_job('products')");
    assert_eq!(events_until(&mut ear, &mut heard, "job paused"), ["job paused"]);
}

#[test]
fn a_transaction_of_a_caller_can_be_prepared_and_its_event_comes_after_its_commit() {
    let mut shop = Shop::with(300, &[("max_prepared_transactions", "2")]);
    shop.create_job("products", "/page/products", PAGES);
    let mut ear = listener(&shop);
    let mut heard = Vec::new();
    shop.app
        .exec("BEGIN; SELECT sluice.start_sync('products'); PREPARE TRANSACTION 'asked'");
    assert!(ear.take_notifications().is_empty());
    shop.app.exec("COMMIT PREPARED 'asked'");
    // A commit of two phases announces nothing: any other commit has the scheduler look.
    shop.app.exec("SELECT sluice.start_sync('products')");
    events_until(&mut ear, &mut heard, "run succeeded");
}

#[test]
fn what_keeps_events_from_being_told_hurts_no_run_and_they_come_later() {
    let mut shop = Shop::with_job(300, PAGES);
    let mut ear = listener(&shop);
    // As where the notification queue is full: the transaction that tells fails, and nothing else.
    shop.db.exec("SELECT sluice._failpoint('events.telling', 'error')");
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("status"), "succeeded");
    assert!(
        shop.cluster.log().contains("events could not be told"),
        "{}",
        shop.cluster.log_tail(20)
    );
    shop.sync();
    let mut heard = Vec::new();
    events_until(&mut ear, &mut heard, "run succeeded");
    wait_until(&mut shop.db, "all are told", SOON, |db| {
        db.number("SELECT count(*) FROM sluice._event") == 0
    });
    events_until(&mut ear, &mut heard, "run succeeded");
    assert_eq!(heard[0]["status"], "scheduled");
}

#[test]
fn progress_is_told_at_most_every_half_a_minute() {
    let mut shop = Shop::with_job(1000, PAGES);
    let mut ear = listener(&shop);
    let mut heard = Vec::new();
    shop.start_and_hold_at(5);
    events_until(&mut ear, &mut heard, "run running");
    shop.cluster.configure("sluice.debug_clock_offset", "31 s");
    shop.db.exec("SELECT pg_reload_conf()");
    events_until(&mut ear, &mut heard, "progress ");
    let progress = heard.last().unwrap();
    assert_eq!(
        (progress["page"].as_i64(), progress["pages_total"].as_i64()),
        (Some(4), Some(10))
    );
    shop.api.release();
    events_until(&mut ear, &mut heard, "run succeeded");
    assert_eq!(short(&heard).iter().filter(|line| *line == "progress ").count(), 1);
}

#[test]
fn a_breaker_that_opens_or_closes_is_told_with_its_connections() {
    let settings = PAGES.replace(
        "\"commit_every\"",
        "\"concurrency\": 1, \"retry\": {\"request_cap\": \"1 ms\"}, \"commit_every\"",
    );
    let mut shop = Shop::with_job(300, &settings);
    let mut ear = listener(&shop);
    let mut heard = Vec::new();
    shop.api.misbehave(sample_api::Fault::status(503, &[]));
    shop.failing_sync();
    events_until(&mut ear, &mut heard, "breaker open");
    let told = heard.iter().find(|event| event["event"] == "breaker").unwrap();
    assert_eq!(told["connections"], serde_json::json!(["shop"]));
    assert!(told["failures"].as_i64() >= Some(12), "{told}");
    heard.clear();
    // A probe that fails changes nothing that anybody would want to know.
    shop.failing_sync();
    shop.api.clear_faults();
    shop.sync();
    let told = events_until(&mut ear, &mut heard, "breaker closed");
    assert!(!told.contains(&"breaker open".to_string()), "{told:?}");
}

#[test]
fn an_admin_can_turn_events_off() {
    let mut shop = Shop::with(100, &[("sluice.notify_events", "off")]);
    shop.create_job("products", "/page/products", PAGES);
    let mut ear = listener(&shop);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._event"), 0);
    assert!(ear.take_notifications().is_empty());
}

#[test]
fn an_event_that_has_no_room_is_shortened_and_holds_up_no_other() {
    let mut shop = Shop::with_job(100, PAGES);
    let mut ear = listener(&shop);
    let mut heard = Vec::new();
    shop.db.exec(
        "INSERT INTO sluice._event (payload) VALUES (jsonb_build_object('event', 'breaker', 'status', 'open', 'connections', repeat('x', 9000)))",
    );
    shop.sync();
    events_until(&mut ear, &mut heard, "run succeeded");
    let long = heard.iter().find(|event| event["event"] == "breaker").unwrap();
    let expected = serde_json::json!({"event": "breaker", "status": "open", "shortened": true});
    assert_eq!(*long, expected);
}
