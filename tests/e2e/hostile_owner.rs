//! An owner who attacks: nothing that it puts in the way of a run ever runs with more than its own rights (S-9 to S-14).

use crate::scene::{Scene, create_job};
use sluice_e2e::{Cluster, assert_table_equals_source};

/// Operators and functions that an owner puts before those of the server. Each tells the log when it runs as superuser.
const HOSTILE_SCHEMA: &str = r#"
CREATE SCHEMA evil;
CREATE FUNCTION evil.tell(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) current_user) THEN
        RAISE LOG 'CAUGHT % as %', what, current_user;
    ELSE
        RAISE LOG 'called % as %', what, current_user;
    END IF;
END $$;
DO $$
DECLARE t text; u text; o text;
BEGIN
    FOR t, u IN VALUES ('bigint', 'bigint'), ('bigint', 'integer'), ('integer', 'integer'), ('text', 'text'), ('name', 'name'),
                       ('oid', 'oid'), ('timestamptz', 'timestamptz'), ('bytea', 'bytea'), ('boolean', 'boolean'), ('name', 'text') LOOP
        FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>='] LOOP
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION evil.%I(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
                 PERFORM evil.tell(%L); RETURN $1 OPERATOR(pg_catalog.%s) $2; END $f$;
                 CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)',
                o, t, u, o || ' ' || t || ' ' || u, o, o, t, u, o);
        END LOOP;
    END LOOP;
END $$;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('now'); RETURN pg_catalog.now(); END $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('clock'); RETURN pg_catalog.clock_timestamp(); END $$;
CREATE FUNCTION evil.date_part(text, interval) RETURNS double precision LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('date_part'); RETURN pg_catalog.date_part($1, $2); END $$;
CREATE FUNCTION evil.encode(bytea, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.tell('encode'); RETURN pg_catalog.encode($1, $2); END $$;
CREATE FUNCTION evil.greatest_page(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION evil.jsonb_build_object(VARIADIC "any") RETURNS jsonb LANGUAGE internal AS 'jsonb_build_object';
"#;

#[test]
fn operators_and_functions_of_the_owners_search_path_are_never_called_as_superuser() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    let hostile = HOSTILE_SCHEMA.replace(
        "CREATE FUNCTION evil.jsonb_build_object(VARIADIC \"any\") RETURNS jsonb LANGUAGE internal AS 'jsonb_build_object';",
        "",
    );
    scene
        .admin
        .exec(&format!("GRANT CREATE ON DATABASE {} TO app", scene.database));
    scene.app.exec(&hostile);
    scene.app.exec("ALTER ROLE app SET search_path = evil, pg_catalog, app");
    // From now on each session of the role, the worker's too, finds the hostile ones first.
    scene.app = cluster.db_as("app", &scene.database);
    scene.app.exec("SELECT 1::bigint = 1::bigint");
    assert!(
        cluster.log().contains("called = bigint bigint as app"),
        "the trap works"
    );
    let told = cluster.log().len();

    scene.job();
    scene.sync();
    scene.api.change(50.0, 1);
    scene.api.remove(10.0, 2);
    scene.sync();
    scene.app.exec("SELECT * FROM sluice.preview_rollback('product')");
    scene.app.exec("CALL sluice.rollback_to('product', resume => true)");
    scene
        .app
        .exec("SELECT sluice.pause_job('product'); SELECT sluice.resume_job('product')");
    scene.app.exec("SELECT sluice.alter_job('product', priority => 'high'); SELECT sluice.stop_sync(); SELECT sluice.get_sync_status()");
    scene.app.exec(&format!(
        "SELECT sluice.set_secret('token', 'x', origin => '{}')",
        scene.api.url()
    ));
    for view in [
        "sync_status",
        "sync_jobs",
        "sync_runs",
        "sync_connection_health",
        "sync_undo",
        "sync_drift",
        "sync_secrets",
    ] {
        scene.app.exec(&format!("SELECT * FROM sluice.{view}"));
    }
    scene.sync();
    scene.app.exec("SELECT sluice.drop_job('product')");
    let log = cluster.log();
    let caught: Vec<&str> = log[told..].lines().filter(|line| line.contains("CAUGHT")).collect();
    assert!(caught.is_empty(), "{caught:#?}");
}

/// S-9: a domain's check, also below an array, and a column's default are the owner's code.
#[test]
fn who_previews_a_rollback_runs_nothing_of_the_owners_with_rights_of_its_own() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.app.exec(
        "CREATE FUNCTION app.watch(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
         BEGIN
             RAISE LOG '% % as %', CASE WHEN (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user)
                                        THEN 'CAUGHT' ELSE 'called' END, value, current_user;
             RETURN value;
         END $$;
         CREATE DOMAIN app.watched AS text CHECK (app.watch(VALUE) IS NOT NULL);
         ALTER TABLE product ALTER COLUMN name TYPE app.watched, ADD COLUMN tags app.watched[]",
    );
    scene.job();
    scene.sync();
    scene.app.exec("UPDATE product SET tags = '{below}' WHERE id = 1");
    scene.api.remove_ids(&[1]);
    scene.api.change_ids(&[2]);
    scene.api.add(1);
    scene.sync();
    scene.sync();
    // Rows that were there have NULL, and are not said to be filled; looking at that computes the default.
    scene.app.exec("ALTER TABLE product ADD COLUMN late text");
    scene
        .app
        .exec("ALTER TABLE product ALTER COLUMN late SET DEFAULT app.watch('late')");
    let before = scene.admin.number("SELECT min(id) FROM sluice.sync_runs");
    let preview = format!(
        "SELECT concat_ws(' ', inserted, updated, deleted) FROM sluice.preview_rollback('product', {before}) WHERE run_id IS NULL"
    );
    let told = cluster.log().len();
    let foreseen = scene.admin.text(&preview);
    assert_eq!(foreseen, scene.app.text(&preview));
    assert_eq!(foreseen, "1 1 1");
    let log = cluster.log();
    assert!(log[told..].contains("called below as app"), "the trap works");
    let caught: Vec<&str> = log[told..].lines().filter(|line| line.contains("CAUGHT")).collect();
    assert!(caught.is_empty(), "{caught:#?}");
    scene.app.exec(&format!("CALL sluice.rollback_to('product', {before})"));
    assert_eq!(scene.rows(), 60);
}

/// What a trigger tries in order to become more than it is; each attempt is noted with how it ended.
const HOSTILE_TRIGGER: &str = r#"
CREATE TABLE app.tried (statement text, outcome text, session_name text, current_name text);
CREATE FUNCTION app.attack() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE s text; o text;
BEGIN
    FOREACH s IN ARRAY ARRAY['RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres',
        'SET SESSION AUTHORIZATION DEFAULT', 'ALTER ROLE app SUPERUSER', 'SET LOCAL ROLE NONE', 'SET search_path = app',
        'CREATE ROLE gained SUPERUSER', 'UPDATE sluice._job SET name = name', 'SET session_replication_role = replica',
        'COPY (SELECT 1) TO PROGRAM ''true''', 'SELECT pg_read_file(''postgresql.conf'')'] LOOP
        BEGIN
            EXECUTE s;
            o := 'done';
        EXCEPTION WHEN OTHERS THEN
            o := SQLSTATE;
        END;
        -- Whatever has worked: is there more to be had now?
        BEGIN
            EXECUTE 'ALTER ROLE app SUPERUSER';
            o := 'GAINED by ' || s;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
        INSERT INTO app.tried VALUES (s, o, session_user, current_user);
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER attack BEFORE INSERT OR UPDATE ON app.product FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION app.attack();
CREATE CONSTRAINT TRIGGER attack_late AFTER INSERT OR UPDATE ON app.product DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION app.attack();
"#;

fn the_attack_gains_nothing(scene: &mut Scene) {
    scene.sync();
    scene.api.change_ids(&[1, 2]);
    scene.sync();
    assert_table_equals_source(&mut scene.admin, "app.product", &scene.api);
    let tried = scene
        .admin
        .rows("SELECT DISTINCT statement, outcome, session_name, current_name FROM app.tried ORDER BY 1");
    assert_eq!(
        scene.admin.number("SELECT count(DISTINCT statement) FROM app.tried"),
        13,
        "{tried}"
    );
    let rounds = scene
        .admin
        .number("SELECT count(*) FROM app.tried WHERE statement = 'RESET ROLE'");
    assert!(rounds >= 4, "both triggers in both runs: {rounds}");
    let names = scene
        .admin
        .rows("SELECT DISTINCT session_name, current_name FROM app.tried");
    assert_eq!(
        names.rows,
        [["app", "app"].map(|name| Some(name.to_string()))],
        "{tried}"
    );
    assert_eq!(
        scene
            .admin
            .number("SELECT count(*) FROM app.tried WHERE outcome ~ 'GAINED'"),
        0,
        "{tried}"
    );
    for refused in [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER ROLE app SUPERUSER",
        "CREATE ROLE gained SUPERUSER",
    ] {
        let done = format!("SELECT count(*) FROM app.tried WHERE outcome = 'done' AND statement = '{refused}'");
        assert_eq!(scene.admin.number(&done), 0, "{tried}");
    }
    let supers = "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolsuper";
    assert_eq!(scene.admin.text(supers), "postgres");
}

#[test]
fn a_trigger_that_wants_to_be_superuser_gains_nothing() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.app.exec(HOSTILE_TRIGGER);
    scene.job();
    the_attack_gains_nothing(&mut scene);
}

#[test]
fn a_trigger_of_an_owner_without_login_gains_nothing_either() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.app.exec(HOSTILE_TRIGGER);
    scene.job();
    // The session of `app` that is open stays; the workers can no longer log in as it.
    scene.admin.exec("ALTER ROLE app NOLOGIN");
    the_attack_gains_nothing(&mut scene);
}

#[test]
fn a_superusers_table_with_an_ordinary_roles_trigger_is_refused() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene
        .admin
        .exec(&format!("CREATE TABLE public.official {}", crate::scene::PRODUCT));
    scene
        .admin
        .exec("GRANT ALL ON public.official TO app; GRANT USAGE ON SCHEMA public TO app");
    scene.app.exec(
        "CREATE FUNCTION app.trap() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN EXECUTE 'ALTER ROLE app SUPERUSER'; RETURN NEW; END $$; \
         CREATE TRIGGER trap BEFORE INSERT ON public.official FOR EACH ROW EXECUTE FUNCTION app.trap()",
    );
    scene
        .admin
        .exec(&create_job("official", "{}").replace("app.official", "public.official"));
    let refused = |scene: &mut Scene, detail: &str, hint: &str| {
        let error = scene.admin.error("CALL sluice.sync('official')");
        assert_eq!(error.sqlstate, "42501", "{error}");
        assert!(
            error.detail.as_deref().is_some_and(|text| text.contains(detail)),
            "{error}"
        );
        assert_eq!(error.hint.as_deref(), Some(hint), "{error}");
        assert_eq!(
            scene
                .admin
                .text("SELECT error_class FROM sluice.sync_runs ORDER BY id DESC LIMIT 1"),
            "config"
        );
    };
    // A foreign key's action would write to the referencing table, and its triggers would run.
    refused(
        &mut scene,
        "grant of REFERENCES public.official to app",
        "REVOKE REFERENCES ON public.official FROM app;",
    );
    scene.admin.exec("REVOKE REFERENCES ON official FROM app");
    refused(
        &mut scene,
        "grant of TRIGGER public.official to app",
        "REVOKE TRIGGER ON public.official FROM app;",
    );
    scene.admin.exec("REVOKE TRIGGER ON official FROM app");
    refused(
        &mut scene,
        "function app.trap()",
        "ALTER TABLE public.official OWNER TO app;",
    );
    assert!(scene.api.requests().is_empty());
    assert_eq!(scene.admin.number("SELECT count(*) FROM public.official"), 0);
    scene.admin.exec("DROP TRIGGER trap ON official");
    scene.admin.exec("CALL sluice.sync('official')");
}

#[test]
fn a_superusers_table_with_an_ordinary_roles_cascade_is_refused() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene
        .admin
        .exec(&format!("CREATE TABLE public.official {}", crate::scene::PRODUCT));
    scene
        .admin
        .exec("GRANT ALL ON public.official TO app; GRANT USAGE ON SCHEMA public TO app");
    scene
        .app
        .exec("CREATE TABLE app.child (id bigint REFERENCES public.official ON DELETE CASCADE)");
    scene
        .admin
        .exec("REVOKE ALL ON public.official FROM app; GRANT SELECT ON public.official TO app");
    scene
        .admin
        .exec(&create_job("official", "{}").replace("app.official", "public.official"));
    let error = scene.admin.error("CALL sluice.sync('official')");
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert!(error.to_string().contains("app.child"), "{error}");
    assert!(scene.api.requests().is_empty());
}

/// Every place where a superuser's table may lead to code of `app`: (how it is made, how it is taken away, what is named).
const LEADS_TO_CODE_OF_APP: [(&str, &str, &str); 9] = [
    (
        "ALTER TABLE official ADD COLUMN extra integer DEFAULT app.number()",
        "ALTER TABLE official DROP COLUMN extra",
        "app.number()",
    ),
    (
        "ALTER TABLE official ADD COLUMN extra integer GENERATED ALWAYS AS (app.number()) STORED",
        "ALTER TABLE official DROP COLUMN extra",
        "app.number()",
    ),
    (
        "ALTER TABLE official ADD CONSTRAINT lead CHECK (app.number() IS NOT NULL)",
        "ALTER TABLE official DROP CONSTRAINT lead",
        "app.number()",
    ),
    (
        "ALTER TABLE official ADD CONSTRAINT lead CHECK (stock OPERATOR(app.##) 1)",
        "ALTER TABLE official DROP CONSTRAINT lead",
        "app.same(integer,integer)",
    ),
    (
        "CREATE INDEX lead ON official ((stock OPERATOR(pg_catalog.+) app.number()))",
        "DROP INDEX lead",
        "app.number()",
    ),
    (
        "CREATE INDEX lead ON official (id) WHERE stock OPERATOR(app.##) 1",
        "DROP INDEX lead",
        "app.same(integer,integer)",
    ),
    (
        "CREATE TRIGGER lead BEFORE UPDATE ON official FOR EACH ROW WHEN (NEW.stock OPERATOR(app.##) 1)
             EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP TRIGGER lead ON official",
        "app.same(integer,integer)",
    ),
    (
        "ALTER TABLE official ADD COLUMN extra app.checked[]",
        "ALTER TABLE official DROP COLUMN extra",
        "app.",
    ),
    (
        "CREATE TYPE pair AS (a integer, b app.checked); ALTER TABLE official ADD COLUMN extra pair",
        "DROP TYPE pair CASCADE",
        "app.",
    ),
];

/// S-13: whatever leads to code that an ordinary role can change keeps a worker from writing as superuser.
#[test]
fn a_superusers_table_that_leads_to_an_ordinary_roles_code_in_any_way_is_refused() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.app.exec(
        "CREATE FUNCTION app.number() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
         CREATE FUNCTION app.same(integer, integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
         CREATE OPERATOR app.## (LEFTARG = integer, RIGHTARG = integer, FUNCTION = app.same);
         CREATE DOMAIN app.checked AS integer",
    );
    scene.admin.exec(&format!(
        "SET search_path = public; CREATE TABLE official {}",
        crate::scene::PRODUCT
    ));
    scene
        .admin
        .exec(&create_job("official", "{}").replace("app.official", "public.official"));
    scene.admin.exec("CALL sluice.sync('official')");
    scene.api.clear_log();
    for (make, take_away, named) in LEADS_TO_CODE_OF_APP {
        scene.admin.exec(make);
        let error = scene.admin.error("CALL sluice.sync('official')");
        assert_eq!(error.sqlstate, "42501", "{make}: {error}");
        assert!(
            error.detail.as_deref().is_some_and(|detail| detail.contains(named)),
            "{make}: {error}"
        );
        scene.admin.exec(take_away);
    }
    assert!(scene.api.requests().is_empty());
    scene.admin.exec("CALL sluice.sync('official')");
}

/// S-14: a job writes for the role that made it, wherever its table goes.
#[test]
fn a_table_that_is_given_to_a_role_which_the_jobs_owner_cannot_become_is_written_no_more() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.sync();
    crate::scene::make_role(&mut scene.admin, "heir");
    scene
        .admin
        .exec("GRANT USAGE, CREATE ON SCHEMA app TO heir; ALTER TABLE app.product OWNER TO heir");
    scene.api.clear_log();
    let error = scene.app.error("CALL sluice.sync('product')");
    assert_eq!(error.sqlstate, "42501", "{error}");
    let detail = error.detail.clone().unwrap_or_default();
    assert!(detail.contains("\"heir\"") && detail.contains("\"app\""), "{error}");
    assert!(scene.api.requests().is_empty());
    // Who can become the new owner goes on, as that role.
    scene.admin.exec("GRANT heir TO app");
    scene.sync();
    assert_eq!(scene.app.text("SELECT run_as FROM sluice.sync_jobs"), "heir");
    assert_table_equals_source(&mut scene.admin, "app.product", &scene.api);
}
