//! A rollback of runs whose table has got columns since, or others names for them.

use crate::shop::{PAGES, Shop};

/// A job with a first load and a run that changed rows 1 to 3 and added rows 501 to 505.
fn history() -> Shop {
    let mut shop = Shop::loaded(500, PAGES);
    shop.api.change_ids(&[1, 2, 3]);
    shop.api.add(5);
    shop.sync();
    shop
}

fn added(shop: &mut Shop) -> String {
    shop.db
        .text("SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '-') FROM app.products WHERE id > 500")
}

#[test]
fn an_inserted_row_whose_later_column_somebody_filled_is_left_and_reported() {
    let mut shop = history();
    shop.app.exec(
        "ALTER TABLE products ADD note text, ADD mood text DEFAULT 'even', ADD seen timestamptz DEFAULT now(),
             ADD tag uuid DEFAULT gen_random_uuid(), ADD lists int[] DEFAULT '{1,2}', ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED;
         UPDATE products SET note = 'mine' WHERE id IN (1, 502); UPDATE products SET mood = 'odd' WHERE id = 504",
    );
    let foreseen = "SELECT what FROM sluice.preview_rollback('products') WHERE run_id IS NULL";
    let foreseen = shop.app.text(foreseen);
    assert!(
        foreseen.contains("2 rows changed by others since are left"),
        "{foreseen}"
    );
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(added(&mut shop), "502,504");
    assert_eq!(shop.run("concat_ws(' ', status, updated, deleted)"), "succeeded 3 3");
    assert_eq!(
        shop.run("error_message"),
        "2 rows were changed by others since and left"
    );
    assert!(shop.run("error_detail").contains("502; 504"));
    assert_eq!(shop.db.text("SELECT note FROM app.products WHERE id = 1"), "mine");
    // The first load goes back by the same rule: of its rows, the one that somebody wrote into stays.
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(
        shop.db
            .text("SELECT string_agg(id::text, ',' ORDER BY id) FROM app.products"),
        "1,502,504"
    );
    assert_eq!(shop.run("error_message"), "1 row was changed by others since and left");
}

#[test]
fn a_default_that_a_table_was_written_anew_with_or_that_changed_since_is_nobodys() {
    let mut shop = history();
    shop.app
        .exec("ALTER TABLE products ADD mood text DEFAULT 'even', ADD seen char(5) DEFAULT 'a'");
    shop.app.exec("VACUUM FULL products");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(added(&mut shop), "-");
    let mut shop = history();
    shop.app.exec(
        "ALTER TABLE products ADD mood text DEFAULT 'even'; ALTER TABLE products ALTER mood SET DEFAULT 'odd';
         UPDATE products SET mood = DEFAULT WHERE id = 503",
    );
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(added(&mut shop), "-");
}

#[test]
fn a_renamed_column_goes_back_under_its_new_name() {
    let mut shop = Shop::loaded(500, PAGES);
    let before = shop
        .db
        .text("SELECT string_agg(name, ',' ORDER BY id) FROM app.products WHERE id < 4");
    shop.api.change_ids(&[1, 2, 3]);
    shop.api.add(5);
    shop.sync();
    // The name of one belongs to another now.
    shop.app
        .exec("ALTER TABLE products RENAME name TO title; ALTER TABLE products RENAME sku TO name");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.run("error_message"), "NULL");
    assert_eq!(
        shop.db
            .text("SELECT string_agg(title, ',' ORDER BY id) FROM app.products WHERE id < 4"),
        before
    );
    assert_eq!(added(&mut shop), "-");
}

/// A restoration has no pages of its own.
#[test]
fn after_a_restoration_and_a_rename_nobody_is_said_to_have_changed_rows() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    shop.api.change_ids(&[1, 2, 3]);
    shop.app.exec("CALL sluice.sync('products')");
    let changed = "SELECT md5(string_agg(concat_ws(',', id, sku, stock, price), ';' ORDER BY id)) FROM app.products";
    let before = shop.db.text(changed);
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    shop.app.exec("ALTER TABLE products RENAME name TO title");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(changed), before);
    assert_eq!(shop.run("concat_ws(' ', status, updated)"), "succeeded 3");
    assert_eq!(shop.run("error_message"), "NULL");
}

#[test]
fn after_a_restoration_and_a_dropped_column_it_is_said_that_nobody_can_tell() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    shop.api.change_ids(&[1, 2, 3]);
    shop.app.exec("CALL sluice.sync('products')");
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    shop.app.exec("ALTER TABLE products DROP updated_at");
    shop.app.exec("CALL sluice.rollback_to('products')");
    let told = shop.run("error_message");
    assert!(
        told.starts_with("3 rows are left, since it cannot be told whether others changed what the run wrote; "),
        "{told}"
    );
}
