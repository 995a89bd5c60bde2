//! Records that are not as they were: what is told of them, and the columns that a target gets.
//!
//! F-R19 (schema drift) and F-R20 (names of fields).
//!
//! Size: one stage for all of them, and the pages that each serves stand in it.

use crate::shop::{SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::wait_until;

/// A page of five records of which none says how many there are.
const PAGED: &str = r#"{"records": "$.data", "page_size": 5, "commit_every": {"pages": 1}, "confirm_deletes": false, "max_shrink": 1,
    "pagination": {"type": "page", "size_param": "per_page"}"#;

/// Settings of a job that reads pages of five, with more.
fn paged(more: &str) -> String {
    format!("{PAGED}, {more}}}")
}

/// Serves these pages from now on, and an empty one after them.
fn serve(shop: &Shop, pages: &[&str]) {
    shop.api.clear_faults();
    for (number, records) in (1..).zip(pages) {
        shop.api
            .misbehave(Rule::new(Fault::body(format!(r#"{{"data": [{records}]}}"#))).page(number));
    }
    shop.api
        .misbehave(Rule::new(Fault::body(r#"{"data": []}"#)).page(pages.len() as u64 + 1));
}

/// Records `{"id": n, "name": "n"}` of these ids, with further members.
fn records(ids: std::ops::RangeInclusive<u64>, more: &str) -> String {
    let each = ids.map(|id| format!(r#"{{"id": {id}, "name": "n{id}"{more}}}"#));
    each.collect::<Vec<_>>().join(",")
}

/// A shop with the table app.products (id, name) and a job on it.
fn shop(mode: &str, settings: &str) -> Shop {
    shop_with(mode, settings, &[])
}

/// The same on a server with further settings.
fn shop_with(mode: &str, settings: &str, server: &[(&str, &str)]) -> Shop {
    let mut shop = Shop::with(1, server);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text)");
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', schedule => 'manual',
                                  settings => '{settings}')"
    ));
    shop
}

/// The rows of sync_drift, one a line.
fn drift(shop: &mut Shop) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', field, kind, sample_type, seen_count, column_name, '(' || note || ')'), E'\\n'
                                 ORDER BY field, kind) FROM sluice.sync_drift WHERE data_type = 'products'";
    shop.app.value(sql).unwrap_or_default()
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
    shop.db
        .text("SELECT coalesce(string_agg(p::text, ' ' ORDER BY id), '') FROM app.products p")
}

/// F-R19: by default nothing of a new field is kept but that it came.
#[test]
fn a_new_field_is_told_and_left_out() {
    let mut shop = shop("replace", &paged(r#""on_empty": "accept""#));
    serve(&shop, &[&records(1..=5, "")]);
    shop.sync();
    assert_eq!(drift(&mut shop), "");
    serve(
        &shop,
        &[&records(1..=4, ""), r#"{"id": 5, "name": "n5", "color": "red"}"#],
    );
    shop.sync();
    assert_eq!(drift(&mut shop), "color new_field string 1");
    assert_eq!(columns(&mut shop), "id bigint, name text");
    // A page that is not looked at again tells nothing again.
    shop.sync();
    assert_eq!(drift(&mut shop), "color new_field string 1");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 5);
}

/// F-R19: type change, array for object, null everywhere, missing field, rename.
#[test]
fn what_changed_its_type_or_stopped_coming_is_told() {
    let mut shop = Shop::open(1);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric, tags jsonb, city text)");
    let columns =
        r#""columns": {"id": "$.id", "name": "$.name", "price": "$.price", "tags": "$.tags", "city": "$.at.city"}"#;
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{}')",
        paged(columns)
    ));
    let first = r#", "price": 1.5, "tags": {"a": 1}, "at": {"city": "x"}"#;
    serve(&shop, &[&records(1..=5, first), &records(6..=8, first)]);
    shop.sync();
    shop.sync();
    assert_eq!(drift(&mut shop), "");
    let second = r#", "price": "1.5", "tags": ["a"], "at": {"town": "x"}"#;
    serve(&shop, &[&records(1..=5, second), &records(6..=8, second)]);
    shop.sync();
    assert_eq!(
        drift(&mut shop),
        "$.at.city missing_field string 1 (in no record of a whole read)\n\
         price type_changed string 8 (number before)\n\
         tags type_changed array 8 (object before)"
    );
    let third = r#", "price": null, "tags": {"a": 1}, "at": {"city": "x"}, "cost": 3"#;
    serve(&shop, &[&records(1..=5, third)]);
    shop.sync();
    assert_eq!(
        drift(&mut shop),
        "$.at.city missing_field string 1 (in no record of a whole read)\n\
         cost new_field number 5\n\
         price type_changed null 9 (null in every record of a whole read, number before)\n\
         tags type_changed array 8 (object before)"
    );
}

/// F-R19: a column for a new field, in the transaction that publishes it, filled in every row of the read.
#[test]
fn a_replace_adds_columns_with_the_rows_that_need_them() {
    let mut shop = shop("replace", &paged(r#""on_new_field": "add_column""#));
    serve(&shop, &[&records(1..=5, ""), &records(6..=8, "")]);
    shop.sync();
    let old = rows(&mut shop);
    let pages = [
        records(1..=5, ""),
        records(6..=10, r#", "stock": 4, "since": "2024-01-31", "nothing": null"#),
        records(
            11..=12,
            r#", "stock": 4.5, "flags": {"a": [1]}, "since": "2024-02-01", "nothing": null"#,
        ),
    ];
    serve(&shop, &pages.each_ref().map(String::as_str));
    shop.db.failpoint("publish.before_commit", "kill9");
    shop.start();
    shop.recover();
    // The run that goes on by itself may have come to its end by now.
    let seen = columns(&mut shop);
    assert!(
        seen == "id bigint, name text" || shop.run("status") == "succeeded",
        "columns without their rows: {seen}"
    );
    shop.wait_for_run("succeeded");
    assert_eq!(
        columns(&mut shop),
        "id bigint, name text, since date, stock numeric, flags jsonb"
    );
    let expected = "(1,n1,,,) (6,n6,2024-01-31,4,) (12,n12,2024-02-01,4.5,\"{\"\"a\"\": [1]}\")";
    let some = "SELECT string_agg(p::text, ' ' ORDER BY id) FROM app.products p WHERE id IN (1, 6, 12)";
    assert_eq!(shop.db.text(some), expected);
    let told = drift(&mut shop);
    assert!(
        told.contains("stock new_field number 7 stock (column added by run "),
        "{told}"
    );
    assert!(told.contains("nothing new_field null 7\n"), "{told}");
    shop.sync();
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted, unchanged)"),
        "0 0 0 12"
    );
    for _ in 0..2 {
        shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    }
    assert_eq!(rows(&mut shop), old.replace(')', ",,,)"), "what a rollback leaves");
    shop.sync();
    assert_eq!(shop.db.text(some), expected);
}

/// F-R19: pages that were fetched ahead are decoded again for the columns that came meanwhile, and a crash between the
/// column and its rows leaves neither.
#[test]
fn an_upsert_adds_columns_in_the_middle_of_a_read() {
    let settings = paged(r#""on_new_field": "add_column", "concurrency": 8, "on_empty": "accept""#);
    let mut shop = shop("upsert", &settings);
    let pages: Vec<String> = (0..20u64)
        .map(|page| {
            let more = if page >= 7 {
                format!(r#", "stock": {page}, "late": {}"#, page >= 12)
            } else {
                String::new()
            };
            let more = if page >= 12 {
                more
            } else {
                more.replace(r#", "late": false"#, "")
            };
            records(page * 5 + 1..=page * 5 + 5, &more)
        })
        .collect();
    serve(&shop, &pages.iter().map(String::as_str).collect::<Vec<_>>());
    shop.db.failpoint("evolve.altered", "kill9");
    // Held again at once: the run that goes on by itself must not get the page that brings the columns.
    shop.api.hold_page(8);
    shop.start();
    assert!(shop.api.wait_until_held(8, SOON));
    shop.api.release_waiting();
    shop.recover();
    assert_eq!(columns(&mut shop), "id bigint, name text");
    let committed = shop.committed_before_the_crash();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_asked_at_most_once_after(&committed);
    assert_eq!(columns(&mut shop), "id bigint, name text, stock bigint, late boolean");
    let wrong = "SELECT count(*) FROM app.products WHERE stock IS DISTINCT FROM CASE WHEN id > 35 THEN (id - 1) / 5 END
                 OR late IS DISTINCT FROM CASE WHEN id > 60 THEN true END";
    assert_eq!(shop.db.number(wrong), 0);
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 100);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated)"), "0 0");
}

/// The first load of a table that was there before fills every column of it, also those of which its first page had
/// nothing.
#[test]
fn a_first_load_fills_a_column_whose_member_comes_late() {
    let mut shop = Shop::open(1);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text, stock int)");
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{PAGED}}}')"
    ));
    serve(&shop, &[&records(1..=5, ""), &records(6..=8, r#", "stock": 7"#)]);
    shop.sync();
    assert_eq!(shop.db.number("SELECT sum(stock) FROM app.products"), 21);
    serve(&shop, &[&records(1..=5, ""), &records(6..=8, r#", "stock": 8"#)]);
    shop.sync();
    assert_eq!(shop.db.number("SELECT sum(stock) FROM app.products"), 24);
}

/// F-R19: what a strict job says of a new field, and how it goes on.
#[test]
fn a_new_field_ends_a_strict_run_before_its_page() {
    let mut shop = shop("upsert", &paged(r#""on_new_field": "fail""#));
    serve(&shop, &[&records(1..=5, ""), &records(6..=8, r#", "Shoe size": 44"#)]);
    shop.failing_sync();
    assert_eq!(
        shop.run("error_message"),
        "records have a member \"Shoe size\" for which target \"app.products\" has no column"
    );
    assert_eq!(
        shop.run("error_class || ' ' || sqlstate || ' ' || status"),
        "schema 42703 failed"
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 5);
    assert_eq!(
        drift(&mut shop),
        "Shoe size new_field number 1 (the run ended before the page that has it)"
    );
    let hint = shop.run("error_hint");
    let statement = hint.split(';').next().expect("a statement");
    assert_eq!(statement, "ALTER TABLE app.products ADD COLUMN \"Shoe size\" bigint");
    shop.app.exec(statement);
    shop.sync();
    assert_eq!(shop.db.number("SELECT sum(\"Shoe size\") FROM app.products"), 3 * 44);
}

/// What a job's "columns" leave out from the first is not new; what comes later is.
#[test]
fn named_columns_leave_out_what_was_there_at_the_first_read() {
    let settings = paged(r#""on_new_field": "add_column", "columns": {"id": "$.id"}"#);
    let mut shop = shop("replace", &settings);
    serve(&shop, &[&records(1..=3, "")]);
    shop.sync();
    assert_eq!(drift(&mut shop), "name new_field string 3 (left out)");
    // A column of the table that the job does not name is nobody's but the user's.
    shop.app
        .exec("ALTER TABLE products ADD COLUMN stock text DEFAULT 'mine'");
    serve(&shop, &[&records(1..=3, r#", "stock": 1, "xmin": true"#)]);
    shop.sync();
    assert_eq!(
        columns(&mut shop),
        "id bigint, name text, stock text, stock_1 bigint, xmin_1 boolean"
    );
    assert_eq!(rows(&mut shop), "(1,,mine,1,t) (2,,mine,1,t) (3,,mine,1,t)");
    // Dropped by a person, it stays away.
    shop.app.exec("ALTER TABLE products DROP COLUMN stock_1");
    serve(&shop, &[&records(1..=4, r#", "stock": 2, "xmin": true"#)]);
    shop.sync();
    assert_eq!(columns(&mut shop), "id bigint, name text, stock text, xmin_1 boolean");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE xmin_1"), 4);
}

/// Whoever names other columns says anew what is left out, columns that runs have added included.
#[test]
fn other_named_columns_begin_anew_with_what_is_left_out() {
    let mut shop = shop(
        "replace",
        &paged(r#""on_new_field": "add_column", "columns": {"id": "$.id"}"#),
    );
    serve(&shop, &[&records(1..=3, "")]);
    shop.sync();
    serve(&shop, &[&records(1..=3, r#", "stock": 1"#)]);
    shop.sync();
    assert_eq!(rows(&mut shop), "(1,,1) (2,,1) (3,,1)");
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"columns": {"id": "$.id", "name": "$.name"}}')"#);
    for stock in [2, 3] {
        serve(&shop, &[&records(1..=3, &format!(r#", "stock": {stock}"#))]);
        shop.sync();
        assert_eq!(rows(&mut shop), "(1,n1,1) (2,n2,1) (3,n3,1)");
    }
}

/// F-R20: names are quoted, cut to what PostgreSQL keeps and distinct, in a table that is made and in columns that come
/// later.
#[test]
fn fields_of_any_name_become_columns() {
    let long = "x".repeat(200);
    let odd = [
        r#"a"b; DROP TABLE products; --"#,
        "ctid",
        "xmin",
        "Name",
        "",
        "tab\there",
        "ü–日本",
        &format!("{long}1"),
        &format!("{long}2"),
        "a\0b",
    ];
    let more: Vec<String> = odd
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let escaped = name.replace('"', "\\\"").replace('\t', "\\t").replace('\0', "\\u0000");
            format!(r#", "{escaped}": {n}"#)
        })
        .collect();
    let mut made = Shop::open(1);
    serve(&made, &[&records(1..=3, &more.concat())]);
    made.create_job("products", "/page/products", &paged(r#""on_empty": "accept""#));
    made.sync();
    let mut added = shop("replace", &paged(r#""on_new_field": "add_column""#));
    serve(&added, &[&records(1..=3, "")]);
    added.sync();
    serve(&added, &[&records(1..=3, &more.concat())]);
    added.sync();
    for shop in [&mut made, &mut added] {
        let names = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.products'::regclass AND attnum > 0";
        assert_eq!(shop.db.number(names), 2 + odd.len() as i64, "{}", columns(shop));
        // Every value is there, in whatever column.
        let values = "SELECT count(DISTINCT v) FROM app.products p, jsonb_each_text(to_jsonb(p)) AS j (k, v)
                      WHERE id = 1 AND v ~ '^[0-9]$' AND k NOT IN ('id')";
        assert_eq!(shop.db.number(values), odd.len() as i64, "{}", rows(shop));
        shop.sync();
        assert_eq!(shop.run("concat_ws(' ', inserted, updated, unchanged)"), "0 0 3");
    }
    let names = |shop: &mut Shop| {
        let mut names: Vec<String> = columns(shop).split(", ").map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names(&mut made), names(&mut added));
}

/// F-R20: PostgreSQL has at most 1600 columns a table; what has no room is told, a thousand of it by name.
#[test]
fn two_thousand_new_fields_fill_the_table_and_the_rest_is_told() {
    let mut shop = shop(
        "upsert",
        &paged(r#""on_new_field": "add_column", "on_empty": "accept""#),
    );
    serve(&shop, &[&records(1..=2, "")]);
    shop.sync();
    let fields: String = (1..=2000).map(|n| format!(r#", "f{n}": true"#)).collect();
    serve(&shop, &[&records(1..=2, &fields)]);
    shop.sync();
    let told = "SELECT concat_ws(' ', count(*), count(column_name), count(*) FILTER (WHERE field = '*')) FROM sluice.sync_drift";
    assert_eq!(shop.db.text(told), "1001 1000 1");
    assert_eq!(
        shop.db.number("SELECT count(*) FROM app.products WHERE f1 AND f1000"),
        2
    );
    for _ in 0..2 {
        shop.api.misbehave(Rule::new(Fault::body(r#"{"data": []}"#)).page(3));
        serve(&shop, &[&records(1..=3, &fields)]);
        shop.sync();
    }
    let told = "SELECT concat_ws(' ', count(*), count(column_name)) FROM sluice.sync_drift";
    assert_eq!(shop.db.text(told), "1001 1000");
    // A table that is made gets what fits, its key for certain.
    serve(
        &shop,
        &[&format!(r#"{{{}, "id": 1}}"#, fields.trim_start_matches(", "))],
    );
    shop.app.take_notices();
    shop.create_job("made", "/page/products", &paged(r#""on_empty": "accept""#));
    let notices = shop.app.take_notices().join("\n");
    assert!(notices.contains("made\" gets 1600 of 2001 columns"), "{notices}");
    shop.app.exec("CALL sluice.sync('made')");
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM app.made WHERE id = 1 AND f1 AND f1599"),
        1
    );
}

/// A reader that holds the table keeps the column waiting for lock_timeout, and the run is tried again.
#[test]
fn a_column_waits_for_a_reader_no_longer_than_lock_timeout() {
    let settings = paged(r#""on_new_field": "add_column""#);
    let mut shop = shop_with("upsert", &settings, &[("sluice.lock_timeout", "200ms")]);
    serve(&shop, &[&records(1..=3, "")]);
    shop.sync();
    let mut reader = shop.cluster.db_as("app", "postgres");
    reader.exec("BEGIN; SELECT * FROM products");
    serve(&shop, &[&records(1..=3, r#", "stock": 1"#)]);
    shop.start();
    shop.wait_for_run("retryable");
    assert_eq!(shop.run("error_class || ' ' || sqlstate"), "database 55P03");
    reader.exec("COMMIT");
    shop.sync();
    assert_eq!(columns(&mut shop), "id bigint, name text, stock bigint");
    assert_eq!(rows(&mut shop), "(1,n1,1) (2,n2,1) (3,n3,1)");
}

/// A column that somebody adds while a run waits to add it is the column that is filled.
#[test]
fn a_column_that_comes_at_the_same_moment_is_filled() {
    let mut shop = shop("upsert", &paged(r#""on_new_field": "add_column""#));
    serve(&shop, &[&records(1..=3, "")]);
    shop.sync();
    let mut other = shop.cluster.db_as("app", "postgres");
    other.exec("BEGIN; ALTER TABLE products ADD COLUMN stock numeric");
    serve(&shop, &[&records(1..=3, r#", "stock": 1"#)]);
    shop.start();
    wait_until(&mut shop.db, "the run waits for the table", SOON, |db| {
        db.number("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0
    });
    other.exec("COMMIT");
    shop.wait_for_run("succeeded");
    assert_eq!(columns(&mut shop), "id bigint, name text, stock numeric");
    assert_eq!(rows(&mut shop), "(1,n1,1) (2,n2,1) (3,n3,1)");
}

/// The policy of a job is changed: what was ignored gets its column with the next run, unchanged pages included.
#[test]
fn a_job_that_begins_to_add_columns_looks_at_every_page_again() {
    let mut shop = shop("replace", &format!("{PAGED}}}"));
    serve(&shop, &[&records(1..=3, r#", "stock": 1"#)]);
    shop.sync();
    assert_eq!(columns(&mut shop), "id bigint, name text");
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"on_new_field": "add_column"}')"#);
    shop.sync();
    assert_eq!(rows(&mut shop), "(1,n1,1) (2,n2,1) (3,n3,1)");
}
