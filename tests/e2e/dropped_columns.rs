//! A rollback of runs that wrote a column which the table has lost since: what is left of each row goes back.

use crate::shop::{PAGES, Shop};

/// What the table holds but for the column that goes.
const STATE: &str =
    "SELECT count(*) || ' ' || md5(string_agg(concat_ws(',', id, sku, name, price, stock, active, category), ';'
    ORDER BY id)) FROM app.products";

/// A job with a first load and two refreshes that changed, removed and added, and the state after each.
fn history(settings: &str) -> (Shop, Vec<String>) {
    let mut shop = Shop::loaded(500, settings);
    let mut states = vec![shop.db.text(STATE)];
    for round in 1..=2 {
        shop.api.change(10.0, round);
        shop.api.remove(2.0, round + 10);
        shop.api.add(15);
        shop.sync();
        states.push(shop.db.text(STATE));
    }
    (shop, states)
}

#[test]
fn the_other_columns_go_back_and_the_lost_one_is_told() {
    let (mut shop, states) = history(PAGES);
    shop.app.exec("ALTER TABLE products DROP COLUMN updated_at");
    let preview = "SELECT what FROM sluice.preview_rollback('products') WHERE run_id IS NULL";
    let foreseen = shop.app.text(preview);
    let told = "column \"updated_at\", which the target no longer has, is left out";
    assert!(foreseen.contains(told), "{foreseen}");
    shop.app.take_notices();
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[1]);
    let notices = shop.app.take_notices();
    assert!(notices.iter().any(|notice| notice == told), "{notices:?}");
    assert_eq!(shop.run("error_message"), told);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), states[0]);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db.number("SELECT count(*) FROM app.products"),
        0,
        "{}",
        shop.run("error_message")
    );
    // The job was made with a table of its own, and names its columns.
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"columns\": null}'), sluice.resume_job('products')");
    shop.sync();
    assert_eq!(shop.db.text(STATE), states[2]);
}

#[test]
fn several_runs_go_back_at_once_although_the_job_names_the_lost_column() {
    let columns = r#"{"columns": {"id": "$.id", "sku": "$.sku", "name": "$.name", "price": "$.price", "stock": "$.stock",
        "active": "$.active", "category": "$.category", "updated_at": "$.updated_at"}, "#;
    let (mut shop, states) = history(&PAGES.replacen('{', columns, 1));
    let first = shop.db.text("SELECT min(id) FROM sluice.sync_runs");
    shop.app.exec("ALTER TABLE products DROP COLUMN updated_at");
    shop.app.exec(&format!("CALL sluice.rollback_to('products', {first})"));
    assert_eq!(shop.db.text(STATE), states[0]);
}

#[test]
fn rows_that_were_edited_since_are_left_all_the_same() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.change_ids(&[1, 2, 3]);
    shop.api.add(3);
    shop.sync();
    shop.app.exec("ALTER TABLE products DROP COLUMN updated_at");
    shop.db
        .exec("UPDATE app.products SET name = 'mine' WHERE id IN (2, 502)");
    shop.app.exec("CALL sluice.rollback_to('products')");
    let kept = "SELECT string_agg(id::text, ',' ORDER BY id) FROM app.products WHERE name = 'mine' OR id > 500";
    assert_eq!(shop.db.text(kept), "2,502");
    assert_eq!(shop.run("concat_ws(' ', status, updated, deleted)"), "succeeded 2 2");
    let told = shop.run("error_message");
    assert!(
        told.starts_with("2 rows were changed by others since and left; ") && told.contains("updated_at"),
        "{told}"
    );
}

#[test]
fn rows_of_an_upsert_are_left_because_its_pages_are_not_kept() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    shop.api.change_ids(&[1, 2, 3]);
    shop.sync();
    shop.app.exec("ALTER TABLE products DROP COLUMN updated_at");
    let before = shop.db.text(STATE);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), before);
    let told = shop.run("error_message");
    assert!(
        told.starts_with("3 rows are left, since it cannot be told whether others changed what the run wrote"),
        "{told}"
    );
}

#[test]
fn a_lost_column_of_the_key_is_an_error_that_changes_nothing() {
    let (mut shop, states) = history(PAGES);
    shop.app.exec(
        "ALTER TABLE products ADD UNIQUE (sku); SELECT sluice.alter_job('products', key => '{sku}'); \
         ALTER TABLE products RENAME id TO number; ALTER TABLE products ADD id bigint; UPDATE products SET id = number; \
         ALTER TABLE products DROP number",
    );
    // A column of the same name is no help without an index; none of the name, even less.
    shop.app.exec("ALTER TABLE products RENAME id TO other");
    let error = shop.app.error("CALL sluice.rollback_to('products')");
    assert_eq!(error.sqlstate, "42703", "{error}");
    assert!(
        error
            .detail
            .as_deref()
            .unwrap_or_default()
            .contains("has lost column \"id\""),
        "{error}"
    );
    assert!(error.hint.is_some(), "{error}");
    shop.app.exec("ALTER TABLE products RENAME other TO id");
    assert_eq!(shop.db.text(STATE), states[2]);
    assert_eq!(shop.status("status"), "idle");
}
