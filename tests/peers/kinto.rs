//! Kinto: the next page's address in the header `Next-Page`, credentials by Basic.

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
    for first in (0..records).step_by(25) {
        let requests: Vec<Value> = (first..records.min(first + 25))
            .map(|n| json!({"method": "PUT", "path": format!("{RECORDS}/task-{n:04}"), "body": {"data": task(n)}}))
            .collect();
        peer.send("POST", "/v1/batch", ANN, &json!({ "requests": requests }));
    }
    peer
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
        records.extend(page.iter().cloned());
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

#[test]
fn the_next_page_in_a_header_is_followed_with_credentials() {
    let peer = serve(230);
    let mut stage = open(&peer);
    let settings = json!({"records": "$.data", "pagination": {"type": "next_url", "next": "header:Next-Page"}});
    let path = RECORDS.strip_prefix("/v1").expect("it is below the base");
    stage.job(path, "replace", &settings);
    stage.sync();
    assert_eq!(stage.run("pages"), "5");
    stage.assert_equal(&truth(&peer));
    change(&peer);
    stage.sync_twice();
    stage.assert_equal(&truth(&peer));
}
