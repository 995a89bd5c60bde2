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

/// The first line of a page is a line like the others.
#[test]
fn an_empty_field_gets_its_columns_default_in_every_line() {
    let mut shop = Shop::open(0);
    shop.app.exec("CREATE TABLE goods (id bigint PRIMARY KEY, name text)");
    let columns = r#"{"columns": {"id": "$.id", "name": {"path": "$.name", "default": "nameless"}}}"#;
    shop.create_job("goods", "/none/products", columns);
    answer(&shop, "id,name\r\n1,\r\n2,\r\n3,three\r\n");
    shop.app.exec("CALL sluice.sync('goods')");
    assert_eq!(goods(&mut shop), "1 nameless, 2 nameless, 3 three");
}

/// F-R22: a line of another number of fields is kept aside as it stands, protects the rows that it may be about, and is
/// no record for a replay, whatever it looks like.
#[test]
fn a_ragged_line_of_csv_is_kept_aside_until_the_remote_mends_it() {
    let mut shop = Shop::open(0);
    shop.app.exec("CREATE TABLE goods (id bigint PRIMARY KEY, name text)");
    shop.create_job("goods", "/none/products", "{}");
    answer(&shop, "id,name\r\n1,one\r\n2,two\r\n3,three\r\n");
    shop.app.exec("CALL sluice.sync('goods')");
    let bad = "id,name\r\n1,eins\r\n\r\n{\"id\": 9}\r\n2,\"zwei\r\n\",x\0y\r\n4,four\r\n";
    answer(&shop, bad);
    for _ in 0..2 {
        shop.app.exec("CALL sluice.sync('goods')");
        assert_eq!(goods(&mut shop), "1 eins, 2 two, 3 three, 4 four");
        assert_eq!(
            shop.run("concat_ws(' ', records, rejected, removals)"),
            "4 2 rejects_without_key"
        );
        assert_eq!(waiting(&mut shop), RAGGED);
    }
    shop.app.take_notices();
    shop.app.exec("CALL sluice.replay_rejects('goods')");
    assert_eq!(
        shop.app.take_notices().last().map(String::as_str),
        Some(
            "0 rejected records tried: 0 written, 0 still rejected, 0 of which a later version is there; \
             2 more wait for the next read"
        )
    );
    assert_eq!(shop.run("concat_ws(' ', records, rejected)"), "0 0");
    assert_eq!(goods(&mut shop), "1 eins, 2 two, 3 three, 4 four");
    assert_eq!(waiting(&mut shop), RAGGED);
    shop.app
        .exec(r#"SELECT sluice.alter_job('goods', settings => '{"on_bad_record": "fail"}')"#);
    shop.app.error("CALL sluice.sync('goods')");
    let told = shop.run("concat_ws(' ', error_message, error_detail)");
    assert_eq!(
        told,
        "line 4 of the answer has another number of fields It has 1 field, and there are 2 columns."
    );
    shop.app
        .exec(r#"SELECT sluice.alter_job('goods', settings => '{"on_bad_record": "reject"}')"#);
    answer(&shop, "id,name\n1,eins\n2,zwei\n");
    shop.app.exec("CALL sluice.sync('goods')");
    shop.app.exec("CALL sluice.sync('goods')");
    assert_eq!(goods(&mut shop), "1 eins, 2 zwei");
    assert_eq!(waiting(&mut shop), [""; 0]);
}

const RAGGED: [&str; 2] = [
    "1.2 22032 line 4 of the answer has another number of fields {\"id\": 9}",
    "1.3 22032 line 5 of the answer has another number of fields 2,\"zwei\r\n\",x\u{fffd}y",
];

/// The table is made from the good lines, and the first run keeps the others aside.
#[test]
fn a_table_is_made_beside_a_line_that_is_no_record() {
    let mut shop = Shop::open(0);
    answer(&shop, "id,name\r\n1\r\n2,two\r\n3,three,3\r\n");
    let preview =
        "SELECT string_agg(concat_ws(' ', record_number, row->>'name', left(problem, 6)), ', ' ORDER BY record_number)
                   FROM sluice.preview('shop', '/none/products')";
    assert_eq!(shop.app.text(preview), "1 line 2, 2 two, 3 line 4");
    shop.create_job("goods", "/none/products", "{}");
    shop.app.exec("CALL sluice.sync('goods')");
    assert_eq!(goods(&mut shop), "2 two");
    assert_eq!(shop.run("concat_ws(' ', records, rejected)"), "3 2");
}

fn answer(shop: &Shop, body: &str) {
    shop.api.clear_faults();
    shop.api.misbehave(Fault::Answer {
        status: 200,
        headers: vec![("Content-Type".to_string(), "text/csv".to_string())],
        body: body.as_bytes().to_vec(),
    });
}

fn goods(shop: &mut Shop) -> String {
    shop.db
        .text("SELECT string_agg(concat_ws(' ', id, name), ', ' ORDER BY id) FROM app.goods")
}

fn waiting(shop: &mut Shop) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', page || '.' || position, key, sqlstate, error_message, raw) FROM sluice.sync_rejects \
               WHERE status = 'rejected' ORDER BY position";
    shop.app.rows(sql).rows.into_iter().flatten().flatten().collect()
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
