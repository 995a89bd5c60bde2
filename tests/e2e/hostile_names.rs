//! A schema with an object for every name that our code mentions, before pg_catalog on everybody's search path: nobody but
//! its owner ever calls one (S-3, S-4, S-11, S-12).
//!
//! The names are taken from our SQL and sources; the objects are made from what pg_catalog and the schema sluice have under
//! these names: functions and operators with the same argument types, domains, and views in the place of tables.

use crate::scene::{PRODUCT, Scene, create_job, make_role};
use sluice_e2e::{Cluster, Db};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `tell` is called by each object. Whoever is not the owner is caught, in the log too, and stopped.
const SCHEMA: &str = "
CREATE SCHEMA evil AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
SET search_path = pg_catalog;
CREATE FUNCTION evil.tell(what text) RETURNS boolean LANGUAGE plpgsql AS $f$
BEGIN
    IF current_user OPERATOR(pg_catalog.<>) 'mallory' THEN
        RAISE LOG 'CAUGHT % as %', what, current_user;
        RAISE EXCEPTION 'hostile % was called as %', what, current_user;
    END IF;
    RETURN true;
END $f$;
CREATE TABLE evil.word (word text PRIMARY KEY);
CREATE TABLE evil.made (kind text, count bigint);
";

/// Makes the objects. What PostgreSQL does not let an ordinary language imitate is left out, and counted.
const OBJECTS: &str = r#"
SET search_path = pg_catalog;
DO $do$
DECLARE
    r record;
    functions bigint := 0; operators bigint := 0; types bigint := 0; relations bigint := 0;
BEGIN
    FOR r IN
        SELECT p.oid, p.proname, p.prokind, p.proretset, p.pronargs, p.proargtypes, p.prorettype,
               coalesce((SELECT string_agg(format_type(a.t, NULL), ', ' ORDER BY a.n)
                         FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)), '') AS args,
               (SELECT string_agg('$' || n, ', ') FROM generate_series(1, p.pronargs) AS n) AS given,
               format_type(p.prorettype, NULL) AS result
        FROM pg_proc AS p JOIN evil.word AS w ON w.word = p.proname
        WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'sluice'::regnamespace)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS %L', r.proname, r.args,
                CASE WHEN r.proretset THEN 'SETOF ' ELSE '' END, r.result,
                format('BEGIN PERFORM evil.tell(%L); %s END', 'function ' || r.proname,
                       CASE WHEN r.proretset OR r.result = 'void' THEN 'RETURN;'
                            WHEN r.prokind = 'f' THEN format('RETURN pg_catalog.%I(%s);', r.proname, r.given)
                            ELSE 'RETURN NULL;' END));
            functions := functions + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR r IN
        SELECT o.oid, o.oprname, format_type(nullif(o.oprleft, 0), NULL) AS l, format_type(o.oprright, NULL) AS r, o.oprleft,
               format_type(o.oprresult, NULL) AS result
        FROM pg_operator AS o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0
          AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '*', '/', '%', '->', '->>', '#>', '@>', '<@',
                            '?', '~', '~*', '!~', '~~', '!~~', '&&', '*=', '*<>', '&', '|')
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION evil.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', r.oid, r.l, r.r, r.result,
                format('BEGIN PERFORM evil.tell(%L); RETURN $1 OPERATOR(pg_catalog.%s) $2; END',
                       'operator ' || r.oprname || ' of ' || r.l || ' and ' || r.r, r.oprname));
            EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.op_%s)', r.oprname, r.l, r.r, r.oid);
            operators := operators + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR r IN
        SELECT t.typname, format_type(t.oid, NULL) AS name FROM pg_type AS t JOIN evil.word AS w ON w.word = t.typname
        WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typname !~ '^_'
    LOOP
        BEGIN
            EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.tell(%L))', r.typname, r.typname, 'type ' || r.typname);
            types := types + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR r IN
        SELECT c.relname, n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'v') AND (n.nspname = 'sluice' OR n.nspname = 'pg_catalog' AND c.relname IN (SELECT w.word FROM evil.word AS w))
    LOOP
        BEGIN
            EXECUTE format('CREATE VIEW evil.%I AS SELECT 1 AS oid WHERE evil.tell(%L)', r.relname, 'relation ' || r.relname);
            EXECUTE format('GRANT SELECT ON evil.%I TO PUBLIC', r.relname);
            relations := relations + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    INSERT INTO evil.made VALUES ('functions', functions), ('operators', operators), ('types', types), ('relations', relations);
    -- All of it is the attacker's.
    FOR r IN SELECT p.oid::regprocedure AS f FROM pg_proc AS p WHERE p.pronamespace = 'evil'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO mallory', r.f);
    END LOOP;
    FOR r IN SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'evil'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('ALTER VIEW evil.%I OWNER TO mallory', r.relname);
    END LOOP;
END $do$;
RESET search_path;
"#;

/// What a writer does, with a job `product`. Each is a statement of its own; `{url}` is the API.
const OF_A_WRITER: &[&str] = &[
    "SELECT sluice.set_secret('token', 'x', origin => '{url}')",
    "SELECT sluice.grant_secret('token', 'postgres')",
    "SELECT sluice.drop_secret('token')",
    "SELECT * FROM sluice.test_connection('shop', '/page/products', '{\"records\": \"$.data\"}')",
    "SELECT * FROM sluice.discover('shop', '/page/products')",
    "SELECT * FROM sluice.preview('shop', '/page/products', '{\"records\": \"$.data\"}')",
    "SELECT * FROM sluice.plan_from_openapi('{\"openapi\": \"3.0.0\", \"paths\": {}}')",
    "CALL sluice.sync('product')",
    "SELECT sluice.start_sync('product')",
    "SELECT sluice.stop_sync('product')",
    "SELECT sluice.alter_job('product', priority => 'high', settings => '{\"concurrency\": 2}')",
    "SELECT sluice.pause_job('product', 'a while')",
    "SELECT sluice.resume_job('product')",
    "CALL sluice.sync('product')",
    "CALL sluice.create_snapshot('product', 'before')",
    "SELECT * FROM sluice.preview_rollback('product')",
    "CALL sluice.rollback_to('product', resume => true)",
    "CALL sluice.restore_snapshot(1)",
    "SELECT sluice.resume_job('product')",
    "SELECT sluice.drop_snapshot(1)",
    "CALL sluice.replay_rejects('product')",
    "CALL sluice.replay(1)",
    "SELECT sluice.ingest('product', '[{\"id\": 1, \"name\": \"x\"}]')",
    "SELECT sluice.retry_ingest('product')",
    "SELECT sluice.drop_ingest('product')",
    "SELECT sluice.redrive('product')",
    "SELECT sluice.retry_now('product')",
    "SELECT sluice.clear_queue('product')",
    "SELECT sluice.get_sync_status()",
    "SELECT * FROM sluice.get_retry_queue('pending')",
    "SELECT * FROM sluice.get_connection_health('product')",
    "SELECT sluice.is_recoverable_error('timeout')",
    "SELECT sluice.force_sync_all()",
    "SELECT sluice.discard(1)",
    "CALL sluice.approve(1)",
    "SELECT sluice.create_connection('own', '{url}')",
    "ALTER SERVER own OPTIONS (ADD max_concurrency '3')",
    "SELECT sluice.drop_connection('own')",
    "SELECT sluice.create_connection('own', '{url}')",
    "DROP SERVER own",
];

/// What an admin who is superuser does besides.
const OF_A_SUPERUSER: &[&str] = &[
    "SELECT sluice.grant_access('bob', 'operator')",
    "SELECT sluice.allow_origin('https://*.example.com', 'bob')",
    "SELECT sluice.revoke_origin('https://*.example.com', 'bob')",
    "SELECT sluice.process_sync_retries()",
    "SELECT sluice.cleanup()",
    "SELECT sluice.arm()",
    "SELECT * FROM sluice.install_cron_jobs()",
    "SELECT * FROM sluice.remove_cron_jobs()",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every word of our SQL and of the sources, whose strings hold more of it.
fn words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for folder in ["sql", "src"] {
        collect(&root().join(folder), &mut words);
    }
    words
}

fn collect(folder: &Path, words: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("our own tree").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, words);
        } else if path.extension().is_some_and(|end| end == "sql" || end == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let all = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
            words.extend(
                all.filter(|word| !word.is_empty() && word.len() < 64)
                    .map(str::to_owned),
            );
        }
    }
}

fn poison(scene: &mut Scene) {
    make_role(&mut scene.admin, "mallory");
    scene.admin.exec(SCHEMA);
    let words: Vec<String> = words().into_iter().collect();
    for part in words.chunks(2000) {
        let list = part
            .iter()
            .map(|word| format!("('{word}')"))
            .collect::<Vec<_>>()
            .join(",");
        scene.admin.exec(&format!("INSERT INTO evil.word VALUES {list}"));
    }
    scene.admin.exec(OBJECTS);
    for (kind, least) in [("functions", 250), ("operators", 300), ("types", 20), ("relations", 40)] {
        let made = scene
            .admin
            .number(&format!("SELECT count FROM evil.made WHERE kind = '{kind}'"));
        assert!(made >= least, "{kind}: {made}");
    }
}

/// Runs each statement and gives what it complained of that is the trap's; the others are counted as they end.
fn caught(db: &mut Db, statements: &[&str], url: &str, refused: &mut Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements {
        let statement = statement.replace("{url}", url);
        match db.try_rows(&statement) {
            Ok(_) => {}
            Err(error) if error.to_string().contains("hostile") => found.push(format!("{statement}: {error}")),
            Err(error) => refused.push(format!("{statement}: {error}")),
        }
    }
    found
}

/// Each view, and each function of ours with NULLs: one that is new is looked at without being named here.
fn everything(db: &mut Db) -> Vec<String> {
    let views =
        "SELECT 'SELECT * FROM sluice.' || viewname FROM pg_views WHERE schemaname = 'sluice' AND viewname ~ '^sync_'";
    let calls = "SELECT (CASE prokind WHEN 'p' THEN 'CALL ' ELSE 'SELECT * FROM ' END) || oid::regproc || '(' ||
                 rtrim(repeat('NULL,', pronargs), ',') || ')' FROM pg_proc
                 WHERE pronamespace = 'sluice'::regnamespace AND proname !~ '^_' AND prorettype <> 'event_trigger'::regtype";
    let all = db.rows(&format!("{views} UNION ALL {calls} ORDER BY 1")).rows;
    all.into_iter().flatten().flatten().collect()
}

#[test]
fn an_object_of_somebody_else_with_a_name_that_we_use_is_never_called() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    make_role(&mut scene.admin, "bob");
    let url = scene.api.url();
    scene.admin.exec(&format!(
        "SELECT sluice.grant_access('bob', 'writer'); GRANT USAGE ON FOREIGN SERVER shop TO bob;
         SELECT sluice.allow_origin('{url}', 'bob'); CREATE SCHEMA bob AUTHORIZATION bob"
    ));
    let mut bob = cluster.db_as("bob", &scene.database);
    bob.exec(&format!("CREATE TABLE bob.product {PRODUCT}"));
    poison(&mut scene);
    let calls = everything(&mut scene.admin);
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();

    // The trap works, for those who name nothing's schema.
    bob.exec("SET search_path = evil, pg_catalog");
    for sql in [
        "SELECT 1::bigint = 2::bigint",
        "SELECT now()",
        "SELECT * FROM pg_class",
        "SELECT 'x'::text",
    ] {
        assert!(bob.error(sql).message.contains("hostile"), "{sql}");
    }
    let told = cluster.log().len();

    // In his session; the workers have their role's own path, which is as bad.
    scene.admin.exec("ALTER ROLE bob SET search_path = evil, pg_catalog");
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    let job = create_job("product", "{}").replace("app.", "bob.");
    let job = format!(
        "{}::pg_catalog.jsonb)",
        job.split("jsonb_strip_nulls").next().unwrap_or_default().to_owned() + SETTINGS
    );
    found.extend(caught(&mut bob, &[job.as_str()], &url, &mut refused));
    let made = job
        .replace("'product'", "'made'")
        .replace("target => 'bob.product'", "target => 'bob.made', key => '{id}'");
    found.extend(caught(
        &mut bob,
        &[made.as_str(), "CALL sluice.sync('made')"],
        &url,
        &mut refused,
    ));
    found.extend(caught(&mut bob, OF_A_WRITER, &url, &mut refused));
    // What is refused for a reason of its own proves little.
    assert_eq!(refused.len(), 3, "{refused:#?}");
    found.extend(caught(&mut bob, &calls, &url, &mut refused));
    let mut admin = cluster.db_as("postgres", &scene.database);
    admin.exec("SET search_path = evil, pg_catalog");
    found.extend(caught(&mut admin, OF_A_WRITER, &url, &mut refused));
    found.extend(caught(&mut admin, OF_A_SUPERUSER, &url, &mut refused));
    found.extend(caught(&mut admin, &calls, &url, &mut refused));
    found.extend(caught(
        &mut admin,
        &[
            "SELECT sluice.drop_job('product')",
            "SELECT sluice.revoke_access('bob')",
        ],
        &url,
        &mut refused,
    ));
    assert!(found.is_empty(), "{found:#?}");
    let log = cluster.log();
    let caught: Vec<&str> = log[told..].lines().filter(|line| line.contains("CAUGHT")).collect();
    assert!(caught.is_empty(), "{caught:#?}");
    let foreign = "SELECT count(*) FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
                   WHERE a.attrelid = 'bob.made'::regclass AND t.typnamespace <> 'pg_catalog'::regnamespace";
    assert_eq!(scene.admin.number(foreign), 0, "the table has none of these types");
    let ran = "SELECT count(*) FROM sluice._run";
    assert!(scene.admin.number(ran) > 3, "the calls did their work");
}

const SETTINGS: &str =
    r#"'{"records": "$.data", "pagination": {"type": "page", "size_param": "per_page"}, "page_size": 10}'"#;
