//! Many stores, one application: an admin allows an origin once, and roles make connections and jobs of their own.

use crate::scene::{PRODUCT, SOON, Scene, make_role};
use sample_api::{Auth, Options, SampleApi};
use sluice_e2e::{Cluster, Db, assert_table_equals_source, wait_until};

/// An ordinary role with a schema of its own.
fn tenant(cluster: &Cluster, scene: &mut Scene, name: &str) -> Db {
    make_role(&mut scene.admin, name);
    scene.admin.exec(&format!(
        "SELECT sluice.grant_access('{name}', 'writer'); CREATE SCHEMA {name} AUTHORIZATION {name}"
    ));
    let mut db = cluster.db_as(name, &scene.database);
    db.exec(&format!("SET search_path = {name}"));
    db
}

fn connect(api: &SampleApi, options: &str) -> String {
    format!("SELECT sluice.create_connection('store', '{}', '{options}')", api.url())
}

fn job(name: &str) -> String {
    format!(
        "SELECT sluice.create_job('{name}', '{name}', '/page/products', key => '{{id}}', schedule => '1 hour', settings => \
         '{{\"records\": \"$.data\", \"pagination\": {{\"type\": \"page\", \"size_param\": \"per_page\"}}, \"page_size\": 10}}')"
    )
}

fn store(products: u64, token: &str) -> SampleApi {
    let api = SampleApi::start(Options {
        products,
        ..Options::default()
    });
    api.set(|settings| settings.auth = Auth::Bearer(token.to_string()));
    api
}

/// S-20.
#[test]
fn a_role_connects_its_own_store_where_its_origin_is_allowed_and_the_jobs_start_at_once() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    make_role(&mut scene.admin, "stores");
    scene
        .admin
        .exec("CREATE ROLE platform LOGIN; SELECT sluice.grant_access('platform', 'admin')");
    let mut admin = cluster.db_as("platform", &scene.database);
    let apis = [("anna", store(30, "a-token")), ("bert", store(40, "b-token"))];
    let mut tenants: Vec<Db> = apis
        .iter()
        .map(|(name, _)| tenant(&cluster, &mut scene, name))
        .collect();

    // Before that, nothing: neither by the call nor by the statement.
    let refused = tenants[0].error(&connect(&apis[0].1, "{}"));
    assert_eq!(refused.sqlstate, "42501", "{refused}");
    let remedy = refused.hint.clone().expect("a hint");
    assert!(
        remedy.contains(&format!("sluice.allow_origin('{}', 'anna')", apis[0].1.url())),
        "{refused}"
    );
    for (name, api) in &apis {
        // Once, to a role that both belong to.
        scene.admin.exec(&format!("GRANT stores TO {name}"));
        admin.exec(&format!("SELECT sluice.allow_origin('{}', 'stores')", api.url()));
    }
    for (db, (name, api)) in tenants.iter_mut().zip(&apis) {
        let letter = &name[..1];
        db.exec(
            &connect(api, "{\"auth\": \"bearer\", \"secret\": \"token\"}").replace("'store'", &format!("'{name}'")),
        );
        db.exec(&format!("SELECT sluice.set_secret('token', '{letter}-token')"));
        assert_eq!(db.text("SELECT owner FROM sluice.sync_connections"), *name);
        db.exec(&format!("CREATE TABLE {name} {PRODUCT}"));
        db.exec(&job(name));
    }
    for (name, api) in &apis {
        wait_until(&mut scene.admin, "the first run comes by itself", SOON, |db| {
            db.is_true(&format!(
                "SELECT EXISTS (SELECT FROM sluice.sync_runs WHERE data_type = '{name}' AND status = 'succeeded')"
            ))
        });
        assert_table_equals_source(&mut scene.admin, &format!("{name}.{name}"), api);
    }

    // Own rows only: connections, secrets, jobs; and another's connection cannot be used.
    for (db, name) in tenants.iter_mut().zip(["anna", "bert"]) {
        for (view, column) in [
            ("sync_connections", "name"),
            ("sync_jobs", "name"),
            ("sync_status", "data_type"),
            ("sync_secrets", "owner"),
        ] {
            assert_eq!(
                db.text(&format!("SELECT string_agg({column}, ',') FROM sluice.{view}")),
                name,
                "{view}"
            );
        }
        assert_eq!(db.number("SELECT count(*) FROM sluice.sync_allowed_origins"), 2);
    }
    let error = tenants[1].error(&job("anna").replacen("'anna'", "'stolen'", 1));
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert_eq!(
        tenants[1]
            .error("SELECT * FROM sluice.test_connection('anna')")
            .sqlstate,
        "42501"
    );
    let stranger = cluster.db_as("app", &scene.database).error(&connect(&apis[0].1, "{}"));
    assert_eq!(stranger.sqlstate, "42501", "{stranger}");
}

/// S-20: ALTER SERVER is checked as CREATE SERVER is, and each run against the server's owner.
#[test]
fn an_allowed_role_cannot_lead_its_connection_elsewhere_and_a_revoked_origin_ends_its_runs() {
    let cluster = Cluster::start();
    let mut scene = Scene::on(&cluster);
    let (api, other) = (store(30, "t"), store(30, "t"));
    let mut anna = tenant(&cluster, &mut scene, "anna");
    scene
        .admin
        .exec(&format!("SELECT sluice.allow_origin('{}', 'anna')", api.url()));
    anna.exec(&connect(&api, "{\"auth\": \"bearer\", \"secret\": \"token\"}").replace("'store'", "'anna'"));
    anna.exec("SELECT sluice.set_secret('token', 't')");
    let elsewhere = format!("ALTER SERVER anna OPTIONS (SET base_url '{}')", other.url());
    let error = anna.error(&elsewhere);
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert_eq!(
        error.message,
        format!("permission denied for origin \"{}\"", other.url())
    );
    // What does not lead elsewhere is its own to change.
    anna.exec("ALTER SERVER anna OPTIONS (ADD max_concurrency '2')");
    anna.exec(&format!("CREATE TABLE anna {PRODUCT}"));
    anna.exec(&job("anna").replace("'1 hour'", "'manual'"));
    anna.exec("CALL sluice.sync('anna')");

    // A superuser may write anything into it; the run is its owner's.
    scene.admin.exec(&elsewhere);
    other.clear_log();
    let error = anna.error("CALL sluice.sync('anna')");
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert_eq!(
        anna.text("SELECT error_class FROM sluice.sync_runs ORDER BY id DESC LIMIT 1"),
        "config"
    );
    for look in [
        "sluice.test_connection('anna')",
        "sluice.discover('anna', '/page/products')",
    ] {
        assert_eq!(anna.error(&format!("SELECT * FROM {look}")).sqlstate, "42501", "{look}");
    }
    assert_eq!(other.requests().len(), 0);

    scene
        .admin
        .exec(&format!("ALTER SERVER anna OPTIONS (SET base_url '{}')", api.url()));
    anna.exec("CALL sluice.sync('anna')");
    scene
        .admin
        .exec(&format!("SELECT sluice.revoke_origin('{}', 'anna')", api.url()));
    assert_eq!(
        scene.admin.number("SELECT count(*) FROM sluice.sync_allowed_origins"),
        0
    );
    api.clear_log();
    assert_eq!(anna.error("CALL sluice.sync('anna')").sqlstate, "42501");
    assert_eq!(api.requests().len(), 0);
    // What asks nobody needs no origin.
    anna.exec("CALL sluice.rollback_to('anna', resume => true)");
    scene
        .admin
        .exec(&format!("SELECT sluice.allow_origin('{}', 'anna')", api.url()));
    anna.exec("CALL sluice.sync('anna')");
    // A role of the same name is not the role that was allowed.
    let gone = "DROP OWNED BY anna CASCADE; SELECT sluice.revoke_access('anna'); DROP ROLE anna; CREATE ROLE anna LOGIN; \
                SELECT sluice.grant_access('anna', 'writer')";
    drop(anna);
    scene.admin.exec(gone);
    let error = cluster.db_as("anna", &scene.database).error(&connect(&api, "{}"));
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert_eq!(
        scene.admin.text("SELECT valid::text FROM sluice.sync_allowed_origins"),
        "false"
    );
}
