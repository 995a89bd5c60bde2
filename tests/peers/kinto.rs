//! Kinto: the next page's address in the header `Next-Page`, credentials by Basic, changes and tombstones since a time.

use crate::peer::{Peer, installed};
use crate::stage::Stage;
use serde_json::{Value, json};
use std::process::Command;

const COLUMNS: &str = "id text PRIMARY KEY, last_modified bigint, title text, done boolean, tags jsonb";
const RECORDS: &str = "/v1/buckets/shop/collections/tasks/records";
/// `ann` and `s3cret`, as RFC 7617 writes them.
const ANN: &str = "Basic YW5uOnMzY3JldA==";
const PAGE: usize = 50;

/// A server with the account `ann`, her collection, and records in it.
fn serve(records: usize) -> Peer {
    let peer = Peer::start(&installed("kinto/bin/kinto"), |folder, port| {
        let ini = folder.join("kinto.ini");
        let mut init = Command::new(installed("kinto/bin/kinto"));
        init.args([
            "init",
            "--backend",
            "memory",
            "--cache-backend",
            "memory",
            "--host",
            "127.0.0.1",
            "--ini",
        ])
        .arg(&ini);
        assert!(init.status().expect("kinto is there").success());
        let text = std::fs::read_to_string(&ini).expect("it was made");
        let text = text
            .replace(
                "kinto.bucket_create_principals = account:admin",
                "kinto.bucket_create_principals = system.Authenticated",
            )
            .replace("[app:main]", &format!("[app:main]\nkinto.paginate_by = {PAGE}"));
        std::fs::write(&ini, text).expect("the folder can be written");
        ["start", "--ini", "kinto.ini", "--port", &port.to_string()]
            .map(str::to_owned)
            .to_vec()
    });
    peer.send("PUT", "/v1/accounts/ann", "", &json!({"data": {"password": "s3cret"}}));
    peer.send("PUT", "/v1/buckets/shop", ANN, &json!({}));
    peer.send("PUT", "/v1/buckets/shop/collections/tasks", ANN, &json!({}));
    let put = |n: usize| json!({"method": "PUT", "path": format!("{RECORDS}/task-{n:04}"), "body": {"data": task(n)}});
    batch(&peer, (0..records).map(put).collect());
    peer
}

/// Sends requests, so many at once as the server takes.
fn batch(peer: &Peer, requests: Vec<Value>) {
    for requests in requests.chunks(25) {
        peer.send("POST", "/v1/batch", ANN, &json!({ "requests": requests }));
    }
}

fn task(n: usize) -> Value {
    json!({"title": format!("Aufgabe {n} – \"x\""), "done": n.is_multiple_of(2), "tags": ["a", {"n": n}]})
}

/// All that the server holds, asked for at once.
fn truth(peer: &Peer) -> Vec<Value> {
    let mut records = Vec::new();
    // A page is never larger than the server's setting: read behind the last one, newest first.
    let mut before = String::new();
    loop {
        let answer = peer.send(
            "GET",
            &format!("{RECORDS}?_sort=-last_modified{before}"),
            ANN,
            &Value::Null,
        );
        let page = answer["data"].as_array().expect("records");
        let Some(last) = page.last() else { return records };
        before = format!("&_before={}", last["last_modified"]);
        // A read of a part of time has tombstones too.
        records.extend(page.iter().filter(|record| record["deleted"] != true).cloned());
    }
}

fn change(peer: &Peer) {
    for n in [3, 77, 120] {
        peer.send(
            "PATCH",
            &format!("{RECORDS}/task-{n:04}"),
            ANN,
            &json!({"data": {"title": "changed", "done": null}}),
        );
    }
    for n in [1, 60, 199] {
        peer.send("DELETE", &format!("{RECORDS}/task-{n:04}"), ANN, &Value::Null);
    }
    peer.send("PUT", &format!("{RECORDS}/new"), ANN, &json!({"data": task(9999)}));
}

fn open(peer: &Peer) -> Stage {
    let mut stage = Stage::open(&format!("{}/v1", peer.url()), COLUMNS);
    stage.sign_in("ADD auth 'basic', ADD username 'ann', ADD secret 'token'", "s3cret");
    stage
}

/// The path below the connection's base.
fn path() -> &'static str {
    RECORDS.strip_prefix("/v1").expect("it is below the base")
}

/// Reads of what changed: oldest first, by the time that Kinto gives each change, and no two of them the same.
fn following(lookback: &str) -> Value {
    json!({"records": "$.data", "params": {"_sort": "last_modified"}, "deleted_when": "@.deleted == true",
           "cursor": {"column": "last_modified", "param": "_since", "format": "epoch_ms", "lookback": lookback},
           "pagination": {"type": "next_url", "next": "header:Next-Page"}})
}

const DONE: &str = "records || ' ' || inserted || ' ' || updated || ' ' || deleted";

#[test]
fn only_changes_and_tombstones_are_sent_after_the_first_load() {
    let peer = serve(230);
    let mut stage = open(&peer);
    stage.job(path(), "upsert", &following("0 s"));
    stage.sync();
    assert_eq!(stage.run(DONE), "230 230 0 0");
    stage.assert_equal(&truth(&peer));

    change(&peer);
    stage.sync();
    assert_eq!(stage.run(DONE), "7 1 3 3");
    stage.assert_equal(&truth(&peer));

    // More tombstones than a page has, and a record that comes back after its own.
    let delete = |n: usize| json!({"method": "DELETE", "path": format!("{RECORDS}/task-{n:04}")});
    batch(&peer, (100..180).filter(|n| *n != 120).map(delete).collect());
    stage.sync();
    assert_eq!((stage.run(DONE), stage.run("pages")), ("79 0 0 79".into(), "2".into()));
    stage.assert_equal(&truth(&peer));
    peer.send("PUT", &format!("{RECORDS}/task-0001"), ANN, &json!({"data": task(1)}));
    stage.sync();
    assert_eq!(stage.run(DONE), "1 1 0 0");
    stage.assert_equal(&truth(&peer));

    stage.sync();
    assert_eq!(stage.run(DONE), "0 0 0 0", "nothing has changed since");
}

#[test]
fn what_a_lookback_brings_again_is_not_written_again() {
    let peer = serve(120);
    let mut stage = open(&peer);
    stage.job(path(), "upsert", &following("1 day"));
    stage.sync();
    for n in [1, 60, 119] {
        peer.send("DELETE", &format!("{RECORDS}/task-{n:04}"), ANN, &Value::Null);
    }
    peer.send(
        "PATCH",
        &format!("{RECORDS}/task-0002"),
        ANN,
        &json!({"data": {"title": "changed"}}),
    );
    stage.sync();
    // All of today's, with its tombstones.
    assert_eq!(stage.run(DONE), "120 0 1 3");
    stage.assert_equal(&truth(&peer));
    stage.sync();
    assert_eq!(stage.run(DONE), "120 0 0 0");
    stage.assert_equal(&truth(&peer));
}

#[test]
fn the_next_page_in_a_header_is_followed_with_credentials() {
    let peer = serve(230);
    let mut stage = open(&peer);
    let settings = json!({"records": "$.data", "pagination": {"type": "next_url", "next": "header:Next-Page"}});
    stage.job(path(), "replace", &settings);
    stage.sync();
    assert_eq!(stage.run("pages"), "5");
    stage.assert_equal(&truth(&peer));
    change(&peer);
    stage.sync_twice();
    stage.assert_equal(&truth(&peer));
}
