//! Who a run acts as, and where: owners of every kind, several databases, names of every kind.

use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::wait_until;

/// A trigger that notes who writes.
const WITNESS: &str = "
    CREATE TABLE app.witness (who text, session text); GRANT INSERT ON app.witness TO PUBLIC; GRANT USAGE ON SCHEMA app TO PUBLIC;
    CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql SET search_path = app AS
        $$ BEGIN INSERT INTO app.witness VALUES (current_user, session_user); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON app.products FOR EACH STATEMENT EXECUTE FUNCTION app.note()";

const TABLE: &str = "CREATE TABLE app.products (id bigint PRIMARY KEY, name text, price numeric)";

/// S-10.
#[test]
fn a_run_writes_as_the_ordinary_owner_of_the_target() {
    let mut shop = Shop::open(300);
    shop.app.exec(TABLE);
    shop.app.exec(WITNESS);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    assert_eq!(
        shop.db
            .text("SELECT string_agg(DISTINCT who || ' ' || session, ',') FROM app.witness"),
        "app app"
    );
    assert_eq!(shop.db.text("SELECT run_as FROM sluice.sync_jobs"), "app");
}

#[test]
fn a_run_writes_as_an_owner_that_may_not_log_in() {
    let mut shop = Shop::open(300);
    shop.db
        .exec("CREATE ROLE keeper NOLOGIN; GRANT keeper TO app; GRANT CREATE, USAGE ON SCHEMA app TO keeper");
    shop.db.exec(TABLE);
    shop.db.exec("ALTER TABLE app.products OWNER TO keeper");
    shop.db.exec(WITNESS);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    shop.api.change(10.0, 1);
    shop.api.remove_ids(&[1]);
    shop.sync();
    shop.assert_equal();
    shop.app.exec("CALL sluice.rollback_to('products')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
    let who = "SELECT string_agg(DISTINCT who || ' ' || session, ',') FROM app.witness";
    assert_eq!(shop.db.text(who), "keeper keeper");
}

#[test]
fn a_trigger_of_an_owner_that_may_not_log_in_cannot_become_a_superuser() {
    let mut shop = Shop::open(300);
    shop.db
        .exec("CREATE ROLE keeper NOLOGIN; GRANT keeper TO app; GRANT CREATE, USAGE ON SCHEMA app TO keeper");
    shop.db.exec(TABLE);
    shop.db.exec("ALTER TABLE app.products OWNER TO keeper");
    for attempt in [
        "RESET SESSION AUTHORIZATION",
        "RESET ROLE",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
    ] {
        shop.db.exec(&format!(
            "DROP TABLE IF EXISTS app.seen; CREATE TABLE app.seen (who text); ALTER TABLE app.seen OWNER TO keeper;
             CREATE OR REPLACE FUNCTION app.climb() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 BEGIN {attempt}; EXCEPTION WHEN OTHERS THEN NULL; END;
                 INSERT INTO app.seen VALUES (current_user); RETURN NULL;
             END $$;
             ALTER FUNCTION app.climb() OWNER TO keeper;
             DROP TRIGGER IF EXISTS climb ON app.products;
             CREATE CONSTRAINT TRIGGER climb AFTER INSERT OR UPDATE ON app.products DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION app.climb()"
        ));
        if shop.db.number("SELECT count(*) FROM sluice.sync_jobs") == 0 {
            shop.create_job("products", "/page/products", PAGES);
        }
        shop.api.change(50.0, 1);
        shop.sync();
        let seen = shop.db.text("SELECT string_agg(DISTINCT who, ',') FROM app.seen");
        assert_eq!(seen, "keeper", "{attempt}");
    }
}

#[test]
fn a_superusers_table_that_an_ordinary_role_may_put_triggers_on_is_refused_with_its_remedy() {
    let mut shop = Shop::open(300);
    shop.db.exec(TABLE);
    shop.db.exec("GRANT TRIGGER ON app.products TO app");
    shop.db.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', target => 'app.products', schedule => 'manual',
                                  settings => '{PAGES}')"
    ));
    let error = shop.db.error("CALL sluice.sync('products')");
    assert_eq!(
        shop.run("concat_ws(' ', status, error_class)"),
        "failed config",
        "{error}"
    );
    let hint = error.hint.clone().unwrap_or_default();
    assert!(
        hint.contains("REVOKE TRIGGER ON app.products FROM app")
            || hint.contains("REVOKE TRIGGER ON products FROM app"),
        "{error}"
    );
    assert_eq!(shop.api.requests().len(), 0);
    shop.db.exec("REVOKE TRIGGER ON app.products FROM app");
    shop.db.exec("CALL sluice.sync('products')");
    shop.assert_equal();
}

/// S-13: the new owner's code runs with no more than its own rights, also where a run is under way.
#[test]
fn a_superusers_run_ends_when_its_table_gets_another_owner_and_the_next_one_writes_as_that() {
    let mut shop = Shop::open(500);
    shop.db.exec(TABLE);
    shop.db.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', target => 'app.products', schedule => 'manual',
                                  settings => '{PAGES}')"
    ));
    shop.api.hold_page(3);
    shop.db.exec("SELECT sluice.start_sync('products')");
    shop.wait_for_page(3);
    shop.db.exec("ALTER TABLE app.products OWNER TO app");
    shop.app.exec(WITNESS);
    shop.api.release();
    shop.wait_for_run("failed");
    assert_eq!(
        shop.run("concat_ws(' ', error_class, sqlstate, error_message)"),
        "schema 55000 target \"app.products\" has got another owner during the work"
    );
    assert_eq!(shop.db.number("SELECT count(*) FROM app.witness"), 0);
    shop.db.exec("CALL sluice.sync('products')");
    shop.assert_equal();
    let who = "SELECT string_agg(DISTINCT who || ' ' || session, ',') FROM app.witness";
    assert_eq!(shop.db.text(who), "app app");
}

/// S-13.
#[test]
fn superuser_jobs_can_be_forbidden_altogether() {
    let mut shop = Shop::with(300, &[("sluice.allow_superuser_jobs", "off")]);
    shop.db.exec(TABLE);
    let job = format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', target => 'app.products', schedule => 'manual',
                                  settings => '{PAGES}')"
    );
    let refused = match shop.db.try_rows(&job) {
        Err(error) => error,
        Ok(_) => shop.db.error("CALL sluice.sync('products')"),
    };
    assert!(refused.to_string().contains("superuser"), "{refused}");
    assert_eq!(shop.api.requests().len(), 0);
}

#[test]
fn nobody_can_bind_a_job_to_a_table_whose_owner_they_cannot_become() {
    let mut shop = Shop::open(300);
    shop.db.exec(TABLE);
    shop.db.exec("GRANT ALL ON app.products TO app");
    let refused = shop.app.error(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', target => 'app.products', settings => '{PAGES}')"
    ));
    assert_eq!(refused.sqlstate, "42501", "{refused}");
}

#[test]
fn several_databases_are_served_at_once() {
    let mut shop = Shop::open(500);
    let url = shop.api.url();
    let mut sessions = Vec::new();
    for name in ["one", "two", "three with 'quotes\" ü"] {
        let quoted = name.replace('"', "\"\"");
        shop.db.exec(&format!("CREATE DATABASE \"{quoted}\""));
        let mut db = shop.cluster.db_as("postgres", name);
        db.exec(&format!(
            "CREATE EXTENSION pg_sluice; SELECT sluice.grant_access('app', 'writer');
             CREATE SCHEMA app AUTHORIZATION app;
             CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{url}');
             GRANT USAGE ON FOREIGN SERVER shop TO app"
        ));
        let mut app = shop.cluster.db_as("app", name);
        // By the schedule: the first run comes at the commit.
        app.exec(&format!(
            "SELECT sluice.create_job('products', 'shop', '/page/products', key => '{{id}}', settings => '{PAGES}')"
        ));
        sessions.push(db);
    }
    for mut db in sessions {
        wait_until(&mut db, "the first run succeeds", SOON, |db| {
            db.value("SELECT status FROM sluice.sync_runs").as_deref() == Some("succeeded")
        });
        sluice_e2e::assert_table_equals_source(&mut db, "app.products", &shop.api);
    }
}

/// S-6.
#[test]
fn jobs_may_have_any_printable_name() {
    let names = [
        "two words",
        "it's \"quoted\"",
        "größe 紺 🧰",
        "%s {} \\n",
        "-- DROP TABLE x;",
        "Select",
    ];
    let mut shop = Shop::open(200);
    for (number, name) in names.iter().enumerate() {
        let quoted = name.replace('\'', "''");
        shop.app.exec(&format!(
            "CREATE TABLE t{number} (id bigint PRIMARY KEY, name text, price numeric);
             SELECT sluice.create_job('{quoted}', 'shop', '/page/products', target => 't{number}', schedule => 'manual', settings => '{PAGES}')"
        ));
        shop.app.exec(&format!("CALL sluice.sync('{quoted}')"));
        shop.api.change(5.0, number as u64);
        shop.app.exec(&format!("CALL sluice.sync('{quoted}')"));
        sluice_e2e::assert_table_equals_source(&mut shop.db, &format!("app.t{number}"), &shop.api);
        shop.app.exec(&format!("CALL sluice.rollback_to('{quoted}'); "));
        let status = format!("SELECT status FROM sluice.sync_status WHERE data_type = '{quoted}'");
        assert_eq!(shop.db.text(&status), "paused");
        shop.app.exec(&format!("SELECT sluice.drop_job('{quoted}', true)"));
    }
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_jobs"), 0);
}

#[test]
fn a_job_without_a_target_makes_its_table_under_the_jobs_own_name() {
    let mut shop = Shop::open(200);
    let name = "größe \"1\" it's";
    let quoted = name.replace('\'', "''");
    shop.app.exec(&format!(
        "SELECT sluice.create_job('{quoted}', 'shop', '/page/products', key => '{{id}}', schedule => 'manual', settings => '{PAGES}')"
    ));
    shop.app.exec(&format!("CALL sluice.sync('{quoted}')"));
    let table = format!("app.\"{}\"", name.replace('"', "\"\""));
    sluice_e2e::assert_table_equals_source(&mut shop.db, &table, &shop.api);
}
