//! A refresh in mode `replace`: what differs is written, at once for all readers, and what does not costs almost nothing.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{Db, wait_until};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CHECKSUM: &str = "SELECT count(*) || ' ' || md5(string_agg(p::text, ',' ORDER BY id)) FROM app.products p";

#[test]
fn changed_removed_and_added_rows_arrive_and_the_others_stay_untouched() {
    let mut shop = Shop::loaded(2_000, PAGES);
    shop.db
        .exec("CREATE TABLE app.before AS SELECT id, xmin::text AS version FROM app.products");
    // The last products go, so that no other page moves.
    let changed = shop.api.change(1.0, 7).len();
    shop.api.remove_ids(&(1_991..=2_000).collect::<Vec<_>>());
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 1_990);
    let rewritten = "SELECT count(*) FROM app.products p JOIN app.before b USING (id) WHERE p.xmin::text <> b.version";
    let live_changes = shop.db.number(rewritten);
    assert!(
        (changed as i64 - 10..=changed as i64).contains(&live_changes),
        "{live_changes} of {changed}"
    );
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted)"),
        format!("0 {live_changes} 10")
    );

    shop.api.add(25);
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "25 0 0");
}

#[test]
fn a_refresh_in_which_every_page_moves_writes_only_what_differs() {
    let mut shop = Shop::loaded(2_000, PAGES);
    shop.api.remove_ids(&[1, 2, 3]);
    shop.sync();
    shop.assert_equal();
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted, unchanged)"),
        "0 0 3 1997"
    );
}

/// Looks at the table again and again until told to stop; every state that was seen.
fn look(mut db: Db, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<HashSet<String>> {
    std::thread::spawn(move || {
        let mut seen = HashSet::new();
        while !stop.load(Ordering::Relaxed) {
            seen.insert(db.text(CHECKSUM));
        }
        seen
    })
}

#[test]
fn readers_see_the_old_state_or_the_new_one_and_nothing_between() {
    let mut shop = Shop::loaded(1_000, PAGES);
    let old = shop.db.text(CHECKSUM);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2).map(|_| look(shop.cluster.db(), Arc::clone(&stop))).collect();
    shop.api.change(10.0, 3);
    shop.api.remove(5.0, 4);
    shop.api.add(30);
    shop.db.failpoint("publish.applied", "pause");
    shop.start();
    wait_until(&mut shop.db, "the publish is under way", SOON, |db| {
        db.value("SELECT status FROM sluice.sync_status").as_deref() == Some("publishing")
            && db.is_true("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'sluice worker' AND backend_xid IS NOT NULL")
    });
    assert_eq!(shop.db.text(CHECKSUM), old, "a publish under way is visible");
    shop.db.failpoint("publish.applied", "off");
    shop.wait_for_run("succeeded");
    let new = shop.db.text(CHECKSUM);
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let seen = reader.join().expect("a reader that met no error");
        assert!(seen.iter().all(|state| *state == old || *state == new), "{seen:?}");
    }
    assert_ne!(old, new);
    shop.assert_equal();
}

#[test]
fn an_unchanged_refresh_writes_no_row_version_no_page_body_and_hardly_any_wal() {
    let mut shop = Shop::with_job(5_000, PAGES);
    let first = wal_of(&mut shop, |shop| shop.sync());
    shop.db
        .exec("CREATE TABLE app.before AS SELECT id, xmin::text AS version, ctid::text AS place FROM app.products");
    let bodies =
        "SELECT count(*) || ' ' || md5(string_agg(ctid::text || xmin::text, ',' ORDER BY hash)) FROM sluice._page_body";
    let bodies_before = shop.db.text(bodies);
    let again = wal_of(&mut shop, |shop| shop.sync());
    let touched = "SELECT count(*) FROM app.products p JOIN app.before b USING (id)
                   WHERE p.xmin::text <> b.version OR p.ctid::text <> b.place";
    assert_eq!(shop.db.number(touched), 0);
    assert_eq!(shop.db.text(bodies), bodies_before, "a page body was written");
    assert_eq!(
        shop.run("concat_ws(' ', pages, inserted, updated, deleted, unchanged)"),
        "50 0 0 0 5000"
    );
    println!("WAL: first load {first} bytes, unchanged refresh {again} bytes");
    assert!(
        again * 20 < first,
        "WAL: first load {first} bytes, unchanged refresh {again}"
    );
}

/// The WAL bytes that something writes, in a server that does nothing else.
fn wal_of(shop: &mut Shop, act: impl FnOnce(&mut Shop)) -> i64 {
    shop.db.exec("CHECKPOINT");
    let before = shop.db.text("SELECT pg_current_wal_insert_lsn()");
    act(shop);
    let sql = format!("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{before}')::bigint");
    shop.db.number(&sql)
}

#[test]
fn rows_that_others_inserted_are_never_removed() {
    let mut shop = Shop::loaded(1_000, PAGES);
    shop.db
        .exec("INSERT INTO app.products (id, name) VALUES (900001, 'ours'), (900002, 'too')");
    shop.api.remove_ids(&[5, 6, 7]);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 999);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id > 900000"), 2);
    assert_eq!(shop.run("deleted"), "0");
}

#[test]
fn columns_that_are_not_mapped_keep_their_local_values() {
    let mut shop = Shop::open(500);
    shop.app.exec(
        "CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric, note text DEFAULT 'new', rank int,
                                label text GENERATED ALWAYS AS (id || ':' || name) STORED)",
    );
    let settings = PAGES.replacen(
        '{',
        r#"{"columns": {"id": "$.id", "name": "$.name", "price": "$.price"}, "#,
        1,
    );
    shop.create_job("products", "/page/products", &settings);
    shop.sync();
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM app.products WHERE note = 'new' AND rank IS NULL"),
        500
    );
    shop.db.exec("UPDATE app.products SET note = 'kept', rank = id");
    let changed = shop.api.change(20.0, 1).len();
    shop.sync();
    assert_eq!(shop.run("updated"), changed.to_string());
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM app.products WHERE note = 'kept' AND rank = id"),
        500
    );
    let expected: Vec<String> = shop.api.truth().into_values().collect();
    shop.db
        .exec("CREATE VIEW app.mapped AS SELECT id, name, price FROM app.products");
    shop.db.exec("CREATE TYPE app.unused AS (n int)");
    let found = sluice_e2e::differences(&mut shop.db, "app.mapped", &expected);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_local_change_to_a_mapped_column_is_mended_by_the_next_verification() {
    let settings = PAGES.replacen('{', r#"{"verify": "always", "#, 1);
    let mut shop = Shop::loaded(500, &settings);
    shop.db
        .exec("UPDATE app.products SET name = 'mine' WHERE id = 3; DELETE FROM app.products WHERE id = 4");
    shop.sync();
    shop.assert_equal();
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "1 1 0");
}

#[test]
fn a_publish_that_waits_for_a_lock_is_tried_again_without_a_request() {
    let mut shop = Shop::loaded(500, PAGES);
    shop.cluster.configure("sluice.lock_timeout", "1s");
    shop.db.exec("SELECT pg_reload_conf()");
    shop.api.change(10.0, 1);
    shop.api.clear_log();
    let mut other = shop.cluster.db();
    other.exec("BEGIN; LOCK TABLE app.products IN SHARE ROW EXCLUSIVE MODE");
    shop.start();
    wait_until(&mut shop.db, "the publish waits for its next try", SOON, |db| {
        db.is_true(
            "SELECT bool_or(wait_event_type || ':' || wait_event = 'Extension:Extension') FROM pg_stat_activity
             WHERE backend_type = 'sluice worker'
               AND EXISTS (SELECT FROM sluice.sync_progress WHERE phase = 'publishing')",
        )
    });
    other.exec("COMMIT");
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(shop.api.requests().len(), 5);
}
