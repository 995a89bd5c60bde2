//! Values that do not fit a column that was made from the data: the column becomes wider, with the rows that need it.
//!
//! F-R19 (schema drift: wider types).

use crate::shop::{SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;

const PAGED: &str = r#""records": "$.data", "page_size": 5, "commit_every": {"pages": 1}, "confirm_deletes": false, "max_shrink": 1,
    "on_empty": "accept", "on_new_field": "add_column", "pagination": {"type": "page", "size_param": "per_page"}"#;

/// Serves these pages from now on, and an empty one after them.
fn serve(shop: &Shop, pages: &[&str]) {
    shop.api.clear_faults();
    for (number, records) in (1..).zip(pages.iter().chain(&[""])) {
        let body = Fault::body(format!(r#"{{"data": [{records}]}}"#));
        shop.api.misbehave(Rule::new(body).page(number));
    }
}

/// A shop whose job `products` has made its table from these pages and loaded them.
fn loaded(mode: &str, more: &str, pages: &[&str]) -> Shop {
    let mut shop = Shop::open(1);
    serve(&shop, pages);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', key => '{{id}}',
             schedule => 'manual', settings => '{{{PAGED}{more}}}')"
    ));
    shop.sync();
    shop
}

/// The table's columns with their types.
fn columns(shop: &mut Shop) -> String {
    shop.db.text(
        "SELECT string_agg(attname || ' ' || format_type(atttypid, -1), ', ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = 'app.products'::regclass AND attnum > 0 AND NOT attisdropped",
    )
}

/// All rows as one text.
fn rows(shop: &mut Shop) -> String {
    shop.db.exec("SET timezone = 'UTC'");
    shop.db
        .text("SELECT coalesce(string_agg(p::text, ' ' ORDER BY id), '') FROM app.products p")
}

/// What is told of wider columns, one a line.
fn told(shop: &mut Shop) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', field, sample_type, seen_count, column_name, '(' || note || ')'), E'\\n'
                                 ORDER BY field) FROM sluice.sync_drift WHERE data_type = 'products' AND kind = 'widened'";
    shop.app.value(sql).unwrap_or_default()
}

/// Of each type that is made: a value, one that does not fit, and one that fits nowhere but in jsonb.
const FIRST: &str = r#""i": 1, "n": 1.50, "b": true, "d": "2024-01-31", "z": "2024-01-31T12:00:00Z",
    "u": "0b54ee13-5b2e-4f3c-9c2b-2f6f3a3b1c11""#;
const WIDER: &str = r#""i": 2.5, "n": "1,50", "b": "maybe", "d": "2024-01-31T08:00:00Z", "z": "soon", "u": "x""#;
const NESTED: &str = r#""i": {"a": 1}, "n": [1.50], "b": [], "d": {}, "z": ["soon"], "u": {}"#;
const MADE: &str = "id bigint, i bigint, n numeric, b boolean, d date, z timestamp with time zone, u uuid";
const WIDENED: &str = "id bigint, i numeric, n text, b text, d timestamp with time zone, z text, u text";

fn record(id: u32, members: &str) -> String {
    format!(r#"{{"id": {id}, {members}}}"#)
}

/// F-R19: types become wider in the transaction that publishes the rows that need it, and a rollback puts back what was there.
#[test]
fn a_replace_widens_columns_with_the_rows_that_need_them() {
    let first = [record(1, FIRST), record(2, FIRST)].join(",");
    let mut shop = loaded("replace", "", &[&first]);
    assert_eq!(columns(&mut shop), MADE);
    serve(&shop, &[&first, &record(3, WIDER)]);
    shop.db.failpoint("publish.before_commit", "kill9");
    shop.start();
    shop.recover();
    // The run that goes on by itself may have come to its end by now.
    let seen = columns(&mut shop);
    assert!(
        seen == MADE || shop.run("status") == "succeeded",
        "wider columns without their rows: {seen}"
    );
    shop.wait_for_run("succeeded");
    assert_eq!(columns(&mut shop), WIDENED);
    let one = "(1,1,1.50,true,\"2024-01-31 00:00:00+00\",2024-01-31T12:00:00Z,0b54ee13-5b2e-4f3c-9c2b-2f6f3a3b1c11)";
    let three = "(3,2.5,\"1,50\",maybe,\"2024-01-31 08:00:00+00\",soon,x)";
    let two = one.replace("(1,", "(2,");
    assert_eq!(rows(&mut shop), format!("{one} {two} {three}"));
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted, rejected)"),
        "1 0 0 0"
    );
    assert!(
        told(&mut shop).contains("i number 1 i (bigint before, numeric since run "),
        "{}",
        told(&mut shop)
    );
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, unchanged)"), "0 0 3");
    for _ in 0..2 {
        shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    }
    assert_eq!(rows(&mut shop), format!("{one} {two}"));
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(rows(&mut shop), "", "the first load is recognised");
    assert_eq!(shop.run("error_message"), "NULL");
}

/// Former images of narrower types go back, edits of others are seen, and nothing of a run that wrote before is lost.
#[test]
fn an_upsert_goes_back_past_a_wider_column() {
    let page = |from: u32, members: &str| {
        (from..from + 3)
            .map(|id| record(id, members))
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut shop = loaded("upsert", "", &[&page(1, FIRST)]);
    let old = FIRST.replace("31", "30").replace("true", "false").replace(": 1", ": 7");
    serve(&shop, &[&page(1, &old)]);
    shop.sync();
    serve(&shop, &[&page(4, NESTED)]);
    shop.sync();
    let jsonb = "id bigint, i jsonb, n jsonb, b jsonb, d jsonb, z jsonb, u jsonb";
    assert_eq!(columns(&mut shop), jsonb);
    assert_eq!(shop.run("concat_ws(' ', inserted, rejected)"), "3 0");
    let text = |name: &str| format!("SELECT {name}::text FROM app.products WHERE id = 1");
    let values = |shop: &mut Shop| {
        ["i", "n", "b", "d", "z"]
            .map(|name| shop.db.text(&text(name)))
            .join(" ")
    };
    assert_eq!(values(&mut shop), r#"7 7.50 false "2024-01-30" "2024-01-30T12:00:00Z""#);
    shop.app.exec("UPDATE products SET i = '99' WHERE id = 2");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 3);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert!(
        shop.run("error_message").starts_with("1 row was changed"),
        "{}",
        shop.run("error_message")
    );
    assert_eq!(shop.db.text("SELECT i::text FROM app.products WHERE id = 2"), "99");
    assert_eq!(values(&mut shop), r#"1 1.50 true "2024-01-31" "2024-01-31T12:00:00Z""#);
}

/// A date that became a time and then a text, or jsonb, is the date that a run wrote.
#[test]
fn an_upsert_goes_back_past_a_column_that_became_wider_twice() {
    for (last, kind) in [(r#""soon""#, "text"), (r#"{"a": 1}"#, "jsonb")] {
        let day = |id, day: u32| record(id, &format!(r#""d": "2024-01-0{day}""#));
        let mut shop = loaded("upsert", "", &[&day(1, 1)]);
        for page in [
            format!("{},{}", day(1, 2), day(2, 2)),
            format!("{},{}", day(3, 3), record(4, r#""d": "2024-01-04T08:00:00Z""#)),
            record(5, &format!(r#""d": {last}"#)),
        ] {
            serve(&shop, &[&page]);
            shop.sync();
        }
        assert_eq!(columns(&mut shop), format!("id bigint, d {kind}"));
        let days = "SELECT string_agg(id || ' ' || trim('\"' FROM d::text), ', ' ORDER BY id) FROM app.products";
        assert!(shop.db.text(days).starts_with("1 2024-01-02T00:00:00Z, 2 2024"));
        for _ in 0..3 {
            shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
            assert_eq!(shop.run("error_message"), "NULL");
        }
        assert_eq!(shop.db.text(days), "1 2024-01-01", "{kind}");
    }
}

/// The first value of a new member says less than all of them.
#[test]
fn a_column_that_a_read_has_just_added_becomes_wider_in_it() {
    for mode in ["replace", "upsert", "append"] {
        let mut shop = Shop::open(1);
        let pages = [
            record(1, r#""a": 1"#),
            record(2, r#""a": 1, "v": 1"#),
            record(3, r#""a": 1, "v": 2"#),
            record(4, r#""a": 1, "v": "much""#),
        ];
        serve(&shop, &pages.each_ref().map(String::as_str));
        shop.app.exec(&format!(
            "SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', key => '{{id}}',
                 schedule => 'manual', settings => '{{{PAGED}}}')"
        ));
        shop.sync();
        assert_eq!(columns(&mut shop), "id bigint, a bigint, v text", "{mode}");
        assert_eq!(shop.run("concat_ws(' ', inserted, rejected)"), "4 0", "{mode}");
        assert_eq!(
            shop.db.text("SELECT string_agg(v, ' ' ORDER BY id) FROM app.products"),
            "1 2 much",
            "{mode}"
        );
    }
}

/// A first load widens in its middle, and so does a job whose records must all fit.
#[test]
fn a_first_load_widens_what_its_first_page_was_too_small_to_tell() {
    for (mode, more) in [
        ("replace", r#", "on_bad_record": "fail""#),
        ("append", ""),
        ("upsert", ""),
    ] {
        let mut shop = Shop::open(1);
        let ints = |from: u32| {
            (from..from + 5)
                .map(|id| record(id, r#""v": 1, "w": true"#))
                .collect::<Vec<_>>()
                .join(",")
        };
        serve(
            &shop,
            &[&ints(1), &ints(6), &record(11, r#""v": "much", "w": 2"#), &ints(12)],
        );
        shop.app.exec(&format!(
            "SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', key => '{{id}}',
                 schedule => 'manual', settings => '{{{PAGED}{more}, \"concurrency\": 4}}')"
        ));
        shop.api.clear_log();
        shop.db.failpoint("evolve.altered", "kill9");
        // Held again at once: the run that goes on by itself must not get the page that needs wider columns.
        shop.api.hold_page(3);
        shop.start();
        assert!(shop.api.wait_until_held(3, SOON));
        shop.api.release_waiting();
        shop.recover();
        assert_eq!(columns(&mut shop), "id bigint, v bigint, w boolean");
        let committed = shop.committed_before_the_crash();
        shop.api.release();
        shop.wait_for_run("succeeded");
        shop.assert_asked_at_most_once_after(&committed);
        assert_eq!(columns(&mut shop), "id bigint, v text, w text", "{mode}");
        let sums =
            "SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE v = '1' AND w = 'true'), max(v)) FROM app.products";
        assert_eq!(shop.db.text(sums), "16 15 much", "{mode}");
    }
}

/// What a person has decided stays: then the value is a reject, with the statement that would take it.
#[test]
fn a_column_that_is_not_ours_to_widen_keeps_its_type() {
    let first = record(1, r#""seen": 1, "declared": 1, "altered": 1, "held": 1"#);
    let more = r#", "columns": {"id": "$.id", "seen": "$.seen", "declared": {"path": "$.declared", "type": "integer"},
        "altered": "$.altered", "held": "$.held"}"#;
    let mut shop = loaded("replace", more, &[&first]);
    shop.app
        .exec("ALTER TABLE products ALTER altered TYPE integer; CREATE VIEW looks AS SELECT held FROM products");
    let made = columns(&mut shop);
    for column in ["declared", "altered", "held"] {
        let bad = record(2, r#""seen": 1, "declared": 1, "altered": 1, "held": 1"#)
            .replace(&format!(r#""{column}": 1"#), &format!(r#""{column}": "x""#));
        serve(&shop, &[&format!("{first},{bad}")]);
        shop.sync();
        assert_eq!(columns(&mut shop), made, "{column}");
        assert_eq!(
            shop.run("concat_ws(' ', inserted, deleted, rejected)"),
            "0 0 1",
            "{column}"
        );
        let rejected = "SELECT column_name FROM sluice.sync_rejects WHERE status = 'rejected'";
        assert_eq!(shop.db.text(rejected), column);
    }
    assert_eq!(
        told(&mut shop),
        "held string 1 (not widened: cannot alter type of a column used by a view or rule; \
         ALTER TABLE \"app\".\"products\" ALTER COLUMN \"held\" TYPE pg_catalog.text;)"
    );
    // A key is never altered: keys of another type are keys of other rows.
    serve(&shop, &[&format!(r#"{first},{{"id": "x", "seen": 1}}"#)]);
    shop.sync();
    assert_eq!(columns(&mut shop), made);
    // The view is gone, and the same value is taken.
    shop.app.exec("DROP VIEW looks");
    serve(&shop, &[&format!("{first},{}", record(3, r#""seen": 1, "held": "x""#))]);
    shop.sync();
    assert_eq!(shop.db.text("SELECT held FROM app.products WHERE id = 3"), "x");
}

/// A copy of narrower values goes back into the wider columns.
#[test]
fn a_snapshot_is_restored_into_wider_columns() {
    let first = [record(1, FIRST), record(2, FIRST)].join(",");
    let mut shop = loaded("replace", "", &[&first]);
    shop.app.exec("CALL sluice.create_snapshot('products', 'narrow')");
    serve(&shop, &[&format!("{},{}", record(1, WIDER), record(3, WIDER))]);
    shop.sync();
    assert_eq!(columns(&mut shop), WIDENED);
    let id = shop.app.number("SELECT max(id) FROM sluice.sync_snapshots");
    shop.app.exec(&format!("CALL sluice.restore_snapshot({id})"));
    let one = "(1,1,1.50,true,\"2024-01-31 00:00:00+00\",2024-01-31T12:00:00Z,0b54ee13-5b2e-4f3c-9c2b-2f6f3a3b1c11)";
    assert_eq!(rows(&mut shop), format!("{one} {}", one.replace("(1,", "(2,")));
}

/// One lock for all: whoever reads for long makes the run wait and try again, and it gives up in time.
#[test]
fn a_reader_makes_a_wider_column_wait() {
    let mut shop = loaded("replace", "", &[&record(1, r#""v": 1"#)]);
    serve(&shop, &[&record(1, r#""v": 1.5"#)]);
    shop.app.exec("BEGIN; SELECT * FROM app.products");
    shop.db.exec("SELECT sluice.start_sync('products')");
    wait_until(&mut shop.db, "the run waits for the reader", SOON, |db| {
        db.number("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
    });
    shop.app.exec("COMMIT");
    shop.wait_for_run("succeeded");
    assert_eq!(rows(&mut shop), "(1,1.5)");
}
