//! The other mode, and targets that were there before.

use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Options, Rule, SampleApi};

/// An upsert job of 500 products after its first load.
fn upsert() -> Shop {
    let mut shop = Shop::open(500);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => 'upsert', key => '{{id}}',
                                  schedule => 'manual', settings => '{PAGES}')"
    ));
    shop.sync();
    shop.assert_equal();
    shop
}

#[test]
fn upsert_writes_what_differs_and_removes_nothing() {
    let mut shop = upsert();
    shop.db
        .exec("CREATE TABLE app.before AS SELECT id, xmin::text AS version FROM app.products");
    shop.api.remove_ids(&[1, 2, 3]);
    let changed = shop.api.change(10.0, 4).len();
    shop.api.add(7);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 507);
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted)"),
        format!("7 {changed} 0")
    );
    let rewritten = "SELECT count(*) FROM app.products p JOIN app.before b USING (id) WHERE p.xmin::text <> b.version";
    assert_eq!(shop.db.number(rewritten), changed as i64);
    shop.db.exec("DELETE FROM app.products WHERE id <= 3");
    shop.assert_equal();
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', status, inserted, updated)"), "succeeded 0 0");
}

#[test]
fn an_upsert_that_was_interrupted_goes_on_and_can_be_undone_as_a_whole() {
    let mut shop = upsert();
    let old = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    shop.api.change(50.0, 4);
    shop.api.clear_log();
    let committed = shop.start_and_hold_at(4);
    shop.api.clear_log();
    let worker = shop.worker();
    sluice_e2e::kill9(worker);
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p"),
        old
    );
}

#[test]
fn an_upsert_is_undone_and_redone() {
    let mut shop = upsert();
    let old = shop
        .db
        .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p");
    shop.api.change(10.0, 4);
    shop.api.add(5);
    shop.sync();
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(
        shop.db
            .text("SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p"),
        old
    );
    shop.sync();
    shop.assert_equal();
}

#[test]
fn an_empty_answer_to_an_upsert_changes_nothing() {
    let mut shop = upsert();
    shop.api.misbehave(Fault::body(r#"{"data": [], "meta": {"total": 0}}"#));
    let outcome = shop.app.try_rows("CALL sluice.sync('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500, "{outcome:?}");
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_key_of_two_columns_matches_rows_by_both() {
    let mut shop = Shop::open(400);
    shop.app.exec(
        "CREATE TABLE products (category text, id bigint, price numeric, extra text DEFAULT 'x', PRIMARY KEY (category, id))",
    );
    let settings = PAGES.replacen(
        '{',
        r#"{"columns": {"id": "$.id", "category": "$.category", "price": "$.price"}, "#,
        1,
    );
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{settings}')"
    ));
    assert_eq!(shop.db.text("SELECT key FROM sluice.sync_jobs"), "{category,id}");
    shop.sync();
    shop.db.exec("UPDATE app.products SET extra = 'kept'");
    let changed = shop.api.change(10.0, 1).len();
    shop.api.remove_ids(&[9, 10]);
    shop.sync();
    let sums =
        "SELECT concat_ws(' ', count(*), sum(id), (sum(price) * 100)::bigint, count(*) FILTER (WHERE extra = 'kept'))
                FROM app.products";
    let truth = shop.api.checksum();
    let expected = format!("{} {} {} 398", truth.count, truth.sum_id, truth.sum_price_cents);
    assert_eq!(shop.db.text(sums), expected, "{changed} changed");
    assert_eq!(shop.run("deleted"), "2");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 400);
}

#[test]
fn names_that_need_quotes_work_everywhere() {
    let mut shop = Shop::open(300);
    shop.db.exec("GRANT CREATE ON DATABASE postgres TO app");
    shop.app.exec(
        r#"CREATE SCHEMA "My ""schema"" – ü"; CREATE TABLE "My ""schema"" – ü"."select from; --" (
               "Id%" bigint PRIMARY KEY, "user" text, "price in ""€""" numeric, "a'b\c" text)"#,
    );
    let settings = PAGES.replacen(
        '{',
        r#"{"columns": {"Id%": "$.id", "user": "$.name", "price in \"€\"": "$.price", "a''b\\c": "$.sku"}, "#,
        1,
    );
    shop.app.exec(&format!(
        r#"SELECT sluice.create_job('products', 'shop', '/page/products', target => '"My ""schema"" – ü"."select from; --"',
                                    schedule => 'manual', settings => '{settings}')"#
    ));
    shop.sync();
    shop.api.change(10.0, 2);
    shop.api.remove_ids(&[1, 2]);
    shop.sync();
    let truth = shop.api.checksum();
    let sums = r#"SELECT concat_ws(' ', count(*), sum("Id%"), (sum("price in ""€""") * 100)::bigint, count("user"), count("a'b\c"))
                  FROM "My ""schema"" – ü"."select from; --""#;
    let expected = format!("298 {} {} 298 298", truth.sum_id, truth.sum_price_cents);
    assert_eq!(shop.db.text(sums), expected);
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .number(r#"SELECT count(*) FROM "My ""schema"" – ü"."select from; --""#),
        0
    );
}

#[test]
fn two_jobs_that_replace_parts_of_one_table_leave_each_others_rows() {
    let mut shop = Shop::open(300);
    let other = SampleApi::start(Options {
        products: 300,
        ..Options::default()
    });
    shop.api.remove_ids(&(151..=300).collect::<Vec<_>>());
    other.remove_ids(&(1..=150).collect::<Vec<_>>());
    shop.db.exec(&format!(
        "CREATE SERVER second FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{}');
         GRANT USAGE ON FOREIGN SERVER second TO app",
        other.url()
    ));
    shop.create_job("products", "/page/products", PAGES);
    shop.app.take_notices();
    shop.app.exec(&format!(
        "SELECT sluice.create_job('rest', 'second', '/page/products', target => 'products', schedule => 'manual',
                                  settings => '{PAGES}')"
    ));
    let told = shop.app.take_notices().join("\n");
    assert!(told.contains("is the target of job \"products\" too"), "{told}");
    let count = "SELECT count(*) || ' ' || sum(id) FROM app.products";
    for _ in 0..2 {
        shop.sync();
        shop.app.exec("CALL sluice.sync('rest')");
        assert_eq!(shop.db.text(count), "300 45150");
    }
    shop.api.remove_ids(&[1]);
    other.remove_ids(&[300]);
    shop.sync();
    assert_eq!(shop.db.text(count), "299 45149");
    shop.app.exec("CALL sluice.sync('rest')");
    assert_eq!(shop.db.text(count), "298 44849");
}

#[test]
fn an_upsert_that_was_given_up_half_way_leaves_nothing_stale() {
    let mut shop = Shop::with_job(500, PAGES);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.sync();
    // A change that is taken back before the read is begun anew: its page is the published one again.
    shop.api.misbehave(Fault::AlterRecord {
        id: 5,
        member: "name".to_string(),
        value: Some("\"for a moment\"".to_string()),
    });
    shop.api.misbehave(Rule::new(Fault::RepeatPage(2)).page(3).times(1));
    shop.failing_sync();
    assert_eq!(
        shop.db.text("SELECT name FROM app.products WHERE id = 5"),
        "for a moment"
    );
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}
