//! Transfers that break, limits that are reached, and a collection that moves while it is paged.

use crate::shop::{PAGES, PAGES_WITHOUT_TOTAL, SOON, Shop};
use sample_api::{Fault, Rule};

const OFFSET: &str = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1}, "concurrency": 1,
    "pagination": {"type": "offset", "limit_param": "limit"}}"#;

/// F-N7.
#[test]
fn a_kept_connection_that_the_remote_has_closed_is_not_noticed() {
    let mut shop = Shop::with_job(500, &PAGES.replacen('{', r#"{"retry": {"request_cap": "1 ms"}, "#, 1));
    shop.api.misbehave(Rule::new(Fault::CloseAfter).times(3));
    shop.sync();
    shop.assert_equal();
}

/// F-N6.
#[test]
fn half_a_body_that_ends_with_its_connection_removes_no_row() {
    for format in ["csv", "ndjson"] {
        let settings = format!(
            r#"{{"page_size": 100, "commit_every": {{"pages": 1}}, "params": {{"format": "{format}"}}, "confirm_deletes": false,
                "pagination": {{"type": "page", "size_param": "per_page", "total": "header:X-Total-Count"}}}}"#
        );
        let mut shop = Shop::open(500);
        shop.create_job("products", "/page/products", &settings);
        shop.sync();
        shop.api.change_ids(&[1]);
        shop.api.misbehave(Rule::new(Fault::UnmarkedHalf).page(3).times(1));
        // The cut may fall into a record, which is an error, or between two, which the declared total shows.
        let _ = shop.app.try_rows("CALL sluice.sync('products')");
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 500, "{format}");
        shop.sync();
        shop.assert_equal();
    }
}

/// F-R14: hard limits, whatever the remote says.
#[test]
fn limits_of_pages_rows_and_bytes_end_a_run_and_keep_what_is_there() {
    for (limits, message) in [
        (r#"{"pages": 3}"#, "read has more than 3 pages"),
        (r#"{"rows": 250}"#, "the collection has more rows than the limit of 250"),
        (
            r#"{"bytes": "70 kB"}"#,
            "the collection has more bytes than the limit of 71680",
        ),
    ] {
        let mut shop = Shop::loaded(500, PAGES);
        shop.api.change(50.0, 7);
        let change = format!("SELECT sluice.alter_job('products', settings => '{{\"limits\": {limits}}}')");
        shop.app.exec(&change);
        let error = shop.failing_sync();
        assert_eq!(
            (error.sqlstate.as_str(), shop.run("error_class")),
            ("54000", "config".into()),
            "{limits}"
        );
        assert_eq!(shop.run("error_message"), message);
        assert_eq!((shop.run("updated"), shop.run("deleted")), ("0".into(), "0".into()));
        shop.app
            .exec("SELECT sluice.alter_job('products', settings => '{\"limits\": null}')");
        shop.sync();
        shop.assert_equal();
    }
}

/// F-R14: what earlier runs have brought of the read counts.
#[test]
fn a_read_that_is_over_its_limit_does_not_get_further_run_by_run() {
    for limits in [r#"{"rows": 350}"#, r#"{"bytes": "100 kB"}"#] {
        let settings = PAGES.replacen('{', &format!(r#"{{"limits": {limits}, "#), 1);
        let mut shop = Shop::with_job(500, &settings);
        shop.start_and_hold_at(3);
        shop.app.exec("SELECT sluice.stop_sync('products')");
        shop.wait_for_run("stopped");
        shop.api.release();
        let error = shop.failing_sync();
        assert_eq!(error.sqlstate, "54000", "{limits}: {error}");
    }
}

/// F-R14.
#[test]
fn a_run_that_takes_too_long_ends_and_the_next_one_goes_on() {
    let mut shop = Shop::with_job(500, &PAGES.replacen('{', r#"{"timeouts": {"run": "4 s"}, "#, 1));
    let committed = shop.start_and_hold_at(3);
    shop.wait_for_run("retryable");
    assert_eq!(
        (shop.run("error_class"), shop.run("sqlstate")),
        ("timeout".into(), "57014".into())
    );
    shop.api.release();
    shop.api.clear_log();
    shop.app
        .exec("SELECT sluice.alter_job('products', settings => '{\"timeouts\": null}')");
    shop.sync();
    shop.assert_none_asked_again(&committed);
    shop.assert_equal();
}

/// F-R14: A, B, A. The pages differ, so that only their tokens show it.
#[test]
fn a_cycle_of_tokens_is_a_loop_also_where_every_page_differs() {
    let settings = r#"{"records": "$.data", "concurrency": 1, "pagination": {"type": "cursor", "param": "x", "next": "header:X-Turn"}}"#;
    let mut shop = Shop::open(500);
    shop.create_job("products", "/page/products", settings);
    for (request, turn) in ["a", "b", "a"].into_iter().enumerate() {
        let data = format!(r#"{{"data": [{{"id": {request}}}]}}"#);
        let Fault::Answer {
            status,
            mut headers,
            body,
        } = Fault::body(data)
        else {
            unreachable!()
        };
        headers.push(("X-Turn".to_string(), turn.to_string()));
        let answer = Fault::Answer { status, headers, body };
        shop.api.misbehave(Rule::new(answer).skip(request as u64).times(1));
    }
    let error = shop.failing_sync();
    assert_eq!(shop.run("error_class"), "pagination_loop", "{error}");
    assert_eq!(shop.api.requests().len(), 3);
}

/// F-R15: rows go and come before the place where an offset read stands.
#[test]
fn a_collection_that_moves_while_it_is_paged_loses_nothing_and_is_equal_after_one_more_run() {
    for (path, settings) in [
        ("/offset/products", OFFSET),
        ("/page/products", PAGES),
        ("/page/products", PAGES_WITHOUT_TOTAL),
    ] {
        let mut shop = Shop::open(800);
        shop.create_job("products", path, settings);
        shop.sync();
        for seed in 1..4 {
            shop.api.change_ids(&[400 + seed]);
            shop.api.hold_page(4);
            shop.start();
            assert!(shop.api.wait_until_held(4, SOON), "{path}");
            let gone: Vec<u64> = (1..40).map(|n| n * seed).collect();
            shop.api.remove_ids(&gone);
            shop.api.add(17);
            shop.api.release();
            shop.wait_for_run("succeeded");
            // Records slipped past the read: they are still in the table, since nothing proves that they are gone.
            let lacking = shop.api.truth().into_keys().filter(|id| *id <= 800);
            for id in lacking {
                let sql = format!("SELECT count(*) FROM app.products WHERE id = {id}");
                assert_eq!(shop.db.number(&sql), 1, "{path} {id}");
            }
        }
        shop.sync();
        shop.sync();
        shop.assert_equal();
    }
}
