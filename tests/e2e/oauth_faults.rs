//! Token endpoints that ask to be left alone, tokens that somebody has changed in our tables, and a token that grows old in
//! mid-run.

use crate::oauth::{asked, connect, consenting, state, wait_for_state};
use crate::oauth_renewal::{connected, expire, wait_until_asked, wake};
use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{Stop, wait_until};

/// RFC 8628, 3.5: five seconds more between two questions, from then on.
#[test]
fn a_device_is_asked_about_less_often_where_the_remote_says_so() {
    let mut shop = consenting(10, "oauth2_device", ", ADD device_url 'URL/oauth/device'");
    for _ in 0..2 {
        let slower = "{\"error\": \"slow_down\"}";
        shop.api
            .oauth(|oauth| oauth.answer_next(400, "application/json", slower));
    }
    shop.app.text("SELECT sluice.begin_oauth('shop')");
    let every = "SELECT extract(epoch FROM poll_every)::integer FROM sluice._oauth_flow";
    wait_until(&mut shop.db, "the first question was answered", SOON, |db| {
        db.number(every) == 6
    });
    assert!(
        shop.db
            .is_true("SELECT due_at > now() + interval '2 seconds' FROM sluice._oauth")
    );
    wait_until(&mut shop.db, "the second one was answered", SOON, |db| {
        db.number(every) == 11
    });
    assert_eq!((state(&mut shop).as_str(), asked(&shop).len()), ("reauth_required", 2));
    shop.api.oauth(|oauth| oauth.decide_devices(true));
    wait_for_state(&mut shop, "connected");
    assert_eq!(asked(&shop).len(), 3);
}

/// S-44: nobody meets an expired token, however long the read.
#[test]
fn a_token_that_ages_in_mid_run_is_renewed_and_the_read_goes_on() {
    let mut shop = connected(500);
    shop.api.change(100.0, 1);
    shop.start_and_hold_at(3);
    // It lives for an hour.
    shop.move_clock(55);
    wait_until_asked(&mut shop, 1);
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(asked(&shop), ["refresh_token"]);
    assert_eq!(
        (shop.run("source").as_str(), shop.run("attempt").as_str()),
        ("manual", "1")
    );
    assert!(shop.api.requests().iter().all(|request| request.status != Some(401)));
    let lives =
        "SELECT token_expires_at > now() + interval '100 minutes' FROM sluice.sync_connections WHERE name = 'shop'";
    assert!(shop.db.is_true(lives));
}

/// F-A6: another one is had without anybody, and it is in the audit log.
#[test]
fn an_access_token_that_was_changed_in_the_table_is_replaced_and_noted() {
    let mut shop = connected(300);
    damage(&mut shop, "access_sealed");
    shop.sync();
    shop.assert_equal();
    assert_eq!(asked(&shop), ["refresh_token"]);
    assert_eq!(state(&mut shop), "connected");
    let noted = "SELECT count(*) FROM sluice.sync_audit_log WHERE action = 'damaged_token' AND object = 'shop'";
    assert_eq!(shop.db.number(noted), 1);
}

/// F-A6: what cannot be had again without a person says so, and nothing else stops.
#[test]
fn a_refresh_token_that_was_changed_in_the_table_is_told_and_disables_nothing_else() {
    let mut shop = connected(300);
    let url = shop.api.url();
    shop.db.exec(&format!(
        "CREATE SERVER machine FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{url}', auth 'oauth2_client_credentials',
             token_url '{url}/oauth/token', client_id 'sluice', client_secret 'client');
         ALTER SERVER machine OWNER TO app"
    ));
    shop.app.exec(&format!(
        "CREATE TABLE copy (id bigint PRIMARY KEY, name text);
         SELECT sluice.create_job('copy', 'machine', '/page/products', target => 'copy', key => '{{id}}',
                                  schedule => 'manual', settings => '{PAGES}')"
    ));
    shop.api.oauth(|oauth| oauth.clear_log());
    damage(&mut shop, "refresh_sealed");
    expire(&mut shop);
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "XX001", "{error}");
    assert_eq!(shop.run("error_message"), "the token of connection \"shop\" is damaged");
    let hint = shop.run("error_hint");
    assert!(
        hint.starts_with("Find out who changed it") && hint.contains("begin_oauth('shop'"),
        "{hint}"
    );
    assert_eq!(asked(&shop).len(), 0, "nothing was sent");
    assert_eq!(state(&mut shop), "locked");
    assert_eq!(shop.status("action"), "you: begin_oauth()");
    let noted = "SELECT count(*) FROM sluice.sync_audit_log WHERE action = 'damaged_secret' AND object = 'products'";
    assert_eq!(shop.db.number(noted), 1);
    shop.app.exec("CALL sluice.sync('copy')");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.copy"), 300);
    // Consenting again mends it.
    connect(&mut shop);
    shop.sync();
    shop.assert_equal();
}

/// S-47: after a failover to a standby that had not got the newest token. The rows stay, and a person is told.
#[test]
fn a_database_with_an_older_token_asks_for_consent_and_loses_no_row() {
    let mut shop = connected(300);
    shop.db.exec("CREATE TABLE older AS SELECT * FROM sluice._oauth");
    expire(&mut shop);
    shop.sync();
    shop.db.exec(
        "UPDATE sluice._oauth o SET version = s.version, access_sealed = s.access_sealed, refresh_sealed = s.refresh_sealed,
             previous_version = NULL, previous_sealed = NULL FROM older s WHERE o.id = s.id",
    );
    expire(&mut shop);
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "28000", "{error}");
    assert_eq!(asked(&shop), ["refresh_token", "refresh_token"]);
    assert_eq!(state(&mut shop), "reauth_required");
    shop.assert_equal();
    connect(&mut shop);
    shop.sync();
    shop.assert_equal();
}

fn damage(shop: &mut Shop, column: &str) {
    shop.db.exec(&format!(
        "UPDATE sluice._oauth SET {column} = set_bit({column}, 500, 1 - get_bit({column}, 500)) WHERE server_name = 'shop'"
    ));
}

/// RFC 9110, 10.2.3: it is no failure and no attempt, and the run goes on by itself.
#[test]
fn a_token_endpoint_that_asks_to_be_left_alone_is_left_alone() {
    for (status, wait) in [(429, "2"), (503, "2")] {
        let mut shop = connected(300);
        expire(&mut shop);
        shop.api
            .oauth(|oauth| oauth.answer_next_with(status, ("Retry-After", wait), "{\"error\": \"slow down, please\"}"));
        shop.start();
        shop.wait_for_run("succeeded");
        shop.assert_equal();
        assert_eq!(asked(&shop).len(), 2, "{status}");
        assert_eq!(
            (state(&mut shop).as_str(), shop.run("attempt").as_str()),
            ("connected", "1")
        );
        let failures = "SELECT count(*) FROM sluice.sync_failure_logs";
        assert_eq!(shop.db.number(failures), 0, "{status}");
    }
}

/// The wait is the client's, not the process's: it outlives a crash, and holds for all its connections.
#[test]
fn a_wait_of_the_token_endpoint_outlives_a_crash() {
    let mut shop = connected(300);
    expire(&mut shop);
    shop.api
        .oauth(|oauth| oauth.answer_next_with(429, ("Retry-After", "600"), "<html>"));
    shop.start();
    wait_until_waiting(&mut shop);
    assert_eq!(
        shop.status("action || ', ' || error_message"),
        "wait, the remote asked for it"
    );
    assert_eq!(shop.status("next_run_at > now() + interval '8 min'"), "t");
    shop.cluster.stop(Stop::Immediate);
    shop.cluster.start_again();
    shop.reconnect();
    // Somebody asks for it all the same.
    shop.start();
    wake(&mut shop);
    wait_until(&mut shop.db, "the worker was there and has left", SOON, |db| {
        db.is_true("SELECT rate_wait IS NOT NULL AND started_at IS NOT NULL FROM sluice._run ORDER BY id DESC LIMIT 1")
            && db.pids("sluice worker").is_empty()
    });
    wait_until_waiting(&mut shop);
    assert_eq!(asked(&shop).len(), 1);
    assert_eq!(shop.db.number("SELECT failures FROM sluice._oauth"), 0);
    shop.move_clock(11);
    shop.wait_for_run("succeeded");
    assert_eq!(asked(&shop).len(), 2);
}

fn wait_until_waiting(shop: &mut Shop) {
    wait_until(&mut shop.db, "the run waits for the remote", SOON, |db| {
        db.text("SELECT status FROM sluice.sync_status WHERE data_type = 'products'") == "waiting_for_rate"
    });
}
