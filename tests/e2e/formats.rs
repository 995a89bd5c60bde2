//! Answers that are not one JSON document.

use crate::shop::Shop;
use sample_api::Fault;

/// The page size and the total stand beside the records: in a parameter and in a header.
fn settings(more: &str) -> String {
    format!(
        r#"{{"page_size": 100, "commit_every": {{"pages": 1}}, {more}
            "pagination": {{"type": "page", "size_param": "per_page", "total": "header:X-Total-Count"}}}}"#
    )
}

fn follows(settings: &str) {
    let mut shop = Shop::open(530);
    shop.create_job("products", "/page/products", settings);
    shop.sync();
    shop.assert_equal();
    shop.api.change(10.0, 5);
    shop.api.remove(2.0, 6);
    shop.api.add(9);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn lines_of_json_follow_the_source() {
    follows(&settings(r#""params": {"format": "ndjson"}, "#));
    follows(&settings(r#""format": "ndjson", "params": {"format": "ndjson"}, "#));
}

#[test]
fn csv_follows_the_source() {
    follows(&settings(r#""params": {"format": "csv"}, "#));
    follows(&settings(r#""format": "csv", "params": {"format": "csv"}, "#));
}

#[test]
fn csv_is_paged_by_the_last_key_as_well() {
    follows_keys(
        r#"{"params": {"format": "csv", "limit": "100"},
        "pagination": {"type": "keyset", "param": "after_id", "column": "id"}}"#,
    );
}

fn follows_keys(settings: &str) {
    let mut shop = Shop::open(530);
    shop.create_job("products", "/keyset/products", settings);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_table_is_made_from_csv_with_types() {
    let mut shop = Shop::open(50);
    shop.app.exec(
        r#"SELECT sluice.create_job('made', 'shop', '/none/products', key => '{id}', schedule => 'manual',
           settings => '{"format": "csv", "params": {"format": "csv"}}')"#,
    );
    let types = "SELECT string_agg(attname || ' ' || format_type(atttypid, -1), ', ' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = 'app.made'::regclass AND attnum > 0";
    assert_eq!(
        shop.db.text(types),
        "id bigint, sku text, name text, description text, price numeric, stock bigint, active boolean, category text, \
         updated_at timestamp with time zone, attributes text"
    );
    shop.app.exec("CALL sluice.sync('made')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.made WHERE price > 0"), 50);
}

#[test]
fn an_error_in_json_where_csv_is_expected_loses_nothing() {
    let mut shop = Shop::open(300);
    shop.create_job(
        "products",
        "/page/products",
        &settings(r#""format": "csv", "params": {"format": "csv"}, "#),
    );
    shop.sync();
    shop.api.misbehave(Fault::html());
    shop.failing_sync();
    assert_eq!(shop.run("error_message"), "the answer is not CSV");
    shop.api.clear_faults();
    shop.assert_equal();
}

#[test]
fn a_next_page_in_the_body_has_no_place_in_csv() {
    let mut shop = Shop::open(300);
    let settings =
        r#"{"params": {"format": "csv", "limit": "100"}, "pagination": {"type": "cursor", "next": "$.meta.next"}}"#;
    shop.create_job("products", "/cursor/products", settings);
    shop.failing_sync();
    assert_eq!(
        shop.run("error_message"),
        "the answer has no place for what pagination.next names"
    );
}
