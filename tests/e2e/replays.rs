//! Rejected records: what they hold, who sees it, and how they are tried again.

use crate::rejects::{GOODS, PAGES_BY_THREE, bad, count, rejects, shop};
use crate::shop::{PAGES, SOON};
use sluice_e2e::wait_until;

#[test]
fn a_replay_after_the_table_was_mended_writes_what_was_rejected() {
    let mut shop = shop(
        300,
        "sku varchar(20), name text, price numeric, stock smallint, category text",
        PAGES,
    );
    bad(&shop, 17, "stock", Some("40000"));
    bad(&shop, 18, "sku", Some("\"a number that is too long for it\""));
    bad(&shop, 19, "stock", Some("\"many\""));
    shop.sync();
    assert_eq!((count(&mut shop), rejects(&mut shop).len()), (297, 3));
    // In vain, and what is said of them stays true: they stand where they came, not where they were tried.
    shop.app.exec("CALL sluice.replay_rejects('products')");
    let told = shop.app.rows(
        "SELECT position, error_message, error_detail FROM sluice.sync_rejects WHERE position > 17 ORDER BY position",
    );
    let told = told.rows.into_iter().flatten().flatten().collect::<Vec<_>>().join("\n");
    assert!(
        told.contains("Record 18 of page 1") && told.contains("record 19 does not fit"),
        "{told}"
    );
    shop.app
        .exec("ALTER TABLE products ALTER stock TYPE integer, ALTER sku TYPE text");
    shop.api.clear_log();
    shop.app.take_notices();
    shop.app.exec("CALL sluice.replay_rejects('products')");
    let told = shop.app.take_notices().join("\n");
    assert!(
        told.contains("3 rejected records tried: 2 written, 1 still rejected, 0 of which"),
        "{told}"
    );
    assert_eq!(shop.api.requests().len(), 0);
    assert_eq!(
        shop.run("concat_ws(' ', source, status, records, inserted, updated, rejected)"),
        "manual succeeded 3 2 0 1"
    );
    assert_eq!(rejects(&mut shop), [r#"1.19 {"id": 19} stock 22P02"#]);
    let stocks = "SELECT string_agg(concat_ws(' ', id, stock, length(sku)), ', ' ORDER BY id) FROM app.products WHERE id IN (17, 18, 19)";
    let replayed = shop.db.text(stocks);
    assert!(
        replayed.starts_with("17 40000") && replayed.contains("18") && !replayed.contains("19"),
        "{replayed}"
    );
    // It is a run of its own, which can be taken back.
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!((count(&mut shop), rejects(&mut shop).len()), (297, 3));
    shop.app.exec("CALL sluice.replay_rejects('products')");
    shop.sync();
    assert_eq!((count(&mut shop), rejects(&mut shop).len()), (299, 1));
}

#[test]
fn a_replay_never_overwrites_what_came_later() {
    let mut shop = shop(
        300,
        "sku text, name text, price numeric, stock smallint, category text",
        PAGES,
    );
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'upsert')");
    bad(&shop, 17, "stock", Some("40000"));
    // Its key cannot be read, so that nobody sees when a later version comes.
    bad(&shop, 18, "id", Some("\"18.5\""));
    shop.sync();
    shop.db.exec(
        "UPDATE sluice._reject SET raw = replace(raw, '\"18.5\"', '18'), raw_bytes = raw_bytes - 4 WHERE key IS NULL",
    );
    shop.app
        .exec("ALTER TABLE products ALTER stock TYPE integer; INSERT INTO products (id, name) VALUES (18, 'later')");
    shop.db
        .exec("UPDATE sluice._reject SET generation = generation - 1 WHERE key IS NULL");
    shop.app.exec("CALL sluice.replay_rejects('products')");
    assert_eq!(shop.db.text("SELECT name FROM app.products WHERE id = 18"), "later");
    assert_eq!(shop.db.number("SELECT stock FROM app.products WHERE id = 17"), 40_000);
    let states = "SELECT string_agg(status, ' ' ORDER BY page, position) FROM sluice.sync_rejects";
    assert_eq!(shop.db.text(states), "replayed superseded");
}

#[test]
fn a_replay_is_refused_in_a_transaction_block_and_to_strangers() {
    let mut shop = shop(100, GOODS, PAGES);
    shop.sync();
    shop.app.exec("BEGIN");
    assert_eq!(
        shop.app.error("CALL sluice.replay_rejects('products')").sqlstate,
        "25001"
    );
    shop.app.exec("ROLLBACK");
    shop.db
        .exec("CREATE ROLE stranger LOGIN; SELECT sluice.grant_access('stranger', 'writer')");
    let mut stranger = shop.cluster.db_as("stranger", "postgres");
    assert_eq!(
        stranger.error("CALL sluice.replay_rejects('products')").sqlstate,
        "42704"
    );
    shop.app.exec("CALL sluice.replay_rejects('products')");
    assert_eq!(shop.run("concat_ws(' ', status, records)"), "succeeded 0");
}

#[test]
fn a_replay_that_is_killed_is_done_again() {
    let mut shop = shop(
        300,
        "sku text, name text, price numeric, stock smallint, category text",
        PAGES,
    );
    bad(&shop, 17, "stock", Some("40000"));
    shop.sync();
    shop.app.exec("ALTER TABLE products ALTER stock TYPE integer");
    shop.db.failpoint("replay.applied", "kill9");
    let call = shop
        .cluster
        .db_as("app", "postgres")
        .call("CALL sluice.replay_rejects('products')");
    shop.recover();
    assert!(call.finish().0.is_err());
    wait_until(&mut shop.db, "the reject is replayed", SOON, |db| {
        db.is_true("SELECT status = 'replayed' FROM sluice.sync_rejects")
    });
    assert_eq!(count(&mut shop), 300);
    assert_eq!(shop.runs().last().map(String::as_str), Some("resume succeeded"));
}

/// F-R25: what the remote sends has no effect where it is told, and control characters are escaped.
#[test]
fn a_monitor_sees_that_there_are_rejects_and_nothing_of_what_they_hold() {
    let mut shop = shop(300, GOODS, PAGES);
    shop.app
        .exec("ALTER TABLE products ADD CHECK (stock >= 0), ALTER name TYPE varchar(80)");
    bad(
        &shop,
        17,
        "stock",
        Some(r#""\u001b[31mcanary'; DROP TABLE products; -- %s \\ <b>""#),
    );
    bad(&shop, 18, "stock", Some("-4"));
    bad(&shop, 19, "name", Some(r#""=cmd|' /C calc'!A0 \u001b[31m""#));
    shop.sync();
    // F-R24: text that a spreadsheet would take for a formula is stored as it came.
    assert_eq!(
        shop.db.text("SELECT name FROM app.products WHERE id = 19"),
        "=cmd|' /C calc'!A0 \u{1b}[31m"
    );
    shop.db
        .exec("CREATE ROLE a_monitor LOGIN; SELECT sluice.grant_access('a_monitor', 'monitor')");
    let all = "SELECT string_agg(r::text, ' ') FROM sluice.sync_rejects AS r";
    let own = shop.app.text(all);
    assert!(own.contains("canary") && !own.contains('\u{1b}'), "{own}");
    let mut monitor = shop.cluster.db_as("a_monitor", "postgres");
    let seen = monitor.text(all);
    assert!(
        seen.contains("22P02") && seen.contains("23514") && seen.contains("stock"),
        "{seen}"
    );
    for hidden in ["canary", "Failing row", "\"id\"", "SKU-"] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    let payload = "SELECT count(*) FROM sluice.sync_rejects WHERE coalesce(raw, key, error_detail) IS NOT NULL";
    assert_eq!(monitor.number(payload), 0);
}

/// F-R6, F-R12, F-R13: each of these is about its record alone.
#[test]
fn values_that_no_column_can_hold_are_about_their_records_alone() {
    let mut shop = shop(
        300,
        &format!("{GOODS}, updated_at timestamptz, attributes jsonb"),
        PAGES_BY_THREE,
    );
    let values = [
        ("name", r#""a\u0000b""#, "22P05"),
        ("attributes", r#"{"a": "\u0000"}"#, "22P05"),
        ("name", r#""\ud800""#, "22P02"),
        ("stock", "9223372036854775808", "22003"),
        ("price", "1e200000", "22003"),
        ("updated_at", r#""2026-02-30T00:00:00Z""#, "22008"),
        ("updated_at", r#""0000-00-00""#, "22008"),
        ("updated_at", "1700000000", "22007"),
    ];
    for (id, (member, value, _)) in (11..).zip(values) {
        bad(&shop, id, member, Some(value));
    }
    // Exact, and no reject.
    bad(&shop, 30, "price", Some("12345678901234567890.1234567890123456789"));
    shop.sync();
    let states = "SELECT string_agg(sqlstate, ' ' ORDER BY position) FROM sluice.sync_rejects";
    let wanted: Vec<&str> = values.iter().map(|value| value.2).collect();
    assert_eq!(shop.db.text(states), wanted.join(" "));
    assert_eq!(count(&mut shop), 300 - values.len() as i64);
    let price = shop.db.text("SELECT price::text FROM app.products WHERE id = 30");
    assert_eq!(price, "12345678901234567890.1234567890123456789");
}
