//! What counts as gone, by pagination and settings.

use crate::rejects::{GOODS, bad};
use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, Shop};
use sample_api::{Fault, Rule, Total};

fn count(shop: &mut Shop) -> i64 {
    shop.db.number("SELECT count(*) FROM app.products")
}

#[test]
fn without_a_total_a_row_goes_after_two_complete_reads_and_counts_as_unconfirmed_between() {
    let mut shop = Shop::loaded(1_000, PAGES_WITHOUT_TOTAL);
    shop.api.remove_ids(&[11, 500, 999]);
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (1_000, "3"));
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (997, "0"));
    assert_eq!(shop.run("deleted"), "3");
    shop.assert_equal();
}

/// Of 300 rows 110 are missing: more than half of the 190 that are left, and not of those that are there.
#[test]
fn rows_that_wait_for_confirmation_count_among_those_of_which_max_shrink_is_a_share() {
    let mut shop = Shop::loaded(300, PAGES_WITHOUT_TOTAL);
    let ids: Vec<u64> = (1..=110).collect();
    shop.api.remove_ids(&ids);
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (300, "110"));
    shop.sync();
    assert_eq!((count(&mut shop), shop.run("deleted").as_str()), (190, "110"));
    shop.assert_equal();
}

#[test]
fn a_row_that_comes_back_between_two_reads_is_not_removed() {
    let mut shop = Shop::loaded(300, PAGES_WITHOUT_TOTAL);
    shop.api
        .misbehave(Rule::new(Fault::body(r#"{"data": []}"#)).page(3).times(1));
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (300, "100"));
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (300, "0"));
    // Missing anew: that is the first time again.
    shop.api.remove_ids(&[250]);
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (300, "1"));
}

#[test]
fn with_an_equal_total_one_read_is_enough() {
    let mut shop = Shop::loaded(1_000, PAGES);
    shop.api.remove_ids(&[11, 500, 999]);
    shop.sync();
    shop.assert_equal();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (997, "0"));
}

/// F-R17.
#[test]
fn a_total_that_differs_from_the_keys_suppresses_removals() {
    let mut shop = Shop::loaded(1_000, PAGES);
    // A fifth of the rows is missing, and the API says that all are there.
    shop.api.misbehave(Rule::new(Fault::HalfPage).page(3));
    for _ in 0..3 {
        shop.sync();
        assert_eq!(count(&mut shop), 1_000);
    }
    assert_eq!(shop.status("unconfirmed"), "50");
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.status("unconfirmed"), "0");
    shop.assert_equal();
}

#[test]
fn without_confirmation_one_read_is_enough() {
    let settings = PAGES_WITHOUT_TOTAL.replacen('{', r#"{"confirm_deletes": false, "#, 1);
    let mut shop = Shop::loaded(1_000, &settings);
    shop.api.remove_ids(&[11, 500, 999]);
    shop.sync();
    shop.assert_equal();
}

/// F-R15.
#[test]
fn a_key_that_comes_twice_suppresses_removals_however_often_a_row_is_missing() {
    let mut shop = Shop::loaded(500, PAGES_WITHOUT_TOTAL);
    // The collection moved under the read: 150 is met again where 250 should be.
    let twice = Fault::AlterRecord {
        id: 250,
        member: "id".to_string(),
        value: Some("150".to_string()),
    };
    shop.api.misbehave(Rule::new(twice));
    for _ in 0..3 {
        shop.sync();
        assert_eq!((count(&mut shop), shop.run("deleted").as_str()), (500, "0"));
    }
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

/// F-R10: a number is one key, whatever zeros are written after its point.
#[test]
fn a_key_in_another_spelling_is_no_other_row() {
    let mut shop = Shop::open(300);
    shop.app
        .exec(&format!("CREATE TABLE products (id numeric PRIMARY KEY, {GOODS})"));
    shop.create_job("products", "/page/products", PAGES);
    bad(&shop, 117, "id", Some("117.0"));
    shop.sync();
    shop.app
        .exec("ALTER TABLE products ADD note text; UPDATE products SET note = 'ours'");
    shop.api.clear_faults();
    bad(&shop, 118, "id", Some("118.0"));
    bad(&shop, 117, "stock", Some("\"many\""));
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, deleted, rejected)"), "0 0 1");
    let kept = "SELECT count(*) FROM app.products WHERE note = 'ours'";
    assert_eq!((count(&mut shop), shop.db.number(kept)), (300, 300));
}

/// F-R14.
#[test]
fn a_page_that_comes_twice_ends_the_run_and_changes_nothing() {
    let mut shop = Shop::loaded(500, PAGES_WITHOUT_TOTAL);
    shop.api.misbehave(Rule::new(Fault::RepeatPage(2)).page(3).times(1));
    let error = shop.failing_sync();
    assert_eq!(shop.run("error_class"), "pagination_loop", "{error}");
    shop.assert_equal();
    shop.api.remove_ids(&[499, 500]);
    shop.sync();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn rows_are_kept_where_the_job_says_so() {
    let settings = PAGES.replacen('{', r#"{"on_missing": "keep", "#, 1);
    let mut shop = Shop::loaded(500, &settings);
    shop.api.remove_ids(&[1, 2, 3]);
    for _ in 0..2 {
        shop.sync();
        assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (500, "0"));
    }
}

/// F-R17.
#[test]
fn half_the_rows_with_a_matching_total_are_held_even_though_the_total_is_proof() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.misbehave(Fault::HalfRows { total: Total::Matching });
    let error = shop.failing_sync();
    assert_eq!(shop.run("status"), "held", "{error}");
    assert_eq!(count(&mut shop), 500);
}

/// Missing keys are counted before they are all held in memory: a build for tests holds a hundred.
#[test]
fn many_rows_that_vanish_at_once_are_counted_and_removed() {
    for (settings, reads) in [(PAGES, 1), (PAGES_WITHOUT_TOTAL, 2)] {
        let mut shop = Shop::loaded(500, &settings.replacen('{', r#"{"max_shrink": 1, "#, 1));
        shop.api.remove_ids(&(1..=150).collect::<Vec<_>>());
        for _ in 1..reads {
            shop.sync();
            assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (500, "150"));
        }
        shop.sync();
        shop.assert_equal();
        assert_eq!(shop.run("deleted"), "150");
    }
}

#[test]
fn an_answer_in_one_piece_is_proof() {
    let mut shop = Shop::open(300);
    shop.create_job(
        "products",
        "/none/products",
        r#"{"records": "$.data", "pagination": {"type": "none"}}"#,
    );
    shop.sync();
    shop.api.remove_ids(&[1, 150, 300]);
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("deleted"), "3");
}

#[test]
fn a_read_whose_ledger_has_a_gap_removes_nothing() {
    let mut shop = Shop::loaded(500, PAGES_WITHOUT_TOTAL);
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"confirm_deletes\": false}')");
    shop.api.remove_ids(&[7]);
    // The failure leaves the whole read in the ledger, to be published by the next run.
    shop.db.failpoint("publish.before_commit", "error");
    shop.failing_sync();
    shop.db.exec(
        "DELETE FROM sluice._page p USING sluice._job_state t
         WHERE p.job_id = t.job_id AND p.generation = t.generation AND t.complete AND p.number = 3",
    );
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id = 7"), 1);
}

#[test]
fn a_row_that_a_rollback_brought_back_goes_again_when_it_is_missing_twice() {
    let mut shop = Shop::loaded(300, PAGES_WITHOUT_TOTAL);
    shop.api.remove_ids(&[150]);
    shop.sync();
    shop.sync();
    assert_eq!((count(&mut shop), shop.run("deleted").as_str()), (299, "1"));
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(count(&mut shop), 300);
    shop.sync();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_row_that_waits_for_confirmation_is_not_forgotten_when_the_table_gets_another_column() {
    let mut shop = Shop::loaded(300, PAGES_WITHOUT_TOTAL);
    shop.api.remove_ids(&[150]);
    shop.sync();
    assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (300, "1"));
    shop.app.exec("ALTER TABLE products ADD COLUMN note text");
    shop.sync();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn rows_of_a_first_load_that_met_a_loop_are_the_jobs_own() {
    let mut shop = Shop::with_job(500, PAGES_WITHOUT_TOTAL);
    shop.api.misbehave(Rule::new(Fault::RepeatPage(2)).page(3).times(1));
    shop.failing_sync();
    assert_eq!(shop.run("error_class"), "pagination_loop");
    assert!(count(&mut shop) > 0);
    shop.api.remove_ids(&[50]);
    shop.sync();
    shop.sync();
    shop.assert_equal();
}
