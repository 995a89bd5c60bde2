//! The first records as they would be stored, before there is a job.

use crate::shop::Shop;
use sample_api::{Fault, Rule};

const DATA: &str = r#"{"records": "$.data"}"#;

/// What the preview of the first page shows, and what a job with the same settings stores, as jsonb texts by id.
fn assert_as_stored(shop: &mut Shop, target: &str, settings: &str) {
    let job = format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', target => {target}, key => '{{id}}', \
         schedule => 'manual', settings => '{settings}')"
    );
    shop.app.exec(&job);
    shop.sync();
    let preview = format!(
        "SELECT record_number, key, row FROM sluice.preview('shop', '/page/products', settings => '{settings}', \
         target => {target}, key => '{{id}}', max_records => 1000) WHERE problem IS NULL"
    );
    let differing = shop.app.text(&format!(
        "SELECT count(*) FROM ({preview}) p FULL JOIN app.products t ON p.row->>'id' = t.id::text \
         WHERE p.row IS DISTINCT FROM to_jsonb(t) OR p.key <> jsonb_build_object('id', t.id)"
    ));
    assert_eq!(differing, "0");
}

#[test]
fn the_named_call_shows_ten_records_by_default_and_writes_nothing() {
    let mut shop = Shop::open(130);
    let sql = format!("SELECT * FROM sluice.preview('shop', '/page/products', settings => '{DATA}')");
    shop.app.exec("BEGIN READ ONLY");
    let rows = shop.app.rows(&sql);
    shop.app.exec("COMMIT");
    assert_eq!(rows.columns, ["record_number", "key", "row", "problem"]);
    assert_eq!(rows.rows.len(), 10);
    assert!(rows.rows.iter().all(|row| row[3].is_none()), "{:?}", rows.rows);
    assert_eq!(
        shop.db.text("SELECT count(*) FROM pg_class WHERE relname = 'products'"),
        "0"
    );
}

#[test]
fn a_collection_without_records_has_no_rows_whatever_the_key_and_the_target() {
    let mut shop = Shop::open(5);
    shop.app.exec("CREATE TABLE products (id int PRIMARY KEY, name text)");
    shop.api.misbehave(Rule::new(Fault::body(r#"{"data": []}"#)));
    for target in ["NULL", "'products'"] {
        let rows = shop.app.rows(&format!(
            "SELECT * FROM sluice.preview('shop', '/page/products', '{DATA}', target => {target}, key => '{{id}}')"
        ));
        assert!(rows.rows.is_empty(), "{:?}", rows.rows);
    }
}

#[test]
fn a_preview_of_a_table_to_be_made_is_what_is_stored_in_it() {
    let mut shop = Shop::open(60);
    assert_as_stored(
        &mut shop,
        "NULL",
        r#"{"records": "$.data", "params": {"per_page": "100"}}"#,
    );
}

#[test]
fn a_preview_into_a_table_is_what_is_stored_in_it() {
    let mut shop = Shop::open(60);
    shop.app.exec(
        "CREATE TYPE category AS ENUM ('tools', 'toys', 'books', 'garden', 'food', 'music', 'games', 'office', 'sports', 'home');
         CREATE TABLE products (id int PRIMARY KEY, name varchar(200), price numeric(10,1), stock smallint, active boolean,
                                updated_at timestamp with time zone, attributes json)",
    );
    assert_as_stored(
        &mut shop,
        "'products'",
        r#"{"records": "$.data", "params": {"per_page": "100"}}"#,
    );
}

#[test]
fn a_record_that_does_not_fit_says_its_column_and_sqlstate_and_leaves_the_others() {
    let mut shop = Shop::open(20);
    shop.app.exec(
        "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$;
         CREATE FUNCTION never(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'checked'; END $$;
         CREATE DOMAIN stock AS bigint CHECK (never(VALUE));
         CREATE TABLE products (id bigint PRIMARY KEY CHECK (never(id)), sku varchar(12) NOT NULL, price numeric(4,2), stock stock);
         CREATE TRIGGER t BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION boom()",
    );
    for (id, member, value) in [
        (2, "sku", Some("\"far too long for the column\"")),
        (3, "sku", Some("null")),
        (4, "stock", Some("\"many\"")),
        (5, "id", None),
    ] {
        shop.api.misbehave(Rule::new(Fault::AlterRecord {
            id,
            member: member.into(),
            value: value.map(str::to_owned),
        }));
    }
    // Prices have up to four digits before the point.
    let problem = |shop: &mut Shop, number: u32| {
        shop.app.text(&format!(
            "SELECT coalesce(problem, 'none') FROM sluice.preview('shop', '/page/products', '{{\"records\": \"$.data\", \
             \"columns\": {{\"id\": \"$.id\", \"sku\": \"$.sku\", \"stock\": \"$.stock\"}}}}', target => 'products') \
             WHERE record_number = {number}"
        ))
    };
    assert_eq!(problem(&mut shop, 1), "none");
    assert!(problem(&mut shop, 2).starts_with("column \"sku\": value too long for type character varying(12) (22001)"));
    assert!(problem(&mut shop, 3).contains("\"sku\" is null") && problem(&mut shop, 3).contains("23502"));
    assert!(problem(&mut shop, 4).contains("column \"stock\"") && problem(&mut shop, 4).contains("22P02"));
    assert!(problem(&mut shop, 5).contains("key column \"id\"") && problem(&mut shop, 5).contains("23502"));
    assert_eq!(problem(&mut shop, 6), "none");
    let overflowing = shop.app.number(&format!(
        "SELECT count(*) FROM sluice.preview('shop', '/page/products', '{DATA}', target => 'products', max_records => 20) \
         WHERE problem LIKE 'column \"price\": numeric field overflow (22003)%' AND row IS NULL"
    ));
    assert!(overflowing > 0);
}

#[test]
fn declared_types_are_those_of_the_preview() {
    let mut shop = Shop::open(5);
    let settings = r#"{"records": "$.data", "columns": {"id": {"path": "$.id", "type": "int"},
        "price": {"path": "$.price", "type": "numeric(10,1)"}, "colour": {"path": "$.none", "default": "red"}}}"#;
    let row = shop.app.text(&format!(
        "SELECT row->>'id' || ' ' || (scale((row->>'price')::numeric) = 1) || ' ' || (row->>'colour')
         FROM sluice.preview('shop', '/page/products', '{settings}', key => '{{id}}') WHERE record_number = 1"
    ));
    assert_eq!(row, "1 true red");
    let error = shop.app.error(
        r#"SELECT * FROM sluice.preview('shop', '/page/products', '{"records": "$.data", "columns": {"id": {"path": "$.id", "type": "nosuch"}}}')"#,
    );
    assert_eq!(error.sqlstate, "42704");
}
