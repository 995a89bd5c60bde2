//! `repair_sync`: each thing is really damaged, by a superuser past all our guards, and repaired; the job then goes on.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::wait_until;

/// A shop whose job was loaded and refreshed, so that there is something of everything.
fn shop() -> Shop {
    let mut shop = Shop::loaded(1000, PAGES);
    shop.api.change(5.0, 1);
    shop.sync();
    wait_for_quiet(&mut shop);
    shop
}

/// Waits until nothing of ours is in the database: a scheduler mends some of this by itself.
fn wait_for_quiet(shop: &mut Shop) {
    wait_until(&mut shop.db, "nothing of ours runs", SOON, |db| {
        db.pids("sluice worker").is_empty() && db.pids("sluice scheduler").is_empty()
    });
}

/// Runs a statement of a superuser without foreign keys and triggers, and nothing of ours running.
fn damage(shop: &mut Shop, sql: &str) {
    shop.db.exec(&format!(
        "SET session_replication_role = replica; {sql}; RESET session_replication_role"
    ));
}

/// What `repair_sync` tells, a line a finding: `checked result: found`.
fn repair(shop: &mut Shop, job: &str) -> Vec<String> {
    let sql = format!("SELECT concat(checked, ' ', result, ': ', found) FROM sluice.repair_sync({job})");
    shop.db.rows(&sql).rows.into_iter().flatten().flatten().collect()
}

const PRODUCTS: &str = "'products'";

/// Damages, repairs (finding what begins with `expected`, once), and runs the job to an equal table.
fn mends(sql: &str, expected: &str) {
    let mut shop = shop();
    damage(&mut shop, sql);
    let found = repair(&mut shop, PRODUCTS);
    assert_eq!(found.len(), 1, "{sql}: {found:#?}");
    assert!(found[0].starts_with(expected), "{sql}: {found:#?}");
    let again = repair(&mut shop, PRODUCTS);
    assert!(again[0].ends_with("ok: nothing is wrong"), "{sql}: {again:#?}");
    shop.api.change(5.0, 2);
    shop.sync();
    shop.assert_equal();
    let noted = "SELECT count(*) FROM sluice.sync_audit_log WHERE action = 'repair_sync' AND object = 'products'";
    assert_eq!(shop.db.number(noted), 1, "{sql}");
}

#[test]
fn a_sound_job_is_left_alone_and_it_is_said_what_was_looked_at() {
    let mut shop = shop();
    let found = repair(&mut shop, "NULL");
    assert_eq!(
        found,
        [
            "definition, target, position, runs, queue, schedule, checkpoint, ledger, store, undo sets, snapshots ok: nothing is wrong",
            "leftovers of dropped jobs, locks, scheduler ok: nothing is wrong",
        ]
    );
    // Whoever operates no other's job is told of its own.
    assert_eq!(shop.app.number("SELECT count(*) FROM sluice.repair_sync()"), 1);
}

#[test]
fn a_run_that_says_it_runs_without_a_worker_is_closed() {
    mends(
        "INSERT INTO sluice._run (job_id, source, requested_by, status, started_at) SELECT id, 'manual', 'x', 'running', now() FROM sluice._job",
        "run mended: run 3 says running, and no worker is on it",
    );
}

#[test]
fn an_ended_run_without_an_end_gets_one() {
    mends(
        "UPDATE sluice._run SET finished_at = NULL",
        "run mended: 2 ended runs have no end",
    );
}

/// An entry of the retry queue in this state.
fn retry_that_is(status: &str) -> String {
    format!(
        "INSERT INTO sluice._retry (job_id, operation, status, priority, max_retries, run_id, error_class, sqlstate, last_error_message) \
         SELECT id, 'sync', '{status}', 'normal', 3, 1, 'network', '08006', 'x' FROM sluice._job"
    )
}

#[test]
fn a_retry_that_is_processed_by_nobody_is_tried_again() {
    let mut shop = shop();
    damage(&mut shop, &retry_that_is("processing"));
    let found = repair(&mut shop, PRODUCTS);
    assert_eq!(
        found,
        ["queue mended: a retry says it is being processed, and has no run"]
    );
    wait_until(&mut shop.db, "the retry is done", SOON, |db| {
        db.text("SELECT status FROM sluice.sync_retry_queue") == "completed"
    });
}

#[test]
fn a_dead_retry_is_for_a_person() {
    let mut shop = shop();
    damage(&mut shop, &retry_that_is("dead"));
    assert_eq!(
        repair(&mut shop, PRODUCTS),
        ["queue needs_you: the last retry was given up"]
    );
    assert_eq!(
        shop.db.text("SELECT action FROM sluice.repair_sync('products')"),
        "SELECT sluice.redrive('products');"
    );
}

#[test]
fn a_checkpoint_beyond_the_ledger_begins_the_read_anew() {
    let mut shop = Shop::loaded(1000, PAGES);
    shop.api.change(50.0, 1);
    shop.start_and_hold_at(6);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    wait_for_quiet(&mut shop);
    damage(
        &mut shop,
        "DELETE FROM sluice._page WHERE number > 2 AND generation = (SELECT generation FROM sluice._job_state)",
    );
    let found = repair(&mut shop, PRODUCTS);
    assert_eq!(
        found[0],
        "checkpoint mended: the checkpoint stands at page 6, and the ledger has 2 pages up to page 2"
    );
    shop.api.clear_log();
    shop.sync();
    shop.assert_equal();
    assert!(shop.api.pages_asked().contains(&1));
}

#[test]
fn a_lost_checkpoint_of_a_first_load_begins_it_anew_and_its_rows_stay_the_jobs_own() {
    let mut shop = Shop::with_job(1000, PAGES);
    shop.start_and_hold_at(6);
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    wait_for_quiet(&mut shop);
    damage(&mut shop, "UPDATE sluice._job_state SET page_number = 9");
    let found = repair(&mut shop, PRODUCTS);
    assert_eq!(
        found,
        ["checkpoint mended: the checkpoint stands at page 9, and the ledger has 5 pages up to page 5"]
    );
    shop.api.remove_ids(&[3]);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_job_without_a_position_gets_one_and_reads_everything() {
    mends(
        "DELETE FROM sluice._job_state",
        "checkpoint mended: the job had no position",
    );
}

#[test]
fn a_count_of_reads_that_went_back_is_set_right() {
    mends(
        "UPDATE sluice._job_state SET generation = 0",
        "checkpoint mended: the job counts fewer reads than were published",
    );
}

#[test]
fn pages_of_an_unknown_read_are_forgotten() {
    mends(
        "INSERT INTO sluice._page SELECT job_id, 99, number, run_id, token_in, token_out, records, bytes, hash, etag, received_at \
         FROM sluice._page WHERE generation = 2 AND number < 4",
        "ledger mended: 3 pages of a read that the job knows nothing of",
    );
}

#[test]
fn contents_without_a_page_are_forgotten() {
    mends(
        "INSERT INTO sluice._page_body (job_id, hash, records, body, keys) SELECT id, 'x', 1, 'x', 'x' FROM sluice._job",
        "store mended: 1 stored contents belong to no page",
    );
}

#[test]
fn published_pages_without_a_content_are_forgotten_and_every_row_is_compared() {
    let mut shop = shop();
    damage(
        &mut shop,
        "DELETE FROM sluice._page_body WHERE hash IN (SELECT hash FROM sluice._page WHERE number = 2)",
    );
    // The row is not what the remote says, and its page would be taken for applied.
    shop.db.exec("UPDATE app.products SET name = 'drifted' WHERE id = 500");
    let found = repair(&mut shop, PRODUCTS);
    assert_eq!(found, ["store mended: 2 published pages are not stored any more"]);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn undo_batches_of_no_run_are_forgotten() {
    mends(
        "INSERT INTO sluice._undo (run_id, batch, job_id, kind, attnums, rows) SELECT 77, 0, id, 'rows', '{}', 1 FROM sluice._job",
        "undo sets mended: 1 undo batches belong to no run of the job",
    );
}

#[test]
fn a_job_that_nobody_would_run_is_planned() {
    for next in ["NULL", "now() + interval '3 years'"] {
        let mut shop = Shop::loaded(300, PAGES);
        shop.app
            .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
        wait_until(&mut shop.db, "the run that altering asks for is over", SOON, |db| {
            db.is_true("SELECT bool_and(finished_at IS NOT NULL) AND (SELECT next_run_at > now() FROM sluice.sync_jobs) FROM sluice.sync_runs")
        });
        // The scheduler mends what it sees: it must not look between the damage and the repair.
        shop.db.exec(&format!(
            "BEGIN; UPDATE sluice._job_state SET next_run_at = {next}; \
             CREATE TEMP TABLE told AS SELECT * FROM sluice.repair_sync('products'); COMMIT"
        ));
        let found = shop
            .db
            .text("SELECT concat(checked, ' ', result, ': ', found) FROM told");
        let expected = match next {
            "NULL" => "schedule mended: no next run is planned",
            _ => "schedule mended: the next run is planned for ",
        };
        assert!(found.starts_with(expected), "{found}");
        let runs = shop.runs().len();
        wait_until(&mut shop.db, "it runs", SOON, |db| {
            db.number("SELECT count(*) FROM sluice.sync_runs") > runs as i64
                || db.is_true("SELECT max(source) = 'schedule' FROM sluice.sync_runs")
        });
    }
}

#[test]
fn what_a_person_must_mend_is_said_with_the_statement() {
    let cases = [
        (
            "ALTER TABLE app.products DROP COLUMN stock",
            "target needs_you: the table has no column \"stock\" any more",
            "ALTER TABLE app.products ADD COLUMN",
        ),
        (
            "ALTER TABLE app.products DROP CONSTRAINT products_pkey",
            "target needs_you: no unique index on the key (id)",
            "CREATE UNIQUE INDEX ON app.products (id);",
        ),
        (
            "DROP TABLE app.products",
            "target needs_you: table app.products was dropped",
            "Make the job again",
        ),
        (
            "DROP SERVER shop CASCADE",
            "definition needs_you: connection \"shop\" was dropped",
            "SELECT sluice.alter_job('products', connection =>",
        ),
        (
            "UPDATE sluice._job SET armed_database = 1",
            "definition needs_you: the job was made in another cluster or database",
            "SELECT sluice.arm();",
        ),
        (
            "UPDATE sluice._job SET enabled = false, disabled_reason = 'it crashed'",
            "definition needs_you: the job is disabled: it crashed",
            "Mend the cause",
        ),
    ];
    for (sql, expected, action) in cases {
        let mut shop = shop();
        shop.db.exec(sql);
        assert_eq!(repair(&mut shop, PRODUCTS), [expected], "{sql}");
        let told = shop.db.text("SELECT action FROM sluice.repair_sync('products')");
        assert!(told.starts_with(action), "{told}");
    }
}

#[test]
fn a_snapshot_that_lost_rows_is_told() {
    let mut shop = shop();
    shop.app.exec("CALL sluice.create_snapshot('products', 'friday')");
    wait_for_quiet(&mut shop);
    damage(&mut shop, "DELETE FROM sluice._snapshot_chunk");
    assert_eq!(
        repair(&mut shop, PRODUCTS),
        ["snapshots needs_you: rows of snapshot 1 (\"friday\") are gone: it cannot be restored"]
    );
}

#[test]
fn leftovers_of_jobs_that_are_gone_are_forgotten() {
    let mut shop = shop();
    shop.app.exec("CALL sluice.create_snapshot('products', 'friday')");
    wait_for_quiet(&mut shop);
    damage(&mut shop, "DELETE FROM sluice._job");
    let found = repair(&mut shop, "NULL").join("\n");
    for part in [
        "run mended",
        "ledger mended",
        "store mended",
        "undo sets mended",
        "snapshots mended",
        "checkpoint mended",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    for table in [
        "_run",
        "_page",
        "_page_body",
        "_undo",
        "_snapshot",
        "_snapshot_chunk",
        "_job_state",
        "_total",
    ] {
        assert_eq!(
            shop.db.number(&format!("SELECT count(*) FROM sluice.{table}")),
            0,
            "{table}"
        );
    }
}

#[test]
fn a_worker_without_progress_is_told_and_its_checkpoint_is_left_alone() {
    let mut shop = Shop::with_job(1000, PAGES);
    shop.start_and_hold_at(3);
    let found = repair(&mut shop, "NULL");
    assert_eq!(
        found[0],
        "definition, target ok: a worker is on it: the rest was not looked at"
    );
    assert_eq!(
        found[1],
        "leftovers of dropped jobs, locks, scheduler ok: nothing is wrong"
    );
    let worker = shop.worker();
    shop.cluster.configure("sluice.debug_clock_offset", "10 min");
    shop.db.exec("SELECT pg_reload_conf()");
    wait_until(&mut shop.db, "the clock is moved", SOON, |db| {
        db.is_true("SELECT current_setting('sluice.debug_clock_offset')::interval = '10 min'")
    });
    let found = repair(&mut shop, "NULL");
    let expected = format!("locks needs_you: the worker of job \"products\" (process {worker}, ");
    assert!(found[1].starts_with(&expected), "{found:#?}");
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}
