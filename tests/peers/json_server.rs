//! json-server: numbered pages with `X-Total-Count` or `Link`, weak ETags, and records that other clients change by
//! requests.

use crate::peer::{Peer, installed};
use crate::stage::Stage;
use serde_json::{Value, json};
use sluice_e2e::eventually;
use std::time::Duration;

const COLUMNS: &str =
    "id bigint PRIMARY KEY, customer text, total numeric, open boolean, updated_at timestamptz, lines jsonb";

fn order(id: u64, day: u64) -> Value {
    json!({"id": id, "customer": format!("Kundin {id} \"ß\" \\"), "total": id as f64 / 4.0, "open": id.is_multiple_of(3),
           "updated_at": format!("2026-01-{day:02}T12:00:00.{id:06}Z"), "lines": [{"n": 1, "sku": null}, {}]})
}

fn serve(orders: u64) -> Peer {
    let program = installed("json-server/node_modules/.bin/json-server");
    Peer::start(&program, |folder, port| {
        let orders: Vec<Value> = (1..=orders).map(|id| order(id, 1 + id % 20)).collect();
        let file = json!({ "orders": orders }).to_string();
        std::fs::write(folder.join("db.json"), file).expect("the folder can be written");
        ["--host", "127.0.0.1", "--port", &port.to_string(), "db.json"]
            .map(str::to_owned)
            .to_vec()
    })
}

/// What the server holds: the file that it keeps.
fn truth(peer: &Peer) -> Vec<Value> {
    let answer = peer.send("GET", "/db", "", &Value::Null);
    answer["orders"].as_array().expect("the collection").clone()
}

/// Other clients change, remove and add orders.
fn change(peer: &Peer) {
    for id in [3, 250, 999] {
        peer.send(
            "PATCH",
            &format!("/orders/{id}"),
            "",
            &json!({"customer": "someone else", "updated_at": "2026-02-01T00:00:00Z"}),
        );
    }
    for id in [1, 500, 1000] {
        peer.send("DELETE", &format!("/orders/{id}"), "", &Value::Null);
    }
    for id in [1001, 1002] {
        peer.send("POST", "/orders", "", &order(id, 28));
    }
}

#[test]
fn numbered_pages_with_a_total_are_the_table_after_changes_and_deletes() {
    let peer = serve(1000);
    let mut stage = Stage::open(&peer.url(), COLUMNS);
    let settings = json!({"page_size": 100, "pagination":
        {"type": "page", "param": "_page", "size_param": "_limit", "total": "header:X-Total-Count"}});
    stage.job("/orders", "replace", &settings);
    stage.sync();
    stage.assert_equal(&truth(&peer));
    change(&peer);
    // The total confirms what is gone.
    stage.sync();
    stage.assert_equal(&truth(&peer));
    assert_eq!(stage.run("inserted || ' ' || updated || ' ' || deleted"), "2 3 3");
}

/// How many reads of pages the server has answered with 200 and with 304 since it was started, by its own log.
fn answered(peer: &Peer) -> (usize, usize) {
    let log = std::fs::read_to_string(peer.folder.join("log")).expect("the server's log");
    let pages = || log.lines().filter(|line| line.contains("GET /orders?"));
    // A line is `GET /orders?_page=1&_limit=100 304 …`, with escape sequences for colours (`\x1b[36m`) between its words.
    let status = |line: &str| line.split([' ', 'm', '\x1b']).find_map(|word| word.parse::<u16>().ok());
    let count = |of: u16| pages().filter(|line| status(line) == Some(of)).count();
    (count(200), count(304))
}

/// Reads, and compares how many pages came in full and how many as "not modified".
fn sync_with(stage: &mut Stage, peer: &Peer, full: usize, unmodified: usize) {
    let before = answered(peer);
    stage.sync();
    let expected = (before.0 + full, before.1 + unmodified);
    // A line is written after its answer was sent.
    eventually(Duration::from_secs(10), || answered(peer) == expected);
    assert_eq!(answered(peer), expected, "before this read: {before:?}");
}

#[test]
fn a_page_that_is_as_it_was_is_answered_by_its_etag_alone() {
    let peer = serve(1000);
    let mut stage = Stage::open(&peer.url(), COLUMNS);
    // One page at a time up to an empty one, the eighth: no header ends the read, so that this one too has an ETag that
    // may be asked with.
    let settings = json!({"params": {"_sort": "id"}, "page_size": 150, "concurrency": 1, "pagination":
        {"type": "page", "param": "_page", "size_param": "_limit"}});
    stage.job("/orders", "replace", &settings);
    sync_with(&mut stage, &peer, 8, 0);
    stage.assert_equal(&truth(&peer));
    for _ in 0..2 {
        sync_with(&mut stage, &peer, 0, 8);
        assert_eq!(
            stage.run("records || ' ' || unchanged || ' ' || inserted + updated + deleted"),
            "1000 1000 0"
        );
        assert_eq!(stage.run("bytes"), "0");
        stage.assert_equal(&truth(&peer));
    }

    peer.send("PATCH", "/orders/400", "", &json!({"customer": "someone else"}));
    sync_with(&mut stage, &peer, 1, 7);
    assert_eq!(stage.run("inserted || ' ' || updated || ' ' || deleted"), "0 1 0");
    stage.assert_equal(&truth(&peer));

    // From where an order is missing on, every page is another.
    peer.send("DELETE", "/orders/800", "", &Value::Null);
    sync_with(&mut stage, &peer, 2, 6);
    sync_with(&mut stage, &peer, 0, 8);
    assert_eq!(stage.db.text("SELECT count(*) FROM app.items WHERE id = 800"), "0");
    stage.assert_equal(&truth(&peer));
}

#[test]
fn pages_that_follow_full_ones_are_found_where_all_that_were_known_are_unchanged() {
    let peer = serve(300);
    let mut stage = Stage::open(&peer.url(), COLUMNS);
    let settings = json!({"page_size": 100, "concurrency": 1, "pagination":
        {"type": "page", "param": "_page", "size_param": "_limit", "total": "header:X-Total-Count"}});
    stage.job("/orders", "replace", &settings);
    sync_with(&mut stage, &peer, 3, 0);
    // The last page comes in full, since the total may change alone.
    sync_with(&mut stage, &peer, 1, 2);
    // Only the header says that there is more: the bodies of the three pages stay as they are.
    for id in [301, 302] {
        peer.send("POST", "/orders", "", &order(id, 28));
    }
    sync_with(&mut stage, &peer, 2, 2);
    assert_eq!(stage.run("inserted || ' ' || updated || ' ' || deleted"), "2 0 0");
    stage.assert_equal(&truth(&peer));
}

#[test]
fn link_headers_are_followed_to_the_last_page() {
    let peer = serve(450);
    let mut stage = Stage::open(&peer.url(), COLUMNS);
    let settings = json!({"params": {"_page": "1", "_limit": "100"}, "pagination": {"type": "link_header"}});
    stage.job("/orders", "replace", &settings);
    stage.sync();
    stage.assert_equal(&truth(&peer));
    peer.send("DELETE", "/orders/77", "", &Value::Null);
    stage.sync_twice();
    stage.assert_equal(&truth(&peer));
}

#[test]
fn a_cursor_asks_only_for_what_changed_since() {
    let peer = serve(1000);
    let mut stage = Stage::open(&peer.url(), COLUMNS);
    let settings = json!({"page_size": 100, "cursor": {"column": "updated_at", "param": "updated_at_gte"},
        "params": {"_sort": "updated_at,id"}, "pagination": {"type": "page", "param": "_page", "size_param": "_limit"}});
    stage.job("/orders", "upsert", &settings);
    stage.sync();
    stage.assert_equal(&truth(&peer));
    for id in [5, 6] {
        let later = json!({"open": null, "updated_at": format!("2026-03-0{id}T00:00:00Z")});
        peer.send("PATCH", &format!("/orders/{id}"), "", &later);
    }
    peer.send("POST", "/orders", "", &order(2000, 27));
    stage.sync();
    stage.assert_equal(&truth(&peer));
    let read: u64 = stage.run("records").parse().expect("a number");
    assert!(read < 100, "{read} records were read");
}
