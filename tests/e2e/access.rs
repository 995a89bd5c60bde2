//! Who may do what: the matrix of DESIGN section 8, and that nothing is granted beside it.

use crate::scene::{SOON, Scene, create_job, make_role};
use sluice_e2e::Cluster;

const LEVELS: [&str; 4] = ["monitor", "writer", "operator", "admin"];
/// Every view, with what names the job in it, or whose row it is; none where its rows are nobody's own.
const VIEWS: [(&str, Option<&str>); 24] = [
    ("error_rules", None),
    ("sync_allowed_origins", None),
    ("sync_audit_log", Some("(CASE object_type WHEN 'job' THEN object END)")),
    ("sync_connection_health", Some("data_type")),
    ("sync_connections", None),
    ("sync_drift", Some("data_type")),
    ("sync_event_rules", None),
    ("sync_failure_logs", Some("data_type")),
    // Its one row is counted over the caller's jobs.
    ("sync_figures", None),
    ("sync_held", Some("data_type")),
    ("sync_ingest", Some("data_type")),
    ("sync_jobs", Some("name")),
    ("sync_metadata", Some("data_type")),
    ("sync_metrics", Some("data_type")),
    ("sync_parents", Some("data_type")),
    ("sync_progress", Some("data_type")),
    ("sync_rate_limits", None),
    ("sync_rejects", Some("data_type")),
    ("sync_retry_queue", Some("data_type")),
    ("sync_runs", Some("data_type")),
    ("sync_secrets", Some("replace(name, 'token_of_', '')")),
    ("sync_snapshots", Some("data_type")),
    ("sync_status", Some("data_type")),
    ("sync_undo", Some("data_type")),
];

/// Rows for both people's jobs in every view that the scene leaves empty.
const FILL: &str = "
    INSERT INTO sluice._run (job_id, source, requested_by, status, finished_at) SELECT id, 'manual', 'x', 'held', now() FROM sluice._job;
    INSERT INTO sluice._reject (job_id, run_id, generation, page, position, key_form, sqlstate, error_message, raw, raw_bytes)
    SELECT id, 1, 1, 1, 1, 'x', '22032', 'x', 'x', 1 FROM sluice._job;
    INSERT INTO sluice._drift (job_id, field, kind, place, first_seen_at, last_seen_at, generation, sample_type, seen_count)
    SELECT id, 'x', 'new_field', 'x', now(), now(), 1, 'string', 1 FROM sluice._job;
    INSERT INTO sluice._failure (job_id, run_id, failed_at, error_class, sqlstate, error_message, default_class, basis, next_step)
    SELECT id, 1, now(), 'network', '08006', 'x', 'network', 'x', 'queued' FROM sluice._job;
    INSERT INTO sluice._retry (job_id, operation, status, priority, max_retries, run_id, error_class, sqlstate, last_error_message)
    SELECT id, 'sync', 'dead', 'normal', 3, 1, 'network', '08006', 'x' FROM sluice._job;
    INSERT INTO sluice._snapshot (job_id, label, made_by, columns, types, mapped, key, position, created_by)
    SELECT id, 'x', 1, '{id}', '{bigint}', '{id}', '{id}', '{}', 'x' FROM sluice._job;
    INSERT INTO sluice._ingest (job_id, payload, bytes, queued_by, status) SELECT id, '{}', 2, 'x', 'failed' FROM sluice._job;
    INSERT INTO sluice._parent (job_id, generation, ordinal, identity, columns)
    SELECT job_id, generation, 1, 'x', '{}' FROM sluice._job_state";

/// Every function that users call, with the levels that may: m(onitor), w(riter), o(perator), a(dmin).
const FUNCTIONS: [(&str, &str); 67] = [
    ("allow_origin", "a"),
    ("alter_job", "wa"),
    ("approve", "woa"),
    ("arm", "a"),
    ("cleanup", "oa"),
    ("clear_queue", "woa"),
    ("create_connection", "wa"),
    ("create_job", "wa"),
    ("create_snapshot", "woa"),
    ("discard", "woa"),
    ("discover", "wa"),
    ("drop_connection", "wa"),
    ("drop_event_rule", "a"),
    ("drop_error_rule", "a"),
    ("drop_ingest", "woa"),
    ("drop_job", "wa"),
    ("drop_secret", "wa"),
    ("drop_snapshot", "wa"),
    ("explain_error", "mwoa"),
    ("force_sync_all", "woa"),
    ("forget_connection_health_status", "a"),
    ("get_connection_health", "mwoa"),
    ("get_retry_queue", "mwoa"),
    ("get_sync_metrics", "mwoa"),
    ("get_sync_status", "mwoa"),
    ("get_sync_system_health", "mwoa"),
    ("grant_access", "a"),
    ("grant_secret", "wa"),
    ("begin_oauth", "wa"),
    ("rotate_key", "a"),
    ("forget_secrets", "a"),
    ("finish_oauth", "wa"),
    ("ingest", "wa"),
    ("install_cron_jobs", "oa"),
    ("is_recoverable_error", "mwoa"),
    ("on_event", "a"),
    ("optimize_sync", "woa"),
    ("pause_connection", "woa"),
    ("pause_job", "woa"),
    ("plan_from_openapi", "wa"),
    ("preview", "wa"),
    ("preview_rollback", "woa"),
    ("process_sync_retries", "oa"),
    ("redrive", "woa"),
    ("remove_cron_jobs", "oa"),
    ("repair_sync", "woa"),
    ("replay", "wa"),
    ("replay_rejects", "woa"),
    ("restore_snapshot", "woa"),
    ("resume_connection", "woa"),
    ("resume_job", "woa"),
    ("retry_ingest", "woa"),
    ("retry_now", "woa"),
    ("revoke_access", "a"),
    ("revoke_origin", "a"),
    ("rollback_to", "woa"),
    ("self_test", "mwoa"),
    ("set_error_rule", "a"),
    ("set_secret", "wa"),
    ("set_secret_source", "wa"),
    ("start_sync", "woa"),
    ("stop_sync", "woa"),
    ("sync", "woa"),
    ("test_connection", "wa"),
    ("update_connection_health_status", "a"),
    ("pg_sluice_handler", ""),
    ("pg_sluice_validator", ""),
];

/// A scene with one role a level, a second writer, and a stranger; `alice` and `bob` have a job each, which has run.
fn scene() -> (Cluster, Scene) {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    for level in LEVELS {
        make_role(&mut scene.admin, &format!("a_{level}"));
        scene
            .admin
            .exec(&format!("SELECT sluice.grant_access('a_{level}', '{level}')"));
    }
    make_role(&mut scene.admin, "stranger");
    for writer in ["alice", "bob"] {
        make_role(&mut scene.admin, writer);
        scene.admin.exec(&format!(
            "SELECT sluice.grant_access('{writer}', 'writer'); GRANT USAGE ON FOREIGN SERVER shop TO {writer}; \
             CREATE SCHEMA {writer} AUTHORIZATION {writer}"
        ));
        let mut db = cluster.db_as(writer, &scene.database);
        db.exec(&format!("CREATE TABLE {writer}.{writer} {}", crate::scene::PRODUCT));
        db.exec(&create_job(writer, "{}").replace("app.", &format!("{writer}.")));
        db.exec(&format!("CALL sluice.sync('{writer}')"));
        db.exec(&format!(
            "SELECT sluice.set_secret('token_of_{writer}', 'x', origin => '{}')",
            scene.api.url()
        ));
    }
    (cluster, scene)
}

/// S-50.
#[test]
fn each_level_may_execute_what_the_matrix_says_and_nothing_else() {
    let (_cluster, mut scene) = scene();
    let named = "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'sluice'::regnamespace AND proname !~ '^_' ORDER BY 1";
    let there: Vec<String> = scene.admin.rows(named).rows.into_iter().flatten().flatten().collect();
    let mut known: Vec<&str> = FUNCTIONS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| there.iter().any(|t| t == name))
        .collect();
    known.sort_unstable();
    assert_eq!(there, known, "a new function needs a line in the matrix");
    for (name, levels) in FUNCTIONS {
        for level in LEVELS {
            let may = format!(
                "SELECT bool_and(has_function_privilege('a_{level}', p.oid, 'EXECUTE')) FROM pg_proc p \
                 WHERE p.pronamespace = 'sluice'::regnamespace AND p.proname = '{name}'"
            );
            if let Some(may) = scene.admin.value(&may) {
                assert_eq!(may == "t", levels.contains(&level[..1]), "{name} as {level}");
            }
        }
        let stranger = format!(
            "SELECT bool_or(has_function_privilege('stranger', p.oid, 'EXECUTE')) FROM pg_proc p \
             WHERE p.pronamespace = 'sluice'::regnamespace AND p.proname = '{name}'"
        );
        assert_ne!(
            scene.admin.value(&stranger).as_deref(),
            Some("t"),
            "{name} as a stranger"
        );
    }
}

/// S-4.
#[test]
fn nothing_of_ours_is_granted_to_everybody_and_no_table_to_anybody() {
    let (_cluster, mut scene) = scene();
    let everybody = scene.admin.rows(
        "SELECT 'function', p.oid::regprocedure::text FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a \
         WHERE p.pronamespace = 'sluice'::regnamespace AND a.grantee = 0 \
         UNION ALL SELECT 'relation', c.oid::regclass::text FROM pg_class c, aclexplode(c.relacl) a \
         WHERE c.relnamespace = 'sluice'::regnamespace AND a.grantee = 0 \
         UNION ALL SELECT 'schema', n.nspname FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'sluice' AND a.grantee = 0 \
         UNION ALL SELECT 'wrapper', w.fdwname FROM pg_foreign_data_wrapper w, aclexplode(w.fdwacl) a WHERE w.fdwname = 'pg_sluice' AND a.grantee = 0",
    );
    assert!(everybody.rows.is_empty(), "{everybody}");
    let tables = scene.admin.rows(
        "SELECT c.relname, a.grantee::regrole, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a \
         WHERE c.relnamespace = 'sluice'::regnamespace AND a.grantee <> c.relowner \
           AND NOT (c.relkind = 'v' AND (c.relname LIKE 'sync\\_%' OR c.relname = 'error_rules') AND a.privilege_type = 'SELECT') \
           AND NOT (c.relname = 'error_rules' AND a.grantee = 'a_admin'::regrole AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))",
    );
    assert!(tables.rows.is_empty(), "{tables}");
}

/// S-5.
#[test]
fn our_tables_cannot_be_read_written_or_given_triggers_by_any_level() {
    let (cluster, mut scene) = scene();
    let tables: Vec<String> = scene
        .admin
        .rows("SELECT tablename FROM pg_tables WHERE schemaname = 'sluice'")
        .rows
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    for role in ["a_monitor", "a_writer", "a_operator", "a_admin", "alice"] {
        let mut db = cluster.db_as(role, &scene.database);
        db.exec("CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
        for table in &tables {
            for sql in [
                format!("SELECT FROM sluice.{table}"),
                format!("INSERT INTO sluice.{table} DEFAULT VALUES"),
                format!("DELETE FROM sluice.{table}"),
                format!("TRUNCATE sluice.{table}"),
                format!("CREATE TRIGGER t BEFORE INSERT ON sluice.{table} FOR EACH ROW EXECUTE FUNCTION pg_temp.f()"),
                format!("COPY sluice.{table} TO STDOUT"),
                format!("ALTER TABLE sluice.{table} ADD COLUMN x int"),
            ] {
                assert_eq!(db.error(&sql).sqlstate, "42501", "{role}: {sql}");
            }
        }
    }
}

/// S-16.
#[test]
fn writers_see_their_own_rows_and_monitors_and_operators_see_all() {
    let (cluster, mut scene) = scene();
    scene.admin.exec(FILL);
    let every = "SELECT string_agg(viewname, ' ' ORDER BY viewname) FROM pg_views WHERE schemaname = 'sluice' AND viewname NOT LIKE '\\_%'";
    assert_eq!(scene.admin.text(every), VIEWS.map(|(view, _)| view).join(" "));
    for (view, owner) in VIEWS {
        let stranger = cluster
            .db_as("stranger", &scene.database)
            .error(&format!("SELECT * FROM sluice.{view}"));
        assert_eq!(stranger.sqlstate, "42501", "{view}: {stranger}");
        // Only what is alive has progress; nothing runs here.
        let Some(owner) = owner.filter(|_| view != "sync_progress") else {
            continue;
        };
        let names = |role: &str| {
            let sql =
                format!("SELECT string_agg(DISTINCT {owner}, ' ') FROM sluice.{view} WHERE {owner} ~ 'alice|bob'");
            cluster.db_as(role, &scene.database).value(&sql).unwrap_or_default()
        };
        assert_eq!(names("alice"), "alice", "{view} as alice");
        assert_eq!(names("a_writer"), "", "{view} as another writer");
        for role in ["a_monitor", "a_operator", "a_admin"] {
            // Secrets are for their owners and for who may change them.
            let is_for_all = view != "sync_secrets" || role == "a_admin";
            assert_eq!(
                names(role),
                if is_for_all { "alice bob" } else { "" },
                "{view} as {role}"
            );
        }
    }
    let mut db = cluster.db_as("alice", &scene.database);
    assert_eq!(
        db.text("SELECT jsonb_path_query_array(sluice.get_sync_status(), '$.jobs[*].data_type')"),
        "[\"alice\"]"
    );
}

/// Calls on the job of bob, each with what it needs.
const ON_A_JOB: [&str; 9] = [
    "SELECT sluice.start_sync('bob')",
    "CALL sluice.sync('bob')",
    "SELECT sluice.stop_sync('bob')",
    "SELECT sluice.pause_job('bob')",
    "SELECT sluice.resume_job('bob')",
    "SELECT * FROM sluice.preview_rollback('bob')",
    "CALL sluice.rollback_to('bob', resume => true)",
    "CALL sluice.replay_rejects('bob')",
    "SELECT sluice.stop_sync('bob')",
];

#[test]
fn a_writer_cannot_touch_the_job_of_another_and_an_operator_runs_it_but_does_not_change_it() {
    let (cluster, scene) = scene();
    let mut alice = cluster.db_as("alice", &scene.database);
    let changes = [
        "SELECT sluice.alter_job('bob', path => '/other')",
        "SELECT sluice.drop_job('bob', drop_target => true)",
    ];
    for sql in ON_A_JOB.iter().chain(&changes) {
        let error = alice.error(sql);
        let as_if_absent = alice.error(&sql.replace("'bob'", "'bab'"));
        assert_eq!(error.message, "job \"bob\" does not exist", "{sql}");
        assert_eq!(as_if_absent.message, "job \"bab\" does not exist", "{sql}");
        assert_eq!(
            (&error.sqlstate, &error.detail, &error.hint),
            (&as_if_absent.sqlstate, &as_if_absent.detail, &as_if_absent.hint),
            "{sql}"
        );
    }
    assert_eq!(alice.number("SELECT sluice.force_sync_all()"), 1, "only her own");
    let mut operator = cluster.db_as("a_operator", &scene.database);
    for sql in changes {
        assert_eq!(operator.error(sql).sqlstate, "42501", "{sql}");
    }
    for sql in ON_A_JOB {
        operator.exec(sql);
    }
    // A job writes as the table's owner: who cannot become that role cannot make one for it.
    let stolen = create_job("stolen", "{}").replace("app.stolen", "bob.bob");
    let error = alice.error(&stolen);
    assert_eq!(error.sqlstate, "42501", "{error}");
    let mut monitor = cluster.db_as("a_monitor", &scene.database);
    for sql in ON_A_JOB.iter().chain(&changes) {
        assert_eq!(monitor.error(sql).sqlstate, "42501", "{sql}");
    }
}

#[test]
fn runs_and_workers_of_jobs_that_one_does_not_see_are_not_there() {
    let (cluster, mut scene) = scene();
    let mut alice = cluster.db_as("alice", &scene.database);
    let run = scene
        .admin
        .text("SELECT max(id) FROM sluice.sync_runs WHERE data_type = 'bob'");
    for sql in ["SELECT sluice.discard({run})", "CALL sluice.approve({run})"] {
        let error = alice.error(&sql.replace("{run}", &run));
        assert_eq!(error.message, format!("run {run} does not exist"), "{error}");
    }
    scene.api.hold_page(1);
    let mut bob = cluster.db_as("bob", &scene.database);
    bob.exec("SELECT sluice.start_sync('bob')");
    assert!(scene.api.wait_until_held(1, SOON));
    for (db, workers) in [(&mut alice, 0), (&mut bob, 1), (&mut scene.admin, 1)] {
        assert_eq!(db.number("SELECT count(*) FROM sluice._workers()"), workers);
    }
    bob.exec("SELECT sluice.stop_sync('bob')");
}

#[test]
fn what_an_error_quotes_of_the_data_is_shown_to_those_who_may_read_it() {
    let (cluster, scene) = scene();
    let mut bob = cluster.db_as("bob", &scene.database);
    bob.exec("SELECT sluice.alter_job('bob', settings => '{\"on_bad_record\": \"fail\"}')");
    scene.api.change_ids(&[1]);
    let name = "SELECT name FROM bob.bob WHERE id = 1";
    let name = bob.text(name);
    let texts = "SELECT concat_ws(' ', r, s, h) FROM sluice.sync_runs AS r JOIN sluice.sync_status AS s USING (data_type)
         JOIN sluice.sync_connection_health AS h USING (data_type) WHERE r.data_type = 'bob' ORDER BY r.id DESC LIMIT 1";
    // The usual code, and one that the trigger's author made up.
    for (code, shown) in [("P0001", "P0001"), ("ZZ123", "XX000")] {
        bob.exec(&format!(
            "CREATE OR REPLACE FUNCTION bob.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE 'no % here', NEW.name USING DETAIL = NEW.name, HINT = NEW.name, ERRCODE = '{code}'; END $$;
             CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE ON bob.bob FOR EACH ROW EXECUTE FUNCTION bob.refuse()"
        ));
        let told = bob.error("CALL sluice.sync('bob')");
        assert!(told.to_string().contains(&name), "{told}");
        assert!(bob.text(texts).contains(&name), "the owner sees it");
        for role in ["a_monitor", "a_operator", "a_admin"] {
            let mut db = cluster.db_as(role, &scene.database);
            let seen = db.text(texts);
            assert!(!seen.contains(&name) && seen.contains(shown), "{role}: {seen}");
        }
        let told = cluster
            .db_as("a_operator", &scene.database)
            .error("CALL sluice.sync('bob')");
        assert!(!told.to_string().contains(&name), "{told}");
        assert_eq!(told.sqlstate, shown, "{told}");
    }

    // What is wrong with an answer as a whole quotes nothing, but for its detail.
    bob.exec("DROP TRIGGER refuse ON bob.bob");
    bob.exec("CALL sluice.sync('bob')");
    let body = b"<html>canary</html>".to_vec();
    let headers = Vec::new();
    scene.api.misbehave(sample_api::Fault::Answer {
        status: 200,
        headers,
        body,
    });
    bob.error("CALL sluice.sync('bob')");
    let last = "SELECT sqlstate || ' ' || error_message || coalesce(' ' || error_detail, '') FROM sluice.sync_runs
         WHERE data_type = 'bob' ORDER BY id DESC LIMIT 1";
    assert!(bob.text(last).contains("canary"), "{}", bob.text(last));
    let seen = cluster.db_as("a_monitor", &scene.database).text(last);
    assert_eq!(seen, "22032 the answer is an HTML page, not JSON");
}

/// What a remote says when it refuses may quote as well: a call tells no more of it than the views do.
#[test]
fn what_a_remote_said_is_told_to_the_owner_by_call_and_to_nobody_else() {
    let (cluster, scene) = scene();
    let (headers, body) = (Vec::new(), b"{\"error\": \"canary\"}".to_vec());
    scene.api.misbehave(sample_api::Fault::Answer {
        status: 401,
        headers,
        body,
    });
    let told = |role: &str| {
        let mut db = cluster.db_as(role, &scene.database);
        db.error("CALL sluice.sync('bob')").to_string()
    };
    assert!(told("bob").contains("canary"), "{}", told("bob"));
    assert!(!told("a_operator").contains("canary"), "{}", told("a_operator"));
    // Nor does a stranger learn of rates and breakers by the oid of a connection.
    let budget = "SELECT count(b) FROM pg_foreign_server AS s, sluice._budget_seen(s.oid) AS b";
    let mut stranger = cluster.db_as("a_writer", &scene.database);
    let may = "SELECT count(*) FROM pg_foreign_server AS s WHERE has_server_privilege(s.oid, 'USAGE')";
    assert_eq!(stranger.number(budget), stranger.number(may));
    assert_eq!(stranger.error(&budget.replace("_seen", "")).sqlstate, "42501");
}

#[test]
fn a_revoked_level_takes_everything_back() {
    let (_cluster, mut scene) = scene();
    for level in LEVELS {
        scene.admin.exec(&format!("SELECT sluice.revoke_access('a_{level}')"));
        scene.admin.exec(&format!("DROP ROLE a_{level}"));
    }
}
