//! The control paths, `/_control/…`: everything that the library's methods do, as small JSON over HTTP. A GET reads, a
//! POST acts; an unknown path is 404, a body that makes no sense 400 with the reason.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::control_fault;
use crate::control_settings;
use crate::deliver::{After, Wire};
use crate::gate::lock;
use crate::request::Request;
use crate::server::Server;
use crate::truth::{self, Checksum};

/// What is wrong with a control request, in words.
pub(crate) type Refusal = String;

pub(crate) fn serve(server: &Server, request: &Request, wire: &mut Wire<'_>) -> io::Result<After> {
    let after = if request.closes { After::Close } else { After::Keep };
    if request.path == "/_control/truth" && request.method == "GET" {
        return stream_truth(server, wire, after);
    }
    let answer = match body(request).and_then(|body| act(server, request, &body)) {
        Ok(Some(value)) => Answer::json(200, format!("{value}\n")),
        Ok(None) => Answer::error(404, None),
        Err(refusal) => Answer::error(400, Some(&refusal)),
    };
    wire.send(&answer, request.is_head(), after)
}

/// No body is an empty object.
fn body(request: &Request) -> Result<Value, Refusal> {
    if request.body.is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(&request.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("the body must be a JSON object".to_owned()),
        Err(error) => Err(format!("the body is not JSON: {error}")),
    }
}

fn act(server: &Server, request: &Request, body: &Value) -> Result<Option<Value>, Refusal> {
    let path = request.path.trim_start_matches("/_control/");
    match request.method.as_str() {
        "GET" => Ok(look(server, path)),
        "POST" if matches!(path, "change" | "remove" | "add" | "reset") => mutate(server, path, body),
        "POST" => steer(server, path, body),
        _ => Ok(None),
    }
}

fn steer(server: &Server, path: &str, body: &Value) -> Result<Option<Value>, Refusal> {
    match path {
        "settings" => {
            control_settings::change(&mut server.settings_mut(), body)?;
            return Ok(Some(control_settings::show(&server.settings())));
        }
        "wait_held" => {
            let timeout = Duration::from_millis(optional(body, "timeout_ms")?.unwrap_or(10_000));
            return Ok(Some(
                json!({ "held": server.gate.wait_until_held(required(body, "page")?, timeout) }),
            ));
        }
        "fault" => lock(&server.script).add(control_fault::rule(body)?),
        "clear_faults" => lock(&server.script).clear(),
        "clear_log" => server.log.clear(),
        "hold" => server.gate.hold(required(body, "page")?),
        "release" => server.gate.release(),
        _ => return Ok(None),
    }
    Ok(Some(json!({ "ok": true })))
}

fn look(server: &Server, path: &str) -> Option<Value> {
    let snapshot = server.snapshot();
    match path {
        "status" => Some(json!({
            "products": snapshot.entries.len(), "mutations": snapshot.mutations,
            "rules": lock(&server.script).pending(), "held": server.gate.waiting(),
            "most_at_once": server.log.most_open(), "settings": control_settings::show(&server.settings()),
        })),
        "checksum" => Some(show_checksum(&truth::checksum(&snapshot))),
        "log" => {
            let auth = server.settings().auth.clone();
            let mut lines = Vec::new();
            server
                .log
                .for_each(|line| lines.push(line.to_json(&auth.redact(&line.target))));
            Some(lines.into())
        }
        "pages" => {
            let mut pages = Vec::new();
            server.log.for_each(|line| pages.extend(line.page));
            Some(pages.into())
        }
        _ => None,
    }
}

fn show_checksum(sums: &Checksum) -> Value {
    json!({
        "count": sums.count, "sum_id": sums.sum_id, "sum_price_cents": sums.sum_price_cents,
        "sum_stock": sums.sum_stock, "max_updated_at": sums.max_updated_at,
        "json_sha256": sums.json_sha256, "rows_sha256": sums.rows_sha256,
    })
}

fn mutate(server: &Server, path: &str, body: &Value) -> Result<Option<Value>, Refusal> {
    let mut catalogue = lock(&server.catalogue);
    let seed = optional(body, "seed")?.unwrap_or(1);
    let ids = ids(body)?;
    Ok(match (path, ids) {
        ("change", Some(ids)) => Some(json!({ "changed": catalogue.change_ids(&ids).len() })),
        ("change", None) => Some(json!({ "changed": catalogue.change(percent(body)?, seed).len() })),
        ("remove", Some(ids)) => Some(json!({ "removed": catalogue.remove_ids(&ids).len() })),
        ("remove", None) => Some(json!({ "removed": catalogue.remove(percent(body)?, seed).len() })),
        ("add", _) => Some(json!({ "added": catalogue.add(required(body, "count")?).len() })),
        ("reset", _) => {
            catalogue.reset(optional(body, "products")?);
            Some(json!({ "products": catalogue.snapshot().entries.len() }))
        }
        _ => None,
    })
}

/// All records as they are now, as lines of JSON; changes made meanwhile are not in it.
fn stream_truth(server: &Server, wire: &mut Wire<'_>, after: After) -> io::Result<After> {
    let mut answer = Answer::json(200, "");
    answer.set_header("Content-Type", "application/x-ndjson");
    wire.write_both(&answer.head(&[("Transfer-Encoding", "chunked".to_owned())]), b"")?;
    for piece in truth::lines(&server.snapshot()) {
        wire.chunk(&piece)?;
    }
    wire.write_both(b"0\r\n\r\n", b"")?;
    Ok(after)
}

/// A whole number; `None` where the member is missing.
pub(crate) fn optional(body: &Value, name: &str) -> Result<Option<u64>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("{name} must be a whole number")),
    }
}

pub(crate) fn required(body: &Value, name: &str) -> Result<u64, Refusal> {
    optional(body, name)?.ok_or_else(|| format!("{name} is missing"))
}

pub(crate) fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    body.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{name} must be a string"))
}

fn percent(body: &Value) -> Result<f64, Refusal> {
    body.get("percent")
        .and_then(Value::as_f64)
        .ok_or_else(|| "percent or ids is missing".to_owned())
}

fn ids(body: &Value) -> Result<Option<Vec<u64>>, Refusal> {
    let Some(value) = body.get("ids") else { return Ok(None) };
    let ids = value
        .as_array()
        .and_then(|ids| ids.iter().map(Value::as_u64).collect::<Option<Vec<_>>>());
    ids.map(Some)
        .ok_or_else(|| "ids must be an array of whole numbers".to_owned())
}
