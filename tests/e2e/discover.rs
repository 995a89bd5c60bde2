//! What a collection looks like: the proposals, and the jobs that are made of them as they stand.

use crate::shop::Shop;
use sample_api::{Fault, PastEnd, Rule};

/// Discovers a collection, runs the statement as it was given, and follows the source with it.
fn follows(shop: &mut Shop, path: &str, settings: &str) -> String {
    let statement = statement(shop, path, settings);
    shop.app.exec(&statement);
    shop.sync();
    shop.assert_equal();
    shop.api.change(10.0, 5);
    shop.api.remove(2.0, 6);
    shop.api.add(9);
    // Without a total a missing row goes with the second read.
    shop.sync();
    shop.sync();
    shop.assert_equal();
    statement
}

fn statement(shop: &mut Shop, path: &str, settings: &str) -> String {
    shop.api.clear_log();
    let statement = shop.app.text(&format!(
        "SELECT evidence FROM sluice.discover('shop', '{path}', '{settings}') WHERE aspect = 'create_job'"
    ));
    let requests = shop.api.pages_asked().len();
    assert!(requests <= 8, "{requests} requests");
    statement
}

fn proposal(shop: &mut Shop, path: &str, aspect: &str) -> String {
    shop.app.text(&format!(
        "SELECT coalesce(proposal::text, 'NULL') FROM sluice.discover('shop', '{path}') WHERE aspect = '{aspect}'"
    ))
}

#[test]
fn each_scheme_is_recognised_and_its_statement_follows_the_source() {
    for (path, pagination) in [
        ("/none/products", r#"{"type": "none"}"#),
        ("/page/products", r#"{"type": "page", "param": "page"}"#),
        ("/offset/products", r#"{"type": "offset", "param": "offset"}"#),
        ("/cursor/products", r#"{"next": "$.meta.next", "type": "cursor"}"#),
        ("/next_url/products", r#"{"next": "$.meta.next", "type": "next_url"}"#),
        ("/link/products", r#"{"type": "link_header"}"#),
        (
            "/keyset/products",
            r#"{"type": "keyset", "param": "after_id", "column": "id"}"#,
        ),
    ] {
        let mut shop = Shop::open(1_730);
        assert_eq!(proposal(&mut shop, path, "pagination"), pagination, "{path}");
        follows(&mut shop, path, "{}");
    }
}

#[test]
fn without_totals_and_envelopes_the_schemes_are_recognised_too() {
    for path in [
        "/page/products",
        "/offset/products",
        "/keyset/products",
        "/link/products",
    ] {
        let mut shop = Shop::open(430);
        follows(&mut shop, path, r#"{"params": {"bare": "1", "total": "0"}}"#);
    }
    for (path, next) in [("/cursor/products", "object"), ("/next_url/products", "relative")] {
        let mut shop = Shop::open(430);
        follows(
            &mut shop,
            path,
            &format!(r#"{{"params": {{"total": "0", "next": "{next}"}}}}"#),
        );
    }
}

#[test]
fn lines_of_json_and_csv_are_recognised_and_followed() {
    for format in ["ndjson", "csv"] {
        for path in ["/page/products", "/keyset/products", "/cursor/products"] {
            let mut shop = Shop::open(430);
            let statement = follows(&mut shop, path, &format!(r#"{{"params": {{"format": "{format}"}}}}"#));
            assert!(statement.contains(&format!("\"format\": \"{format}\"")), "{statement}");
        }
    }
}

#[test]
fn a_collection_on_one_page_still_shows_how_it_will_be_paged() {
    let mut shop = Shop::open(40);
    for (path, kind) in [
        ("/page/products", "page"),
        ("/cursor/products", "cursor"),
        ("/link/products", "link_header"),
    ] {
        let found = proposal(&mut shop, path, "pagination");
        assert!(found.contains(&format!("\"type\": \"{kind}\"")), "{path}: {found}");
    }
    let statement = statement(&mut shop, "/page/products", "{}");
    shop.app.exec(&statement);
    shop.api.add(400);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn pages_that_begin_at_zero_or_end_in_404_are_followed() {
    let mut shop = Shop::open(430);
    shop.api.set(|settings| {
        settings.first_page = 0;
        settings.past_end = PastEnd::NotFound;
    });
    assert_eq!(
        proposal(&mut shop, "/page/products", "pagination"),
        r#"{"type": "page", "param": "page", "start": 0}"#
    );
    follows(&mut shop, "/page/products", "{}");
}

#[test]
fn a_page_size_that_is_cut_is_seen() {
    let mut shop = Shop::open(730);
    shop.api.set(|settings| settings.max_page_size = 250);
    assert_eq!(
        proposal(&mut shop, "/page/products", "page_size"),
        r#"{"per_page": 250}"#
    );
}

#[test]
fn a_remote_that_fails_on_the_way_leaves_a_doubt_and_at_the_start_an_error() {
    let mut shop = Shop::open(730);
    shop.api.misbehave(Rule::new(Fault::status(429, &[])).skip(1));
    let doubt = shop
        .app
        .text("SELECT string_agg(replace(doubt, E'\\n', ' '), ' ') FROM sluice.discover('shop', '/page/products')");
    assert!(doubt.contains("status 429"), "{doubt}");
    shop.api.clear_faults();
    shop.api.misbehave(Fault::status(503, &[]));
    let error = shop
        .app
        .error("SELECT * FROM sluice.discover('shop', '/page/products')");
    assert!(error.message.contains("answered with status 503"), "{error:?}");
    shop.api.clear_faults();
    shop.api.misbehave(Rule::new(Fault::Hang).skip(1));
    let settings = r#"{"timeouts": {"probe": "1 s"}}"#;
    let found = shop.app.text(&format!(
        "SELECT string_agg(aspect, ' ') FROM sluice.discover('shop', '/page/products', '{settings}') WHERE proposal IS NULL"
    ));
    assert!(found.contains("pagination") && found.contains("create_job"), "{found}");
}

#[test]
fn discovering_writes_nothing_and_needs_usage() {
    let mut shop = Shop::open(130);
    shop.app
        .exec("BEGIN READ ONLY; SELECT * FROM sluice.discover('shop', '/page/products'); COMMIT");
    shop.db.exec("REVOKE USAGE ON FOREIGN SERVER shop FROM app");
    let error = shop
        .app
        .error("SELECT * FROM sluice.discover('shop', '/page/products')");
    assert_eq!(error.sqlstate, "42501");
}

#[test]
fn wrapped_records_and_planned_columns_make_a_table_with_the_types_that_were_told() {
    let mut shop = Shop::open(10);
    let row = |id: u32| format!(r#"{{"type": "a", "id": "{id}", "attributes": {{"title": "t{id}", "words": {id}}}}}"#);
    let rows: Vec<String> = (1..=30).map(row).collect();
    shop.api
        .misbehave(Fault::body(format!(r#"{{"data": [{}]}}"#, rows.join(","))));
    let statement = statement(&mut shop, "/none/products", "{}");
    shop.app.exec(&statement);
    shop.sync();
    assert_eq!(
        shop.db.text("SELECT sum(words) || ' ' || max(title) FROM app.products"),
        "465 t9"
    );
    let types = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
                 FROM pg_attribute WHERE attrelid = 'app.planned'::regclass AND attnum > 0";
    shop.api.clear_faults();
    shop.app.exec(
        r#"SELECT sluice.create_job('planned', 'shop', '/none/products', key => '{id}', schedule => 'manual', settings => '{
           "records": "$.data", "columns": {"id": {"path": "$.id", "type": "int4"}, "cost": {"path": "$.price", "type": "numeric(12,2)"},
           "absent": {"path": "$.absent", "type": "timestamptz"}, "name": "$.name"}}')"#,
    );
    assert_eq!(
        shop.db.text(types),
        "absent timestamp with time zone, cost numeric(12,2), id integer, name text"
    );
    shop.app.exec("CALL sluice.sync('planned')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.planned WHERE cost > 0"), 10);
}

/// Where the connection allows POST and the settings say it, parameters are found in the body.
#[test]
fn collections_that_are_posted_for_are_recognised_and_followed() {
    for (path, pagination) in [
        ("/page/products", r#"{"type": "page", "param": "page"}"#),
        ("/offset/products", r#"{"type": "offset", "param": "offset"}"#),
    ] {
        let mut shop = Shop::open(730);
        shop.db.exec("ALTER SERVER shop OPTIONS (ADD methods 'GET, POST')");
        let proposed = shop.app.text(&format!(
            "SELECT proposal FROM sluice.discover('shop', '{path}', '{{\"method\": \"POST\"}}') WHERE aspect = 'pagination'"
        ));
        assert_eq!(proposed, pagination);
        follows(&mut shop, path, r#"{"method": "POST"}"#);
        assert!(
            shop.api
                .requests()
                .iter()
                .all(|line| line.method == "POST" && line.target == path)
        );
    }
}

/// The statement as it was given makes a job, and the job reads so many rows of this answer.
fn reads(kind: &str, body: &str, rows: i64) {
    let mut shop = Shop::open(0);
    shop.api.misbehave(Fault::Answer {
        status: 200,
        headers: vec![("Content-Type".to_owned(), kind.to_owned())],
        body: body.as_bytes().to_vec(),
    });
    let statement = statement(&mut shop, "/none/products", "{}");
    shop.app.exec(&statement);
    shop.app.exec("CALL sluice.sync('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), rows, "{statement}");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_rejects"), 0);
}

#[test]
fn csv_without_a_header_makes_a_job_that_reads_its_first_line_too() {
    let line = |id: u32| format!("{id};name {id};{id}.50;2024-05-{:02}\n", id % 28 + 1);
    reads("text/csv", &(1..=40).map(line).collect::<String>(), 40);
}

#[test]
fn records_that_two_members_tell_apart_make_a_job_with_a_key_of_both() {
    let line = |at: u32| format!(r#"{{"order_id": {}, "line_no": {}, "sku": "A"}}"#, at / 4, at % 4);
    let lines: Vec<String> = (0..40).map(line).collect();
    reads("application/json", &format!("[{}]", lines.join(",")), 40);
}

#[test]
fn more_members_than_a_table_has_columns_make_a_job_with_as_many_as_fit() {
    let members: String = (0..2_000).map(|number| format!(r#","m{number}": true"#)).collect();
    let records: Vec<String> = (1..=20).map(|id| format!(r#"{{"id": {id}{members}}}"#)).collect();
    reads("application/json", &format!("[{}]", records.join(",")), 20);
}
