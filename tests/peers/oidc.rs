//! oidc-provider: a strict authorization server. Refresh tokens are rotated at each use, and one that comes twice takes
//! its whole grant away. A person signs in and consents on its own pages.

use crate::peer::{Peer, installed};
use crate::stage::Stage;
use serde_json::{Value, json};
use sluice_e2e::{literal, wait_until};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(120);
const COLUMNS: &str = "id bigint PRIMARY KEY, name text";

fn serve() -> Peer {
    let folder = installed("oidc-provider");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/oidc/server.mjs");
    Peer::start(Path::new("node"), |_, port| {
        let script = script.to_str().expect("a path in UTF-8");
        [script, folder.to_str().expect("a path in UTF-8"), &port.to_string()]
            .map(str::to_owned)
            .to_vec()
    })
}

fn ask(peer: &Peer, path: &str) -> Value {
    peer.send("GET", path, "", &Value::Null)
}

/// A person in a browser opens the address, signs in and consents; where the browser ends up.
fn consent(peer: &Peer, address: &str) -> String {
    let address: String = address.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let end = ask(peer, &format!("/_consent?url={address}"));
    end["end"].as_str().expect("a text").to_owned()
}

/// What the token endpoint was asked for since the log was emptied, and what it refused.
fn asked(peer: &Peer) -> Vec<String> {
    let log = ask(peer, "/_log");
    let lines = log["log"].as_array().expect("a list").iter();
    let text = |line: &Value| match line["error"].as_str() {
        Some(error) => format!("{} {error}", line["grant"].as_str().unwrap_or_default()),
        None => line["grant"].as_str().unwrap_or_default().to_owned(),
    };
    lines.map(text).collect()
}

fn records() -> Vec<Value> {
    (1..=250)
        .map(|id| json!({"id": id, "name": format!("Größe {id}")}))
        .collect()
}

fn settings() -> Value {
    json!({"records": "$.data", "page_size": 100,
           "pagination": {"type": "page", "param": "page", "size_param": "size", "total": "$.total"}})
}

/// A connection that has not been connected yet, of a client that the server knows.
fn open(peer: &Peer, client: &str, kind: &str, server: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::with(&peer.url(), COLUMNS, server);
    let url = peer.url();
    stage.db.exec(&format!("SELECT sluice.allow_origin('{url}', 'app')"));
    let endpoints = match kind {
        "oauth2_authorization_code" => format!(", ADD authorization_url '{url}/auth', ADD scope 'openid'"),
        "oauth2_device" => format!(", ADD device_url '{url}/device/auth', ADD scope 'openid'"),
        _ => String::new(),
    };
    let options = format!(
        "ADD auth '{kind}', ADD token_url '{url}/token', ADD client_id '{client}', ADD client_secret 'token'{endpoints}"
    );
    // What has to be encoded before it is joined (RFC 6749, 2.3.1).
    stage.sign_in(&options, "client-s3cret:+%");
    stage
}

fn wait_for_state(stage: &mut Stage, wanted: &str) {
    wait_until(&mut stage.db, &format!("the connection is {wanted}"), SOON, |db| {
        db.text("SELECT state FROM sluice.sync_connections WHERE name = 'shop'") == wanted
    });
}

fn connect(peer: &Peer, stage: &mut Stage) {
    let address = stage
        .app
        .text("SELECT sluice.begin_oauth('shop', 'https://app.example/callback')");
    let callback = consent(peer, &address);
    assert!(callback.starts_with("https://app.example/callback?code="), "{callback}");
    stage
        .app
        .exec(&format!("SELECT sluice.finish_oauth('shop', {})", literal(&callback)));
    wait_for_state(stage, "connected");
}

/// A person has consented, and the table was read once.
fn connected(peer: &Peer, server: &[(&str, &str)]) -> Stage {
    let mut stage = open(peer, "browser", "oauth2_authorization_code", server);
    connect(peer, &mut stage);
    stage.job("/items", "replace", &settings());
    stage.sync();
    stage.assert_equal(&records());
    assert_eq!(asked(peer), ["authorization_code"]);
    ask(peer, "/_clear");
    stage
}

/// All access tokens are over, on both sides.
fn expire(peer: &Peer, stage: &mut Stage) {
    ask(peer, "/_expire");
    stage
        .db
        .exec("UPDATE sluice._oauth SET renew_at = now() - interval '1 minute', expires_at = now()");
}

#[test]
fn a_person_signs_in_on_its_pages_and_the_grant_outlives_many_rotations() {
    let peer = serve();
    let mut stage = connected(&peer, &[]);
    for _ in 0..5 {
        expire(&peer, &mut stage);
        stage.sync();
    }
    stage.assert_equal(&records());
    assert_eq!(asked(&peer), ["refresh_token"; 5]);
    assert_eq!(ask(&peer, "/_log")["revoked"], 0);
}

#[test]
fn a_machine_gets_its_tokens_by_itself() {
    let peer = serve();
    let mut stage = open(&peer, "machine", "oauth2_client_credentials", &[]);
    stage.job("/items", "replace", &settings());
    stage.sync();
    stage.assert_equal(&records());
    let before = asked(&peer).len();
    expire(&peer, &mut stage);
    stage.sync();
    assert_eq!(asked(&peer)[before..], ["client_credentials"]);
}

/// S-42: the key stays here, what it signs is sent.
#[test]
fn a_client_proves_itself_by_what_it_signs() {
    let peer = serve();
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let client = format!("signer-{algorithm}");
        let mut stage = open(&peer, &client, "oauth2_client_credentials", &[]);
        let pem = ask(&peer, &format!("/_key?alg={algorithm}"))["pem"]
            .as_str()
            .expect("a key")
            .to_owned();
        stage
            .db
            .exec("ALTER SERVER shop OPTIONS (ADD client_auth 'private_key_jwt', ADD client_key_id 'first')");
        stage
            .app
            .exec(&format!("SELECT sluice.set_secret('token', {})", literal(&pem)));
        stage.job("/items", "replace", &settings());
        // Each is taken once.
        for _ in 0..2 {
            expire(&peer, &mut stage);
            stage.sync();
        }
        stage.assert_equal(&records());
        // Another key than the one that is known.
        ask(&peer, "/_clear");
        let other = match algorithm {
            "RS256" => "ES256",
            _ => "RS256",
        };
        let pem = ask(&peer, &format!("/_key?alg={other}"))["pem"]
            .as_str()
            .expect("a key")
            .to_owned();
        stage
            .app
            .exec(&format!("SELECT sluice.set_secret('token', {})", literal(&pem)));
        expire(&peer, &mut stage);
        let error = stage.app.error("CALL sluice.sync('items')");
        assert_eq!(error.sqlstate, "28000", "{error}");
        assert_eq!(
            asked(&peer).last().map(String::as_str),
            Some("client_credentials invalid_client")
        );
    }
}

#[test]
fn a_device_is_connected_on_its_pages() {
    let peer = serve();
    let mut stage = open(&peer, "device", "oauth2_device", &[]);
    let shown = stage.app.text("SELECT sluice.begin_oauth('shop')");
    let code = shown
        .split_whitespace()
        .find(|word| word.len() == 9 && word.contains('-'));
    let code = code.unwrap_or_else(|| panic!("{shown}")).trim_end_matches('.');
    let end = consent(&peer, &format!("{}/device?user_code={code}", peer.url()));
    assert!(end.contains("Sign-in Success"), "{end}");
    wait_for_state(&mut stage, "connected");
    stage.job("/items", "replace", &settings());
    expire(&peer, &mut stage);
    stage.sync();
    stage.assert_equal(&records());
    assert_eq!(asked(&peer).last().map(String::as_str), Some("refresh_token"));
}

/// S-44, F-A3: a second request would take the grant away.
#[test]
fn twenty_workers_that_see_expiry_together_make_one_request_of_a_strict_server() {
    let peer = serve();
    let crowd = [("sluice.max_workers", "22"), ("max_worker_processes", "40")];
    let mut stage = connected(&peer, &crowd);
    for n in 1..=20 {
        stage.app.exec(&format!(
            "CREATE TABLE copy_{n} (LIKE items INCLUDING ALL);
             SELECT sluice.create_job('copy_{n}', 'shop', '/items', target => 'app.copy_{n}', schedule => 'manual',
                                      settings => $set${}$set$)",
            settings()
        ));
    }
    expire(&peer, &mut stage);
    ask(&peer, "/_hold");
    for n in 1..=20 {
        stage.app.exec(&format!("SELECT sluice.start_sync('copy_{n}')"));
    }
    wait_until(&mut stage.db, "all workers are there", SOON, |db| {
        db.pids("sluice worker").len() >= 20
    });
    ask(&peer, "/_release");
    wait_until(&mut stage.db, "all runs are over", SOON, |db| {
        db.number("SELECT count(*) FROM sluice.sync_runs WHERE status = 'succeeded'") == 21
    });
    assert_eq!(asked(&peer), ["refresh_token"]);
    let log = ask(&peer, "/_log");
    assert_eq!((&log["arrived"], &log["revoked"]), (&json!(1), &json!(0)));
}

/// F-A2, S-45: what the server answered is kept before anything else is done with it.
#[test]
fn a_kill_at_no_point_of_a_refresh_loses_the_grant() {
    let peer = serve();
    let mut stage = connected(&peer, &[]);
    for point in [
        "token.before_send",
        "token.response_received",
        "token.before_commit",
        "token.after_commit",
    ] {
        expire(&peer, &mut stage);
        ask(&peer, "/_clear");
        stage.db.failpoint(point, "kill9");
        stage.app.exec("SELECT sluice.start_sync('items')");
        stage.recover();
        wait_until(&mut stage.db, &format!("the run after {point} is over"), SOON, |db| {
            let last = db.value("SELECT status FROM sluice.sync_runs ORDER BY id DESC LIMIT 1");
            matches!(last.as_deref(), Some("succeeded" | "failed"))
        });
        assert_eq!(stage.run("status"), "succeeded", "{point}");
        assert_eq!(asked(&peer), ["refresh_token"], "{point}");
        assert_eq!(ask(&peer, "/_log")["revoked"], 0, "{point}");
        stage.assert_equal(&records());
    }
    // What it got last serves on.
    expire(&peer, &mut stage);
    stage.sync();
    wait_for_state(&mut stage, "connected");
}

/// S-46: a person takes the consent back, and gives it again.
#[test]
fn a_grant_that_the_server_takes_away_is_told_and_can_be_given_again() {
    let peer = serve();
    let mut stage = connected(&peer, &[]);
    // Somebody else has a copy of the refresh token, and uses it first.
    stage.db.exec("CREATE TABLE stolen AS SELECT * FROM sluice._oauth");
    expire(&peer, &mut stage);
    stage.sync();
    stage.db.exec(
        "UPDATE sluice._oauth o SET version = s.version, access_sealed = s.access_sealed, refresh_sealed = s.refresh_sealed,
             previous_version = NULL, previous_sealed = NULL FROM stolen s WHERE o.id = s.id",
    );
    expire(&peer, &mut stage);
    ask(&peer, "/_clear");
    let error = stage.app.error("CALL sluice.sync('items')");
    assert_eq!(error.sqlstate, "28000", "{error}");
    assert_eq!(asked(&peer), ["refresh_token invalid_grant"]);
    assert_eq!(ask(&peer, "/_log")["revoked"], 1);
    wait_for_state(&mut stage, "reauth_required");
    connect(&peer, &mut stage);
    stage.sync();
    stage.assert_equal(&records());
}
