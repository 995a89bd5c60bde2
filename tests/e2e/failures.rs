//! What is written down of failures, what comes next, and the error budget of a run.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;

/// Ten pages, loaded, whose requests are repeated at once, with these settings of retries.
fn shop(retry: &str) -> Shop {
    let mut shop = Shop::with_job(1000, PAGES);
    shop.sync();
    shop.app.exec(&format!(
        "SELECT sluice.alter_job('products', settings => '{{\"retry\": {{\"request_cap\": \"10 ms\", {retry}}}}}')"
    ));
    shop
}

/// The log as its owner sees it, oldest first; an expression over its columns.
fn log(shop: &mut Shop, columns: &str) -> Vec<String> {
    let sql = format!("SELECT concat_ws(' ', {columns}) FROM sluice.sync_failure_logs ORDER BY id");
    shop.app.rows(&sql).rows.into_iter().flatten().flatten().collect()
}

/// The explanation of the latest failure.
fn explained(shop: &mut Shop) -> Vec<String> {
    let sql = "SELECT e.aspect || ': ' || e.explanation FROM sluice.explain_error((SELECT max(id) FROM sluice.sync_failure_logs)) AS e";
    shop.app.rows(sql).rows.into_iter().flatten().flatten().collect()
}

///
#[test]
fn each_failed_request_is_written_down_with_what_comes_next() {
    let mut shop = shop("\"request_attempts\": 3");
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(3));
    shop.failing_sync();
    assert_eq!(
        log(
            &mut shop,
            "page, attempt, error_class, sqlstate, http_status, next_step, action"
        ),
        [
            "3 1 server 08006 503 retry_in_run wait",
            "3 2 server 08006 503 retry_in_run wait",
            "3 3 server 08006 503 queued wait",
        ]
    );
    assert_eq!(log(&mut shop, "excerpt")[0], "{\"error\":\"status 503\"}");
    let waits = "SELECT f.next_at = q.next_retry_at FROM sluice.sync_failure_logs f, sluice.sync_retry_queue q \
                 WHERE f.next_step = 'queued'";
    assert!(shop.db.is_true(waits));
    let soon = "SELECT bool_and(next_at BETWEEN failed_at AND failed_at + interval '10 ms') FROM sluice.sync_failure_logs \
                WHERE next_step = 'retry_in_run'";
    assert!(shop.db.is_true(soon));
    let told = explained(&mut shop);
    let remote = shop.api.address().to_string();
    assert_eq!(told[0], format!("failure: {remote} answered with status 503"));
    assert!(told[1].ends_with(", page 3, request 3 for it"), "{told:?}");
    assert_eq!(told[3], "decided by: the defaults, by HTTP status 503; no rule held");
    assert!(
        told[5].starts_with("what came next: the run waits in the retry queue, at "),
        "{told:?}"
    );
}

/// S-26. Health and statistics are for everybody who monitors; what a remote said is for those who may read the data.
#[test]
fn what_the_remote_said_is_for_roles_with_the_rights_of_the_owner() {
    let mut shop = shop("\"request_attempts\": 1");
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(3));
    shop.failing_sync();
    shop.db.exec("CREATE ROLE watcher LOGIN IN ROLE pg_monitor");
    let mut watcher = shop.cluster.db_as("watcher", "postgres");
    let quoted = "SELECT count(*) FROM sluice.VIEW AS t WHERE t::text LIKE '%:\"\"status 503%'";
    for (view, times) in [("sync_failure_logs", 1), ("sync_runs", 1)] {
        let sql = quoted.replace("VIEW", view);
        assert_eq!((shop.app.number(&sql), watcher.number(&sql)), (times, 0), "{view}");
    }
    let message = "SELECT error_message LIKE '%answered with status 503' AND http_status = 503 AND hint IS NOT NULL \
                   FROM sluice.sync_failure_logs";
    assert!(watcher.is_true(message));
    let explained = "SELECT count(*) FROM sluice.explain_error((SELECT max(id) FROM sluice.sync_failure_logs))";
    assert_eq!(watcher.number(explained), 8);
}

#[test]
fn what_a_person_must_mend_is_written_down_with_who_must_act() {
    let mut shop = shop("\"request_attempts\": 3");
    shop.api.misbehave(Rule::new(Fault::status(403, &[])).page(1).times(1));
    shop.failing_sync();
    shop.api
        .misbehave(Rule::new(Fault::body("{\"data\": [], \"meta\": {\"total\": 0}}")));
    shop.failing_sync();
    let expected = ["auth 403 stopped you: see hint", "empty stopped remote"];
    assert_eq!(log(&mut shop, "error_class, http_status, next_step, action"), expected);
    assert_eq!(
        explained(&mut shop)[5],
        "what came next: the run ended; nothing happens by itself"
    );
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    shop.failing_sync();
    let last = "SELECT next_step = 'scheduled' AND next_at > now() + interval '50 min' FROM sluice.sync_failure_logs ORDER BY id DESC LIMIT 1";
    assert!(shop.db.is_true(last));
}

#[test]
fn a_run_stops_when_so_many_requests_failed_in_a_row_and_is_queued() {
    let mut shop = shop("\"request_attempts\": 1000, \"failed_in_row\": 5");
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(1));
    shop.api.clear_log();
    shop.failing_sync();
    assert_eq!(shop.run("error_message"), "5 requests failed in a row");
    let detail = shop
        .app
        .text("SELECT error_detail FROM sluice.sync_failure_logs ORDER BY id DESC LIMIT 1");
    assert!(detail.contains("answered with status 503"), "{detail}");
    assert_eq!(shop.api.requests().len(), 5);
    assert_eq!(
        shop.run("status || ' ' || error_class || ' ' || failed_requests"),
        "retryable server 5"
    );
    assert_eq!(shop.status("status"), "waiting_for_retry");
    assert_eq!(
        log(&mut shop, "attempt, http_status, next_step")
            .last()
            .expect("five rows"),
        "5 503 queued"
    );
}

#[test]
fn a_run_stops_when_so_many_requests_failed_in_all_although_others_are_answered() {
    let mut shop = shop("\"request_attempts\": 3, \"failed_requests\": 6");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"concurrency\": 1, \"verify\": \"always\"}')");
    for page in 1..=10 {
        shop.api
            .misbehave(Rule::new(Fault::status(503, &[])).page(page).times(2));
    }
    shop.failing_sync();
    assert_eq!(shop.run("error_message"), "6 requests failed");
    assert_eq!(
        shop.run("status || ' ' || pages || ' ' || failed_requests"),
        "retryable 2 6"
    );
    // A run of its own has a budget of its own.
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.run("status || ' ' || failed_requests"), "succeeded 0");
}

/// The budget is one for all attempts of a run: a worker that is killed does not refill it.
#[test]
fn what_an_interrupted_run_has_spent_is_spent() {
    let mut shop = shop("\"request_attempts\": 4, \"failed_requests\": 5");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"concurrency\": 1, \"verify\": \"always\"}')");
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(2).times(3));
    shop.api.hold_page(4);
    shop.start();
    assert!(shop.api.wait_until_held(4, SOON));
    wait_until(&mut shop.db, "the failures are written down", SOON, |db| {
        db.is_true("SELECT failed_requests = 3 FROM sluice.sync_runs ORDER BY id DESC LIMIT 1")
    });
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(4));
    let worker = shop.worker();
    assert!(
        shop.db
            .is_true(&format!("SELECT pg_terminate_backend({worker}, 60000)"))
    );
    shop.api.release();
    shop.wait_for_run("retryable");
    assert_eq!(
        shop.run("source || ' ' || failed_requests || ' ' || error_message"),
        "resume 5 5 requests failed"
    );
}

/// A failure that lasts leaves a bounded number of rows.
#[test]
fn at_most_fifty_requests_of_a_run_are_written_down_and_all_are_counted() {
    let mut shop = shop("\"request_attempts\": 1000, \"failed_in_row\": 90, \"failed_requests\": 90");
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"concurrency\": 1, \"verify\": \"always\"}')");
    // Never so many in a row that the host's breaker opens.
    for page in 1..=9 {
        shop.api
            .misbehave(Rule::new(Fault::status(503, &[])).page(page).times(10));
    }
    shop.failing_sync();
    assert_eq!(shop.run("failed_requests"), "90");
    let rows = shop.db.number("SELECT count(*) FROM sluice.sync_failure_logs");
    assert!((2..=51).contains(&rows), "{rows}");
}

/// What ran short for a batch may be enough for half of it.
#[test]
fn a_batch_for_which_the_server_is_short_of_something_is_halved() {
    let settings = PAGES.replace("{\"pages\": 1}", "{\"seconds\": 60}");
    let mut shop = Shop::open(1000);
    shop.app.exec(
        "CREATE TABLE app.products (id bigint PRIMARY KEY, name text); \
         CREATE FUNCTION app.short() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF (SELECT count(*) FROM n) > 300 THEN RAISE EXCEPTION 'no room for so many' USING ERRCODE = '53200'; END IF; \
           RETURN NULL; END $$; \
         CREATE TRIGGER short AFTER INSERT ON app.products REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION app.short()",
    );
    shop.create_job("products", "/page/products", &settings);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 1000);
    assert_eq!(
        shop.run("status || ' ' || pages || ' ' || records"),
        "succeeded 10 1000"
    );
}
