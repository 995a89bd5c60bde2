//! The control paths do what the methods do.

use std::time::Duration;

use sample_api::{Auth, Options, SampleApi};
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::serve;

/// A control request that is understood.
fn control(api: &SampleApi, path: &str, body: &Value) -> Value {
    let reply = post(api, &format!("/_control/{path}"), &body.to_string());
    assert_eq!(reply.status, 200, "{path}: {}", String::from_utf8_lossy(&reply.body));
    reply.json()
}

#[test]
fn products_are_changed_removed_added_and_reset() {
    let (steered, called) = (serve(1_000), serve(1_000));
    assert_eq!(
        control(&steered, "change", &json!({"percent": 1, "seed": 7})),
        json!({"changed": 10})
    );
    assert_eq!(
        control(&steered, "change", &json!({"ids": [1, 2, 9999]})),
        json!({"changed": 2})
    );
    assert_eq!(
        control(&steered, "remove", &json!({"percent": 5, "seed": 3})),
        json!({"removed": 50})
    );
    assert_eq!(
        control(&steered, "remove", &json!({"ids": [500]}))["removed"].as_u64(),
        called_remove(&called)
    );
    assert_eq!(control(&steered, "add", &json!({"count": 5})), json!({"added": 5}));
    called.add(5);
    assert_eq!(steered.truth(), called.truth());
    assert_eq!(control(&steered, "reset", &json!({})), json!({"products": 1000}));
    assert_eq!(steered.checksum(), serve(1_000).checksum());
    assert_eq!(
        control(&steered, "reset", &json!({"products": 3})),
        json!({"products": 3})
    );
}

/// The same mutations by method; returns how many the last one removed.
fn called_remove(api: &SampleApi) -> Option<u64> {
    api.change(1.0, 7);
    api.change_ids(&[1, 2, 9_999]);
    api.remove(5.0, 3);
    Some(api.remove_ids(&[500]).len() as u64)
}

#[test]
fn the_truth_is_what_the_pages_say() {
    let api = serve(700);
    api.change(10.0, 1);
    api.remove(10.0, 2);
    let truth = get(&api, "/_control/truth").body;
    let lines: Vec<&[u8]> = truth
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let records: Vec<Value> = lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(Value::from(records.clone()), get(&api, "/none/products").json()["data"]);
    let held: Vec<String> = api.truth().into_values().collect();
    assert_eq!(
        held,
        lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect::<Vec<_>>()
    );

    let sums = get(&api, "/_control/checksum").json();
    let total = |member: &str| {
        records
            .iter()
            .map(|record| record[member].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (sums["count"].as_u64(), sums["sum_id"].as_u64()),
        (Some(630), Some(total("id")))
    );
    assert_eq!(sums["sum_stock"].as_u64(), Some(total("stock")));
    assert_eq!(sums["json_sha256"], api.checksum().json_sha256);
    api.change(0.1, 3);
    let changed = api.checksum();
    assert!(sums["json_sha256"] != changed.json_sha256 && sums["rows_sha256"] != changed.rows_sha256);
}

#[test]
fn the_log_tells_what_was_asked() {
    let api = serve(300);
    get(&api, "/page/products?page=2");
    get(&api, "/offset/products?offset=200");
    get(&api, "/nowhere");
    let log = get(&api, "/_control/log").json();
    let targets: Vec<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["target"].as_str().unwrap())
        .collect();
    assert_eq!(
        targets,
        ["/page/products?page=2", "/offset/products?offset=200", "/nowhere"]
    );
    assert_eq!(
        (&log[0]["status"], &log[2]["status"], &log[0]["ordinal"]),
        (&json!(200), &json!(404), &json!(1))
    );
    assert_eq!(get(&api, "/_control/pages").json(), json!([2, 3]));
    assert_eq!(
        api.requests()[0].bytes,
        get(&api, "/page/products?page=2").body.len() as u64
    );
    control(&api, "clear_log", &json!({}));
    assert_eq!(api.pages_asked(), Vec::<u64>::new());
}

fn words() -> Vec<Value> {
    vec![
        json!({"fault": "body", "body": "null"}),
        json!({"fault": "body", "body_base64": "/w==", "status": 500, "content_type": "text/plain"}),
        json!({"fault": "html"}),
        json!({"fault": "no_content"}),
        json!({"fault": "redirect", "location": "/other", "status": 308}),
        json!({"fault": "headers", "headers": {"Set-Cookie": "a=b"}}),
        json!({"fault": "content_type", "content_type": "text/csv"}),
        json!({"fault": "half_page"}),
        json!({"fault": "half_rows", "total": "real"}),
        json!({"fault": "repeat_page", "repeat": 1}),
        json!({"fault": "alter_record", "id": 1, "member": "price", "value": "dear"}),
        json!({"fault": "alter_record", "id": 1, "member": "price", "value_text": "NaN"}),
        json!({"fault": "gzip"}),
        json!({"fault": "gzip_bomb", "bytes": 1000}),
        json!({"fault": "delay", "ms": 1}),
        json!({"fault": "slow_body", "ms": 0}),
        json!({"fault": "close"}),
        json!({"fault": "close_after"}),
        json!({"fault": "reset"}),
        json!({"fault": "short_body"}),
        json!({"fault": "unmarked_half"}),
        json!({"fault": "chunked"}),
        json!({"fault": "truncated_chunks"}),
        json!({"fault": "bad_chunk_size"}),
        json!({"fault": "endless_chunks"}),
        json!({"fault": "header_bomb", "count": 10, "bytes": 10}),
        json!({"fault": "raw", "body": "x"}),
    ]
}

#[test]
fn every_fault_has_a_word() {
    let api = serve(10);
    let plain = get(&api, "/page/products").body;
    for mut word in words() {
        word["times"] = 1.into();
        control(&api, "fault", &word);
        let reply = get(&api, "/page/products");
        let same = reply.body == plain && reply.header("set-cookie").is_none();
        let harmless = [
            "delay",
            "slow_body",
            "close_after",
            "chunked",
            "repeat_page",
            "content_type",
        ];
        let expected = harmless.contains(&word["fault"].as_str().unwrap());
        assert!(same == expected || word["fault"] == "header_bomb", "{word}");
        assert_eq!(get(&api, "/_control/status").json()["rules"], 0, "{word}");
    }
}

#[test]
fn a_status_is_scripted_with_headers_a_page_and_a_count() {
    let api = serve(300);
    let rule = json!({"fault": "status", "status": 503, "headers": [["Retry-After", "2"], ["Retry-After", "3"]],
        "path": "/page/", "page": 2, "skip": 1, "times": 1});
    control(&api, "fault", &rule);
    let statuses = [(); 3].map(|()| get(&api, "/page/products?page=2").status);
    assert_eq!(statuses, [200, 503, 200]);
    control(&api, "fault", &json!({"fault": "hang"}));
    control(&api, "clear_faults", &json!({}));
    assert_eq!(get(&api, "/page/products?page=2").status, 200);
}

#[test]
fn a_page_is_held_and_released() {
    let api = serve(10);
    control(&api, "hold", &json!({"page": 1}));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| get(&api, "/page/products").status);
        assert_eq!(
            control(&api, "wait_held", &json!({"page": 1, "timeout_ms": 5000})),
            json!({"held": true})
        );
        control(&api, "release", &json!({}));
        assert_eq!(held.join().unwrap(), 200);
    });
    assert_eq!(
        control(&api, "wait_held", &json!({"page": 1, "timeout_ms": 1})),
        json!({"held": false})
    );
}

#[test]
fn settings_are_changed_together_or_not_at_all() {
    let api = serve(10);
    let all = json!({"page_size": 2, "max_page_size": 5, "first_page": 0, "past_end": "not_found",
        "last_page": "names_an_empty_page", "auth": {"type": "basic", "username": "a", "password": "b"}});
    let shown = control(&api, "settings", &all);
    assert_eq!(
        (&shown["page_size"], &shown["auth"]),
        (&json!(2), &json!({"type": "basic"}))
    );
    assert!(matches!(api.settings().auth, Auth::Basic { .. }));
    let before = api.settings();
    for wrong in [
        json!({"page_size": 9, "past_end": "never"}),
        json!({"colour": 1}),
        json!({"auth": {"type": "x"}}),
    ] {
        assert_eq!(post(&api, "/_control/settings", &wrong.to_string()).status, 400);
    }
    assert_eq!(api.settings(), before);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let api = serve(10);
    for (path, body, reason) in [
        ("change", "{}", "percent or ids is missing"),
        ("change", "[1]", "the body must be a JSON object"),
        ("change", "{\"ids\":[\"1\"]}", "ids must be an array of whole numbers"),
        ("add", "{\"count\":-1}", "count must be a whole number"),
        ("fault", "{\"fault\":\"flood\"}", "unknown fault flood"),
        (
            "fault",
            "{\"fault\":\"status\",\"status\":1000}",
            "status must lie between 100 and 999",
        ),
        ("fault", "{\"fault\":\"body\"}", "body must be a string"),
        (
            "fault",
            "{\"fault\":\"headers\",\"headers\":[1]}",
            "headers must be an object of strings or an array of pairs of strings",
        ),
    ] {
        let reply = post(&api, &format!("/_control/{path}"), body);
        assert_eq!((reply.status, &reply.json()["error"]), (400, &json!(reason)));
    }
}

#[test]
fn a_log_file_gets_a_line_for_each_request() {
    let file = std::env::temp_dir().join(format!("sample-api-{}.log", std::process::id()));
    let api = SampleApi::start(Options {
        products: 10,
        log_file: Some(file.clone()),
        ..Options::default()
    });
    get(&api, "/page/products");
    get(&api, "/_control/status");
    assert!(api.wait_for_requests(1, Duration::from_secs(5)));
    drop(api);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&line["target"], &line["status"]),
        (&json!("/page/products"), &json!(200))
    );
}
