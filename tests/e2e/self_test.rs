//! `self_test`: what is missing in an installation, with the next step; also without preload.

use crate::shop::{PAGES, Shop};
use sluice_e2e::{Cluster, Db};

fn checks(db: &mut Db, wanted: &str) -> Vec<String> {
    let sql = format!("SELECT check_name FROM sluice.self_test() WHERE ok IS {wanted}");
    db.rows(&sql).rows.into_iter().flatten().flatten().collect()
}

fn detail(db: &mut Db, check: &str, column: &str) -> String {
    db.value(&format!(
        "SELECT {column} FROM sluice.self_test() WHERE check_name = '{check}'"
    ))
    .unwrap_or_default()
}

#[test]
fn a_good_installation_passes_every_check() {
    let mut shop = Shop::loaded(100, PAGES);
    let all = [
        "preload",
        "launcher",
        "enabled",
        "workers",
        "slots",
        "privileges",
        "key",
        "arming",
        "pg_cron",
        "network policy",
        "queue",
        "clock",
    ];
    assert_eq!(checks(&mut shop.db, "true"), all);
    assert_eq!(checks(&mut shop.app, "true"), all);
    assert!(detail(&mut shop.app, "privileges", "detail").ends_with("app is writer"));
}

#[test]
fn what_is_wrong_is_named_with_the_next_step() {
    let mut shop = Shop::with(
        100,
        &[
            ("sluice.enabled", "off"),
            ("sluice.key_file", "'/nowhere/key'"),
            ("sluice.max_workers", "30"),
        ],
    );
    shop.create_job("products", "/page/products", PAGES);
    shop.db.exec("UPDATE sluice._job SET armed_database = 1");
    shop.db.exec(
        "INSERT INTO sluice._run (job_id, source, requested_by, status, started_at, finished_at) \
         SELECT id, 'manual', 'x', 'succeeded', now(), now() + interval '1 hour' FROM sluice._job",
    );
    shop.db.exec(
        "INSERT INTO sluice._retry (job_id, operation, status, priority, max_retries, run_id, error_class, sqlstate, last_error_message, next_retry_at) \
         SELECT id, 'sync', 'pending', 'normal', 3, 1, 'network', '08006', 'x', now() - interval '1 hour' FROM sluice._job",
    );
    assert_eq!(
        checks(&mut shop.db, "false"),
        ["arming", "enabled", "workers", "key", "queue", "clock"]
    );
    for (check, hint) in [
        ("enabled", "ALTER SYSTEM SET sluice.enabled = on"),
        ("workers", "ALTER SYSTEM SET max_worker_processes = 34"),
        ("key", "openssl rand -hex 32"),
        ("arming", "SELECT sluice.arm()"),
        ("queue", "repair_sync"),
        ("clock", "NTP"),
    ] {
        let told = detail(&mut shop.db, check, "hint");
        assert!(told.contains(hint), "{check}: {told}");
    }
}

#[test]
fn it_works_without_preload() {
    let cluster = Cluster::plain();
    let mut db = cluster.db();
    db.exec("CREATE EXTENSION pg_sluice");
    let wrong = checks(&mut db, "false");
    assert!(
        wrong.starts_with(&["preload".to_string(), "launcher".to_string()]),
        "{wrong:?}"
    );
    assert!(detail(&mut db, "preload", "hint").contains("shared_preload_libraries"));
    let overall = "SELECT sluice.get_sync_system_health() ->> 'overall'";
    assert_eq!(db.text(overall), "unhealthy");
    db.exec("SELECT sluice.get_sync_metrics(); SELECT * FROM sluice.sync_metrics; SELECT * FROM sluice.repair_sync()");
}
