//! Tokens that expire, are refused or taken back.

use crate::oauth::{CODE, asked, begin, connect, consenting, protect, state, wait_for_state, with_code};
use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Auth, TOKEN_PAGE};
use sluice_e2e::wait_until;

/// A connected shop after its first load, whose log of token requests is empty.
pub fn connected(products: u64) -> Shop {
    let mut shop = with_code(products);
    connect(&mut shop);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.api.oauth(|oauth| oauth.clear_log());
    shop.api.clear_log();
    shop
}

/// The access token is over, as the database sees it.
pub fn expire(shop: &mut Shop) {
    shop.db
        .exec("UPDATE sluice._oauth SET renew_at = now() - interval '1 minute', expires_at = now()");
    shop.api.oauth(|oauth| oauth.expire_access());
}

/// Has the scheduler look now.
pub fn wake(shop: &mut Shop) {
    shop.db.exec("SELECT sluice.resume_job('products')");
}

pub fn wait_until_asked(shop: &mut Shop, count: usize) {
    let api = &shop.api;
    wait_until(&mut shop.db, "the remote was asked for a token", SOON, |_| {
        api.oauth(|oauth| oauth.requests().len() >= count)
    });
}

#[test]
fn an_expired_token_is_renewed_before_the_first_request() {
    let mut shop = connected(300);
    expire(&mut shop);
    shop.sync();
    shop.assert_equal();
    assert_eq!(asked(&shop), ["refresh_token"]);
    assert!(shop.api.requests().iter().all(|request| request.status != Some(401)));
}

/// F-A1.
#[test]
fn a_token_that_is_refused_in_mid_run_is_renewed_once_and_the_read_goes_on() {
    let mut shop = connected(500);
    shop.api.change(100.0, 1);
    shop.start_and_hold_at(3);
    shop.api.oauth(|oauth| oauth.expire_access());
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(asked(&shop), ["refresh_token"]);
    assert_eq!(shop.run("source"), "manual", "one run did it");
}

/// F-A1: one refresh, one retry, then somebody has to look, and the jobs wait.
#[test]
fn an_api_that_takes_not_even_a_new_token_is_not_asked_again() {
    let mut shop = connected(300);
    shop.api.set(|settings| settings.auth = Auth::Bearer("another".into()));
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "SY010", "{error}");
    assert_eq!(asked(&shop), ["refresh_token"]);
    assert_eq!(shop.api.requests().len(), 2);
    assert_eq!(state(&mut shop), "reauth_required");
    assert_eq!(shop.status("action"), "you: begin_oauth()");
}

/// Early: nobody is left with an expired one.
#[test]
fn an_aging_token_is_renewed_before_it_expires() {
    let mut shop = connected(300);
    shop.db
        .exec("UPDATE sluice._oauth SET renew_at = now() - interval '1 second'");
    shop.sync();
    assert_eq!(asked(&shop), ["refresh_token"]);
    // Where that fails, it still serves.
    shop.db
        .exec("UPDATE sluice._oauth SET renew_at = now() - interval '1 second'");
    shop.api.oauth(|oauth| oauth.answer_next(503, "text/plain", "later"));
    shop.sync();
    assert_eq!(asked(&shop).len(), 2);
}

/// S-44, F-A3: whoever sees it first renews it for all.
#[test]
fn twenty_workers_that_see_expiry_together_make_one_request() {
    let settings = [("sluice.max_workers", "22"), ("max_worker_processes", "40")];
    let mut shop = Shop::with(100, &settings);
    crowd(&mut shop);
    shop.api.oauth(|oauth| oauth.clear_log());
    expire(&mut shop);
    shop.api.hold_page(TOKEN_PAGE);
    shop.app.exec("SELECT sluice.force_sync_all()");
    wait_until(&mut shop.db, "all workers are there", SOON, |db| {
        db.pids("sluice worker").len() >= 20
    });
    shop.api.release();
    wait_until(&mut shop.db, "all runs are over", SOON, |db| {
        db.number("SELECT count(*) FROM sluice.sync_runs WHERE status = 'succeeded'") == 20
    });
    assert_eq!(asked(&shop), ["refresh_token"]);
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'sluice._oauth'::regclass";
    assert_eq!(shop.db.number(left), 0);
}

/// Twenty jobs on one connected connection; none has run.
fn crowd(shop: &mut Shop) {
    protect(shop, "oauth2_authorization_code", CODE);
    connect(shop);
    for n in 1..=20 {
        shop.app.exec(&format!(
            "CREATE TABLE copy_{n} (id bigint PRIMARY KEY, name text);
             SELECT sluice.create_job('copy_{n}', 'shop', '/page/products', target => 'copy_{n}', key => '{{id}}',
                                      schedule => 'manual', settings => '{PAGES}')"
        ));
    }
}

/// The waiting worker holds no transaction and no lock of a row (P2).
#[test]
fn nothing_is_held_while_a_token_is_waited_for() {
    let mut shop = connected(300);
    expire(&mut shop);
    shop.api.hold_page(TOKEN_PAGE);
    shop.start();
    assert!(shop.api.wait_until_held(TOKEN_PAGE, SOON));
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'sluice worker' \
                AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)";
    wait_until(&mut shop.db, "no transaction is open", SOON, |db| db.number(held) == 0);
    // Nobody has to wait for the row.
    shop.db
        .exec("SET lock_timeout = '5s'; UPDATE sluice._oauth SET scope = scope; RESET lock_timeout");
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
}

#[test]
fn a_look_from_a_session_has_a_worker_renew_the_token() {
    let mut shop = connected(300);
    expire(&mut shop);
    let look = "SELECT string_agg(coalesce(ok::text, '-'), ' ') FROM sluice.test_connection('shop', '/page/products', \
                '{\"records\": \"$.data\"}')";
    assert_eq!(shop.app.text(look), "true true true - true true true true");
    assert_eq!(asked(&shop), ["refresh_token"]);
    shop.sync();
    assert_eq!(asked(&shop), ["refresh_token"], "it was stored");
}

/// S-46, F-A4.
#[test]
fn a_consent_that_was_taken_back_is_told_once_and_the_jobs_go_on_when_it_is_given_again() {
    let mut shop = connected(300);
    shop.app
        .exec("SELECT sluice.alter_job('products', schedule => '1 hour')");
    shop.api.change(100.0, 1);
    shop.api.oauth(|oauth| oauth.revoke_grants());
    expire(&mut shop);
    let error = shop.failing_sync();
    assert_eq!(
        (error.sqlstate.as_str(), shop.run("error_class").as_str()),
        ("28000", "auth"),
        "{error}"
    );
    assert_eq!(asked(&shop), ["refresh_token"]);
    assert_eq!(state(&mut shop), "reauth_required");
    assert_eq!(shop.status("action"), "you: begin_oauth()");
    assert!(shop.status("hint").contains("begin_oauth"), "{}", shop.status("hint"));
    // Its time comes, and nobody is asked.
    shop.db
        .exec("UPDATE sluice._job_state SET next_run_at = now() - interval '1 minute'");
    wake(&mut shop);
    wait_until(&mut shop.db, "the scheduler has looked and left", SOON, |db| {
        db.pids("sluice scheduler").is_empty()
    });
    assert_eq!((asked(&shop).len(), shop.api.requests().len()), (1, 0));
    connect(&mut shop);
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}

/// F-A4: other failures are tried three times, then a person is told; the grant is not lost, and heals by itself.
#[test]
fn a_token_endpoint_that_fails_three_times_is_told_and_heals() {
    let mut shop = connected(300);
    for (status, kind, body) in [
        (500, "text/html", "<html>oops</html>"),
        (200, "text/html", "<html>Please sign in</html>"),
        (
            200,
            "application/json",
            "{\"access_token\":\"a\\nX-Evil: 1\",\"refresh_token\":\"b\"}",
        ),
    ] {
        shop.api.oauth(|oauth| oauth.answer_next(status, kind, body));
    }
    expire(&mut shop);
    for failures in 1..=3 {
        let error = shop.failing_sync();
        assert!(error.to_string().contains("holds no token"), "{error}");
        let queued = "SELECT concat_ws(' ', data_type, operation, retry_count, max_retries) FROM sluice.sync_retry_queue \
                      WHERE operation = 'refresh_token'";
        assert_eq!(shop.db.text(queued), format!("shop refresh_token {failures} 3"));
        assert_eq!(
            state(&mut shop),
            if failures < 3 { "connected" } else { "reauth_required" }
        );
    }
    assert_eq!(shop.api.requests().len(), 0, "nothing was sent with a bad token");
    shop.db.exec("UPDATE sluice._oauth SET due_at = now()");
    wake(&mut shop);
    wait_for_state(&mut shop, "connected");
    assert_eq!(
        shop.db
            .number("SELECT count(*) FROM sluice.sync_retry_queue WHERE operation = 'refresh_token'"),
        0
    );
}

/// F-A4.
#[test]
fn lifetimes_that_make_no_sense_are_none() {
    let mut shop = connected(100);
    for expires in [None, Some("0"), Some("-1"), Some("\"soon\"")] {
        shop.api.oauth(|oauth| oauth.expires_in = expires.map(str::to_owned));
        expire(&mut shop);
        shop.sync();
        assert_eq!(
            shop.db.value("SELECT token_expires_at FROM sluice.sync_connections"),
            None,
            "{expires:?}"
        );
        shop.sync();
    }
    assert_eq!(asked(&shop).len(), 4, "it serves until it is refused");
    shop.api.oauth(|oauth| oauth.expires_in = Some("\"3600\"".into()));
    shop.api.oauth(|oauth| oauth.expire_access());
    shop.sync();
    assert!(
        shop.db
            .is_true("SELECT token_expires_at > now() FROM sluice.sync_connections")
    );
}

/// F-A4.
#[test]
fn scopes_that_are_taken_back_stop_the_jobs() {
    let mut shop = with_code(100);
    shop.api.oauth(|oauth| oauth.scope = Some("read write".into()));
    connect(&mut shop);
    shop.create_job("products", "/page/products", PAGES);
    shop.api.oauth(|oauth| oauth.scope = Some("read".into()));
    expire(&mut shop);
    let error = shop.failing_sync();
    assert!(error.to_string().contains("taken back: write"), "{error}");
    assert_eq!(state(&mut shop), "reauth_required");
}

/// Refresh tokens lapse where they are not used.
#[test]
fn an_idle_grant_is_kept_alive() {
    let mut shop = connected(100);
    let due = "SELECT due_at BETWEEN now() + interval '18 hours' AND now() + interval '25 hours' FROM sluice._oauth";
    assert!(shop.db.is_true(due));
    shop.db.exec("UPDATE sluice._oauth SET due_at = now()");
    wake(&mut shop);
    wait_until_asked(&mut shop, 1);
    wait_until(&mut shop.db, "it is due tomorrow again", SOON, |db| db.is_true(due));
    assert_eq!(asked(&shop), ["refresh_token"]);
}

/// Not while unarmed: a copy of a database does not take the original's grant away.
#[test]
fn a_copied_database_renews_nothing() {
    let mut shop = connected(100);
    shop.db
        .exec("UPDATE sluice._oauth SET armed_database = 1, due_at = now(); UPDATE sluice._job SET armed_database = 1");
    wake(&mut shop);
    wait_until(&mut shop.db, "the scheduler has looked and left", SOON, |db| {
        db.pids("sluice scheduler").is_empty()
    });
    assert_eq!(asked(&shop).len(), 0);
    shop.db.exec("SELECT sluice.arm()");
    wait_until_asked(&mut shop, 1);
}

/// A refused client is no reason to ask without end, and a new secret is tried at once.
#[test]
fn a_wrong_client_secret_is_mended_by_setting_it() {
    let mut shop = consenting(300, "oauth2_client_credentials", "");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.app.exec("SELECT sluice.set_secret('client', 'wrong')");
    expire(&mut shop);
    shop.api.oauth(|oauth| oauth.clear_log());
    let error = shop.failing_sync();
    assert!(error.to_string().contains("gave no token (invalid_client)"), "{error}");
    assert_eq!(asked(&shop).len(), 1);
    assert_eq!(state(&mut shop), "reauth_required");
    shop.app.exec("SELECT sluice.set_secret('client', 'client-s3cret')");
    wait_for_state(&mut shop, "connected");
    shop.sync();
    shop.assert_equal();
}

/// Whoever begins again while the grant is good loses nothing by not finishing.
#[test]
fn an_authorization_that_is_begun_and_not_finished_changes_nothing() {
    let mut shop = connected(100);
    begin(&mut shop);
    shop.sync();
    assert_eq!(state(&mut shop), "connected");
}

/// Who began and finished is in the audit log, and both ends of a grant are told.
#[test]
fn a_grant_is_told_and_noted_from_its_beginning_to_its_end() {
    let mut shop = connected(300);
    let mut ear = shop.cluster.db();
    ear.exec("LISTEN sluice_events");
    shop.api.oauth(|oauth| oauth.revoke_grants());
    expire(&mut shop);
    shop.failing_sync();
    connect(&mut shop);
    let mut told = Vec::new();
    wait_until(&mut shop.db, "both are told", SOON, |_| {
        told.extend(ear.take_notifications().into_iter().map(|(_, payload)| payload));
        let connection = |status: &str| {
            let status = format!("\"status\": \"{status}\"");
            told.iter()
                .any(|event| event.contains("\"connection\": \"shop\"") && event.contains(&status))
        };
        connection("reauth_required") && connection("connected")
    });
    let noted = "SELECT string_agg(action, ' ' ORDER BY id) FROM sluice.sync_audit_log \
                 WHERE object_type = 'connection' AND object = 'shop' AND action NOT IN ('create', 'alter', 'grant')";
    assert_eq!(
        shop.db.text(noted),
        "begin_oauth finish_oauth connected reauth_required begin_oauth finish_oauth connected"
    );
    let who = "SELECT string_agg(DISTINCT acting_role, ' ') FROM sluice.sync_audit_log WHERE action LIKE '%oauth'";
    assert_eq!(shop.db.text(who), "app");
}
