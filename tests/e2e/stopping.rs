//! Stopping is prompt, whatever a run is doing, and the next run goes on at the next page (R-13, F-P5, F-P6, F-P15).

use crate::scene::{A_WHILE, PAGE, PROMPT, SOON, Scene, workers_of};
use sluice_e2e::{Cluster, Db, Stop, assert_table_equals_source, eventually, wait_until};
use std::time::{Duration, Instant};

/// What a run is stuck in, with two pages committed and the third on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuck {
    /// The remote never answers.
    Remote,
    /// A trigger on the target sleeps.
    Trigger,
    /// Another session holds a lock on the target.
    Lock,
}

const EVERY_WAIT: [Stuck; 3] = [Stuck::Remote, Stuck::Trigger, Stuck::Lock];

/// A scene whose run is stuck, and the session that holds the lock.
fn stuck(cluster: &Cluster, how: Stuck) -> (Scene, Option<Db>) {
    let mut scene = Scene::on(cluster);
    scene.job();
    let holder = match how {
        Stuck::Remote => {
            scene.hang_at_page_3();
            None
        }
        Stuck::Trigger => {
            scene.app.exec(
                "CREATE TABLE gate AS SELECT true AS closed; \
                 CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.id = 21 AND EXISTS (SELECT FROM app.gate) THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON product FOR EACH ROW EXECUTE FUNCTION slow(); \
                 SELECT sluice.start_sync('product')",
            );
            scene.admin_waits("the trigger sleeps", |db| worker_waits_for(db, "Timeout:PgSleep"));
            None
        }
        Stuck::Lock => {
            scene.api.hold_page(3);
            scene.app.exec("SELECT sluice.start_sync('product')");
            assert!(scene.api.wait_until_held(3, SOON));
            scene.wait_for_pages(2);
            let mut holder = cluster.db_as("app", &scene.database);
            holder.exec("BEGIN");
            holder.exec("LOCK TABLE app.product IN ACCESS EXCLUSIVE MODE");
            scene.api.release();
            scene.admin_waits("the worker waits for the lock", |db| {
                worker_waits_for(db, "Lock:relation")
            });
            Some(holder)
        }
    };
    (scene, holder)
}

fn worker_waits_for(db: &mut Db, event: &str) -> bool {
    db.is_true(&format!(
        "SELECT bool_or(wait_event_type || ':' || wait_event = '{event}') FROM pg_stat_activity \
         WHERE backend_type = 'sluice worker' AND datname = current_database()"
    ))
}

/// Ends what the run was stuck in.
fn free(scene: &mut Scene, holder: Option<Db>) {
    if let Some(mut holder) = holder {
        holder.exec("COMMIT");
    }
    if scene.admin.is_true("SELECT to_regclass('app.gate') IS NOT NULL") {
        scene.app.exec("DELETE FROM app.gate");
    }
}

/// Waits until the process is gone; panics where that takes longer than R-13 allows.
fn gone_promptly(scene: &mut Scene, pid: u32, since: Instant, what: &str) {
    let gone = eventually(SOON, || !workers_of(&mut scene.admin).contains(&pid));
    assert!(gone && since.elapsed() <= PROMPT, "{what}: {:?}", since.elapsed());
}

/// Asks for a run and checks that it goes on behind the two pages that are committed.
fn goes_on_at_page_3(scene: &mut Scene, what: &str) {
    scene.api.clear_log();
    scene.app.exec("SELECT sluice.start_sync('product')");
    scene.wait_for_run("succeeded");
    assert_eq!(scene.api.pages_asked()[..2], [3, 4], "{what}");
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}

#[test]
fn a_terminated_worker_is_gone_within_a_second_and_its_run_goes_on_by_itself() {
    let cluster = Cluster::start();
    for how in EVERY_WAIT {
        let (mut scene, holder) = stuck(&cluster, how);
        free_gate_only(&mut scene);
        let (pid, since) = (scene.worker(), Instant::now());
        scene.admin.exec(&format!("SELECT pg_terminate_backend({pid})"));
        gone_promptly(&mut scene, pid, since, &format!("{how:?}"));
        free(&mut scene, holder);
        scene.wait_for_run("succeeded");
        assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
        let ends = scene
            .admin
            .text("SELECT string_agg(status || ' ' || source, ', ' ORDER BY id) FROM sluice.sync_runs");
        assert_eq!(ends, "interrupted manual, succeeded resume", "{how:?}");
        assert_eq!(
            scene.admin.number("SELECT sum(pages) FROM sluice._run"),
            7,
            "{how:?}: six pages and the empty one"
        );
    }
}

/// The sleeping trigger goes on sleeping; the next one does not.
fn free_gate_only(scene: &mut Scene) {
    free(scene, None);
}

#[test]
fn a_batch_that_is_tried_again_keeps_the_lock_of_its_job() {
    let cluster = Cluster::with(&[("sluice.lock_timeout", "2s")]);
    let (mut scene, holder) = stuck(&cluster, Stuck::Lock);
    scene.admin_waits("the batch was given up and waits for its next try", |db| {
        worker_waits_for(db, "Extension:Extension")
    });
    assert_eq!(scene.admin.number("SELECT count(*) FROM sluice._running_job"), 1);
    free(&mut scene, holder);
    scene.wait_for_run("succeeded");
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}

#[test]
fn a_cancelled_statement_ends_the_run_and_leaves_the_job_enabled() {
    let cluster = Cluster::start();
    for how in EVERY_WAIT {
        let (mut scene, holder) = stuck(&cluster, how);
        let (pid, since) = (scene.worker(), Instant::now());
        scene.admin.exec(&format!("SELECT pg_cancel_backend({pid})"));
        gone_promptly(&mut scene, pid, since, &format!("{how:?}"));
        free(&mut scene, holder);
        let told = scene.admin.rows("SELECT r.error_class, r.sqlstate, j.enabled FROM sluice.sync_runs r, sluice.sync_jobs j ORDER BY r.id LIMIT 1");
        assert_eq!(
            told.rows[0],
            ["cancelled", "57014", "t"].map(|text| Some(text.to_string())),
            "{how:?}"
        );
        goes_on_at_page_3(&mut scene, &format!("{how:?}"));
    }
}

#[test]
fn a_stopped_run_keeps_its_checkpoint_and_the_next_one_goes_on_there() {
    let cluster = Cluster::start();
    for how in EVERY_WAIT {
        let (mut scene, holder) = stuck(&cluster, how);
        let (pid, since) = (scene.worker(), Instant::now());
        assert_eq!(scene.app.number("SELECT sluice.stop_sync('product')"), 1);
        gone_promptly(&mut scene, pid, since, &format!("{how:?}"));
        scene.wait_for_run("stopped");
        assert_eq!(
            scene.admin.number("SELECT page_number FROM sluice._job_state"),
            3,
            "{how:?}"
        );
        free(&mut scene, holder);
        goes_on_at_page_3(&mut scene, &format!("{how:?}"));
    }
}

#[test]
fn a_paused_job_stops_promptly_refuses_to_start_and_goes_on_when_resumed() {
    let cluster = Cluster::start();
    for how in EVERY_WAIT {
        let (mut scene, holder) = stuck(&cluster, how);
        let (pid, since) = (scene.worker(), Instant::now());
        scene.app.exec("SELECT sluice.pause_job('product', 'stocktaking')");
        gone_promptly(&mut scene, pid, since, &format!("{how:?}"));
        scene.wait_for_run("stopped");
        let error = scene.app.error("SELECT sluice.start_sync('product')");
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("55000", "job \"product\" is paused")
        );
        assert_eq!(error.detail.as_deref(), Some("Reason: stocktaking."));
        let status = scene
            .app
            .rows("SELECT status, error_message, action FROM sluice.sync_status");
        assert_eq!(status.rows[0][0].as_deref(), Some("paused"), "{status}");
        free(&mut scene, holder);
        scene.app.exec("SELECT sluice.resume_job('product')");
        goes_on_at_page_3(&mut scene, &format!("{how:?}"));
    }
}

#[test]
fn a_job_dropped_in_mid_run_takes_its_worker_along_and_leaves_the_table() {
    let cluster = Cluster::start();
    for how in EVERY_WAIT {
        let (mut scene, holder) = stuck(&cluster, how);
        let (pid, since) = (scene.worker(), Instant::now());
        scene.app.exec("SELECT sluice.drop_job('product')");
        gone_promptly(&mut scene, pid, since, &format!("{how:?}"));
        free(&mut scene, holder);
        assert_eq!(scene.rows(), i64::try_from(2 * PAGE).expect("small"), "{how:?}");
        assert_eq!(scene.admin.number("SELECT count(*) FROM sluice._run"), 0, "{how:?}");
    }
}

#[test]
fn a_job_dropped_with_its_target_in_mid_run_leaves_nothing() {
    let cluster = Cluster::start();
    for how in [Stuck::Remote, Stuck::Trigger] {
        let (mut scene, _) = stuck(&cluster, how);
        let (pid, since) = (scene.worker(), Instant::now());
        scene.app.exec("SELECT sluice.drop_job('product', drop_target => true)");
        assert!(since.elapsed() <= PROMPT, "{how:?}: {:?}", since.elapsed());
        assert!(
            eventually(SOON, || !workers_of(&mut scene.admin).contains(&pid)),
            "{how:?}"
        );
        assert!(
            scene.admin.is_true("SELECT to_regclass('app.product') IS NULL"),
            "{how:?}"
        );
    }
}

#[test]
fn a_fast_stop_takes_at_most_five_seconds_and_the_run_goes_on_after_the_start() {
    for how in EVERY_WAIT {
        let mut cluster = Cluster::start();
        let (scene, holder) = stuck(&cluster, how);
        let since = Instant::now();
        cluster.stop(Stop::Fast);
        assert!(
            since.elapsed() <= Duration::from_secs(5),
            "{how:?}: {:?}",
            since.elapsed()
        );
        drop(holder);
        scene.api.clear_log();
        cluster.start_again();
        let mut db = cluster.db_as("postgres", &scene.database);
        open_gate(&mut db);
        went_on_by_itself(&mut db, &scene, how);
    }
}

/// Lets the trigger pass; the worker that sleeps in it is ended, and comes again.
fn open_gate(db: &mut Db) {
    if db.is_true("SELECT to_regclass('app.gate') IS NOT NULL") {
        db.exec("DELETE FROM app.gate");
        db.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    }
}

fn went_on_by_itself(db: &mut Db, scene: &Scene, how: Stuck) {
    wait_until(db, "the run has gone on by itself", SOON, |db| {
        crate::scene::run_status(db) == "succeeded"
    });
    // Where the holder of the lock is stopped first, a page or two more may have been written.
    let committed = "SELECT max(number) FROM sluice._page WHERE run_id = (SELECT min(run_id) FROM sluice._page)";
    let (first, committed) = (scene.api.pages_asked()[0], db.number(committed) as u64);
    assert_eq!(first, committed + 1, "{how:?}");
    assert!(committed == 2 || how == Stuck::Lock, "{how:?}: {committed}");
    assert_table_equals_source(db, "app.product", &scene.api);
}

#[test]
fn a_smart_stop_does_not_wait_for_the_remote() {
    let mut cluster = Cluster::start();
    let (scene, _) = stuck(&cluster, Stuck::Remote);
    let Scene { api, admin, app, .. } = scene;
    // A smart stop waits for clients: these must have left. Ours do not count as clients.
    drop((admin, app));
    let since = Instant::now();
    cluster.stop(Stop::Smart);
    assert!(since.elapsed() <= Duration::from_secs(5), "{:?}", since.elapsed());
    drop(api);
}

#[test]
fn an_immediate_stop_recovers_and_the_run_goes_on_by_itself() {
    for how in [Stuck::Remote, Stuck::Trigger] {
        let mut cluster = Cluster::start();
        let (scene, _) = stuck(&cluster, how);
        cluster.stop(Stop::Immediate);
        scene.api.clear_log();
        cluster.start_again();
        let mut db = cluster.db_as("postgres", &scene.database);
        open_gate(&mut db);
        went_on_by_itself(&mut db, &scene, how);
    }
}

/// a second after the postmaster. PostgreSQL's own processes leave by the same latches, and on a loaded machine they
/// take as long, so the second is counted from the last of them. The remote may still read the one request that was under way;
/// a run that went on would make dozens.
#[test]
fn a_killed_postmaster_takes_all_our_processes_along_and_nothing_is_asked_afterwards() {
    let mut cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    // A source without end: requests would go on for as long as anybody asked.
    scene.api.reset();
    scene.job_with("{\"min_delay\": \"20 ms\"}");
    scene
        .api
        .misbehave(sample_api::Fault::DelayHeaders(Duration::from_millis(20)));
    scene.api.add(10_000);
    scene.app.exec("SELECT sluice.start_sync('product')");
    assert!(scene.api.wait_for_requests(5, SOON));
    let ours = ["sluice launcher", "sluice worker"]
        .map(|name| scene.admin.pids(name))
        .concat();
    assert_eq!(ours.len(), 2, "{ours:?}");
    let (took, others_took) = cluster.crash_beside(&ours);
    assert!(
        took <= others_took + PROMPT,
        "{took:?}, the server's own {others_took:?}"
    );
    let asked = scene.api.requests().len();
    assert!(
        !scene.api.wait_for_requests(asked + 2, A_WHILE),
        "requests after the crash"
    );
    cluster.start_again();
}

#[test]
fn the_extension_is_dropped_while_sql_of_a_run_is_running() {
    let cluster = Cluster::start();
    for how in [Stuck::Trigger, Stuck::Lock] {
        let (mut scene, holder) = stuck(&cluster, how);
        let since = Instant::now();
        scene.admin.exec("BEGIN; DROP EXTENSION pg_sluice CASCADE");
        assert!(since.elapsed() <= PROMPT, "{how:?}: {:?}", since.elapsed());
        scene.admin.exec("ROLLBACK");
        free(&mut scene, holder);
        scene.wait_for_run("succeeded");
        assert_table_equals_source(&mut scene.app, "app.product", &scene.api);

        let (mut scene, _holder) = stuck(&cluster, how);
        let since = Instant::now();
        scene.admin.exec("DROP EXTENSION pg_sluice CASCADE");
        assert!(since.elapsed() <= PROMPT, "{how:?}: {:?}", since.elapsed());
        assert!(workers_of(&mut scene.admin).is_empty(), "{how:?}");
    }
}

#[test]
fn a_database_is_dropped_while_sql_of_its_run_is_running() {
    let cluster = Cluster::start();
    let (scene, _) = stuck(&cluster, Stuck::Trigger);
    let Scene {
        api: _api,
        admin,
        app,
        database,
    } = scene;
    drop((admin, app));
    let mut db = cluster.db();
    let clients = format!(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend'"
    );
    assert!(eventually(SOON, || db.is_true(&clients)), "our own sessions are gone");
    let since = Instant::now();
    db.exec(&format!("DROP DATABASE {database}"));
    assert!(since.elapsed() <= PROMPT, "{:?}", since.elapsed());
}
