//! The function that is called in the transaction that makes a read visible.

use crate::shop::{PAGES, Shop};
use sluice_e2e::wait_until;
use std::time::Duration;

/// Settings of a job with the function `app.after`, besides those given.
fn calling(more: &str) -> String {
    PAGES.replacen('{', &format!(r#"{{"after_publish": "app.after", {more}"#), 1)
}

/// A shop whose job calls `app.after`, which does `body` and then keeps what it saw in `app.call`.
fn shop(body: &str, settings: &str) -> Shop {
    let mut shop = Shop::open(300);
    make(&mut shop, body);
    shop.create_job("products", "/page/products", settings);
    shop
}

fn make(shop: &mut Shop, body: &str) {
    shop.app.exec(&format!(
        "CREATE TABLE IF NOT EXISTS app.call (job text, run bigint, who name, rows bigint, zone text, at bigint);
         CREATE OR REPLACE FUNCTION app.after(job text, run bigint) RETURNS void LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO app.call SELECT $1, $2, current_user, count(*), current_setting('TimeZone'), max(id) FROM app.products;
             {body}
         END $$"
    ));
}

const CALLS: &str =
    "SELECT string_agg(concat_ws(' ', job, run = (SELECT max(id) FROM sluice.sync_runs), who, rows, at), ', ')
    FROM app.call";

#[test]
fn the_function_sees_what_becomes_visible_with_it_and_is_called_by_each_publish() {
    let mut shop = shop("", &calling(""));
    shop.sync();
    assert_eq!(shop.db.text(CALLS), "products t app 300 300");
    shop.app.exec("TRUNCATE app.call");
    shop.api.add(5);
    shop.sync();
    assert_eq!(shop.db.text(CALLS), "products t app 305 305");
    shop.app.exec("TRUNCATE app.call");
    shop.sync();
    assert_eq!(shop.run("status"), "succeeded");
    assert_eq!(shop.db.text(CALLS), "products t app 305 305");
    shop.app.exec("TRUNCATE app.call");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.call"), 0);
}

#[test]
fn its_error_keeps_the_refresh_back_and_the_next_run_publishes_it_without_a_request() {
    for settings in [calling(""), calling(r#""on_bad_record": "fail", "#)] {
        let mut shop = shop("", &settings);
        shop.sync();
        make(&mut shop, "RAISE EXCEPTION 'not today' USING DETAIL = 'It is Sunday.';");
        shop.api.change(50.0, 4);
        shop.api.add(5);
        shop.app.exec("TRUNCATE app.call");
        let error = shop.failing_sync();
        assert_eq!(error.sqlstate, "P0001");
        assert_eq!(
            shop.run("concat_ws(' ', status, error_class, error_message)"),
            "failed data function app.after failed: not today"
        );
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
        assert_eq!(shop.db.number("SELECT count(*) FROM app.call"), 0);
        make(&mut shop, "");
        shop.api.clear_log();
        shop.sync();
        assert_eq!(shop.api.requests().len(), 0, "the read was begun anew");
        shop.assert_equal();
        assert_eq!(shop.db.text(CALLS), "products t app 305 305");
    }
}

#[test]
fn what_passes_by_itself_is_tried_again_within_the_run() {
    let body = "IF nextval('app.tries') < 3 THEN RAISE EXCEPTION 'met' USING ERRCODE = '40001'; END IF;";
    for mode in ["replace", "upsert"] {
        let mut shop = Shop::open(300);
        shop.app.exec("CREATE SEQUENCE app.tries");
        make(&mut shop, body);
        let settings = calling("");
        shop.app.exec(&format!(
            "SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', key => '{{id}}',
                                      schedule => 'manual', settings => '{settings}')"
        ));
        shop.sync();
        assert_eq!(shop.db.number("SELECT last_value FROM app.tries"), 3, "{mode}");
        assert_eq!(shop.db.text(CALLS), "products t app 300 300", "{mode}");
        assert_eq!(shop.runs(), ["manual succeeded"]);
    }
}

#[test]
fn it_is_cancelled_when_its_time_is_over() {
    let mut shop = shop(
        "PERFORM pg_sleep(600);",
        &calling(r#""timeouts": {"after_publish": "200 ms"}, "retry": {"attempts": 0}, "#),
    );
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "57014");
    assert_eq!(
        shop.run("concat_ws(' ', error_class, error_message)"),
        "resource function app.after took longer than 200ms"
    );
    make(&mut shop, "");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"timeouts\": null}')");
    shop.api.clear_log();
    shop.sync();
    assert_eq!(shop.api.requests().len(), 0);
    shop.assert_equal();
}

#[test]
fn a_worker_that_is_cancelled_in_the_function_ends_its_run_as_stopped() {
    let mut shop = shop("PERFORM pg_sleep(600);", &calling(""));
    start_until_called(&mut shop);
    let worker = shop.worker();
    shop.db.exec(&format!("SELECT pg_cancel_backend({worker})"));
    shop.wait_for_run("stopped");
}

fn start_until_called(shop: &mut Shop) {
    shop.start();
    wait_until(&mut shop.db, "the function runs", Duration::from_secs(30), |db| {
        db.is_true(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'sluice worker'
                            AND query = 'calling app.after' AND wait_event = 'PgSleep')",
        )
    });
}

/// The publishing transaction has the run's row: the worker is told to end before the row is waited for.
#[test]
fn stop_sync_cancels_the_function_and_says_who_asked() {
    let mut shop = shop("PERFORM pg_sleep(600);", &calling(""));
    start_until_called(&mut shop);
    shop.app
        .exec("SET statement_timeout = '60 s'; SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    assert_eq!(shop.db.text("SELECT stopped_by FROM sluice._run"), "app");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.call"), 0);
    make(&mut shop, "");
    shop.api.clear_log();
    shop.sync();
    assert_eq!(shop.api.requests().len(), 0, "the read was begun anew");
    shop.assert_equal();
}

#[test]
fn what_it_sets_ends_with_the_call() {
    let mut shop = shop(
        "PERFORM set_config('TimeZone', 'Asia/Tokyo', false); SET search_path = nowhere; SET lock_timeout = 1;",
        &calling(""),
    );
    shop.app.exec(
        "CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql SET search_path = app AS $$
         BEGIN INSERT INTO call (zone, who) VALUES (current_setting('TimeZone'), current_user); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON app.products DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION app.stamp()",
    );
    shop.sync();
    shop.api.change(50.0, 4);
    shop.sync();
    let late = "SELECT count(*) > 0 AND bool_and(zone <> 'Asia/Tokyo') FROM app.call WHERE job IS NULL";
    assert!(shop.db.is_true(late), "the setting outlived the call");
}

/// What an approved run publishes is published by the same rules; a failure leaves it held.
#[test]
fn an_approved_run_calls_it_too() {
    let mut shop = shop("", &calling(r#""on_empty": "hold", "#));
    shop.sync();
    shop.app.exec("TRUNCATE app.call");
    shop.api.remove_ids(&(1..=250).collect::<Vec<u64>>());
    let _ = shop.app.try_rows("CALL sluice.sync('products')");
    shop.wait_for_run("held");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.call"), 0);
    make(&mut shop, "RAISE EXCEPTION 'not today';");
    let run = shop.run("id");
    shop.app.error(&format!("CALL sluice.approve({run})"));
    shop.wait_for_run("held");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
    make(&mut shop, "");
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    shop.assert_equal();
    assert_eq!(shop.db.text(CALLS), "products t app 50 300");
}

/// A superuser's worker calls nothing that an ordinary role can change.
#[test]
fn a_superuser_calls_only_a_superusers_function() {
    let mut shop = shop("", PAGES);
    shop.db.exec(
        "CREATE TABLE public.goods (LIKE app.products INCLUDING ALL);
         CREATE FUNCTION public.after(job text, run bigint) RETURNS void LANGUAGE sql AS 'SELECT'",
    );
    let settings = PAGES.replacen('{', r#"{"after_publish": "public.after", "#, 1);
    shop.db.exec(&format!(
        "SELECT sluice.create_job('goods', 'shop', '/page/products', target => 'public.goods', schedule => 'manual',
                                  settings => '{settings}')"
    ));
    shop.db.exec("CALL sluice.sync('goods')");
    shop.db.exec("ALTER FUNCTION public.after(text, bigint) OWNER TO app");
    let error = shop.db.error("CALL sluice.sync('goods')");
    assert_eq!(error.sqlstate, "42501");
    assert!(error.message.contains("will not call") || error.detail.unwrap_or_default().contains("will not call"));
}
