//! `optimize_sync`: what runs teach about a job's settings.

use crate::shop::{PAGES, Shop};
use sluice_e2e::Db;

fn told(db: &mut Db, call: &str) -> Vec<String> {
    let sql = format!("SELECT concat_ws(' | ', what, current, proposed, applied) FROM sluice.optimize_sync({call})");
    db.rows(&sql).rows.into_iter().flatten().flatten().collect()
}

/// Six runs; as if pages of 50 had taken twice the time per record, and the host had put up with three requests at a time.
fn shop() -> Shop {
    let mut shop = Shop::loaded(300, PAGES);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    for _ in 0..5 {
        shop.sync();
    }
    shop.db.exec(
        "UPDATE sluice._run_pace SET requests = 20, p95_ms = 100, concurrency = 3; \
         UPDATE sluice._run_pace SET page_size = 200 WHERE run_id IN (SELECT max(id) FROM sluice._run UNION SELECT max(id) - 1 FROM sluice._run)",
    );
    shop
}

#[test]
fn it_says_how_many_runs_it_lacks() {
    let mut shop = Shop::loaded(300, PAGES);
    assert_eq!(told(&mut shop.app, "'products'"), ["runs | 1 | f"]);
    assert_eq!(told(&mut shop.app, "'products', true"), ["runs | 1 | f"]);
}

#[test]
fn it_proposes_from_real_runs_and_applies_as_alter_job_does() {
    let mut shop = shop();
    let proposed = [
        "page_size | 100 | 200 | f",
        "concurrency | 8 | 3 | f",
        "schedule | 1 hour | 6 hours | f",
    ];
    assert_eq!(told(&mut shop.app, ""), proposed);
    let applied = [
        "page_size | 100 | 200 | t",
        "concurrency | 8 | 3 | t",
        "schedule | 1 hour | 6 hours | t",
    ];
    assert_eq!(told(&mut shop.app, "'products', apply => true"), applied);
    let job =
        "SELECT concat_ws(' | ', schedule, settings ->> 'page_size', settings ->> 'concurrency') FROM sluice.sync_jobs";
    assert_eq!(shop.db.text(job), "6 hours | 200 | 3");
    assert!(shop.db.is_true(
        "SELECT count(*) = 1 FROM sluice.sync_audit_log WHERE action = 'optimize_sync' AND object = 'products'"
    ));
    shop.sync();
    shop.assert_equal();
}
