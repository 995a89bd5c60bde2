//! Pages whose size adapts itself: smaller where the remote fails with large ones, larger again from read to read.

use crate::shop::{SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;

const OFFSETS: &str = r#"{"records": "$.data", "page_size": {"min": 25, "max": 400}, "commit_every": {"pages": 1}, "concurrency": 2,
    "pagination": {"type": "offset", "limit_param": "limit", "total": "$.meta.total"}, "retry": {"request_cap": "1 ms"}}"#;
const NUMBERS: &str = r#"{"records": "$.data", "page_size": {"min": 25, "max": 400}, "commit_every": {"pages": 1}, "concurrency": 2,
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}, "retry": {"request_cap": "1 ms"}}"#;

/// The sizes that requests asked for, and whether they were answered well.
fn asked(shop: &Shop) -> Vec<(u64, bool)> {
    let size = |target: &str| {
        let (_, query) = target.split_once('?')?;
        let mut params = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, size) = params.find(|(name, _)| matches!(*name, "limit" | "per_page"))?;
        size.parse().ok()
    };
    let requests = shop.api.requests();
    let lines = requests.iter();
    lines
        .filter_map(|line| Some((size(&line.target)?, matches!(line.status, Some(200 | 304)))))
        .collect()
}

fn largest_that_was_answered(shop: &Shop) -> u64 {
    let answered = asked(shop).into_iter().filter(|(_, good)| *good);
    answered.map(|(size, _)| size).max().unwrap_or(0)
}

fn job(shop: &mut Shop, settings: &str) {
    let path = match settings.contains("offset") {
        true => "/offset/products",
        false => "/page/products",
    };
    shop.create_job("products", path, settings);
}

#[test]
fn a_remote_that_refuses_large_pages_is_read_with_smaller_ones_in_the_same_run() {
    for settings in [OFFSETS, NUMBERS] {
        for status in [413, 500] {
            let mut shop = Shop::open(1_000);
            // Its first look, too, is at a page that is small enough.
            shop.api
                .misbehave(Rule::new(Fault::status(status, &[])).above_size(100));
            job(&mut shop, settings);
            shop.sync();
            shop.assert_equal();
            assert_eq!(largest_that_was_answered(&shop), 100, "{:?}", asked(&shop));
            assert_eq!(shop.run("status || ' ' || attempt"), "succeeded 1");
            let noted = "SELECT page_size FROM sluice._run_pace";
            assert_eq!(shop.db.text(noted), "100");

            // The next read tries half of the way to what failed, and comes back.
            shop.api.change(5.0, 1);
            shop.api.remove(2.0, 2);
            shop.api.clear_log();
            shop.sync();
            shop.assert_equal();
            assert!(
                asked(&shop).iter().any(|(size, good)| *size == 150 && !good),
                "{:?}",
                asked(&shop)
            );
            assert!(asked(&shop).iter().all(|(size, _)| *size < 200), "{:?}", asked(&shop));
            assert_eq!(
                shop.db
                    .number("SELECT count(*) FROM sluice._run WHERE status <> 'succeeded'"),
                0
            );
        }
    }
}

#[test]
fn a_remote_that_fails_in_the_middle_of_a_read_with_large_pages_gets_every_record_through() {
    for settings in [OFFSETS, NUMBERS] {
        let mut shop = Shop::open(2_000);
        job(
            &mut shop,
            &settings.replace("\"total\": \"$.meta.total\"", "\"stop\": \"short\""),
        );
        shop.api
            .misbehave(Rule::new(Fault::status(504, &[])).above_size(200).skip(2));
        shop.sync();
        shop.assert_equal();
        assert!(
            asked(&shop).iter().any(|(size, good)| *size == 400 && *good),
            "{:?}",
            asked(&shop)
        );
        assert!(
            asked(&shop).iter().any(|(size, good)| *size == 200 && *good),
            "{:?}",
            asked(&shop)
        );
    }
}

#[test]
fn a_time_out_makes_pages_smaller() {
    let mut shop = Shop::open(1_000);
    let settings = OFFSETS.replace(
        "\"concurrency\": 2",
        "\"concurrency\": 1, \"timeouts\": {\"request\": \"2 s\"}",
    );
    job(&mut shop, &settings);
    shop.api.misbehave(Rule::new(Fault::Hang).above_size(200));
    shop.sync();
    shop.assert_equal();
    assert!(
        (25..=200).contains(&largest_that_was_answered(&shop)),
        "{:?}",
        asked(&shop)
    );
}

#[test]
fn a_size_grows_from_read_to_read_and_is_the_same_after_a_crash() {
    let mut shop = Shop::open(1_000);
    shop.api.misbehave(Rule::new(Fault::status(413, &[])).above_size(100));
    job(&mut shop, OFFSETS);
    shop.db
        .exec("SELECT sluice._failpoint('batch.before_commit', 'kill9', 3)");
    shop.start();
    shop.recover();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    let log = asked(&shop);
    let settled = log.iter().position(|(size, _)| *size == 100).expect("it came down");
    assert!(log[settled..].iter().all(|(size, _)| *size == 100), "{log:?}");

    // A day later what failed is forgotten, and the remote takes more now.
    shop.api.clear_faults();
    shop.move_clock(25 * 60);
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert_eq!(largest_that_was_answered(&shop), 200);
    for size in [400, 400] {
        shop.api.clear_log();
        shop.sync();
        shop.assert_equal();
        // How long answers take is chance on a crowded machine: it may go back, and never beyond.
        let largest = largest_that_was_answered(&shop);
        assert!((100..=size).contains(&largest), "{largest}");
    }
}

/// Numbered pages begin again with each size, and a read does not do so for ever.
#[test]
fn a_read_that_began_again_too_often_is_left_and_the_next_one_begins_with_a_smaller_size() {
    let mut shop = Shop::open(1_000);
    shop.api.misbehave(Rule::new(Fault::status(413, &[])).above_size(30));
    job(&mut shop, &NUMBERS.replace("400", "800"));
    shop.failing_sync();
    let sizes: Vec<u64> = asked(&shop).into_iter().map(|(size, _)| size).collect();
    assert_eq!(sizes, [800, 400, 200, 100]);
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert_eq!(asked(&shop)[0], (50, false));
    assert_eq!(largest_that_was_answered(&shop), 25);
}

#[test]
fn a_failure_of_the_remote_itself_ends_at_the_least_size_and_is_queued() {
    let mut shop = Shop::open(300);
    job(&mut shop, OFFSETS);
    shop.sync();
    shop.api.misbehave(Fault::status(500, &[]));
    shop.failing_sync();
    wait_until(&mut shop.db, "it is queued", SOON, |db| {
        db.is_true("SELECT EXISTS (SELECT FROM sluice.sync_retry_queue)")
    });
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    // It failed with the least size, too: nothing is said against larger ones.
    assert!(
        shop.db
            .is_true("SELECT size = 25 AND failed IS NULL FROM sluice._page_size")
    );
}
