//! Pages that the remote says are unchanged (304): never empty, never decoded, and never believed where that is not proven.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};

/// The statuses of the requests so far, each with how often it was given.
fn statuses(shop: &Shop) -> String {
    let of = |status: u16| {
        let count = shop
            .api
            .requests()
            .iter()
            .filter(|line| line.status == Some(status))
            .count();
        (count > 0).then(|| format!("{count}x{status}"))
    };
    [200, 304].into_iter().filter_map(of).collect::<Vec<_>>().join(" ")
}

fn asks_with_validators(shop: &Shop) -> usize {
    let lines = shop.api.requests();
    lines
        .iter()
        .filter(|line| line.header("if-none-match").is_some())
        .count()
}

/// F-N16.
#[test]
fn an_unchanged_page_counts_as_before_and_nothing_is_removed() {
    let mut shop = Shop::loaded(730, PAGES);
    let stored = "SELECT count(*) FROM sluice._page_body";
    let bodies = shop.db.number(stored);
    for _ in 0..3 {
        shop.api.clear_log();
        shop.sync();
        assert_eq!(statuses(&shop), "8x304");
        assert_eq!(
            (shop.run("records"), shop.run("unchanged")),
            ("730".into(), "730".into())
        );
        assert_eq!((shop.run("deleted"), shop.run("bytes")), ("0".into(), "0".into()));
        shop.assert_equal();
    }
    assert_eq!(shop.db.number(stored), bodies);
    // What changed comes with a 200, and the read after it is compared with that.
    shop.api.change(5.0, 3);
    shop.api.remove_ids(&[7, 300]);
    shop.api.clear_log();
    shop.sync();
    assert_eq!((statuses(&shop), asks_with_validators(&shop)), ("8x200".into(), 8));
    shop.assert_equal();
    shop.api.clear_log();
    shop.sync();
    assert_eq!(statuses(&shop), "8x304");
    shop.assert_equal();
}

#[test]
fn each_scheme_goes_on_from_a_page_that_is_unchanged() {
    let schemes = [
        (
            "/none/products",
            r#"{"records": "$.data", "pagination": {"type": "none"}}"#,
            1,
            0,
        ),
        (
            "/offset/products",
            r#"{"records": "$.data", "page_size": 100, "concurrency": 1, "pagination": {"type": "offset", "limit_param": "limit"}}"#,
            4,
            0,
        ),
        (
            "/cursor/products",
            r#"{"records": "$.data", "params": {"limit": "100"}, "pagination": {"type": "cursor", "next": "$.meta.next"}}"#,
            3,
            0,
        ),
        (
            "/keyset/products",
            r#"{"records": "$.data", "params": {"limit": "100"}, "pagination": {"type": "keyset", "param": "after_id", "column": "id"}}"#,
            4,
            0,
        ),
        // Whether more follows is said by a header, which no validator speaks of.
        (
            "/link/products",
            r#"{"records": "$.data", "params": {"per_page": "100"}, "pagination": {"type": "link_header"}}"#,
            2,
            1,
        ),
    ];
    for (path, settings, unchanged, full) in schemes {
        let mut shop = Shop::open(250);
        shop.create_job("products", path, settings);
        shop.sync();
        shop.api.clear_log();
        shop.sync();
        let expected = match full {
            0 => format!("{unchanged}x304"),
            _ => format!("{full}x200 {unchanged}x304"),
        };
        assert_eq!(statuses(&shop), expected, "{path}");
        assert_eq!(
            (shop.run("records"), shop.run("deleted")),
            ("250".into(), "0".into()),
            "{path}"
        );
        shop.api.change_ids(&[1]);
        shop.sync();
        shop.assert_equal();
    }
}

/// F-N16.
#[test]
fn a_304_that_nobody_asked_for_is_an_error_and_no_empty_page() {
    let mut shop = Shop::with_job(300, PAGES);
    shop.api.misbehave(Fault::status(304, &[]));
    let error = shop.failing_sync();
    assert_eq!(
        (error.sqlstate.as_str(), shop.run("error_class")),
        ("22032", "data".into())
    );
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_page_is_asked_for_in_full_where_its_proof_is_void() {
    let mut shop = Shop::loaded(300, PAGES);
    let asked = |shop: &mut Shop| {
        shop.api.clear_log();
        shop.sync();
        shop.assert_equal();
        asks_with_validators(shop)
    };
    assert_eq!(asked(&mut shop), 3);
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"params\": {\"x\": 1}}')");
    assert_eq!(asked(&mut shop), 0, "another address");
    assert_eq!(asked(&mut shop), 3);
    shop.app.exec("ALTER TABLE products ADD COLUMN note text");
    assert_eq!(asked(&mut shop), 0, "another table");
    assert_eq!(asked(&mut shop), 3);
    shop.api.change_ids(&[5]);
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(asked(&mut shop), 0, "a rollback");
    assert_eq!(asked(&mut shop), 3);
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"verify\": \"always\"}')");
    assert_eq!(asked(&mut shop), 0, "every row is compared");
    assert_eq!(asked(&mut shop), 0);
}

#[test]
fn a_remote_that_says_unchanged_although_it_is_not_is_seen_through_by_the_next_verification() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.api.change_ids(&[5, 250]);
    shop.api.misbehave(Rule::new(Fault::status(304, &[])).times(3));
    shop.sync();
    assert_eq!(shop.run("updated"), "0", "it is believed");
    // A day later every row is compared, and no page is asked for with a validator.
    shop.db
        .exec("UPDATE sluice._job_state SET verified_at = verified_at - interval '25 hours'");
    shop.api.clear_log();
    shop.sync();
    assert_eq!((shop.run("updated"), asks_with_validators(&shop)), ("2".into(), 0));
    shop.assert_equal();
}

#[test]
fn unchanged_pages_and_changed_ones_come_together_while_many_are_asked_for() {
    let mut shop = Shop::loaded(1_000, PAGES);
    shop.api.change_ids(&[150, 950]);
    // Only those two pages have another version.
    for page in [1, 3, 4, 5, 6, 7, 8, 9] {
        shop.api
            .misbehave(Rule::new(Fault::status(304, &[])).page(page).times(1));
    }
    shop.api.clear_log();
    shop.sync();
    assert_eq!(statuses(&shop), "2x200 8x304");
    assert_eq!((shop.run("updated"), shop.run("unchanged")), ("2".into(), "998".into()));
    shop.assert_equal();
}

#[test]
fn a_crash_among_unchanged_pages_goes_on_at_the_next_page() {
    let mut shop = Shop::loaded(1_000, PAGES);
    let committed = shop.start_and_hold_at(5);
    shop.api.clear_log();
    let worker = shop.worker();
    sluice_e2e::kill9(worker);
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    assert!(asks_with_validators(&shop) > 0);
    shop.assert_equal();
}

#[test]
fn an_upsert_needs_no_stored_body_to_leave_an_unchanged_page_alone() {
    let mut shop = Shop::open(300);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', key => '{{id}}', schedule => 'manual',
         mode => 'upsert', settings => '{PAGES}')"
    ));
    shop.sync();
    shop.api.clear_log();
    shop.sync();
    assert_eq!(statuses(&shop), "3x304");
    shop.api.change_ids(&[5]);
    shop.sync();
    shop.assert_equal();
}
