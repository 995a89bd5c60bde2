//! httpbin: what HTTP itself does, as another implementation does it.

use crate::peer::{Peer, installed};
use crate::stage::Stage;
use serde_json::{Value, json};

fn serve() -> Peer {
    Peer::start(&installed("httpbin/bin/gunicorn"), |_, port| {
        ["-b", &format!("127.0.0.1:{port}"), "--threads", "8", "httpbin:app"]
            .map(str::to_owned)
            .to_vec()
    })
}

/// What a look at a path says of one step: `t`, `f`, or NULL where it was not tried.
fn step(stage: &mut Stage, path: &str, name: &str) -> Option<String> {
    stage.app.value(&format!(
        "SELECT ok FROM sluice.test_connection('shop', '{path}') WHERE check_name = '{name}'"
    ))
}

/// The SQLSTATE that a run of a job on this path ends with, and what it says.
fn failure(stage: &mut Stage, path: &str, settings: Value) -> (String, String) {
    let mut settings = settings;
    settings["retry"] = json!({"request_attempts": 1});
    settings["columns"] = json!({"id": "$.id", "url": "$.url"});
    stage.job(path, "replace", &settings);
    let error = stage.app.error("CALL sluice.sync('items')");
    let message = stage.run("error_message || ' ' || coalesce(error_detail, '')");
    stage.app.exec("SELECT sluice.drop_job('items')");
    (error.sqlstate, message)
}

#[test]
fn a_stream_of_lines_is_a_table() {
    let peer = serve();
    let mut stage = Stage::open(&peer.url(), "id bigint PRIMARY KEY, url text, args jsonb");
    stage.job("/stream/100", "replace", &json!({"format": "ndjson"}));
    stage.sync();
    let records: Vec<Value> = (0..100)
        .map(|id| json!({"id": id, "url": format!("{}/stream/100", peer.url()), "args": {}}))
        .collect();
    stage.assert_equal(&records);
}

#[test]
fn credentials_are_accepted_where_they_are_right_and_told_where_they_are_wrong() {
    let peer = serve();
    let mut stage = Stage::open(&peer.url(), "id bigint PRIMARY KEY, url text");
    assert_eq!(step(&mut stage, "/bearer", "auth").as_deref(), Some("f"));
    stage.sign_in("ADD auth 'basic', ADD username 'ann', ADD secret 'token'", "s3cret");
    assert_eq!(step(&mut stage, "/basic-auth/ann/s3cret", "auth").as_deref(), Some("t"));
    assert_eq!(step(&mut stage, "/basic-auth/ann/other", "auth").as_deref(), Some("f"));
    stage
        .app
        .exec("ALTER SERVER shop OPTIONS (SET auth 'bearer', DROP username)");
    assert_eq!(step(&mut stage, "/bearer", "auth").as_deref(), Some("t"));
}

#[test]
fn what_comes_instead_of_records_is_told_by_its_kind() {
    let peer = serve();
    let mut stage = Stage::open(&peer.url(), "id bigint PRIMARY KEY, url text");
    let none = || json!({});
    for (path, sqlstate) in [
        ("/status/401", "28000"),
        ("/status/404", "22023"),
        ("/status/500", "08006"),
        ("/status/503", "08006"),
        ("/html", "22032"),
        // Both are followed, below the base URL, to an object.
        ("/redirect/1", "22032"),
        ("/absolute-redirect/1", "22032"),
    ] {
        let (found, message) = failure(&mut stage, path, none());
        assert_eq!(found, sqlstate, "{path}: {message}");
    }
    // That it is a boolean is known only after the body was unpacked.
    let (_, message) = failure(&mut stage, "/gzip", json!({"records": "$.gzipped"}));
    assert!(message.contains("has a boolean at $.gzipped"), "{message}");
    let (_, message) = failure(&mut stage, "/deflate", json!({"records": "$.deflated"}));
    assert!(!message.is_empty());
    let (sqlstate, message) = failure(&mut stage, "/delay/5", json!({"timeouts": {"request": "1 s"}}));
    assert!(
        sqlstate == "08006" && message.contains("did not answer in time"),
        "{sqlstate} {message}"
    );
}
