//! An ordinary role that tries to become more: through every place where a run leads to code of the target's owner, with
//! every statement that changes who one is (F-O9, S-7, S-10).
//!
//! `app.climb` tries them all wherever it is called, and notes where that was, who it was called as, and how far it came.

use crate::scene::{PRODUCT, Scene, create_job};
use sluice_e2e::Cluster;

const CLIMB: &str = r#"
CREATE TABLE app.climbed (place text, session_name text, current_name text, gained text);
CREATE FUNCTION app.climb(place text) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE s text; gained text;
BEGIN
    -- Once a place and transaction is enough, and keeps the log short.
    IF EXISTS (SELECT FROM app.climbed AS c WHERE c.place = climb.place AND c.xmin::text = pg_current_xact_id()::xid::text) THEN
        RETURN 1;
    END IF;
    FOREACH s IN ARRAY ARRAY['SELECT 1', 'RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE postgres', 'SET LOCAL ROLE NONE',
        'SET SESSION AUTHORIZATION postgres', 'SET SESSION AUTHORIZATION DEFAULT', 'SET SESSION ROLE NONE',
        'SELECT set_config(''role'', ''postgres'', false)', 'SELECT set_config(''session_authorization'', ''postgres'', false)',
        'SET session_preload_libraries = ''x''', 'SET log_min_error_statement = ''panic''', 'SET sluice.allowed_networks = ''0.0.0.0/0'''] LOOP
        BEGIN EXECUTE s; EXCEPTION WHEN OTHERS THEN NULL; END;
        IF current_user <> 'app' OR session_user <> 'app' THEN gained := concat_ws('; ', gained, s || ' made ' || session_user || '/' || current_user); END IF;
        BEGIN EXECUTE 'ALTER ROLE app SUPERUSER'; gained := concat_ws('; ', gained, s || ': superuser'); EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'SELECT sealed FROM sluice._secret'; gained := concat_ws('; ', gained, s || ': secrets'); EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'SELECT pg_read_file(''PG_VERSION'')'; gained := concat_ws('; ', gained, s || ': files'); EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
    INSERT INTO app.climbed VALUES (place, session_user, current_user, gained);
    RETURN 1;
END $$;
-- Where only immutable functions may stand; what they call is nobody's concern.
CREATE FUNCTION app.pretend(place text, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM app.climb(place); RETURN value; END $$;
CREATE FUNCTION app.on_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM app.climb(TG_NAME); RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION app.is_like(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM app.climb('operator'); RETURN true; END $$;
CREATE OPERATOR app.~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = app.is_like);
CREATE DOMAIN app.name AS text CHECK (app.pretend('domain', coalesce(VALUE, '')) IS NOT NULL);
CREATE FUNCTION app.cast_it(numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM app.climb('function'); RETURN $1::text; END $$;
CREATE FUNCTION app.published(job text, run bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM app.climb('after_publish'); END $$;
"#;

/// The target, with code of its owner in each place, and one that a row is written through to another table.
const TARGET: &str = "
DROP TABLE app.product;
CREATE TABLE app.product (id bigint PRIMARY KEY, sku app.name, name text, description text, price numeric, stock integer,
    active boolean, category text CHECK (category OPERATOR(app.~~~) 'x'), updated_at timestamptz, attributes jsonb,
    extra integer DEFAULT app.climb('default'),
    made text GENERATED ALWAYS AS (app.pretend('generated', name)) STORED,
    CHECK (app.pretend('check', name) IS NOT NULL));
CREATE INDEX ON app.product (app.pretend('index', category));
CREATE INDEX ON app.product (id) WHERE app.pretend('partial index', category) IS NOT NULL;
CREATE STATISTICS app.told ON (app.pretend('statistics', category)), stock FROM app.product;
CREATE TRIGGER row_before BEFORE INSERT OR UPDATE OR DELETE ON app.product FOR EACH ROW EXECUTE FUNCTION app.on_row();
CREATE TRIGGER row_after AFTER INSERT OR UPDATE OR DELETE ON app.product FOR EACH ROW EXECUTE FUNCTION app.on_row();
CREATE TRIGGER with_condition BEFORE INSERT ON app.product FOR EACH ROW WHEN (app.pretend('condition', NEW.name) IS NOT NULL)
    EXECUTE FUNCTION app.on_row();
CREATE TRIGGER statement_before BEFORE INSERT OR UPDATE OR DELETE ON app.product FOR EACH STATEMENT EXECUTE FUNCTION app.on_row();
CREATE TRIGGER statement_after AFTER INSERT OR UPDATE OR DELETE ON app.product FOR EACH STATEMENT EXECUTE FUNCTION app.on_row();
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE OR DELETE ON app.product DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION app.on_row();
CREATE TABLE app.child (id bigint REFERENCES app.product ON DELETE CASCADE, note text);
CREATE TRIGGER cascaded AFTER DELETE ON app.child FOR EACH ROW EXECUTE FUNCTION app.on_row();
CREATE POLICY mine ON app.product USING (app.pretend('policy', name) IS NOT NULL);
ALTER TABLE app.product ENABLE ROW LEVEL SECURITY";

const PLACES: [&str; 16] = [
    "after_publish",
    "cascaded",
    "check",
    "condition",
    "default",
    "deferred",
    "domain",
    "generated",
    "index",
    "operator",
    "partial index",
    "row_after",
    "row_before",
    "statement_after",
    "statement_before",
    "statistics",
];

/// Everything that writes the target: a first load, changes, removals, a rollback, a snapshot, a webhook, a replay.
fn everything_that_writes(scene: &mut Scene) {
    scene.app.exec(&create_job(
        "product",
        "{\"after_publish\": \"app.published\", \"confirm_deletes\": false}",
    ));
    scene.sync();
    scene
        .app
        .exec("INSERT INTO app.child SELECT id FROM app.product; ANALYZE app.product");
    scene.api.change(50.0, 1);
    scene.api.remove(20.0, 2);
    scene.sync();
    assert_eq!(scene.rows(), scene.api.truth().len() as i64);
    scene.app.exec("CALL sluice.create_snapshot('product', 'x')");
    scene.app.exec("CALL sluice.rollback_to('product', resume => true)");
    scene.app.exec("CALL sluice.restore_snapshot(1)");
    scene.app.exec("SELECT sluice.resume_job('product')");
    scene
        .app
        .exec("SELECT sluice.ingest('product', '[{\"id\": 1, \"name\": \"x\"}]')");
    scene.admin_waits("the payload is written", |db| {
        db.number("SELECT count(*) FROM sluice._ingest") == 0
    });
    scene.sync();
}

fn nothing_was_gained(scene: &mut Scene, places: &[&str]) {
    let climbed = scene
        .admin
        .rows("SELECT DISTINCT * FROM app.climbed ORDER BY 1, 2, 3, 4");
    let gained =
        "SELECT count(*) FROM app.climbed WHERE gained IS NOT NULL OR session_name <> 'app' OR current_name <> 'app'";
    assert_eq!(scene.admin.number(gained), 0, "{climbed}");
    let reached = scene.admin.rows("SELECT DISTINCT place FROM app.climbed").rows;
    let reached: Vec<&str> = reached.iter().flatten().flatten().map(String::as_str).collect();
    for place in places {
        assert!(reached.contains(place), "{place} was never reached: {climbed}");
    }
    assert_eq!(
        scene
            .admin
            .text("SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolsuper"),
        "postgres"
    );
}

#[test]
fn code_of_the_owner_gains_nothing_in_any_place_that_a_run_leads_to() {
    let cluster = Cluster::start();
    for login in ["LOGIN", "NOLOGIN"] {
        let mut scene = Scene::on(&cluster);
        scene.app.exec(CLIMB);
        scene.app.exec(TARGET);
        // With NOLOGIN the worker becomes the role after it connected as superuser.
        scene.admin.exec(&format!("ALTER ROLE app {login}"));
        everything_that_writes(&mut scene);
        nothing_was_gained(&mut scene, &PLACES);
        scene.admin.exec("ALTER ROLE app LOGIN");
    }
}

#[test]
fn a_query_of_parents_a_partition_and_an_inherited_table_gain_nothing() {
    let cluster = Cluster::start();
    for login in ["LOGIN", "NOLOGIN"] {
        let mut scene = Scene::on(&cluster);
        scene.app.exec(CLIMB);
        scene.app.exec(&format!(
            "DROP TABLE app.product;
             CREATE TABLE app.product {} PARTITION BY RANGE (id);
             CREATE TABLE app.low PARTITION OF app.product FOR VALUES FROM (MINVALUE) TO (30);
             CREATE TABLE app.high PARTITION OF app.product FOR VALUES FROM (30) TO (MAXVALUE);
             CREATE TRIGGER partition BEFORE INSERT OR UPDATE ON app.low FOR EACH ROW EXECUTE FUNCTION app.on_row();
             CREATE TABLE app.parent {PRODUCT};
             CREATE TABLE app.heir () INHERITS (app.parent);
             CREATE TRIGGER parent BEFORE INSERT OR UPDATE ON app.parent FOR EACH ROW EXECUTE FUNCTION app.on_row();
             CREATE TRIGGER heir BEFORE INSERT OR UPDATE OR DELETE ON app.heir FOR EACH ROW EXECUTE FUNCTION app.on_row();
             CREATE VIEW app.groups AS SELECT app.climb('view') AS id",
            PRODUCT
        ));
        scene.admin.exec(&format!("ALTER ROLE app {login}"));
        scene.job();
        scene.sync();
        scene.api.change(50.0, 1);
        scene.sync();
        scene.app.exec(&create_job("parent", "{}"));
        scene.app.exec("CALL sluice.sync('parent')");
        let below = "{\"columns\": {\"id\": \"$.id\"}, \"foreach\": {\"query\": \"SELECT id, app.climb(''query'') AS two FROM app.groups\"}}";
        scene.app.exec(&format!("CREATE TABLE app.below {PRODUCT}"));
        scene
            .app
            .exec(&create_job("below", below).replace("/page/products", "/page/groups/{id}/products"));
        // It may write nothing, and so it cannot note anything either: it fails, or is as harmless as it looks.
        let _ = scene.app.try_rows("CALL sluice.sync('below')");
        nothing_was_gained(&mut scene, &["partition", "parent"]);
        scene.admin.exec("ALTER ROLE app LOGIN");
    }
}

/// S-14, S-15: what is no ordinary table of the role's own is never written.
#[test]
fn views_foreign_tables_and_tables_of_the_system_are_no_targets() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    scene
        .app
        .exec("CREATE VIEW app.seen AS SELECT * FROM app.product; CREATE MATERIALIZED VIEW app.kept AS SELECT 1 AS id");
    scene.admin.exec(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;
         GRANT USAGE ON FOREIGN SERVER far TO app; GRANT ALL ON sluice.sync_jobs TO app",
    );
    scene
        .app
        .exec("CREATE FOREIGN TABLE app.far (id bigint) SERVER far; CREATE SEQUENCE app.numbers");
    for target in [
        "app.seen",
        "app.kept",
        "app.far",
        "app.numbers",
        "pg_catalog.pg_authid",
        "pg_catalog.pg_class",
        "sluice._job",
        "sluice.sync_jobs",
        "information_schema.tables",
    ] {
        let job = format!(
            "SELECT sluice.create_job('climb', 'shop', '/page/products', target => '{target}', key => '{{id}}', \
             schedule => 'manual', settings => '{{\"records\": \"$.data\"}}')"
        );
        let error = scene.app.error(&job);
        assert!(
            ["42501", "42809"].contains(&error.sqlstate.as_str()),
            "{target}: {error}"
        );
        // Nor for a superuser, who may do anything else.
        let error = scene.admin.error(&job);
        assert!(error.sqlstate == "42809", "{target} as superuser: {error}");
    }
    assert_eq!(scene.admin.number("SELECT count(*) FROM sluice._job"), 0);
}
