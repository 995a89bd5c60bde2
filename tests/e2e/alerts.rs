//! Event rules: a function or a webhook is called when a job fails repeatedly, degrades or recovers, once a change, tried
//! again by itself, and never in the way of a run.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule, TOKEN_PAGE};
use sluice_e2e::wait_until;

/// A shop, loaded, hourly, whose requests are sent once only, and a function of `app` that keeps what it is told.
fn shop() -> Shop {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app.exec(
        "SELECT sluice.alter_job('products', schedule => '1 hour', settings => '{\"retry\": {\"request_attempts\": 1}}')",
    );
    shop.app.exec(
        "CREATE TABLE app.told (event jsonb, role text DEFAULT current_user, login text DEFAULT session_user);
         CREATE FUNCTION app.tell(event jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO app.told VALUES ($1)'",
    );
    shop
}

fn rule(shop: &mut Shop, arguments: &str) {
    shop.db.exec(&format!("SELECT sluice.on_event('page me', {arguments})"));
}

fn told(shop: &mut Shop) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', event ->> 'event', event ->> 'status', event ->> 'consecutive_failures') FROM app.told ORDER BY (event ->> 'id')::bigint";
    shop.db.rows(sql).rows.into_iter().flatten().flatten().collect()
}

fn wait_told(shop: &mut Shop, expected: &[&str]) {
    let arrived = sluice_e2e::eventually(SOON, || told(shop) == expected);
    assert!(arrived, "{:?} is not {expected:?}\n{}", told(shop), queue(shop));
}

/// The calls, as the retry queue shows them.
fn queue(shop: &mut Shop) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', context ->> 'event', status, retry_count, coalesce(last_error_message, '-')), '; ' ORDER BY id)
               FROM sluice.sync_retry_queue WHERE operation = 'webhook'";
    shop.db.value(sql).unwrap_or_default()
}

fn wait_queue(shop: &mut Shop, expected: &str) {
    let arrived = sluice_e2e::eventually(SOON, || queue(shop).starts_with(expected));
    assert!(arrived, "{} is not {expected}", queue(shop));
}

/// Waits until the first call of the job was made once and failed.
fn wait_failed_once(shop: &mut Shop) {
    let failed = sluice_e2e::eventually(SOON, || {
        let first = queue(shop).split("; ").next().unwrap_or_default().to_string();
        first.starts_with("degraded pending 0 ") && !first.ends_with(" -")
    });
    assert!(failed, "{}", queue(shop));
}

fn clock(shop: &mut Shop, minutes: u32) {
    shop.cluster
        .configure("sluice.debug_clock_offset", &format!("{minutes} min"));
    shop.db.exec("SELECT pg_reload_conf()");
}

fn unauthorized(shop: &mut Shop) {
    shop.api
        .misbehave(Rule::new(Fault::status(401, &[])).path("/page/products"));
    shop.failing_sync();
}

#[test]
fn a_function_is_called_as_its_owner_once_a_change_and_once_for_the_recovery() {
    let mut shop = shop();
    rule(&mut shop, "function => 'app.tell'");
    unauthorized(&mut shop);
    wait_told(&mut shop, &["degraded unhealthy 1"]);
    assert_eq!(
        shop.db.text("SELECT DISTINCT role || ' ' || login FROM app.told"),
        "app app"
    );
    // The same again is no news; the third failure in a row is.
    shop.failing_sync();
    shop.failing_sync();
    wait_told(&mut shop, &["degraded unhealthy 1", "repeated_failure unhealthy 3"]);
    shop.failing_sync();
    shop.api.clear_faults();
    shop.sync();
    shop.sync();
    wait_told(
        &mut shop,
        &[
            "degraded unhealthy 1",
            "repeated_failure unhealthy 3",
            "recovered healthy 0",
        ],
    );
    let payload = shop
        .db
        .text("SELECT event FROM app.told WHERE event ->> 'event' = 'degraded'");
    for part in [
        "\"data_type\": \"products\"",
        "\"reason\": \"the last run failed (auth)\"",
        "\"rule\": \"page me\"",
    ] {
        assert!(payload.contains(part), "{payload}");
    }
    assert_eq!(
        queue(&mut shop),
        "degraded completed 0 -; repeated_failure completed 0 -; recovered completed 0 -"
    );
}

#[test]
fn data_that_grows_stale_is_told_without_any_run() {
    let mut shop = shop();
    shop.app.exec("SELECT sluice.pause_job('products')");
    rule(&mut shop, "function => 'app.tell', events => '{degraded}'");
    shop.db
        .exec("UPDATE sluice._job_state SET last_success_at = now() - interval '3 hours' + interval '2 seconds'");
    // Any commit of ours has the scheduler look, which then knows when the data will be too old.
    shop.db.exec("SELECT sluice.clear_queue()");
    wait_told(&mut shop, &["degraded degraded 0"]);
}

#[test]
fn a_webhook_that_fails_first_is_called_again_by_the_queue() {
    let mut shop = shop();
    let error = shop
        .db
        .error("SELECT sluice.on_event('hook', connection => 'shop', path => '/hook')");
    assert_eq!(error.sqlstate, "42501", "{error}");
    shop.db.exec("ALTER SERVER shop OPTIONS (ADD methods 'GET, POST')");
    shop.db.exec(
        "SELECT sluice.on_event('hook', events => '{degraded,recovered}', connection => 'shop', path => '/hook')",
    );
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).path("/hook"));
    unauthorized(&mut shop);
    wait_failed_once(&mut shop);
    shop.api.clear_faults();
    shop.api.misbehave(Rule::new(Fault::no_content()).path("/hook"));
    // It is over meanwhile: who is told first of the trouble is told then that it is over.
    shop.sync();
    wait_queue(&mut shop, "degraded pending 0 ");
    assert_eq!(shop.health("status"), "healthy");
    clock(&mut shop, 6);
    wait_queue(&mut shop, "degraded completed 1 ");
    let done = sluice_e2e::eventually(SOON, || queue(&mut shop).ends_with("recovered completed 0 -"));
    assert!(done, "{}", queue(&mut shop));
    let calls: Vec<_> = shop
        .api
        .requests()
        .into_iter()
        .filter(|r| r.target == "/hook")
        .collect();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert!(calls.iter().all(|call| call.method == "POST"), "{calls:?}");
    let body = String::from_utf8_lossy(&calls[1].body).into_owned();
    assert!(
        body.contains("\"event\":\"degraded\"") || body.contains("\"event\": \"degraded\""),
        "{body}"
    );
}

/// P2: the worker that calls holds no transaction, while the token of its connection is got.
#[test]
fn a_webhook_waits_for_its_token_without_a_transaction() {
    let mut shop = shop();
    let url = shop.api.url();
    shop.db.exec(&format!(
        "SELECT sluice.set_secret('client', 'client-s3cret');
         SELECT sluice.create_connection('pager', '{url}', '{{\"methods\": \"GET, POST\",
             \"auth\": \"oauth2_client_credentials\", \"token_url\": \"{url}/oauth/token\",
             \"client_id\": \"sluice\", \"client_secret\": \"client\"}}');
         SELECT sluice.on_event('hook', events => '{{degraded}}', connection => 'pager', path => '/hook')"
    ));
    shop.api.misbehave(Rule::new(Fault::no_content()).path("/hook"));
    shop.api.hold_page(TOKEN_PAGE);
    unauthorized(&mut shop);
    assert!(shop.api.wait_until_held(TOKEN_PAGE, SOON));
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'sluice worker' \
                AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)";
    wait_until(&mut shop.db, "no transaction is open", SOON, |db| db.number(held) == 0);
    shop.api.release();
    wait_queue(&mut shop, "degraded completed 0 -");
}

#[test]
fn a_function_that_fails_or_is_slow_is_tried_again_three_times_and_then_given_up() {
    let mut shop = shop();
    shop.app.exec(
        "CREATE FUNCTION app.fails(event jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); END'",
    );
    rule(
        &mut shop,
        "function => 'app.fails', events => '{degraded}', time_limit => '1 second'",
    );
    unauthorized(&mut shop);
    wait_failed_once(&mut shop);
    shop.app.exec(
        "CREATE OR REPLACE FUNCTION app.fails(event jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'",
    );
    for (minutes, state) in [(10, "pending 1"), (30, "pending 2"), (60, "dead 3")] {
        clock(&mut shop, minutes);
        wait_queue(&mut shop, &format!("degraded {state} "));
    }
    shop.app
        .exec("CREATE OR REPLACE FUNCTION app.fails(event jsonb) RETURNS void LANGUAGE sql AS 'SELECT app.tell($1)'");
    assert_eq!(shop.db.number("SELECT sluice.redrive('products')"), 1);
    wait_told(&mut shop, &["degraded unhealthy 1"]);
}

#[test]
fn a_call_behind_one_that_failed_is_due_when_that_one_is() {
    let mut shop = shop();
    shop.app.exec(
        "CREATE FUNCTION app.fails(event jsonb) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'",
    );
    rule(&mut shop, "function => 'app.fails', after_failures => 2");
    unauthorized(&mut shop);
    wait_failed_once(&mut shop);
    shop.failing_sync();
    wait_queue(&mut shop, "degraded pending 0 no; repeated_failure pending 0 -");
    // Else health would call it late.
    let together = "SELECT count(DISTINCT next_retry_at) = 1 AND min(next_retry_at) > now() FROM sluice.sync_retry_queue \
                    WHERE operation = 'webhook'";
    assert!(shop.db.is_true(together));
}

#[test]
fn a_slow_call_is_never_in_the_way_of_a_run() {
    let mut shop = Shop::with(300, &[("sluice.max_workers", "1")]);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.app
        .exec("CREATE FUNCTION app.slow(event jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(120)'");
    rule(&mut shop, "function => 'app.slow', time_limit => '5 minutes'");
    unauthorized(&mut shop);
    wait_queue(&mut shop, "degraded processing ");
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    assert!(
        queue(&mut shop).starts_with("degraded processing "),
        "{}",
        queue(&mut shop)
    );
    shop.db
        .exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'sluice worker'");
    wait_queue(&mut shop, "degraded pending 0 the worker ended while it made the call");
}

#[test]
fn a_call_whose_worker_is_killed_is_made_again_and_the_job_is_not_blamed() {
    let mut shop = shop();
    rule(&mut shop, "function => 'app.tell', events => '{degraded}'");
    shop.db.exec("SELECT sluice._failpoint('alert.begun', 'kill9')");
    unauthorized(&mut shop);
    shop.recover();
    wait_queue(&mut shop, "degraded pending 0 the worker ended while it made the call");
    clock(&mut shop, 6);
    wait_told(&mut shop, &["degraded unhealthy 1"]);
    assert_eq!(shop.db.text("SELECT enabled FROM sluice.sync_jobs"), "t");
}

#[test]
fn a_function_of_another_role_cannot_be_named_and_one_that_changed_hands_is_not_called() {
    let mut shop = shop();
    shop.db.exec("SELECT sluice.grant_access('app', 'admin'); CREATE ROLE other; GRANT USAGE, CREATE ON SCHEMA app TO other; GRANT INSERT ON app.told TO other");
    shop.db
        .exec("CREATE FUNCTION public.root(event jsonb) RETURNS void LANGUAGE sql AS ''");
    let error = shop.app.error("SELECT sluice.on_event('x', function => 'public.root')");
    assert_eq!(error.sqlstate, "42501", "{error}");
    shop.app
        .exec("SELECT sluice.on_event('page me', function => 'app.tell')");
    shop.db.exec("ALTER FUNCTION app.tell(jsonb) OWNER TO other");
    unauthorized(&mut shop);
    wait_queue(
        &mut shop,
        "degraded pending 0 function app.tell(jsonb) belongs to another role now",
    );
    assert_eq!(told(&mut shop).len(), 0);
    shop.app.exec("SELECT sluice.drop_event_rule('page me')");
    assert_eq!(queue(&mut shop), "");
    let noted =
        "SELECT string_agg(action, ' ' ORDER BY id) FROM sluice.sync_audit_log WHERE object_type = 'event rule'";
    assert_eq!(shop.db.text(noted), "create drop");
}

#[test]
fn an_owner_that_may_not_log_in_is_called_as_itself() {
    let mut shop = shop();
    shop.db.exec("CREATE ROLE quiet NOLOGIN; GRANT USAGE, CREATE ON SCHEMA app TO quiet; GRANT INSERT ON app.told TO quiet; ALTER FUNCTION app.tell(jsonb) OWNER TO quiet");
    rule(&mut shop, "function => 'app.tell', events => '{degraded}'");
    unauthorized(&mut shop);
    wait_told(&mut shop, &["degraded unhealthy 1"]);
    assert_eq!(shop.db.text("SELECT role || ' ' || login FROM app.told"), "quiet quiet");
    wait_until(&mut shop.db, "its worker is gone", SOON, |db| {
        db.pids("sluice worker").is_empty()
    });
}

#[test]
fn failures_and_bad_health_that_begin_at_once_are_both_told() {
    let mut shop = shop();
    rule(&mut shop, "function => 'app.tell', after_failures => 1");
    unauthorized(&mut shop);
    wait_told(&mut shop, &["degraded unhealthy 1", "repeated_failure unhealthy 1"]);
}

/// An outage of a host is told once a job, however often it is probed, and so is its end.
#[test]
fn a_breaker_that_opens_is_probed_and_closes_is_one_call_a_job_for_the_outage_and_one_for_its_end() {
    let mut shop = shop();
    let settings = PAGES.replacen('{', r#"{"concurrency": 1, "retry": {"request_cap": "1 ms"}, "#, 1);
    shop.create_job("others", "/page/products", &settings);
    shop.app.exec("CALL sluice.sync('others')");
    rule(&mut shop, "function => 'app.tell', after_failures => 1");
    let breaker = |shop: &mut Shop, state: &str| {
        let sql = format!("SELECT {state} FROM sluice.sync_rate_limits");
        wait_until(&mut shop.db, state, SOON, |db| db.is_true(&sql));
    };
    shop.api
        .misbehave(Rule::new(Fault::status(503, &[])).path("/page/products"));
    shop.app.error("CALL sluice.sync('others')");
    breaker(&mut shop, "breaker = 'open'");
    shop.failing_sync();
    let outage = ["repeated_failure healthy 1", "repeated_failure healthy 1"];
    wait_told(&mut shop, &outage);
    // Half open: a probe that fails is no news, whatever else of the rules is looked at with it.
    let failures = shop.db.number("SELECT failures FROM sluice.sync_rate_limits");
    shop.move_clock(2);
    breaker(&mut shop, &format!("breaker = 'open' AND failures > {failures}"));
    shop.api.clear_faults();
    shop.move_clock(4);
    breaker(&mut shop, "breaker = 'closed'");
    let ended = ["recovered healthy 0", "recovered healthy 0"];
    wait_told(&mut shop, &[outage, ended].concat());
}
