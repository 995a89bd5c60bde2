//! Rules for errors: what answers and SQLSTATEs mean where the defaults do not fit, and that each action does what it says.

use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, SOON, Shop};
use sample_api::{Auth, Fault, Rule};
use sluice_e2e::wait_until;

/// Ten pages, loaded, whose requests are repeated at once.
fn shop() -> Shop {
    shop_with(PAGES)
}

fn shop_with(settings: &str) -> Shop {
    let mut shop = Shop::with_job(1000, settings);
    shop.sync();
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"retry\": {\"request_cap\": \"10 ms\", \"request_attempts\": 3}}')");
    shop
}

fn rule(shop: &mut Shop, arguments: &str) {
    shop.db
        .exec(&format!("SELECT sluice.set_error_rule('a rule', {arguments})"));
}

/// 200 with a body that says that it is none.
fn busy() -> Fault {
    Fault::body("{\"error\": {\"code\": \"busy\"}}")
}

fn log(shop: &mut Shop, columns: &str) -> String {
    let sql = format!("SELECT concat_ws(' ', {columns}) FROM sluice.sync_failure_logs ORDER BY id DESC LIMIT 1");
    shop.app.text(&sql)
}

fn queue(shop: &mut Shop) -> String {
    shop.db
        .value("SELECT status || ' ' || error_class FROM sluice.sync_retry_queue ORDER BY id DESC LIMIT 1")
        .unwrap_or_else(|| "nothing".into())
}

#[test]
fn a_200_that_says_error_is_tried_again_in_the_run() {
    let mut shop = shop();
    rule(
        &mut shop,
        "'{\"status\": 200, \"body\": \"$.error\"}', 'retry', 'server'",
    );
    shop.api.misbehave(Rule::new(busy()).page(3).times(2));
    shop.sync();
    shop.assert_equal();
    assert_eq!(
        log(&mut shop, "page, attempt, error_class, http_status, next_step, rule"),
        "3 2 server 200 retry_in_run a rule"
    );
    let told = "SELECT explanation FROM sluice.explain_error((SELECT max(id) FROM sluice.sync_failure_logs)) WHERE aspect = 'decided by'";
    assert!(
        shop.app
            .text(told)
            .eq("rule \"a rule\" (status 200, body $.error): action retry; without it the answer would be a page"),
        "{}",
        shop.app.text(told)
    );
}

#[test]
fn a_200_that_says_rate_limit_is_waited_out_and_is_no_failed_request() {
    let mut shop = shop();
    rule(
        &mut shop,
        "'{\"body\": \"$.error.code == ''busy''\"}', 'retry', 'rate_limit', job => 'products'",
    );
    let body = b"{\"error\": {\"code\": \"busy\"}}".to_vec();
    let headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Retry-After".to_owned(), "0".to_owned()),
    ];
    shop.api.misbehave(
        Rule::new(Fault::Answer {
            status: 200,
            headers,
            body,
        })
        .page(3)
        .times(1),
    );
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("failed_requests"), "0");
    assert_eq!(log(&mut shop, "error_class, next_step"), "rate_limit retry_in_run");
}

#[test]
fn retry_later_takes_one_request_and_the_queue_whatever_the_class() {
    let mut shop = shop();
    rule(
        &mut shop,
        "'{\"status\": 404}', 'retry_later', connection => 'shop', hint => 'Ann publishes it at noon.'",
    );
    shop.api.misbehave(Rule::new(Fault::status(404, &[])).page(1));
    shop.api.clear_log();
    let error = shop.failing_sync();
    assert_eq!(error.hint.as_deref(), Some("Ann publishes it at noon."));
    assert_eq!(
        (shop.api.requests().len(), queue(&mut shop).as_str()),
        (1, "pending config")
    );
    assert_eq!(shop.run("status"), "retryable");
    shop.api.clear_faults();
    shop.app.exec("SELECT sluice.retry_now('products')");
    shop.wait_for_run("succeeded");
}

#[test]
fn fail_stops_at_once_what_would_have_been_tried_again() {
    let mut shop = shop();
    rule(&mut shop, "'{\"status\": \"5xx\"}', 'fail', 'config'");
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
    shop.api.clear_log();
    shop.failing_sync();
    assert_eq!((shop.api.requests().len(), queue(&mut shop).as_str()), (1, "nothing"));
    assert_eq!(shop.run("status || ' ' || error_class"), "failed config");
    assert_eq!(
        log(&mut shop, "next_step, action, default_class"),
        "stopped you: see hint server"
    );
}

#[test]
fn an_ignored_answer_fails_no_run_and_removes_nothing() {
    let mut shop = shop_with(PAGES_WITHOUT_TOTAL);
    rule(&mut shop, "'{\"status\": 500}', 'ignore'");
    shop.api.remove_ids(&[550, 950]);
    let there = "SELECT count(*) FROM app.products WHERE id IN (550, 950)";
    for _ in 0..3 {
        shop.api.misbehave(Rule::new(Fault::status(500, &[])).page(6));
        shop.sync();
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 1000);
        assert_eq!(shop.run("status || ' ' || removals"), "succeeded gap");
    }
    let ignored = "SELECT DISTINCT concat_ws(' ', next_step, action) FROM sluice.sync_failure_logs WHERE page = 6";
    assert_eq!(shop.app.text(ignored), "ignored nobody");
    // A complete read alone proves nothing here, and what was ignored counts as none.
    shop.api.clear_faults();
    shop.sync();
    assert_eq!((shop.db.number(there), shop.run("unconfirmed").as_str()), (2, "2"));
    shop.sync();
    assert_eq!(shop.db.number(there), 0);
    shop.assert_equal();
}

#[test]
fn a_read_of_which_every_answer_is_ignored_keeps_the_last_good_data() {
    let mut shop = shop();
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"on_empty\": \"accept\"}')");
    rule(&mut shop, "'{\"status\": 500}', 'ignore'");
    shop.api.misbehave(Fault::status(500, &[]));
    for _ in 0..3 {
        shop.sync();
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 1000);
    }
    // The guard counts what was there before, not the nothing that came meanwhile.
    shop.api.clear_faults();
    shop.api.remove_ids(&(4..=1000).collect::<Vec<u64>>());
    shop.failing_sync();
    assert_eq!(shop.run("status"), "held");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 1000);
}

#[test]
fn restart_read_begins_again_at_the_first_page_in_the_same_run() {
    let mut shop = shop();
    rule(&mut shop, "'{\"status\": 409}', 'restart_read'");
    shop.api.change(100.0, 5);
    shop.api.misbehave(Rule::new(Fault::status(409, &[])).page(4).times(1));
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert_eq!(log(&mut shop, "page, http_status, next_step"), "4 409 read_restarted");
    assert_eq!(shop.api.pages_asked().iter().filter(|page| **page == 1).count(), 2);
    // One that never ends is queued, to begin anew.
    shop.api.misbehave(Rule::new(Fault::status(409, &[])).page(4));
    shop.failing_sync();
    assert_eq!(queue(&mut shop), "pending config");
}

#[test]
fn refresh_token_then_retry_takes_a_secret_that_was_set_anew_and_goes_on() {
    let mut shop = Shop::open(1000);
    shop.api.set(|settings| settings.auth = Auth::Bearer("old".into()));
    shop.db
        .exec("GRANT USAGE ON FOREIGN DATA WRAPPER pg_sluice TO app; ALTER SERVER shop OWNER TO app; ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'token')");
    shop.app.exec("SELECT sluice.set_secret('token', 'old')");
    shop.create_job("products", "/page/products", PAGES);
    rule(&mut shop, "'{\"status\": 401}', 'refresh_token_then_retry'");
    shop.start_and_hold_at(3);
    shop.app.exec("SELECT sluice.set_secret('token', 'new')");
    shop.api.set(|settings| settings.auth = Auth::Bearer("new".into()));
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(shop.runs(), ["manual succeeded"]);
    assert_eq!(
        log(&mut shop, "error_class, http_status, next_step"),
        "auth 401 retry_in_run"
    );
    // Where there is none, a person must act.
    shop.api.set(|settings| settings.auth = Auth::Bearer("newer".into()));
    shop.api.clear_log();
    shop.failing_sync();
    assert_eq!(shop.run("status || ' ' || error_class"), "failed auth");
    assert_eq!((shop.api.requests().len(), queue(&mut shop).as_str()), (1, "nothing"));
}

#[test]
fn pause_connection_has_every_job_of_it_wait_until_it_is_resumed() {
    let mut shop = shop();
    shop.create_job("others", "/page/products", PAGES);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    rule(
        &mut shop,
        "'{\"status\": 503, \"header\": {\"name\": \"X-Down\"}}', 'pause_connection', hint => 'It is being moved.'",
    );
    shop.api.misbehave(Rule::new(Fault::status(503, &[("X-Down", "yes")])));
    shop.failing_sync();
    assert_eq!(shop.run("status"), "failed");
    assert_eq!(
        log(&mut shop, "next_step, action"),
        "connection_paused you: resume_connection()"
    );
    let connection = "SELECT state || ': ' || pause_reason FROM sluice.sync_connections";
    assert_eq!(
        shop.db.text(connection),
        "paused: It is being moved. (error rule \"a rule\")"
    );
    for job in ["products", "others"] {
        let status = format!(
            "SELECT status || ', ' || action || ', ' || error_message FROM sluice.sync_status WHERE data_type = '{job}'"
        );
        let told = shop.db.text(&status);
        assert!(
            told.starts_with("paused, you: resume_connection(), connection \"shop\" is paused: It is being moved."),
            "{told}"
        );
        let error = shop.app.error(&format!("SELECT sluice.start_sync('{job}')"));
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("55000", "connection \"shop\" is paused")
        );
    }
    assert_eq!(shop.app.number("SELECT sluice.force_sync_all()"), 0);
    shop.api.clear_faults();
    // The run that met it goes on at once, the others at their times.
    shop.db.exec("SELECT sluice.resume_connection('shop')");
    shop.wait_for_run("succeeded");
    assert_eq!(shop.runs().last().map(String::as_str), Some("schedule succeeded"));
    assert_eq!(shop.db.value("SELECT pause_reason FROM sluice.sync_connections"), None);
}

#[test]
fn a_paused_connection_goes_on_by_itself_when_its_time_has_come() {
    let mut shop = shop();
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    rule(
        &mut shop,
        "'{\"status\": 503}', 'pause_connection', pause_for => '20 min'",
    );
    shop.api.misbehave(Rule::new(Fault::status(503, &[])));
    shop.failing_sync();
    assert_eq!(shop.status("status || ', ' || action"), "paused, wait");
    assert!(
        shop.db
            .is_true("SELECT next_run_at > now() + interval '15 min' FROM sluice.sync_status")
    );
    shop.api.clear_faults();
    shop.cluster.configure("sluice.debug_clock_offset", "21 min");
    shop.db.exec("SELECT pg_reload_conf()");
    wait_until(&mut shop.db, "the run after the pause", SOON, |db| {
        db.is_true("SELECT count(*) = 1 FROM sluice.sync_runs WHERE source IN ('schedule', 'catch_up') AND status = 'succeeded'")
    });
}

#[test]
fn a_rule_by_sqlstate_has_a_run_queued_that_a_trigger_refused() {
    let mut shop = shop();
    shop.app.exec(
        "CREATE FUNCTION app.closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           RAISE EXCEPTION 'the books are closed' USING ERRCODE = 'P0001'; END $$; \
         CREATE TRIGGER closed BEFORE UPDATE ON app.products FOR EACH ROW EXECUTE FUNCTION app.closed()",
    );
    rule(
        &mut shop,
        "'{\"sqlstate\": \"P0001\"}', 'retry_later', 'database', job => 'products'",
    );
    shop.api.change(10.0, 3);
    shop.failing_sync();
    assert_eq!(queue(&mut shop), "pending database");
    assert_eq!(
        log(&mut shop, "error_class, sqlstate, next_step, rule, default_class"),
        "database P0001 queued a rule data"
    );
    shop.app
        .exec("DROP TRIGGER closed ON app.products; SELECT sluice.retry_now('products')");
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}

#[test]
fn the_rule_of_a_job_is_asked_before_that_of_its_connection_and_this_before_that_of_all() {
    let mut shop = shop();
    let set = |shop: &mut Shop, name: &str, scope: &str| {
        shop.db.exec(&format!(
            "SELECT sluice.set_error_rule('{name}', '{{\"status\": 503}}', 'fail', priority => 1 {scope})"
        ));
    };
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
    for (name, scope) in [
        ("all", ""),
        ("connection", ", connection => 'shop'"),
        ("job", ", job => 'products'"),
    ] {
        set(&mut shop, name, scope);
        shop.failing_sync();
        assert_eq!(log(&mut shop, "rule"), name);
    }
    // A rule for another connection is none for this one; renaming is followed.
    shop.db.exec("ALTER SERVER shop RENAME TO store");
    shop.failing_sync();
    shop.db.exec("SELECT sluice.drop_error_rule('job')");
    shop.failing_sync();
    assert_eq!(log(&mut shop, "rule"), "connection");
}

#[test]
fn admins_give_rules_and_writers_see_those_that_concern_them() {
    let mut shop = shop();
    shop.db
        .exec("CREATE ROLE boss LOGIN; SELECT sluice.grant_access('boss', 'admin')");
    let mut boss = shop.cluster.db_as("boss", "postgres");
    boss.exec("INSERT INTO sluice.error_rules (name, match, action, job) VALUES ('x', '{\"status\": 418}', 'ignore', 'products')");
    boss.exec("UPDATE sluice.error_rules SET hint = 'A teapot.' WHERE name = 'x'");
    assert_eq!(
        shop.app.text("SELECT name || ': ' || hint FROM sluice.error_rules"),
        "x: A teapot."
    );
    for sql in [
        "INSERT INTO sluice.error_rules (name, match, action) VALUES ('y', '{\"status\": 418}', 'ignore')",
        "DELETE FROM sluice.error_rules",
        "SELECT sluice.set_error_rule('y', '{\"status\": 418}', 'ignore')",
        "SELECT sluice.drop_error_rule('x')",
    ] {
        assert_eq!(shop.app.error(sql).sqlstate, "42501", "{sql}");
    }
    shop.db
        .exec("CREATE ROLE other LOGIN; SELECT sluice.grant_access('other', 'writer')");
    let mut other = shop.cluster.db_as("other", "postgres");
    assert_eq!(other.number("SELECT count(*) FROM sluice.error_rules"), 0);
    assert_eq!(other.error("SELECT sluice.pause_connection('shop')").sqlstate, "42501");
}

/// Whoever may use a connection reads why it is paused: nothing there quotes the data.
#[test]
fn a_connection_that_a_rule_pauses_for_an_error_about_data_quotes_none_of_it() {
    let mut shop = shop();
    rule(&mut shop, "'{\"sqlstate\": \"P0001\"}', 'pause_connection'");
    shop.app.exec(
        "CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'canary %', NEW.name; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON app.products FOR EACH ROW EXECUTE FUNCTION app.refuse()",
    );
    shop.api.change(10.0, 1);
    shop.failing_sync();
    for column in [
        "pause_reason FROM sluice.sync_connections",
        "error_message FROM sluice.sync_status",
    ] {
        let told = shop.db.text(&format!("SELECT {column}"));
        assert!(told.contains("a rule") && !told.contains("canary"), "{told}");
    }
}
