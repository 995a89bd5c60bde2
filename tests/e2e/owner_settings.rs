//! Whatever the owner's role sets, the same rows are written (F-O8, F-O10).

use crate::scene::Scene;
use sluice_e2e::{Cluster, Db, assert_table_equals_source};

/// Settings of a role that change how values are read, written or compared, or what may be done at all.
const ODD: [&str; 14] = [
    "default_transaction_read_only = on",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "search_path = ''",
    "datestyle = 'SQL, DMY'",
    "timezone = 'Asia/Kathmandu'",
    "intervalstyle = 'sql_standard'",
    "extra_float_digits = -15",
    "standard_conforming_strings = off",
    "bytea_output = 'escape'",
    "client_encoding = 'LATIN1'",
    "row_security = off",
    "statement_timeout = '1s'",
    "transform_null_equals = on",
];

fn job_of_two_runs(scene: &mut Scene, admin: &mut Db, what: &str) {
    admin.exec("CALL sluice.sync('product')");
    scene.api.change(50.0, 7);
    scene.api.remove(5.0, 9);
    admin.exec("CALL sluice.sync('product')");
    admin.exec("CALL sluice.sync('product')");
    let unlike = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_table_equals_source(admin, "app.product", &scene.api);
    }));
    assert!(unlike.is_ok(), "with {what}");
    let failed = "SELECT string_agg(error_message, '; ') FROM sluice.sync_runs WHERE status <> 'succeeded'";
    assert_eq!(admin.value(failed), None, "with {what}");
}

#[test]
fn odd_settings_of_the_owner_change_nothing_about_the_rows() {
    let cluster = Cluster::start();
    for setting in ODD {
        let mut scene = Scene::on(&cluster);
        scene.job_with("{\"confirm_deletes\": false}");
        let database = scene.database.clone();
        scene
            .admin
            .exec(&format!("ALTER ROLE app IN DATABASE {database} SET {setting}"));
        let mut admin = cluster.db_as("postgres", &database);
        job_of_two_runs(&mut scene, &mut admin, setting);
    }
}
