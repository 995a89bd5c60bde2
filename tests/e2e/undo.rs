//! Taking published runs back.

use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{kill9, wait_until};

const STATE: &str =
    "SELECT count(*) || ' ' || coalesce(md5(string_agg(p::text, ',' ORDER BY id)), '-') FROM app.products p";

/// A job of 1,000 products with a first load and further runs that changed, removed and added; the table's state after
/// each run, the first load first, and the runs' ids.
fn history(runs: u64) -> (Shop, Vec<String>, Vec<i64>) {
    let mut shop = Shop::loaded(1_000, PAGES);
    let mut states = vec![shop.db.text(STATE)];
    for round in 1..=runs {
        shop.api.change(5.0, round);
        shop.api.remove(2.0, round + 100);
        shop.api.add(15);
        shop.sync();
        shop.assert_equal();
        states.push(shop.db.text(STATE));
    }
    let ids = shop.db.rows("SELECT id FROM sluice.sync_runs ORDER BY id").rows;
    let ids = ids
        .into_iter()
        .flatten()
        .flatten()
        .map(|id| id.parse().expect("an id"))
        .collect();
    (shop, states, ids)
}

#[test]
fn the_latest_run_is_undone_exactly_and_the_job_is_paused() {
    let (mut shop, states, ids) = history(2);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[1]);
    assert_eq!(shop.status("status"), "paused");
    assert_eq!(shop.status("action"), "you: resume_job()");
    assert_eq!(shop.run("concat_ws(' ', source, status)"), "rollback succeeded");
    let undone = format!("SELECT status FROM sluice.sync_runs WHERE id = {}", ids[2]);
    assert_eq!(shop.db.text(&undone), "rolled_back");
    let refused = shop.app.error("SELECT sluice.start_sync('products')");
    assert_eq!(refused.sqlstate, "55000", "{refused}");

    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.db.text(STATE), states[2]);
}

#[test]
fn rolling_back_twice_goes_two_runs_back() {
    let (mut shop, states, _) = history(2);
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[0]);
}

#[test]
fn several_runs_are_undone_to_the_state_after_a_given_one() {
    let (mut shop, states, ids) = history(4);
    shop.app.exec(&format!(
        "CALL sluice.rollback_to('products', {}, resume => true)",
        ids[1]
    ));
    assert_eq!(shop.db.text(STATE), states[1]);
    assert_eq!(shop.status("status"), "idle");
    shop.sync();
    assert_eq!(shop.db.text(STATE), states[4]);
    shop.assert_equal();
}

#[test]
fn a_rollback_goes_over_the_first_load() {
    let (mut shop, _, _) = history(0);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn after_a_rollback_the_next_run_removes_what_has_gone_since() {
    let (mut shop, states, ids) = history(2);
    shop.app.exec(&format!(
        "CALL sluice.rollback_to('products', {}, resume => true)",
        ids[0]
    ));
    assert_eq!(shop.db.text(STATE), states[0]);
    shop.api.remove_ids(&[10, 20, 30]);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn rows_that_were_edited_since_are_left_and_reported() {
    let (mut shop, _, _) = history(0);
    shop.api.change_ids(&[1, 2, 3]);
    shop.api.add(3);
    shop.sync();
    shop.db
        .exec("UPDATE app.products SET name = 'mine' WHERE id IN (2, 1002); DELETE FROM app.products WHERE id = 1003");
    shop.app.exec("CALL sluice.rollback_to('products')");
    let kept = "SELECT string_agg(id::text, ',' ORDER BY id) FROM app.products WHERE name = 'mine'";
    assert_eq!(shop.db.text(kept), "2,1002");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id > 1000"), 1);
    let told = shop.run("concat_ws(': ', error_message, error_detail)");
    assert!(told.contains("left") && told.contains("1002"), "{told}");
    assert_eq!(shop.run("concat_ws(' ', status, updated, deleted)"), "succeeded 2 1");
}

#[test]
fn rows_of_a_first_load_that_were_edited_since_are_left_and_reported() {
    let (mut shop, _, _) = history(0);
    shop.db
        .exec("UPDATE app.products SET name = 'mine' WHERE id IN (7, 8); INSERT INTO app.products (id) VALUES (5000)");
    shop.app.exec("CALL sluice.rollback_to('products')");
    let kept = "SELECT string_agg(id::text, ',' ORDER BY id) FROM app.products";
    assert_eq!(shop.db.text(kept), "7,8,5000");
    assert!(
        shop.run("error_message").starts_with("2 rows"),
        "{}",
        shop.run("error_message")
    );
}

#[test]
fn the_preview_says_what_the_rollback_then_does() {
    let (mut shop, _, ids) = history(2);
    let before = shop.db.text(STATE);
    let preview = format!("FROM sluice.preview_rollback('products', {})", ids[0]);
    let runs = format!("SELECT string_agg(run_id::text, ',' ORDER BY run_id) {preview}");
    assert_eq!(shop.app.text(&runs), format!("{},{}", ids[1], ids[2]));
    let rows = format!("SELECT concat_ws(' ', inserted, updated, deleted) {preview} WHERE run_id IS NULL");
    let foreseen = shop.app.text(&rows);
    assert_eq!(shop.db.text(STATE), before, "a preview wrote");
    shop.app
        .exec(&format!("CALL sluice.rollback_to('products', {})", ids[0]));
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), foreseen);
}

#[test]
fn the_preview_counts_the_rows_of_a_first_load() {
    let (mut shop, _, _) = history(0);
    let foreseen = shop
        .app
        .text("SELECT concat_ws(' ', inserted, updated, deleted) FROM sluice.preview_rollback('products') WHERE run_id IS NULL");
    assert_eq!(foreseen, "0 0 1000");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), foreseen);
}

#[test]
fn a_rollback_that_comes_to_nothing_leaves_the_job_as_it_was() {
    let (mut shop, states, ids) = history(2);
    shop.db.failpoint("rollback.applied", "error");
    let call = format!("CALL sluice.rollback_to('products', {})", ids[0]);
    let error = shop.app.error(&call);
    assert!(error.message.contains("ended as"), "{error}");
    assert_eq!(shop.db.text(STATE), states[2]);
    assert_eq!(shop.status("status"), "idle");
    shop.app.exec(&call);
    assert_eq!(shop.db.text(STATE), states[0]);
    assert_eq!(shop.status("status"), "paused");
}

#[test]
fn a_crash_in_the_middle_of_a_rollback_changes_nothing_and_it_goes_on() {
    for point in ["rollback.applied", "rollback.before_commit"] {
        let (mut shop, states, ids) = history(2);
        shop.db.failpoint(point, "kill9");
        let call = shop.cluster.db_as("app", "postgres");
        let call = call.call(&format!("CALL sluice.rollback_to('products', {})", ids[0]));
        shop.recover();
        assert!(call.finish().0.is_err(), "the caller outlived the crash");
        let seen = shop.db.text(STATE);
        assert!(
            seen == states[2] || seen == states[0],
            "{point}: half a rollback is visible"
        );
        shop.wait_for_run("succeeded");
        assert_eq!(shop.db.text(STATE), states[0], "{point}");
        assert_eq!(shop.status("status"), "paused");
        let waited = "SELECT not_before IS NOT NULL FROM sluice._run ORDER BY id DESC LIMIT 1";
        assert!(
            shop.db.is_true(waited),
            "what has crashed the server is begun again at once"
        );
        shop.app.exec("SELECT sluice.resume_job('products')");
        shop.sync();
        shop.assert_equal();
    }
}

#[test]
fn an_error_in_the_middle_of_a_rollback_leaves_everything_as_it_was() {
    let (mut shop, states, _) = history(1);
    shop.db.failpoint("rollback.before_commit", "error");
    let error = shop.app.error("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[1], "{error}");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[0]);
}

#[test]
fn undo_sets_beyond_the_kept_runs_are_refused_by_name() {
    let settings = PAGES.replacen('{', r#"{"undo": {"keep_runs": 2}, "#, 1);
    let mut shop = Shop::loaded(300, &settings);
    let first = shop.run("id");
    for round in 0..4 {
        shop.api.change(10.0, round);
        shop.sync();
    }
    let refused = shop.app.error(&format!("CALL sluice.rollback_to('products', {first})"));
    assert_eq!(refused.sqlstate, "55000", "{refused}");
    assert_eq!(shop.status("status"), "idle", "a refused rollback paused the job");
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM sluice.sync_runs WHERE status = 'rolled_back'"),
        2
    );
}

#[test]
fn undo_sets_beyond_the_quota_go_from_the_oldest_and_the_newest_stays() {
    let mut shop = Shop::loaded(300, PAGES);
    for round in 0..3 {
        shop.api.change(50.0, round);
        shop.sync();
    }
    let sizes = "SELECT run_id, bytes FROM sluice.sync_undo ORDER BY run_id DESC";
    let sizes = shop.db.rows(sizes).rows;
    let (newest, second) = (sizes[0][1].clone(), sizes[1][1].clone());
    let bytes = |text: &Option<String>| text.as_deref().and_then(|t| t.parse::<i64>().ok()).expect("bytes");
    let total = "SELECT (undo_bytes, page_store_bytes > 0, snapshot_bytes)::text FROM sluice.sync_metadata";
    let all = shop.db.number("SELECT sum(bytes)::bigint FROM sluice.sync_undo");
    assert_eq!(shop.db.text(total), format!("({all},t,0)"));
    let quota = |shop: &mut Shop, bytes: i64| {
        let undo = format!(r#"{{"undo": {{"keep_bytes": {bytes}}}}}"#);
        shop.app
            .exec(&format!("SELECT sluice.alter_job('products', settings => '{undo}')"));
        // A run without changes prunes; its own set is empty.
        shop.sync();
        shop.wait_until_tidied();
        shop.db.number("SELECT count(*) FROM sluice.sync_undo")
    };
    assert_eq!(quota(&mut shop, bytes(&newest) + bytes(&second)), 2);
    assert_eq!(quota(&mut shop, bytes(&newest) + bytes(&second) - 1), 1);
    shop.api.change(50.0, 9);
    shop.sync();
    assert_eq!(quota(&mut shop, 0), 0, "a run that changed nothing needs no set");
    shop.api.change(50.0, 10);
    shop.sync();
    shop.wait_until_tidied();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_undo"), 1);
    let refused = shop
        .app
        .error(r#"SELECT sluice.alter_job('products', settings => '{"undo": {"keep_bytes": -1}}')"#);
    assert_eq!(refused.sqlstate, "22023", "{refused}");
}

#[test]
fn an_interrupted_first_load_is_undone_as_a_whole_after_further_runs() {
    let mut shop = Shop::with_job(1_000, PAGES);
    shop.start_and_hold_at(6);
    kill9(shop.worker());
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    for round in 0..2 {
        shop.api.change(30.0, round);
        shop.sync();
    }
    for _ in 0..3 {
        shop.app.exec("CALL sluice.rollback_to('products')");
    }
    assert_eq!(
        shop.db.number("SELECT count(*) FROM app.products"),
        0,
        "{}",
        shop.run("error_message")
    );
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_refresh_that_crashed_while_it_was_published_is_undone_as_a_whole() {
    let mut shop = Shop::loaded(1_000, PAGES);
    let old = shop.db.text(STATE);
    shop.api.change(10.0, 1);
    shop.api.remove(3.0, 2);
    shop.db.failpoint("publish.before_commit", "kill9");
    shop.start();
    shop.recover();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), old);
}

#[test]
fn a_rollback_ends_the_run_that_is_under_way_first() {
    let (mut shop, states, _) = history(1);
    shop.api.change(20.0, 50);
    shop.start_and_hold_at(5);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[0]);
    shop.api.release();
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_rollback_over_a_truncated_table_reports_what_it_cannot_restore() {
    let (mut shop, _, _) = history(1);
    shop.db.exec("TRUNCATE app.products");
    let outcome = shop.app.try_rows("CALL sluice.rollback_to('products')");
    assert!(outcome.is_ok(), "{outcome:?}");
    // Rows that the undone run had removed come back; those that others removed since stay away.
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 20);
}

#[test]
fn a_row_that_is_missing_since_a_run_that_was_taken_back_is_still_found_missing() {
    let mut shop = Shop::loaded(300, crate::shop::PAGES_WITHOUT_TOTAL);
    for _ in 0..2 {
        shop.sync();
    }
    shop.api.remove_ids(&[150]);
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    for _ in 0..2 {
        shop.sync();
    }
    shop.assert_equal();
}

/// What is forgotten after the commit changes nothing about how the run ended.
#[test]
fn a_run_that_is_published_stays_so_whatever_becomes_of_what_follows() {
    let (mut shop, states, _) = history(1);
    shop.api.change(10.0, 77);
    shop.db.failpoint("publish.tidied", "error");
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', status, error_message)"), "succeeded");
    shop.assert_equal();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_retry_queue"), 0);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[1]);

    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.db.failpoint("publish.tidied", "pause");
    let run = shop.start();
    let reached = "SELECT sluice._failpoint_hits('publish.tidied') > 1";
    wait_until(&mut shop.db, "it tidies up", SOON, |db| db.is_true(reached));
    shop.db
        .exec("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'sluice worker'");
    shop.wait_until_tidied();
    shop.db.failpoint("publish.tidied", "off");
    assert_eq!(shop.run("concat_ws(' ', id, status)"), format!("{run} succeeded"));
}

/// The pages of a first load are taken back some at a time: of a key that came twice far apart, none was changed by others.
#[test]
fn a_key_that_came_twice_in_a_first_load_is_taken_back_without_a_word() {
    let settings = PAGES_WITHOUT_TOTAL.replacen("100", "10", 1);
    let mut shop = Shop::with_job(300, &settings);
    let twice = Fault::AlterRecord {
        id: 290,
        member: "id".to_string(),
        value: Some("5".to_string()),
    };
    shop.api.misbehave(Rule::new(twice));
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 299);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    assert_eq!(
        shop.run("concat_ws(' ', status, deleted, error_message)"),
        "succeeded 299"
    );
}
