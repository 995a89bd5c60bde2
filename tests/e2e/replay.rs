//! Publishing again what a run has read, without the network.

use crate::parents::{SETTINGS, grouped, parents, rows};
use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};

const STATE: &str =
    "SELECT count(*) || ' ' || coalesce(md5(string_agg(p::text, ',' ORDER BY id)), '-') FROM app.products p";

/// A job with a first load and a refresh; the ids of both runs and the state after each.
fn history() -> (Shop, [String; 2], [String; 2]) {
    let mut shop = Shop::loaded(500, PAGES);
    let (first, was) = (shop.run("id"), shop.db.text(STATE));
    shop.api.change(10.0, 1);
    shop.api.remove(4.0, 2);
    shop.api.add(5);
    shop.sync();
    let (second, is) = (shop.run("id"), shop.db.text(STATE));
    shop.api.clear_log();
    (shop, [first, second], [was, is])
}

#[test]
fn a_damaged_table_is_mended_without_a_request() {
    let (mut shop, [_, second], [_, is]) = history();
    shop.db
        .exec("DELETE FROM app.products WHERE id % 3 = 0; UPDATE app.products SET price = 0 WHERE id % 5 = 0");
    let damaged = shop.db.text(STATE);
    shop.app.exec(&format!("CALL sluice.replay({second})"));
    assert_eq!(shop.db.text(STATE), is);
    assert!(shop.api.requests().is_empty(), "the remote was asked");
    assert_eq!(
        shop.run("concat_ws(' ', source, task, status)"),
        "manual replay succeeded"
    );
    assert_eq!(shop.status("status"), "idle");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), damaged);
}

#[test]
fn a_run_before_the_last_one_is_published_again_as_it_was() {
    let (mut shop, [first, _], [was, is]) = history();
    shop.app.exec(&format!("CALL sluice.replay({first})"));
    assert_eq!(shop.db.text(STATE), was);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.text(STATE), is);
    shop.api.remove_ids(&[12]);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_column_that_the_job_did_not_have_is_filled_from_the_store() {
    let settings = PAGES.replacen('{', r#"{"columns": {"id": "$.id", "name": "$.name"}, "#, 1);
    let mut shop = Shop::loaded(300, &settings);
    let run = shop.run("id");
    shop.app.exec("ALTER TABLE products ADD COLUMN amount numeric");
    let columns = r#"{"columns": {"id": "$.id", "name": "$.name", "amount": "$.price"}}"#;
    shop.app
        .exec(&format!("SELECT sluice.alter_job('products', settings => '{columns}')"));
    shop.api.clear_log();
    shop.app.exec(&format!("CALL sluice.replay({run})"));
    assert!(shop.api.requests().is_empty(), "the remote was asked");
    assert_eq!(
        shop.db.number("SELECT count(*) FROM app.products WHERE amount IS NULL"),
        0
    );
    // The next refresh finds what is there to be what it would write.
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "0 0 0");
    shop.api.remove_ids(&[3]);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 299);
}

#[test]
fn a_row_that_is_missing_without_proof_is_not_confirmed_by_a_replay() {
    let mut shop = Shop::loaded(300, crate::shop::PAGES_WITHOUT_TOTAL);
    shop.api.remove_ids(&[150]);
    shop.sync();
    assert_eq!(shop.status("unconfirmed"), "1");
    let run = shop.run("id");
    shop.app.exec(&format!("CALL sluice.replay({run})"));
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_replay_that_would_shrink_the_table_is_held_and_can_be_approved() {
    let mut shop = Shop::loaded(100, PAGES);
    let run = shop.run("id");
    let was = shop.db.text(STATE);
    shop.api.add(400);
    shop.sync();
    let error = shop.app.error(&format!("CALL sluice.replay({run})"));
    assert!(error.message.contains("held"), "{error}");
    assert_eq!(shop.run("answer"), "shrunk");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
    let held = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.app.exec(&format!("CALL sluice.approve({held})"));
    assert_eq!(shop.db.text(STATE), was);
}

#[test]
fn a_run_whose_pages_are_not_kept_is_refused() {
    let settings = PAGES.replacen('{', r#"{"undo": {"keep_runs": 1}, "#, 1);
    let mut shop = Shop::loaded(300, &settings);
    let first = shop.run("id");
    for round in 0..3 {
        shop.api.change(60.0, round);
        shop.sync();
    }
    let refused = shop.app.error(&format!("CALL sluice.replay({first})"));
    assert_eq!(refused.sqlstate, "55000", "{refused}");
    assert!(refused.hint.is_some(), "{refused}");
    let unknown = shop.app.error("CALL sluice.replay(4711)");
    assert_eq!(unknown.sqlstate, "42704", "{unknown}");
    let inside = shop.app.error(&format!("BEGIN; CALL sluice.replay({first})"));
    assert_eq!(inside.sqlstate, "25001", "{inside}");
}

#[test]
fn a_crash_in_a_replay_changes_nothing_and_it_goes_on() {
    for point in ["replay.staged", "publish.before_commit"] {
        let (mut shop, [first, _], [was, is]) = history();
        shop.db.failpoint(point, "kill9");
        let call = shop
            .cluster
            .db_as("app", "postgres")
            .call(&format!("CALL sluice.replay({first})"));
        shop.recover();
        assert!(call.finish().0.is_err(), "the caller outlived the crash");
        let seen = shop.db.text(STATE);
        assert!(seen == was || seen == is, "{point}: half a replay is visible");
        shop.wait_for_run("succeeded");
        assert_eq!(shop.db.text(STATE), was, "{point}");
        shop.sync();
        shop.assert_equal();
    }
}

/// F-R7: what is published again is no more than it was: of each page it is known below which parent it lies.
#[test]
fn a_replay_proves_no_more_than_the_read_did_and_leaves_parents_their_rows() {
    let mut shop = grouped(100, 12, "replace", SETTINGS);
    shop.sync();
    let first = shop.run("id");
    shop.api.add(5);
    shop.sync();
    let second = shop.run("id");
    assert_eq!(rows(&mut shop), "105 11 5565 0");
    // Without a total one read proves nothing: the rows that it lacks wait for another.
    shop.app.exec(&format!("CALL sluice.replay({first})"));
    assert_eq!(rows(&mut shop), "105 11 5565 0");
    assert_eq!(shop.status("unconfirmed"), "5");
    shop.app.exec(&format!("CALL sluice.replay({second})"));
    assert_eq!(shop.status("unconfirmed"), "0");
    shop.api
        .misbehave(Rule::new(Fault::status(404, &[])).path("/page/groups/00003/"));
    for _ in 0..2 {
        shop.sync();
        assert_eq!(parents(&mut shop), "done 11, failed 1");
        assert_eq!(rows(&mut shop), "105 11 5565 0");
        assert_eq!(shop.status("unconfirmed"), "0");
    }
    // What an absent parent kept is kept by the replay of that read, too.
    let third = shop.run("id");
    shop.app.exec(&format!("CALL sluice.replay({third})"));
    assert_eq!(parents(&mut shop), "done 11, failed 1");
    assert_eq!(rows(&mut shop), "105 11 5565 0");
}
