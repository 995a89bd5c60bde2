//! Records that could not become rows: kept aside, while the others are written.

use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, SOON, Shop};
use sample_api::Fault;
use sluice_e2e::wait_until;

/// The settings of most jobs: ten pages of a hundred, three of them a commit.
pub const PAGES_BY_THREE: &str = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 3},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;

pub fn bad(shop: &Shop, id: u64, member: &str, value: Option<&str>) {
    shop.api.misbehave(Fault::AlterRecord {
        id,
        member: member.to_string(),
        value: value.map(str::to_string),
    });
}

/// A shop with the job `products` into a table of these columns.
pub fn shop(products: u64, columns: &str, settings: &str) -> Shop {
    let mut shop = Shop::open(products);
    shop.app
        .exec(&format!("CREATE TABLE products (id bigint PRIMARY KEY, {columns})"));
    shop.create_job("products", "/page/products", settings);
    shop
}

pub const GOODS: &str = "sku text, name text, price numeric, stock integer, category text";

pub fn count(shop: &mut Shop) -> i64 {
    shop.db.number("SELECT count(*) FROM app.products")
}

/// The waiting rejects, as `page.position key column sqlstate`.
pub fn rejects(shop: &mut Shop) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', page || '.' || position, key, column_name, sqlstate) FROM sluice.sync_rejects \
               WHERE status = 'rejected' ORDER BY generation, page, position";
    shop.app.rows(sql).rows.into_iter().flatten().flatten().collect()
}

fn ended(shop: &mut Shop) -> String {
    shop.run("concat_ws(' ', status, records, inserted, updated, deleted, unchanged, rejected)")
}

/// F-R11: one record of a thousand does not fit, and 999 are there.
#[test]
fn one_bad_record_of_a_thousand_is_kept_aside_and_the_others_are_written() {
    let mut shop = shop(1_000, GOODS, PAGES_BY_THREE);
    bad(&shop, 250, "stock", Some("\"many\""));
    shop.sync();
    assert_eq!(count(&mut shop), 999);
    assert_eq!(ended(&mut shop), "succeeded 1000 999 0 0 0 1");
    assert_eq!(rejects(&mut shop), [r#"3.50 {"id": 250} stock 22P02"#]);
    let told = shop.app.text("SELECT raw FROM sluice.sync_rejects");
    assert!(told.contains("\"stock\":\"many\"") && told.starts_with('{'), "{told}");
    assert_eq!(shop.health("status"), "degraded");
    assert_eq!(
        shop.health("reason"),
        "1 of the records could not become rows: see sync_rejects"
    );
    assert_eq!(shop.status("concat_ws(' ', action, error_class)"), "nobody");
    assert!(shop.status("hint").contains("CALL sluice.replay_rejects('products')"));
    assert_eq!(shop.db.text("SELECT item_count::text FROM sluice.sync_metadata"), "999");
}

/// F-R11 in a refresh and in an upsert: the row that is there stays as it is.
#[test]
fn a_row_whose_new_version_is_bad_keeps_what_it_has_until_a_good_one_comes() {
    for mode in ["replace", "upsert"] {
        let mut shop = shop(500, GOODS, PAGES_BY_THREE);
        shop.sync();
        shop.app
            .exec(&format!("SELECT sluice.alter_job('products', mode => '{mode}')"));
        shop.sync();
        shop.api.change_ids(&[10, 250]);
        let name = "SELECT name FROM app.products WHERE id = 250";
        let before = shop.db.text(name);
        bad(&shop, 250, "stock", Some("true"));
        shop.sync();
        assert_eq!(rejects(&mut shop), [r#"3.50 {"id": 250} stock 22P02"#], "{mode}");
        assert_eq!(
            shop.run("concat_ws(' ', inserted, updated, deleted, rejected)"),
            "0 1 0 1",
            "{mode}"
        );
        assert_eq!((count(&mut shop), shop.db.text(name)), (500, before), "{mode}");
        // The same page again: it is no page that equals the published one.
        shop.sync();
        assert_eq!(rejects(&mut shop).len(), 1, "{mode}");
        assert_eq!(shop.health("status"), "degraded", "{mode}");
        shop.api.clear_faults();
        shop.sync();
        assert_eq!(rejects(&mut shop), [""; 0], "{mode}");
        assert_eq!(shop.health("status"), "healthy", "{mode}");
        let settled = "SELECT count(*) FROM sluice.sync_rejects WHERE status = 'superseded'";
        assert!(shop.db.number(settled) > 0, "{mode}");
        shop.assert_equal();
    }
}

/// What PostgreSQL refuses, and how that is written down.
const REFUSED: [(&str, &str, &str, &str); 8] = [
    (
        "ALTER TABLE products ALTER name TYPE varchar(60)",
        "name",
        "\"A name that is much too long for a column of sixty characters, much\"",
        "name 22001",
    ),
    (
        "ALTER TABLE products ALTER stock SET NOT NULL",
        "stock",
        "null",
        "stock 23502",
    ),
    (
        "ALTER TABLE products ADD CHECK (stock >= 0)",
        "stock",
        "-4",
        "stock 23514",
    ),
    (
        "ALTER TABLE products ADD UNIQUE (sku)",
        "sku",
        "\"SKU-00000003\"",
        "sku 23505",
    ),
    (
        "CREATE TABLE categories (name text PRIMARY KEY); \
         INSERT INTO categories VALUES ('tools'), ('lighting'), ('kitchen'), ('furniture'), ('textiles'), ('tableware'), ('hardware'), ('décor'); \
         ALTER TABLE products ADD FOREIGN KEY (category) REFERENCES categories DEFERRABLE INITIALLY DEFERRED",
        "category",
        "\"toys of nobody\"",
        "category 23503",
    ),
    (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.stock < 0 THEN RAISE 'no stock below nothing' USING ERRCODE = 'ZZ123'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION refuse()",
        "stock",
        "-1",
        "stock XX000",
    ),
    (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.stock < 0 THEN RAISE 'no stock below nothing'; END IF; RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON products DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION refuse()",
        "stock",
        "-1",
        "stock P0001",
    ),
    (
        "CREATE INDEX ON products (name); ALTER TABLE products ALTER name SET STORAGE PLAIN",
        "name",
        "",
        "name 54000",
    ),
];

/// F-R21 (the index row that is too wide) and all other refusals of PostgreSQL, those at the commit included.
#[test]
fn what_postgresql_refuses_is_kept_aside_in_every_way_into_the_table() {
    let wide: String = format!(
        "\"{}\"",
        (0..5_000)
            .map(|n| char::from(b'a' + (n * 7 % 26) as u8))
            .collect::<String>()
    );
    for (table, member, value, wanted) in REFUSED {
        let value = if value.is_empty() { wide.as_str() } else { value };
        for way in ["first load", "refresh", "upsert"] {
            let mut shop = shop(300, GOODS, PAGES_BY_THREE);
            shop.app.exec(table);
            if way != "first load" {
                shop.sync();
                shop.api.change_ids(&[17, 18, 150]);
            }
            if way == "upsert" {
                shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
            }
            bad(&shop, 117, member, Some(value));
            shop.sync();
            let what = format!("{way}: {wanted}");
            assert_eq!(
                rejects(&mut shop),
                [format!(r#"2.17 {{"id": 117}} {wanted}"#)],
                "{what}"
            );
            let expected = if way == "first load" {
                "succeeded 300 299 0 1"
            } else {
                "succeeded 300 0 3 1"
            };
            assert_eq!(
                shop.run("concat_ws(' ', status, records, inserted, updated, rejected)"),
                expected,
                "{what}"
            );
            shop.api.clear_faults();
            shop.sync();
            shop.assert_equal();
            assert_eq!(rejects(&mut shop), [""; 0], "{what}");
        }
    }
}

#[test]
fn a_record_that_refers_to_a_later_one_of_its_batch_is_no_reject() {
    let mut shop = shop(
        300,
        &format!("{GOODS}, parent bigint REFERENCES products DEFERRABLE INITIALLY DEFERRED"),
        PAGES,
    );
    shop.app.exec(
        "ALTER TABLE products ADD CHECK (stock >= 0); \
         SELECT sluice.alter_job('products', settings => '{\"commit_every\": {\"pages\": 3}}')",
    );
    bad(&shop, 5, "parent", Some("290"));
    bad(&shop, 6, "parent", Some("7777"));
    bad(&shop, 117, "stock", Some("-4"));
    shop.sync();
    assert_eq!(
        rejects(&mut shop),
        [r#"1.6 {"id": 6} parent 23503"#, r#"2.17 {"id": 117} stock 23514"#]
    );
    assert_eq!(shop.db.number("SELECT parent FROM app.products WHERE id = 5"), 290);
}

#[test]
fn a_read_of_which_nothing_fits_fails_and_publishes_nothing() {
    let mut shop = shop(100, GOODS, PAGES);
    shop.app.exec("ALTER TABLE products ADD CHECK (stock IS NULL)");
    let error = shop.failing_sync();
    assert_eq!(
        shop.run("concat_ws(' ', status, error_class, sqlstate)"),
        "failed data 22032",
        "{error}"
    );
    assert_eq!(shop.run("error_message"), "all 100 records of the read were rejected");
    assert_eq!(count(&mut shop), 0);
    shop.app
        .exec("ALTER TABLE products DROP CONSTRAINT products_stock_check");
    shop.sync();
    shop.assert_equal();
    // And where there was something before: what was published stays.
    shop.app
        .exec("ALTER TABLE products ALTER stock TYPE boolean USING NULL");
    shop.failing_sync();
    assert_eq!(shop.run("error_message"), "all 100 records of the read were rejected");
    assert_eq!(count(&mut shop), 100);
}

#[test]
fn more_rejects_than_the_job_allows_end_the_run_and_are_named() {
    let settings = PAGES.replacen('{', r#"{"max_rejects": 2, "#, 1);
    let mut shop = shop(500, GOODS, &settings);
    for id in [10, 210] {
        bad(&shop, id, "stock", Some("\"many\""));
    }
    shop.sync();
    assert_eq!((count(&mut shop), rejects(&mut shop).len()), (498, 2));
    shop.api.change_ids(&[300]);
    bad(&shop, 410, "stock", Some("3000000000"));
    let error = shop.failing_sync();
    assert_eq!(
        shop.run("error_message"),
        "3 records of the read were rejected, and max_rejects is 2"
    );
    let detail = shop
        .app
        .text("SELECT error_detail FROM sluice.sync_runs ORDER BY id DESC LIMIT 1");
    assert!(
        detail.contains("Record 10 of page 1: record 10 does not fit column \"stock\""),
        "{error}"
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id = 300"), 1);
    assert_eq!(shop.health("status"), "unhealthy");
    // The next run begins anew: what was mended counts no more.
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn none_may_be_rejected_where_the_limit_is_none() {
    let settings = PAGES.replacen('{', r#"{"max_rejects": 0, "#, 1);
    let mut shop = shop(300, GOODS, &settings);
    shop.app.exec("ALTER TABLE products ADD CHECK (stock >= 0)");
    bad(&shop, 17, "stock", Some("-1"));
    shop.failing_sync();
    assert_eq!(
        shop.run("error_message"),
        "1 record of the read was rejected, and max_rejects is 0"
    );
    assert_eq!(count(&mut shop), 0);
}

/// F-R10: a record whose key can be read protects its row; one whose key cannot suppresses every removal.
#[test]
fn a_rejected_record_protects_its_row_and_one_without_a_key_all_of_them() {
    let mut shop = shop(300, GOODS, PAGES);
    shop.sync();
    shop.api.remove_ids(&[1, 2]);
    bad(&shop, 117, "stock", Some("\"many\""));
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', deleted, removals)"), "2 declared_total");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id = 117"), 1);
    shop.api.remove_ids(&[3]);
    shop.api.clear_faults();
    bad(&shop, 118, "id", Some("null"));
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', deleted, removals)"), "0 rejects_without_key");
    assert_eq!(
        shop.db.number("SELECT count(*) FROM app.products WHERE id IN (3, 118)"),
        2
    );
    assert!(
        shop.health("reason")
            .ends_with("1 without a readable key, so that no rows are removed")
    );
    assert_eq!(rejects(&mut shop), ["2.15 id 23502"]);
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn without_a_total_a_row_whose_record_was_rejected_between_is_not_missing() {
    let mut shop = shop(300, GOODS, PAGES_WITHOUT_TOTAL);
    shop.sync();
    bad(&shop, 117, "stock", Some("\"many\""));
    for _ in 0..3 {
        shop.sync();
        assert_eq!((count(&mut shop), shop.status("unconfirmed").as_str()), (300, "0"));
    }
}

/// F-R7, F-R8: of a key that comes twice the last version counts, and what is wrong with an earlier one no more.
#[test]
fn a_later_good_version_of_a_key_settles_an_earlier_bad_one() {
    let mut shop = shop(300, GOODS, PAGES_BY_THREE);
    bad(&shop, 17, "stock", Some("\"many\""));
    bad(&shop, 217, "id", Some("17"));
    shop.sync();
    assert_eq!((rejects(&mut shop).len(), count(&mut shop)), (0, 299));
    assert_eq!(shop.db.text("SELECT status FROM sluice.sync_rejects"), "superseded");
    assert_eq!(
        shop.db.text("SELECT sku FROM app.products WHERE id = 17"),
        "SKU-00000217"
    );
}

#[test]
fn a_crash_between_the_rows_and_their_commit_keeps_no_reject_twice() {
    for point in ["batch.applied", "batch.before_commit"] {
        let mut shop = shop(1_000, GOODS, PAGES);
        bad(&shop, 17, "stock", Some("\"many\""));
        bad(&shop, 450, "stock", Some("\"many\""));
        shop.db
            .exec(&format!("SELECT sluice._failpoint('{point}', 'kill9', 4)"));
        shop.start();
        shop.recover();
        shop.wait_for_run("succeeded");
        assert_eq!(count(&mut shop), 998, "{point}");
        assert_eq!(rejects(&mut shop).len(), 2, "{point}");
        assert_eq!(
            shop.db.number("SELECT sum(rejected) FROM sluice.sync_runs"),
            2,
            "{point}"
        );
    }
}

#[test]
fn a_crash_while_a_refresh_is_published_keeps_no_reject_twice() {
    let mut shop = shop(500, GOODS, PAGES);
    shop.app.exec("ALTER TABLE products ADD CHECK (stock >= 0)");
    shop.sync();
    shop.api.change_ids(&[10, 20]);
    bad(&shop, 17, "stock", Some("\"many\""));
    bad(&shop, 350, "stock", Some("-1"));
    shop.db.failpoint("publish.before_commit", "kill9");
    shop.start();
    shop.recover();
    shop.wait_for_run("succeeded");
    assert_eq!(
        rejects(&mut shop),
        [r#"1.17 {"id": 17} stock 22P02"#, r#"4.50 {"id": 350} stock 23514"#]
    );
    assert_eq!(count(&mut shop), 500);
}

#[test]
fn rejects_go_with_the_reads_that_they_belong_to() {
    let settings = PAGES.replacen('{', r#"{"undo": {"keep_runs": 1}, "#, 1);
    let mut shop = shop(300, GOODS, &settings);
    bad(&shop, 17, "stock", Some("\"many\""));
    for round in 0..4 {
        shop.api.change_ids(&[100 + round]);
        shop.sync();
    }
    // What is no longer kept is forgotten after the run's end.
    let generations = "SELECT count(DISTINCT generation) <= 2 FROM sluice._reject";
    wait_until(&mut shop.db, "older rejects are gone", SOON, |db| {
        db.is_true(generations)
    });
    assert_eq!(rejects(&mut shop).len(), 1);
    shop.app.exec("SELECT sluice.drop_job('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._reject"), 0);
}

#[test]
fn a_broken_page_is_no_reject() {
    let mut shop = shop(300, GOODS, PAGES);
    shop.sync();
    shop.api
        .misbehave(sample_api::Rule::new(Fault::body(r#"{"data": [{"id": 1}, {"id": "x"}"#)).page(2));
    shop.failing_sync();
    assert_eq!(shop.run("concat_ws(' ', error_class, rejected)"), "data 0");
    assert_eq!(count(&mut shop), 300);
}
