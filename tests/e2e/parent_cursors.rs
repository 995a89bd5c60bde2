//! Incremental reads below parents: a watermark for each, and nothing below any of them slips past it.

use crate::shop::{SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{kill9, wait_until};
use std::collections::{BTreeMap, BTreeSet};

const SETTINGS: &str = r#"{"records": "$.data", "page_size": 5, "commit_every": {"pages": 1}, "concurrency": 1,
    "pagination": {"type": "page", "size_param": "per_page"},
    "cursor": {"column": "updated_at", "param": "updated_since"},
    "columns": {"id": "$.id", "updated_at": "$.updated_at", "group_id": {"parent": "number"}},
    "foreach": {"query": "SELECT number FROM app.groups ORDER BY number"}}"#;

/// A job that follows the products of groups 1 to `groups`, ten in each on two pages; it has not run yet.
fn following(groups: u64) -> Shop {
    following_with(groups, SETTINGS)
}

fn following_with(groups: u64, settings: &str) -> Shop {
    let mut shop = Shop::open(100);
    let settings = settings.replace('\'', "''");
    shop.app.exec(&format!(
        "CREATE TABLE groups (number bigint PRIMARY KEY); INSERT INTO groups SELECT generate_series(1, {groups});
         CREATE TABLE products (id bigint PRIMARY KEY, updated_at text, group_id bigint);
         SELECT sluice.create_job('products', 'shop', '/page/groups/{{number}}/products', mode => 'upsert',
                                  schedule => 'manual', settings => '{settings}')"
    ));
    shop.api.clear_log();
    shop
}

/// What was asked for below each group since the log was cleared: a bound, or "all".
fn asked(shop: &Shop) -> BTreeMap<u64, BTreeSet<String>> {
    let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for line in shop.api.requests() {
        let below = line.target.strip_prefix("/page/groups/").expect("all are below groups");
        let group = below.split('/').next().and_then(|g| g.parse().ok()).expect("a number");
        let mut pairs = line.target.split(['?', '&']).filter_map(|pair| pair.split_once('='));
        let bound = pairs.find(|(name, _)| *name == "updated_since");
        let bound = bound.map_or_else(|| "all".to_string(), |(_, value)| value.replace("%3A", ":"));
        found.entry(group).or_default().insert(bound);
    }
    shop.api.clear_log();
    found
}

/// That each of these groups was asked for from there on.
fn asked_from(watermarks: &BTreeMap<u64, String>) -> BTreeMap<u64, BTreeSet<String>> {
    let each = watermarks.iter();
    each.map(|(group, text)| (*group, BTreeSet::from([text.clone()])))
        .collect()
}

fn watermarks(shop: &mut Shop) -> BTreeMap<u64, String> {
    let rows = shop
        .app
        .rows("SELECT columns ->> 'number', cursor FROM sluice.sync_parents WHERE cursor IS NOT NULL");
    let text = |value: &Option<String>| value.clone().expect("no value is NULL");
    let rows = rows.rows.iter();
    rows.map(|row| (text(&row[0]).parse().expect("a number"), text(&row[1])))
        .collect()
}

/// The source's products of a group, with their times of change.
fn source(shop: &Shop, groups: &[u64]) -> BTreeMap<u64, String> {
    let time = |record: &String| {
        let record: serde_json::Value = serde_json::from_str(record).expect("records are JSON");
        record["updated_at"].as_str().expect("a text").to_string()
    };
    let truth = shop.api.truth();
    let of_groups = truth.iter().filter(|(id, _)| groups.contains(&id.div_ceil(10)));
    of_groups.map(|(id, record)| (*id, time(record))).collect()
}

fn highest(shop: &Shop, groups: &[u64]) -> BTreeMap<u64, String> {
    let of = |group: &u64| {
        (
            *group,
            source(shop, &[*group]).into_values().max().expect("it has products"),
        )
    };
    groups.iter().map(of).collect()
}

fn assert_equal(shop: &mut Shop, groups: &[u64]) {
    let rows = shop.db.rows("SELECT id, updated_at FROM app.products");
    let text = |value: &Option<String>| value.clone().expect("no value is NULL");
    let rows = rows.rows.iter();
    let rows: BTreeMap<u64, String> = rows
        .map(|row| (text(&row[0]).parse().expect("a number"), text(&row[1])))
        .collect();
    assert_eq!(rows, source(shop, groups));
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM app.products WHERE group_id <> (id + 9) / 10"),
        0
    );
}

/// 1, 2, 3 …
fn up_to(groups: u64) -> Vec<u64> {
    (1..=groups).collect()
}

#[test]
fn each_parent_is_asked_for_what_changed_below_it() {
    let mut shop = following(4);
    shop.sync();
    assert!(asked(&shop).values().all(|bounds| bounds.iter().eq(["all"])));
    let first = watermarks(&mut shop);
    assert_eq!(first, highest(&shop, &up_to(4)));
    shop.api.change_ids(&[3, 15]);
    shop.sync();
    assert_eq!(asked(&shop), asked_from(&first));
    assert_eq!(shop.run("concat_ws(' ', inserted, updated)"), "0 2");
    assert_equal(&mut shop, &up_to(4));
    let second = watermarks(&mut shop);
    assert_eq!(second, highest(&shop, &up_to(4)));
    assert!(first[&1] < second[&1] && first[&2] < second[&2]);
    assert_eq!((&first[&3], &first[&4]), (&second[&3], &second[&4]));
    // The job's own is the highest of them.
    let own = shop.db.text("SELECT cursor FROM sluice.sync_metadata");
    assert_eq!(Some(&own), second.values().max());
}

/// One watermark for all would pass what the new one has.
#[test]
fn a_parent_that_comes_later_or_comes_again_is_read_from_its_beginning() {
    let mut shop = following(3);
    shop.sync();
    shop.app
        .exec("INSERT INTO groups VALUES (4); DELETE FROM groups WHERE number = 2");
    asked(&shop);
    shop.sync();
    let bounds = asked(&shop);
    assert!(
        bounds[&4].iter().eq(["all"]) && !bounds[&1].contains("all"),
        "{bounds:?}"
    );
    assert_equal(&mut shop, &up_to(4));
    // What changed below it while it was no parent comes when it is one again.
    shop.api.change_ids(&[11]);
    shop.sync();
    shop.app.exec("INSERT INTO groups VALUES (2)");
    asked(&shop);
    shop.sync();
    let bounds = asked(&shop);
    assert!(
        bounds[&2].iter().eq(["all"]) && !bounds[&4].contains("all"),
        "{bounds:?}"
    );
    assert_equal(&mut shop, &up_to(4));
    assert_eq!(watermarks(&mut shop), highest(&shop, &up_to(4)));
}

#[test]
fn the_watermark_does_not_pass_a_parent_that_failed() {
    let mut shop = following(4);
    shop.sync();
    let first = watermarks(&mut shop);
    shop.api
        .misbehave(Rule::new(Fault::status(404, &[])).path("/page/groups/3/"));
    shop.api.change_ids(&[3, 25]);
    shop.sync();
    let told = shop.run("error_message");
    assert!(told.contains("1 of 4 parents could not be read"), "{told}");
    let second = watermarks(&mut shop);
    assert_eq!(second[&3], first[&3]);
    assert!(second[&1] > first[&1]);
    shop.api.clear_faults();
    asked(&shop);
    shop.sync();
    assert_eq!(asked(&shop), asked_from(&second));
    assert_equal(&mut shop, &up_to(4));
    assert_eq!(watermarks(&mut shop), highest(&shop, &up_to(4)));
}

/// In a read of everything a parent that was not read has nothing to go on from.
#[test]
fn a_parent_that_failed_while_everything_was_read_is_read_from_its_beginning() {
    let mut shop = following(4);
    shop.sync();
    shop.app.exec("TRUNCATE products");
    shop.api
        .misbehave(Rule::new(Fault::status(404, &[])).path("/page/groups/3/"));
    asked(&shop);
    shop.sync();
    assert!(asked(&shop).values().all(|bounds| bounds.iter().eq(["all"])));
    assert_equal(&mut shop, &[1, 2, 4]);
    shop.api.clear_faults();
    shop.sync();
    let bounds = asked(&shop);
    assert!(
        bounds[&3].iter().eq(["all"]) && !bounds[&4].contains("all"),
        "{bounds:?}"
    );
    assert_equal(&mut shop, &up_to(4));
}

/// A run that fails has published nothing, whatever its parents before the failure brought.
#[test]
fn a_run_that_fails_moves_no_watermark_and_the_next_one_goes_on_in_it() {
    let mut shop = following(4);
    shop.sync();
    let first = watermarks(&mut shop);
    shop.api
        .misbehave(Rule::new(Fault::status(400, &[])).path("/page/groups/3/"));
    shop.api.change_ids(&[3, 25, 35]);
    shop.failing_sync();
    assert_eq!(watermarks(&mut shop), first);
    shop.api.clear_faults();
    asked(&shop);
    shop.sync();
    assert_equal(&mut shop, &up_to(4));
    assert_eq!(watermarks(&mut shop), highest(&shop, &up_to(4)));
    assert!(asked(&shop).values().all(|bounds| !bounds.contains("all")));
}

/// How far the pages before the crash reached is kept with them.
#[test]
fn a_killed_run_goes_on_with_the_bound_it_began_with_and_knows_how_far_it_came() {
    let mut shop = following(4);
    shop.sync();
    let first = watermarks(&mut shop);
    // Six of a group change: two pages, the latest change of all on the first of them.
    shop.api.change_ids(&[22, 23, 24, 25, 26]);
    shop.api.change_ids(&[21]);
    asked(&shop);
    shop.api
        .misbehave(Rule::new(Fault::Hang).path("/page/groups/3/").page(2).times(1));
    shop.start();
    wait_until(&mut shop.db, "a page of the third is committed", SOON, |db| {
        db.is_true("SELECT bool_or(state = 'reading' AND pages = 1 AND ordinal = 3) FROM sluice.sync_parents")
    });
    let worker = shop.worker();
    kill9(worker);
    shop.recover();
    shop.wait_for_run("succeeded");
    assert_equal(&mut shop, &up_to(4));
    assert_eq!(watermarks(&mut shop), highest(&shop, &up_to(4)));
    assert_eq!(asked(&shop), asked_from(&first));
}

/// R-8: rows and watermarks go back together.
#[test]
fn a_rollback_puts_the_watermarks_of_parents_back() {
    let mut shop = following(3);
    shop.sync();
    let first = watermarks(&mut shop);
    shop.api.change_ids(&[3, 15]);
    shop.app.exec("INSERT INTO groups VALUES (4)");
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(watermarks(&mut shop), first);
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 30);
    asked(&shop);
    shop.sync();
    let bounds = asked(&shop);
    assert!(bounds[&4].iter().eq(["all"]), "{bounds:?}");
    assert_eq!(bounds[&1], BTreeSet::from([first[&1].clone()]));
    assert_equal(&mut shop, &up_to(4));
}

#[test]
fn after_a_snapshot_is_restored_every_parent_is_read_from_its_beginning() {
    let mut shop = following(3);
    shop.sync();
    shop.app.exec("CALL sluice.create_snapshot('products', 'first')");
    shop.api.change_ids(&[3, 15]);
    shop.sync();
    shop.app
        .exec("DO $$ DECLARE id bigint; BEGIN SELECT max(s.id) INTO id FROM sluice.sync_snapshots AS s; CALL sluice.restore_snapshot(id); END $$");
    shop.app.exec("SELECT sluice.resume_job('products')");
    asked(&shop);
    shop.sync();
    assert!(asked(&shop).values().all(|bounds| bounds.iter().eq(["all"])));
    assert_equal(&mut shop, &up_to(3));
}

/// A record that moved between pages has pushed another one out of sight; below which parent is not looked for.
#[test]
fn a_read_that_moved_under_us_leaves_the_watermarks_of_parents_with_pages() {
    let mut shop = following(3);
    shop.sync();
    let first = watermarks(&mut shop);
    shop.api.change_ids(&[11, 12, 13, 14, 15, 16, 25]);
    let twice = shop.api.record(15).expect("it is there");
    shop.api.misbehave(
        Rule::new(Fault::body(format!(r#"{{"data": [{twice}], "meta": {{"total": 6}}}}"#)))
            .path("/page/groups/2/")
            .page(2),
    );
    shop.sync();
    let told = shop.run("error_message");
    assert!(
        told.contains("1 key came twice in the read: below 3 of 3 parents"),
        "{told}"
    );
    assert_eq!(watermarks(&mut shop), first);
    shop.api.clear_faults();
    shop.sync();
    assert_equal(&mut shop, &up_to(3));
    assert_eq!(watermarks(&mut shop), highest(&shop, &up_to(3)));
}

/// The periodic read of everything finds what is gone, also with a parent.
#[test]
fn a_reconciliation_reads_all_parents_from_their_beginning_and_removes_what_is_gone() {
    let mut shop = following_with(
        4,
        &SETTINGS.replacen('{', r#"{"reconcile_every": "1 day", "confirm_deletes": false, "#, 1),
    );
    shop.sync();
    shop.api.remove_ids(&[5]);
    shop.app.exec("DELETE FROM groups WHERE number = 4");
    shop.move_clock(60 * 25);
    asked(&shop);
    shop.sync();
    assert!(asked(&shop).values().all(|bounds| bounds.iter().eq(["all"])));
    assert_equal(&mut shop, &up_to(3));
    let kept = watermarks(&mut shop);
    shop.app.exec("INSERT INTO groups VALUES (4)");
    shop.sync();
    let bounds = asked(&shop);
    assert!(bounds[&4].iter().eq(["all"]), "{bounds:?}");
    assert_eq!(bounds[&1], BTreeSet::from([kept[&1].clone()]));
    assert_equal(&mut shop, &up_to(4));
}
