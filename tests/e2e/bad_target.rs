//! Targets that a run cannot write, and targets that change under it (F-O6): each ends the run with a clear error.

use crate::bad_input::shop;
use crate::failure::{Failure, fails};
use crate::scene::{SOON, Scene, create_job};
use sluice_e2e::assert_table_equals_source;

#[test]
fn a_table_that_loses_the_unique_index_on_its_key() {
    let mut scene = shop();
    scene.app.exec("ALTER TABLE product DROP CONSTRAINT product_pkey");
    fails(
        &mut scene,
        &Failure {
            class: "schema",
            sqlstate: "42P10",
            message: "target \"app.product\" has no unique index on its key",
            detail: "The key is (id).",
            hint: "Add a primary key or a unique index that is neither partial nor deferrable: CREATE UNIQUE INDEX ON app.product (\"id\");",
            requests: 0,
        },
    );
    scene.app.exec("CREATE TABLE keyless (LIKE product)");
    let error = scene
        .app
        .error(&create_job("keyless", "{}").replace("schedule =>", "key => '{id}', schedule =>"));
    assert_eq!(error.sqlstate, "42P10", "{error}");
}

/// S-14.
#[test]
fn a_target_that_its_owner_may_not_write() {
    let mut scene = shop();
    scene.app.exec("REVOKE INSERT ON product FROM app");
    fails(
        &mut scene,
        &Failure {
            class: "config",
            sqlstate: "42501",
            message: "permission denied for table \"product\"",
            detail: "The run-as role, the table's owner, lacks INSERT on it.",
            hint: "GRANT INSERT ON app.product TO \"app\";",
            requests: 0,
        },
    );
}

/// Changes the target while page 3 is on its way, and gives the run's status, class, SQLSTATE, message and rows.
fn changed_in_mid_run(scene: &mut Scene, sql: &str) -> [String; 4] {
    scene.api.hold_page(3);
    scene.app.exec("SELECT sluice.start_sync('product')");
    assert!(scene.api.wait_until_held(3, SOON));
    scene.wait_for_pages(2);
    scene.app.exec(sql);
    scene.api.release();
    scene.admin_waits("the run is over", |db| {
        db.is_true("SELECT finished_at IS NOT NULL FROM sluice._run ORDER BY id DESC LIMIT 1")
    });
    let told = scene.admin.rows(
        "SELECT status, coalesce(error_class, ''), coalesce(sqlstate, ''), coalesce(error_message, '') \
         FROM sluice.sync_runs ORDER BY id DESC LIMIT 1",
    );
    let row = told.rows[0].clone().into_iter().map(Option::unwrap_or_default);
    row.collect::<Vec<_>>().try_into().expect("four columns")
}

#[test]
fn a_column_that_is_dropped_in_mid_run_ends_it_and_the_next_run_works_without_the_column() {
    let mut scene = shop();
    let told = changed_in_mid_run(&mut scene, "ALTER TABLE product DROP COLUMN description");
    assert_eq!(
        told,
        [
            "failed",
            "schema",
            "55000",
            "target \"app.product\" has changed its shape during the work"
        ]
    );
    scene.sync();
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}

#[test]
fn a_column_that_gets_another_type_in_mid_run_ends_it_and_the_next_run_writes_the_new_type() {
    let mut scene = shop();
    let told = changed_in_mid_run(&mut scene, "ALTER TABLE product ALTER COLUMN stock TYPE text");
    assert_eq!(
        told,
        [
            "failed",
            "schema",
            "55000",
            "target \"app.product\" has changed its shape during the work"
        ]
    );
    scene.sync();
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}

#[test]
fn a_target_that_is_renamed_in_mid_run_ends_it_and_the_next_run_follows_the_name() {
    let mut scene = shop();
    let told = changed_in_mid_run(&mut scene, "ALTER TABLE product RENAME TO goods");
    assert_eq!(
        told,
        [
            "failed",
            "schema",
            "55000",
            "target \"app.product\" has changed its shape during the work"
        ]
    );
    scene.sync();
    assert_table_equals_source(&mut scene.app, "app.goods", &scene.api);
    assert_eq!(scene.app.text("SELECT target FROM sluice.sync_jobs"), "app.goods");
}

#[test]
fn a_target_that_is_truncated_in_mid_run_is_whole_again_after_the_next_run() {
    let mut scene = shop();
    changed_in_mid_run(&mut scene, "TRUNCATE product");
    scene
        .app
        .exec("SELECT sluice.alter_job('product', settings => '{\"verify\": \"always\"}')");
    scene.sync();
    assert_table_equals_source(&mut scene.app, "app.product", &scene.api);
}

#[test]
fn a_target_that_is_dropped_in_mid_run_ends_it_with_its_name() {
    let mut scene = shop();
    let told = changed_in_mid_run(&mut scene, "DROP TABLE product");
    assert_eq!(
        told,
        [
            "failed",
            "schema",
            "42P01",
            "target \"app.product\" was dropped during the work"
        ]
    );
    let error = scene.app.error("CALL sluice.sync('product')");
    assert_eq!(error.sqlstate, "42P01", "{error}");
    assert!(
        error
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("SELECT sluice.drop_job('product')")),
        "{error}"
    );
    scene.app.exec("SELECT sluice.drop_job('product')");
}

/// S-15.
#[test]
fn a_target_whose_policies_apply_to_its_owner() {
    let mut scene = shop();
    scene
        .app
        .exec("ALTER TABLE product ENABLE ROW LEVEL SECURITY; ALTER TABLE product FORCE ROW LEVEL SECURITY");
    fails(
        &mut scene,
        &Failure {
            class: "config",
            sqlstate: "42501",
            message: "row-level security applies to the writer of target \"app.product\"",
            detail: "Policies would filter or refuse rows without a word, so the target is not written at all.",
            hint: "ALTER TABLE app.product NO FORCE ROW LEVEL SECURITY lets the table's owner write.",
            requests: 0,
        },
    );
}
