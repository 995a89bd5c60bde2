//! json-server: numbered pages with `X-Total-Count` or `Link`, and records that other clients change by requests.

use crate::peer::{Peer, installed};
use crate::stage::Stage;
use serde_json::{Value, json};

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
        ["--quiet", "--host", "127.0.0.1", "--port", &port.to_string(), "db.json"]
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
