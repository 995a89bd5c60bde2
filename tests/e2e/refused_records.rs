//! Records that PostgreSQL refuses where bad records end a run (`on_bad_record` is fail): the run ends, nothing of the batch is written, and the error names page, record, key
//! and column, in whatever way the rows were on their way into the table.

use crate::shop::Shop;
use sample_api::Fault;

/// Pages of ten records, three of them a commit.
const SMALL: &str = r#"{"records": "$.data", "page_size": 10, "on_bad_record": "fail", "commit_every": {"pages": 3},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;

/// How rows come into the table.
#[derive(Clone, Copy, Debug)]
enum Way {
    FirstLoad,
    Upsert,
    Refresh,
}

const EVERY_WAY: [Way; 3] = [Way::FirstLoad, Way::Upsert, Way::Refresh];

/// What is wrong with product 17, the seventh record of the second page.
struct Wrong {
    /// A change of the empty table.
    table: &'static str,
    member: &'static str,
    value: Option<&'static str>,
    sqlstate: &'static str,
    detail: &'static str,
}

fn with_table(table: &str) -> Shop {
    let mut shop = Shop::open(60);
    shop.app.exec(&format!(
        "CREATE TABLE products (id bigint PRIMARY KEY, sku text, name text, price numeric, stock integer, category text); \
         {table}"
    ));
    shop
}

/// A shop whose job has a good run behind it where the way wants that.
fn on_the_way(way: Way, table: &str) -> Shop {
    let mut shop = with_table(table);
    shop.create_job("products", "/page/products", SMALL);
    match way {
        Way::FirstLoad => {}
        Way::Upsert => shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')"),
        Way::Refresh => shop.sync(),
    }
    shop
}

fn is_refused(way: Way, wrong: &Wrong) {
    let mut shop = on_the_way(way, wrong.table);
    let rows = shop.db.number("SELECT count(*) FROM app.products");
    let state = "SELECT md5(coalesce(string_agg(p::text, ',' ORDER BY id), '')) FROM app.products p";
    let before = shop.db.text(state);
    shop.api.misbehave(Fault::AlterRecord {
        id: 17,
        member: wrong.member.to_string(),
        value: wrong.value.map(str::to_string),
    });
    let error = shop.failing_sync();
    let what = format!("{way:?}: {error}");
    assert_eq!(
        shop.run("concat_ws(' ', status, error_class, sqlstate)"),
        format!("failed data {}", wrong.sqlstate),
        "{what}"
    );
    let told = shop
        .app
        .text("SELECT error_detail FROM sluice.sync_runs ORDER BY id DESC LIMIT 1");
    assert!(told.starts_with(wrong.detail), "{way:?}: {told}");
    assert!(
        error.detail.as_deref().unwrap_or_default().contains(wrong.detail),
        "{what}"
    );
    assert!(error.hint.is_some(), "{what}");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), rows, "{what}");
    assert_eq!(shop.db.text(state), before, "{what}");
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 60, "{what}");
}

fn is_refused_in_every_way(wrong: &Wrong) {
    for way in EVERY_WAY {
        is_refused(way, wrong);
    }
}

#[test]
fn a_text_that_is_too_long() {
    is_refused_in_every_way(&Wrong {
        table: "ALTER TABLE products ALTER name TYPE varchar(60), ALTER sku SET NOT NULL, ALTER name SET NOT NULL",
        member: "name",
        value: Some(
            "\"A name that is much too long for a column of sixty characters, and for a message: it goes on and on and on\"",
        ),
        sqlstate: "22001",
        detail: "Record 7 of page 2, key 17, column \"name\": the value is \"A name that is much too long",
    });
}

#[test]
fn a_record_that_a_trigger_refuses() {
    is_refused_in_every_way(&Wrong {
        table: "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                IF NEW.stock < 0 THEN RAISE 'no stock below nothing'; END IF; RETURN NEW; END $$; \
                CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION refuse()",
        member: "stock",
        value: Some("-1"),
        sqlstate: "P0001",
        detail: "Record 7 of page 2, key 17, column \"stock\": the value is -1.",
    });
}

#[test]
fn a_number_with_too_many_digits() {
    is_refused_in_every_way(&Wrong {
        table: "ALTER TABLE products ALTER price TYPE numeric(9,2)",
        member: "price",
        value: Some("12345678.5"),
        sqlstate: "22003",
        detail: "Record 7 of page 2, key 17, column \"price\": the value is 12345678.5. A field with precision 9",
    });
}

#[test]
fn a_null_where_none_may_be() {
    is_refused_in_every_way(&Wrong {
        table: "ALTER TABLE products ALTER stock SET NOT NULL",
        member: "stock",
        value: Some("null"),
        sqlstate: "23502",
        detail: "Record 7 of page 2, key 17, column \"stock\": the value is null. Failing row contains (17,",
    });
}

#[test]
fn a_value_that_a_check_refuses() {
    is_refused_in_every_way(&Wrong {
        table: "ALTER TABLE products ADD CHECK (stock >= 0)",
        member: "stock",
        value: Some("-4"),
        sqlstate: "23514",
        detail: "Record 7 of page 2, key 17, column \"stock\": the value is -4. Failing row contains (17,",
    });
}

#[test]
fn a_value_that_a_domain_refuses() {
    is_refused_in_every_way(&Wrong {
        table: "CREATE DOMAIN known AS text CHECK (VALUE <> 'secret'); ALTER TABLE products ALTER category TYPE known",
        member: "category",
        value: Some("\"secret\""),
        sqlstate: "23514",
        detail: "Record 7 of page 2, key 17, column \"category\": the value is \"secret\".",
    });
}

#[test]
fn a_value_that_is_not_of_its_type() {
    is_refused_in_every_way(&Wrong {
        table: "CREATE TYPE kind AS ENUM ('tools', 'lighting', 'kitchen', 'furniture', 'textiles', 'tableware', 'hardware', \
                'décor'); ALTER TABLE products ALTER category TYPE kind USING NULL",
        member: "category",
        value: Some("\"nowhere\""),
        sqlstate: "22P02",
        detail: "Record 7 of page 2, key 17, column \"category\": the value is \"nowhere\".",
    });
}

#[test]
fn a_value_that_another_record_has_already() {
    is_refused(
        Way::FirstLoad,
        &Wrong {
            table: "ALTER TABLE products ADD UNIQUE (sku)",
            member: "sku",
            value: Some("\"SKU-00000003\""),
            sqlstate: "23505",
            detail: "Record 7 of page 2, key 17, column \"sku\": the value is \"SKU-00000003\". Key (sku)=(SKU-00000003)",
        },
    );
}

#[test]
fn a_reference_to_nothing_that_only_the_commit_would_meet() {
    let mut shop = with_table("CREATE TABLE categories (name text PRIMARY KEY)");
    shop.create_job("products", "/page/products", SMALL);
    shop.sync();
    shop.app.exec(
        "INSERT INTO categories SELECT DISTINCT category FROM products; \
         ALTER TABLE products ADD FOREIGN KEY (category) REFERENCES categories DEFERRABLE INITIALLY DEFERRED; \
         SELECT sluice.alter_job('products', mode => 'upsert')",
    );
    shop.api.misbehave(Fault::AlterRecord {
        id: 17,
        member: "category".to_string(),
        value: Some("\"toys of nobody\"".to_string()),
    });
    let error = shop.failing_sync();
    let told = shop
        .app
        .text("SELECT error_detail FROM sluice.sync_runs ORDER BY id DESC LIMIT 1");
    let wanted = "Record 7 of page 2, key 17, column \"category\": the value is \"toys of nobody\". Key (category)=";
    assert!(told.starts_with(wanted), "{told}\n{error}");
    assert_eq!(shop.run("sqlstate"), "23503");
}

#[test]
fn a_search_that_is_stopped_ends_as_stopped() {
    let mut shop = on_the_way(Way::FirstLoad, "ALTER TABLE products ADD CHECK (stock >= 0)");
    shop.api.misbehave(Fault::AlterRecord {
        id: 17,
        member: "stock".to_string(),
        value: Some("-4".to_string()),
    });
    shop.db.failpoint("refused.searching", "pause");
    shop.start();
    let hits = "SELECT sluice._failpoint_hits('refused.searching') > 0";
    sluice_e2e::wait_until(&mut shop.db, "the search has begun", crate::shop::SOON, |db| {
        db.is_true(hits)
    });
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
}
