//! Answers that must never destroy data: the last good rows stay, the views say why, and the next good answer mends it.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule, Total};

/// What a bad answer must come to.
struct Expected {
    status: &'static str,
    class: &'static str,
    sqlstate: &'static str,
    health: &'static str,
    action: &'static str,
    /// A part of the error message.
    message: &'static str,
}

/// Few and short retries, so that lasting faults end soon.
fn settings() -> String {
    PAGES.replacen('{', r#"{"retry": {"request_attempts": 2, "request_cap": "10 ms"}, "#, 1)
}

/// Loads 500 products, changes some, meets the fault, and meets a good answer again.
fn meets(fault: impl Into<Rule>, expected: &Expected) {
    let mut shop = Shop::loaded(500, &settings());
    shop.db
        .exec("CREATE TABLE app.before AS SELECT id, xmin::text AS version FROM app.products");
    shop.api.change(10.0, 3);
    shop.api.misbehave(fault);
    let error = shop.failing_sync();
    let untouched = "SELECT count(*) FROM app.products p JOIN app.before b USING (id) WHERE p.xmin::text = b.version";
    assert_eq!(shop.db.number(untouched), 500, "{error}");
    let run = shop.run("concat_ws(' ', status, coalesce(error_class, '-'), coalesce(sqlstate, '-'))");
    assert_eq!(
        run,
        format!("{} {} {}", expected.status, expected.class, expected.sqlstate),
        "{error}"
    );
    assert_views(&mut shop, expected);
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    let (status, health) = (shop.status("concat_ws(' ', status, action)"), shop.health("status"));
    assert_eq!((status.as_str(), health.as_str()), ("idle nobody", "healthy"));
    assert_eq!(shop.status("error_message"), "NULL");
    assert_eq!(shop.health("error_message"), "NULL");
}

fn assert_views(shop: &mut Shop, expected: &Expected) {
    for (view, message) in [
        ("status", shop.status("error_message")),
        ("health", shop.health("error_message")),
    ] {
        let hidden = view == "health" && expected.health == "healthy";
        assert!(hidden || message.contains(expected.message), "{view}: {message}");
    }
    let action = shop.status("action");
    assert!(action.starts_with(expected.action), "{action}");
    let (health, reason) = (shop.health("status"), shop.health("reason"));
    assert_eq!(health, expected.health, "{reason}");
    assert!(reason.len() > 10, "{reason}");
}

/// An answer without a single record, where there were some before.
const EMPTY: Expected = Expected {
    status: "rolled_back",
    class: "empty",
    sqlstate: "SY003",
    health: "unhealthy",
    action: "remote",
    message: "the remote sent no records",
};

/// An answer that is not what the job's definition says: one request, and a person must look.
const NOT_RECORDS: Expected = Expected {
    status: "failed",
    class: "data",
    sqlstate: "22032",
    health: "unhealthy",
    action: "you: ",
    message: "",
};

/// F-R17.
#[test]
fn an_empty_array_is_kept_back() {
    meets(Fault::body(r#"{"data": [], "meta": {"total": 0}}"#), &EMPTY);
}

/// F-N16.
#[test]
fn a_204_is_kept_back() {
    meets(Fault::no_content(), &EMPTY);
}

#[test]
fn an_empty_object_misses_the_records_path() {
    let message = "the answer has nothing at $.data";
    meets(Fault::body("{}"), &Expected { message, ..NOT_RECORDS });
}

#[test]
fn a_null_is_no_array_of_records() {
    meets(Fault::body("null"), &NOT_RECORDS);
}

/// F-N17.
#[test]
fn records_that_are_null_are_no_array() {
    meets(Fault::body(r#"{"data": null}"#), &NOT_RECORDS);
}

/// F-N17.
#[test]
fn an_error_document_with_status_200_misses_the_records_path() {
    meets(Fault::body(r#"{"error": "too busy"}"#), &NOT_RECORDS);
}

#[test]
fn an_html_page_is_no_json() {
    meets(
        Fault::html(),
        &Expected {
            message: "HTML",
            ..NOT_RECORDS
        },
    );
}

#[test]
fn a_bad_page_in_the_middle_publishes_nothing_of_the_others() {
    meets(Rule::new(Fault::html()).page(4), &NOT_RECORDS);
}

/// What the remote will mend by itself: tried again, and the data is still fresh.
const PASSES: Expected = Expected {
    status: "retryable",
    class: "server",
    sqlstate: "08006",
    health: "healthy",
    action: "wait",
    message: "",
};

#[test]
fn a_status_500_is_retried_and_ends_the_run() {
    meets(Rule::new(Fault::status(500, &[])).page(2), &PASSES);
}

#[test]
fn a_truncated_body_is_retried_and_ends_the_run() {
    meets(
        Rule::new(Fault::ShortBody).page(2),
        &Expected {
            class: "network",
            ..PASSES
        },
    );
}

#[test]
fn a_reset_in_mid_body_is_retried_and_ends_the_run() {
    meets(
        Rule::new(Fault::Reset).page(2),
        &Expected {
            class: "network",
            ..PASSES
        },
    );
}

/// F-N8.
#[test]
fn a_fault_that_passes_within_the_attempts_is_not_noticed() {
    let mut shop = Shop::loaded(500, &settings());
    shop.api.change(10.0, 3);
    shop.api.misbehave(Rule::new(Fault::status(503, &[])).page(2).times(1));
    shop.api.misbehave(Rule::new(Fault::ShortBody).page(4).times(1));
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("status"), "succeeded");
}

#[test]
fn a_server_error_is_asked_as_often_as_the_job_says_and_the_good_pages_are_kept() {
    let mut shop = Shop::loaded(500, &settings());
    shop.api.clear_log();
    shop.api.misbehave(Rule::new(Fault::status(500, &[])).page(3));
    shop.failing_sync();
    let asked = shop.api.pages_asked();
    assert_eq!(asked.iter().filter(|page| **page == 3).count(), 2, "{asked:?}");
    let committed = shop.committed_pages();
    assert_eq!(committed.into_iter().collect::<Vec<_>>(), [1, 2]);
    shop.api.clear_faults();
    shop.api.clear_log();
    shop.sync();
    let mut asked = shop.api.pages_asked();
    asked.sort_unstable();
    assert_eq!(asked, [3, 4, 5]);
    shop.assert_equal();
}

#[test]
fn content_that_cannot_be_used_costs_one_request() {
    let mut shop = Shop::loaded(500, &settings());
    shop.api.misbehave(Fault::html());
    shop.api.clear_log();
    shop.failing_sync();
    assert_eq!(shop.api.requests().len(), 1);
}

#[test]
fn half_the_rows_are_held() {
    let held = Expected {
        status: "held",
        class: "-",
        sqlstate: "-",
        health: "degraded",
        action: "you: approve or discard",
        message: "too many rows would vanish",
    };
    meets(Fault::HalfRows { total: Total::Matching }, &held);
    meets(Fault::HalfRows { total: Total::Real }, &held);
}

/// A shop whose latest run is held: the second half of 500 products was missing from it.
fn held() -> (Shop, String) {
    let mut shop = Shop::loaded(500, &settings());
    shop.api.change_ids(&[1, 2, 3]);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.failing_sync();
    let run = shop.db.text("SELECT run_id FROM sluice.sync_held");
    let hint = shop.status("hint");
    assert!(hint.contains(&format!("CALL sluice.approve({run})")), "{hint}");
    (shop, run)
}

#[test]
fn an_approved_run_is_published_without_a_request() {
    let (mut shop, run) = held();
    shop.api.clear_log();
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250);
    assert_eq!(shop.run("concat_ws(' ', status, updated, deleted)"), "succeeded 3 250");
    assert_eq!(shop.api.requests().len(), 0);
    assert_eq!(shop.health("status"), "healthy");
    let again = shop.app.error(&format!("CALL sluice.approve({run})"));
    assert_eq!(again.sqlstate, "55000", "{again}");
}

#[test]
fn an_approved_run_that_cannot_be_published_waits_for_a_decision_again() {
    let (mut shop, run) = held();
    shop.db.failpoint("publish.applied", "error");
    let error = shop.app.error(&format!("CALL sluice.approve({run})"));
    assert!(error.message.contains("ended as held"), "{error}");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250);
}

#[test]
fn an_approved_run_is_judged_by_what_it_read_itself() {
    let (mut shop, run) = held();
    // A later read of the whole collection, which declares another total, gets no further than its third page.
    shop.api.clear_faults();
    shop.start_and_hold_at(3);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    assert_eq!(shop.db.number("SELECT total_first FROM sluice._job_state"), 500);
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 250);
}

#[test]
fn an_approved_run_can_be_undone() {
    let (mut shop, run) = held();
    let before = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    shop.app.exec("CALL sluice.rollback_to('products')");
    let after = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    assert_eq!(before, after);
}

#[test]
fn a_discarded_run_is_dropped() {
    let (mut shop, run) = held();
    shop.app.exec(&format!("SELECT sluice.discard({run})"));
    assert_eq!(shop.run("status"), "discarded");
    assert_eq!(shop.status("concat_ws(' ', status, action)"), "idle nobody");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    let refused = shop.app.error(&format!("CALL sluice.approve({run})"));
    assert_eq!(refused.sqlstate, "55000", "{refused}");
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_newer_good_run_supersedes_a_held_one() {
    let (mut shop, run) = held();
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    let status = format!("SELECT status FROM sluice.sync_runs WHERE id = {run}");
    assert_eq!(shop.db.text(&status), "superseded");
    let refused = shop.app.error(&format!("CALL sluice.approve({run})"));
    assert_eq!(refused.sqlstate, "55000", "{refused}");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_held"), 0);
}

#[test]
fn an_empty_answer_is_accepted_where_the_job_says_so() {
    let mut shop = Shop::loaded(500, &settings());
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"on_empty": "accept", "max_shrink": 1}')"#);
    shop.api.remove_ids(&(1..=500).collect::<Vec<_>>());
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
}

#[test]
fn an_empty_answer_is_held_where_the_job_says_so() {
    let mut shop = Shop::loaded(500, &settings());
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"on_empty": "hold"}')"#);
    shop.api.misbehave(Fault::body(r#"{"data": []}"#));
    shop.failing_sync();
    assert_eq!(shop.run("status"), "held");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
}

#[test]
fn an_empty_answer_is_forgotten_after_a_good_run_even_where_that_was_undone() {
    let mut shop = Shop::loaded(500, &settings());
    shop.api.misbehave(Fault::no_content());
    shop.failing_sync();
    shop.api.clear_faults();
    shop.api.change(10.0, 3);
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products')");
    let health = shop.health("concat_ws(': ', status, reason)");
    assert_eq!(health, "healthy: the last run succeeded, and was rolled back");
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    // A paused job has no next run, whatever its schedule.
    assert_eq!(shop.status("concat_ws(' ', status, next_run_at)"), "paused");
}

/// F-R17, F-N16: what the answers amounted to is told. A single page that is empty and complete is its own confirmation, and
/// still removes nothing.
#[test]
fn a_complete_empty_answer_is_told_as_such_and_removes_nothing() {
    let settings = settings().replace(r#", "total": "$.meta.total""#, "");
    let mut shop = Shop::loaded(500, &settings);
    assert_eq!(shop.run("answer"), "records");
    shop.api.misbehave(Fault::body(r#"{"data": []}"#));
    let answer = "empty_confirmed";
    for _ in 0..2 {
        shop.failing_sync();
        assert_eq!(shop.run("answer"), answer);
        assert!(shop.health("reason").contains(answer), "{}", shop.health("reason"));
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    }
    shop.api.clear_faults();
    shop.api.misbehave(Fault::body("{}"));
    shop.failing_sync();
    assert_eq!(shop.run("answer"), "path_missing");
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.run("answer"), "records");
    shop.assert_equal();
}

/// P4: what a run of ours emptied is there again at once.
#[test]
fn a_run_that_leaves_the_table_empty_is_taken_back_with_its_commit() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.db.exec(
        "CREATE FUNCTION app.sweep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM app.products; RETURN NULL; END';
         CREATE TRIGGER sweep AFTER UPDATE ON app.products FOR EACH STATEMENT EXECUTE FUNCTION app.sweep();
         ALTER FUNCTION app.sweep() OWNER TO app",
    );
    shop.api.change(5.0, 1);
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "SY003", "{error}");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
    assert_eq!(shop.run("concat_ws(' ', status, error_class)"), "failed empty");
    assert_eq!(shop.health("status"), "unhealthy");
    shop.db.exec("DROP TRIGGER sweep ON app.products");
    shop.sync();
    shop.assert_equal();
    // What a person empties stays empty until the next run.
    shop.db.exec("TRUNCATE app.products");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    shop.sync();
    shop.assert_equal();
}

/// The stores do not grow with reads of which nothing becomes visible.
#[test]
fn reads_that_are_refused_are_forgotten_and_one_that_is_held_is_kept() {
    let mut shop = Shop::loaded(500, &settings().replacen('{', r#"{"on_bad_record": "fail", "#, 1));
    shop.app.exec("ALTER TABLE products ADD CHECK (price < 1000000)");
    let kept = "SELECT count(DISTINCT generation) || ' ' || count(*) FILTER (WHERE records > 0) FROM sluice._page";
    let orphans =
        "SELECT count(*) FROM sluice._page_body b WHERE NOT EXISTS (SELECT FROM sluice._page p WHERE p.hash = b.hash)";
    // Kept back: empty answers.
    shop.api.misbehave(Fault::body(r#"{"data": [], "meta": {"total": 0}}"#));
    for _ in 0..2 {
        shop.failing_sync();
        shop.wait_until_tidied();
        assert_eq!(shop.db.text(kept), "1 5");
    }
    // Refused by the table, when all pages are there.
    for round in 0..2 {
        shop.api.clear_faults();
        shop.api.misbehave(Fault::AlterRecord {
            id: 7,
            member: "price".into(),
            value: Some("2000000".into()),
        });
        shop.api.change_ids(&[7, 300 + round]);
        assert_eq!(shop.failing_sync().sqlstate, "23514");
        shop.wait_until_tidied();
    }
    // The last one is given up, and is left when the next one begins.
    shop.api.clear_faults();
    for round in 0..2 {
        shop.api
            .misbehave(Rule::new(Fault::HalfRows { total: Total::Matching }));
        shop.api.change_ids(&[20 + round]);
        assert!(shop.failing_sync().message.contains("held"));
        shop.wait_until_tidied();
        shop.api.clear_faults();
        assert_eq!(shop.db.text(kept), "2 8", "the published read and the held one");
        assert_eq!(shop.db.number(orphans), 0);
    }
    shop.sync();
    shop.wait_until_tidied();
    shop.assert_equal();
}
