//! A rule of the script as JSON, for `/_control/fault`: `{"fault": "status", "status": 503, "page": 3, "times": 2}`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::control::{Refusal, optional, required, text};
use crate::fault::{Fault, Total};
use crate::script::Rule;

pub(crate) fn rule(body: &Value) -> Result<Rule, Refusal> {
    let mut rule = Rule::new(fault(body)?);
    if body.get("path").is_some() {
        rule = rule.path(text(body, "path")?);
    }
    if let Some(page) = optional(body, "page")? {
        rule = rule.page(page);
    }
    if let Some(times) = optional(body, "times")? {
        rule = rule.times(times);
    }
    if let Some(records) = optional(body, "above_size")? {
        rule = rule.above_size(records);
    }
    if let Some(requests) = optional(body, "above_at_once")? {
        rule = rule.above_at_once(requests);
    }
    Ok(rule.skip(optional(body, "skip")?.unwrap_or(0)))
}

fn fault(body: &Value) -> Result<Fault, Refusal> {
    let name = text(body, "fault")?;
    match content_fault(name, body)? {
        Some(fault) => Ok(fault),
        None => sending_fault(name, body)?.ok_or_else(|| format!("unknown fault {name}")),
    }
}

/// Faults of what is answered.
fn content_fault(name: &str, body: &Value) -> Result<Option<Fault>, Refusal> {
    Ok(Some(match name {
        "status" => answer(Fault::status(status(body)?, &[]), body)?,
        "body" => answer(Fault::body(bytes(body)?), body)?,
        "html" => answer(Fault::html(), body)?,
        "no_content" => answer(Fault::no_content(), body)?,
        "redirect" => Fault::redirect(optional_status(body)?.unwrap_or(302), text(body, "location")?),
        "headers" => Fault::Headers(headers(body)?),
        "content_type" => Fault::content_type(text(body, "content_type")?),
        "half_page" => Fault::HalfPage,
        "half_rows" => Fault::HalfRows { total: total(body)? },
        "repeat_page" => Fault::RepeatPage(required(body, "repeat")?),
        "alter_record" => Fault::AlterRecord {
            id: required(body, "id")?,
            member: text(body, "member")?.to_owned(),
            value: value(body),
        },
        "gzip" => Fault::Gzip,
        "gzip_bomb" => Fault::GzipBomb {
            bytes: required(body, "bytes")?,
        },
        _ => return Ok(None),
    }))
}

/// Faults of how it is sent.
fn sending_fault(name: &str, body: &Value) -> Result<Option<Fault>, Refusal> {
    Ok(Some(match name {
        "delay" => Fault::DelayHeaders(Duration::from_millis(required(body, "ms")?)),
        "slow_body" => Fault::DelayPerByte(Duration::from_millis(required(body, "ms")?)),
        "hang" => Fault::Hang,
        "close" => Fault::Close,
        "close_after" => Fault::CloseAfter,
        "reset" => Fault::Reset,
        "short_body" => Fault::ShortBody,
        "unmarked_half" => Fault::UnmarkedHalf,
        "chunked" => Fault::Chunked,
        "truncated_chunks" => Fault::TruncatedChunks,
        "bad_chunk_size" => Fault::BadChunkSize,
        "endless_chunks" => Fault::EndlessChunks,
        "header_bomb" => Fault::HeaderBomb {
            headers: optional(body, "count")?.unwrap_or(100_000) as usize,
            bytes: optional(body, "bytes")?.unwrap_or(64) as usize,
        },
        "raw" => Fault::Raw(bytes(body)?),
        _ => return Ok(None),
    }))
}

/// The given status, headers and body over the ones that the fault has by itself.
fn answer(usual: Fault, body: &Value) -> Result<Fault, Refusal> {
    let Fault::Answer {
        mut status,
        headers: mut lines,
        body: mut content,
    } = usual
    else {
        return Ok(usual);
    };
    status = optional_status(body)?.unwrap_or(status);
    if body.get("body").is_some() || body.get("body_base64").is_some() {
        content = bytes(body)?;
    }
    let mut given = headers(body)?;
    if body.get("content_type").is_some() {
        given.push(("Content-Type".to_owned(), text(body, "content_type")?.to_owned()));
    }
    lines.retain(|(name, _)| !given.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)));
    lines.extend(given);
    Ok(Fault::Answer {
        status,
        headers: lines,
        body: content,
    })
}

fn status(body: &Value) -> Result<u16, Refusal> {
    optional_status(body)?.ok_or_else(|| "status is missing".to_owned())
}

fn optional_status(body: &Value) -> Result<Option<u16>, Refusal> {
    let known = |status: u64| u16::try_from(status).ok().filter(|status| (100..=999).contains(status));
    let wrong = || "status must lie between 100 and 999".to_owned();
    optional(body, "status")?
        .map(|status| known(status).ok_or_else(wrong))
        .transpose()
}

/// `{"Retry-After": "2"}`, or `[["Retry-After", "2"], ["Retry-After", "3"]]` where a name occurs twice.
fn headers(body: &Value) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = || "headers must be an object of strings or an array of pairs of strings".to_owned();
    let pair = |name: Option<&str>, value: Option<&str>| match (name, value) {
        (Some(name), Some(value)) => Ok((name.to_owned(), value.to_owned())),
        _ => Err(wrong()),
    };
    match body.get("headers") {
        None => Ok(Vec::new()),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(name, value)| pair(Some(name), value.as_str()))
            .collect(),
        Some(Value::Array(pairs)) => pairs
            .iter()
            .map(|both| pair(both[0].as_str(), both[1].as_str()))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// `body` as text, or `body_base64` for bytes that are none.
fn bytes(body: &Value) -> Result<Vec<u8>, Refusal> {
    if body.get("body_base64").is_some() {
        return STANDARD
            .decode(text(body, "body_base64")?)
            .map_err(|error| format!("body_base64: {error}"));
    }
    Ok(text(body, "body")?.as_bytes().to_vec())
}

fn total(body: &Value) -> Result<Total, Refusal> {
    match body.get("total").and_then(Value::as_str) {
        None | Some("matching") => Ok(Total::Matching),
        Some("real") => Ok(Total::Real),
        Some(other) => Err(format!("total is matching or real, not {other}")),
    }
}

/// `value` is any JSON; `value_text` is written as it is, so that it can be no JSON at all; neither leaves it out.
fn value(body: &Value) -> Option<String> {
    let as_it_is = body.get("value_text").and_then(Value::as_str).map(str::to_owned);
    as_it_is.or_else(|| body.get("value").map(Value::to_string))
}
