//! What a person changes between two runs: the rows, the job, the caller's patience.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Total};
use sluice_e2e::eventually;

#[test]
fn a_target_that_somebody_emptied_is_filled_again_although_no_page_changed() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.db.exec("TRUNCATE app.products");
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("inserted"), "500");
}

#[test]
fn a_key_that_comes_back_in_another_spelling_keeps_its_row() {
    let mut shop = Shop::open(100);
    shop.app
        .exec("CREATE TABLE products (id numeric PRIMARY KEY, name text, price numeric)");
    shop.create_job("products", "/none/products", r#"{"records": "$.data"}"#);
    shop.sync();
    shop.api.misbehave(Fault::AlterRecord {
        id: 7,
        member: "id".to_string(),
        value: Some("7.0".to_string()),
    });
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 100);
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id = 7"), 1);
}

#[test]
fn a_job_may_change_from_replace_to_upsert_and_back() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.sync();
    shop.api.change(5.0, 1);
    shop.sync();
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'replace')");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn rows_that_vanished_while_a_job_was_an_upsert_are_removed_by_the_first_replace_after_it() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.db
        .exec("INSERT INTO app.products (id, name) VALUES (9001, 'ours'), (9002, 'ours')");
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.api.remove_ids(&[1, 2, 3]);
    shop.api.change(5.0, 1);
    shop.sync();
    shop.api.add(10);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 512);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'replace')");
    shop.sync();
    assert_eq!(shop.run("deleted"), "3");
    let local = "WITH gone AS (DELETE FROM app.products WHERE name = 'ours' RETURNING 1) SELECT count(*) FROM gone";
    assert_eq!(shop.db.number(local), 2, "local rows were touched");
    shop.assert_equal();
}

#[test]
fn too_many_rows_that_vanished_while_a_job_was_an_upsert_are_held() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.api.remove_ids(&(1..=300).collect::<Vec<u64>>());
    shop.sync();
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'replace')");
    shop.failing_sync();
    assert_eq!(shop.run("status"), "held");
    let reason = shop.run("held_reason");
    assert!(reason.contains("Of 500 rows, 300 are missing"), "{reason}");
    let run = shop.run("id");
    shop.app.exec(&format!("CALL sluice.approve({run})"));
    shop.assert_equal();
}

#[test]
fn what_half_an_upsert_changed_is_put_right_although_no_page_differs_from_the_published_ones() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.sync();
    shop.api.misbehave(Fault::AlterRecord {
        id: 1,
        member: "name".to_string(),
        value: Some("\"for a moment\"".to_string()),
    });
    shop.start_and_hold_at(4);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_faults();
    let altered = "SELECT name FROM app.products WHERE id = 1";
    assert_eq!(shop.db.text(altered), "for a moment");
    // Longer than a read may rest: the next one begins anew.
    shop.db
        .exec("UPDATE sluice._job_state SET last_page_at = last_page_at - interval '2 hours'");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_held_read_of_a_former_definition_cannot_be_approved() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    shop.failing_sync();
    let run = shop.db.text("SELECT run_id FROM sluice.sync_held");
    shop.api.clear_faults();
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"max_shrink\": 0.9}')");
    let error = shop.app.error(&format!("CALL sluice.approve({run})"));
    assert_eq!(error.sqlstate, "55000", "{error}");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500);
}

#[test]
fn a_call_that_is_cancelled_while_it_waits_for_a_worker_takes_its_run_with_it() {
    let mut shop = Shop::with(200, &[("sluice.max_workers", "1")]);
    shop.create_job("busy", "/page/products", PAGES);
    shop.create_job("products", "/page/products", PAGES);
    shop.api.hold_page(1);
    shop.db.exec("SELECT sluice.start_sync('busy')");
    assert!(shop.api.wait_until_held(1, SOON));
    let call = shop
        .cluster
        .db_as("app", "postgres")
        .call("CALL sluice.sync('products')");
    let waits =
        "SELECT count(*) FROM sluice.sync_status WHERE data_type = 'products' AND status = 'waiting_for_worker'";
    assert!(eventually(SOON, || shop.db.number(waits) == 1));
    call.cancel();
    assert!(call.finish().0.is_err());
    let stopped = "SELECT count(*) FROM sluice.sync_runs WHERE data_type = 'products' AND status = 'stopped'";
    assert!(eventually(SOON, || shop.db.number(stopped) == 1));
    shop.api.release();
}

#[test]
fn more_jobs_than_workers_all_run_and_none_is_counted_as_failed() {
    let mut shop = Shop::with(10, &[("sluice.max_workers", "2")]);
    for number in 0..30 {
        shop.create_job(&format!("job{number}"), "/none/products", r#"{"records": "$.data"}"#);
    }
    shop.app.exec("SELECT sluice.force_sync_all()");
    let done = "SELECT count(DISTINCT data_type) FROM sluice.sync_runs WHERE status = 'succeeded' AND attempt = 1";
    let ended = eventually(SOON, || shop.db.number(done) == 30);
    let states = "SELECT string_agg(concat_ws(' ', data_type, status, attempt), ', ') FROM sluice.sync_runs";
    assert!(ended, "{}", shop.db.text(states));
}

#[test]
fn a_target_that_somebody_empties_in_its_first_load_is_whole_after_the_next_run() {
    let mut shop = Shop::open(500);
    shop.create_job("products", "/page/products", PAGES);
    shop.start_and_hold_at(4);
    shop.db.exec("TRUNCATE app.products");
    shop.api.release();
    shop.wait_for_run("succeeded");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 200);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_target_that_somebody_empties_in_mid_run_is_filled_again() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.change_ids(&[450]);
    shop.start_and_hold_at(3);
    shop.db.exec("TRUNCATE app.products");
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}
