//! Full copies of a target: what they hold, what a restoration brings back, and what it leaves.

use crate::incremental::{follower, following};
use crate::shop::{PAGES, Shop};

const STATE: &str =
    "SELECT count(*) || ' ' || coalesce(md5(string_agg(p::text, ',' ORDER BY id)), '-') FROM app.products p";
const UPSERT: &str = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;

/// A shop whose job was loaded and copied, then ran again with changed, removed and new records; the state of the copy.
fn copied() -> (Shop, String) {
    let mut shop = Shop::loaded(1_000, PAGES);
    let state = shop.db.text(STATE);
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    change(&mut shop, 1);
    (shop, state)
}

fn change(shop: &mut Shop, seed: u64) {
    shop.api.change(5.0, seed);
    shop.api.remove(2.0, seed + 100);
    shop.api.add(15);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_snapshot_is_shown_with_its_size_and_the_run_whose_state_it_is() {
    let mut shop = Shop::loaded(250, PAGES);
    let run = shop.run("id");
    shop.app.take_notices();
    shop.app.exec("CALL sluice.create_snapshot('products', 'first')");
    let notices = shop.app.take_notices();
    let shown =
        "SELECT concat_ws(' ', label, run_id, rows, bytes > 0, created_by, restorable) FROM sluice.sync_snapshots";
    assert_eq!(shop.app.text(shown), format!("first {run} 250 t app t"));
    assert!(
        notices.len() == 1 && notices[0].starts_with("snapshot 1: 250 rows, "),
        "{notices:?}"
    );
    assert_eq!(
        shop.run("concat_ws(' ', source, task, status)"),
        "manual snapshot succeeded"
    );
    assert_eq!(shop.status("status"), "idle");
    assert_eq!(shop.health("status"), "healthy");
    shop.app.exec("SELECT sluice.drop_snapshot(1)");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._snapshot_chunk"), 0);
    let gone = shop.app.error("SELECT sluice.drop_snapshot(1)");
    assert_eq!(gone.sqlstate, "42704", "{gone}");
}

#[test]
fn a_restoration_brings_rows_and_position_back_and_pauses_the_job() {
    let (mut shop, state) = copied();
    shop.app.take_notices();
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    assert_eq!(shop.db.text(STATE), state);
    assert_eq!(shop.status("status"), "paused");
    assert!(
        shop.status("error_message").contains("snapshot 1 (before)"),
        "{}",
        shop.status("error_message")
    );
    assert_eq!(
        shop.run("concat_ws(' ', source, task, status)"),
        "rollback restore succeeded"
    );
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.api.remove_ids(&[10, 20, 30]);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_restoration_can_be_rolled_back_and_so_can_the_runs_before_it() {
    let (mut shop, state) = copied();
    let changed = shop.db.text(STATE);
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(STATE), changed);
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.api.remove_ids(&[11, 21]);
    shop.sync();
    shop.assert_equal();
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    let first = shop.db.text("SELECT min(id) FROM sluice.sync_runs");
    shop.app.exec(&format!("CALL sluice.rollback_to('products', {first})"));
    assert_eq!(shop.db.text(STATE), state);
}

#[test]
fn the_snapshot_wins_over_local_edits_and_leaves_what_is_not_the_jobs() {
    let settings = PAGES.replacen(
        '{',
        r#"{"columns": {"id": "$.id", "name": "$.name", "price": "$.price"}, "#,
        1,
    );
    let mut shop = Shop::loaded(300, &settings);
    shop.db.exec(
        "ALTER TABLE app.products ADD COLUMN note text; UPDATE app.products SET note = 'mine' WHERE id IN (1, 2, 3)",
    );
    shop.app.exec("CALL sluice.create_snapshot('products', 'noted')");
    shop.db.exec(
        "UPDATE app.products SET name = 'edited', note = 'later' WHERE id = 1; DELETE FROM app.products WHERE id = 2;
         INSERT INTO app.products (id, name) VALUES (9000, 'local')",
    );
    shop.app.take_notices();
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    let notices = shop.app.take_notices();
    assert!(
        notices
            .iter()
            .any(|n| n.starts_with("1 row that the snapshot does not have is left: the job did not bring it")),
        "{notices:?}"
    );
    let row = |id: u32| format!("SELECT concat_ws(' ', name <> 'edited', note) FROM app.products WHERE id = {id}");
    assert_eq!(shop.db.text(&row(1)), "t later");
    assert_eq!(shop.db.text(&row(2)), "t mine");
    assert_eq!(shop.db.text(&row(9000)), "t");
    assert_eq!(
        shop.run("concat_ws(' ', inserted, updated, deleted, unchanged)"),
        "1 1 0 298"
    );
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.text(&row(1)), "f later");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id = 2"), 0);
}

#[test]
fn rows_that_an_upsert_has_brought_since_are_removed_again() {
    let mut shop = Shop::open(200);
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', key => '{{id}}', mode => 'upsert',
         schedule => 'manual', settings => '{UPSERT}')"
    ));
    shop.sync();
    let state = shop.db.text(STATE);
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    shop.api.change(10.0, 3);
    shop.api.add(20);
    shop.sync();
    shop.db.exec("INSERT INTO app.products (id) VALUES (9000)");
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "0 20 20");
    shop.db.exec("DELETE FROM app.products WHERE id = 9000");
    assert_eq!(shop.db.text(STATE), state);
}

#[test]
fn rows_that_came_since_are_removed_also_where_their_undo_sets_are_forgotten() {
    let forgetful = PAGES.replacen('{', r#"{"undo": {"keep_runs": 1}, "#, 1);
    let mut shop = follower(200, &forgetful);
    let state = shop.db.text(STATE);
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    shop.api.add(20);
    shop.sync();
    for seed in 1..=2 {
        shop.api.change(10.0, seed);
        shop.sync();
    }
    shop.wait_until_tidied();
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_undo"), 1);
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    assert_eq!(shop.db.text(STATE), state);
}

#[test]
fn a_tombstone_that_comes_again_removes_the_row_that_a_restoration_brought_back() {
    let settings = following(r#""params": {"tombstones": 1}, "deleted_when": "@.deleted == true", "#);
    let mut shop = follower(300, &settings);
    // Rows of others that a restoration brings back are theirs.
    shop.db.exec("INSERT INTO app.products (id) VALUES (9000)");
    shop.app.exec("CALL sluice.create_snapshot('products', 'before')");
    shop.db.exec("DELETE FROM app.products WHERE id = 9000");
    shop.api.remove_ids(&[4, 5]);
    shop.api.add(1);
    shop.sync();
    assert_eq!(shop.run("concat_ws(' ', inserted, deleted)"), "1 2");
    for _ in 0..2 {
        shop.app.exec("CALL sluice.restore_snapshot(1)");
        assert_eq!(shop.run("concat_ws(' ', inserted, deleted)"), "3 1");
        shop.app.exec("SELECT sluice.resume_job('products')");
        shop.sync();
        assert_eq!(shop.run("concat_ws(' ', inserted, deleted)"), "1 2");
        shop.db.exec("DELETE FROM app.products WHERE id = 9000");
        shop.assert_equal();
    }
    // The rows that a restoration brought back, and no more, are taken back with it.
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("CALL sluice.rollback_to('products')");
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_copy_of_the_empty_table_takes_the_first_load_away_and_the_next_run_loads_again() {
    let mut shop = Shop::with_job(300, PAGES);
    shop.app.exec("CALL sluice.create_snapshot('products', 'empty')");
    shop.sync();
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    shop.app.exec("SELECT sluice.resume_job('products')");
    shop.api.remove_ids(&[1, 2]);
    shop.sync();
    shop.assert_equal();
    // Two first loads are behind us: each is taken back with its own pages.
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
}

#[test]
fn columns_that_are_gone_are_told_and_a_changed_type_is_refused() {
    let (mut shop, _) = copied();
    shop.db.exec("ALTER TABLE app.products DROP COLUMN updated_at");
    shop.app.take_notices();
    shop.app.exec("CALL sluice.restore_snapshot(1)");
    let told = "column \"updated_at\", which the target no longer has, is left out";
    assert!(shop.app.take_notices().iter().any(|n| n == told));
    shop.db.exec("ALTER TABLE app.products ALTER COLUMN stock TYPE integer");
    let refused = shop.app.error("CALL sluice.restore_snapshot(1)");
    assert_eq!(refused.sqlstate, "55000", "{refused}");
    let detail = refused.detail.clone().unwrap_or_default();
    assert!(
        detail.contains("column \"stock\" was") && detail.contains("is integer"),
        "{refused}"
    );
    let shown = "SELECT concat_ws(' ', restorable, obstacle) FROM sluice.sync_snapshots";
    assert!(
        shop.app.text(shown).starts_with("f column \"stock\" was"),
        "{}",
        shop.app.text(shown)
    );
}

#[test]
fn a_crash_in_a_restoration_changes_nothing_and_it_goes_on() {
    for point in ["restore.applied", "restore.before_commit"] {
        let (mut shop, state) = copied();
        let changed = shop.db.text(STATE);
        shop.db.failpoint(point, "kill9");
        let call = shop
            .cluster
            .db_as("app", "postgres")
            .call("CALL sluice.restore_snapshot(1)");
        shop.recover();
        assert!(call.finish().0.is_err(), "the caller outlived the crash");
        let seen = shop.db.text(STATE);
        assert!(
            seen == state || seen == changed,
            "{point}: half a restoration is visible"
        );
        shop.wait_for_run("succeeded");
        assert_eq!(shop.db.text(STATE), state, "{point}");
        assert_eq!(shop.status("status"), "paused");
        shop.app.exec("SELECT sluice.resume_job('products')");
        shop.sync();
        shop.assert_equal();
    }
}

#[test]
fn a_crash_while_a_snapshot_is_made_leaves_one_whole_snapshot() {
    for point in ["snapshot.copied", "snapshot.before_commit"] {
        let mut shop = Shop::loaded(500, PAGES);
        shop.db.failpoint(point, "kill9");
        let call = shop
            .cluster
            .db_as("app", "postgres")
            .call("CALL sluice.create_snapshot('products', 'crashed')");
        shop.recover();
        assert!(call.finish().0.is_err(), "the caller outlived the crash");
        shop.wait_for_run("succeeded");
        let shown = "SELECT string_agg(concat_ws(' ', label, rows, created_by), ',') FROM sluice.sync_snapshots";
        assert_eq!(shop.db.text(shown), "crashed 500 app", "{point}");
        let rows = "SELECT sum(rows) FROM sluice._snapshot_chunk";
        assert_eq!(shop.db.number(rows), 500, "{point}");
    }
}

#[test]
fn a_restoration_that_fails_leaves_everything_as_it_was() {
    let (mut shop, _) = copied();
    let changed = shop.db.text(STATE);
    shop.db.failpoint("restore.before_commit", "error");
    let error = shop.app.error("CALL sluice.restore_snapshot(1)");
    assert_eq!(shop.db.text(STATE), changed, "{error}");
    assert_eq!(shop.status("status"), "idle");
}

#[test]
fn a_snapshot_comes_along_with_a_dump() {
    let (shop, state) = copied();
    let dump = |program: &str, args: &[&str]| {
        let output = shop
            .cluster
            .client_program(program)
            .args(args)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let folder = shop.cluster.folder().join("dump");
    let file = folder.to_string_lossy().into_owned();
    dump("pg_dump", &["--format=custom", "--file", &file, "postgres"]);
    dump("createdb", &["copy"]);
    dump("pg_restore", &["--dbname=copy", &file]);
    let (mut admin, mut app) = (
        shop.cluster.db_as("postgres", "copy"),
        shop.cluster.db_as("app", "copy"),
    );
    admin.exec("SELECT sluice.arm()");
    // Which rows are the job's own is found out again by its next read.
    app.exec("CALL sluice.sync('products')");
    app.exec("CALL sluice.restore_snapshot(1)");
    assert_eq!(admin.text(STATE), state);
}
