//! The same page in other formats: `?format=ndjson`, one record a line; `?format=csv`, a header and a line a record.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Writes an array of records anew; the content type that it then has. None: another format was not asked for.
pub(crate) fn rewrite(format: Option<&str>, body: &mut Vec<u8>) -> Option<&'static str> {
    let (written, content_type) = match format? {
        "ndjson" => (lines(body)?, "application/x-ndjson"),
        "csv" => (csv(body)?, "text/csv; charset=utf-8"),
        _ => return None,
    };
    *body = written;
    Some(content_type)
}

fn lines(array: &[u8]) -> Option<Vec<u8>> {
    let records: Vec<&RawValue> = serde_json::from_slice(array).ok()?;
    Some(
        records
            .iter()
            .flat_map(|record| [record.get().as_bytes(), b"\n"].concat())
            .collect(),
    )
}

fn csv(array: &[u8]) -> Option<Vec<u8>> {
    let records: Vec<BTreeMap<String, &RawValue>> = serde_json::from_slice(array).ok()?;
    let names = [
        "id",
        "sku",
        "name",
        "description",
        "price",
        "stock",
        "active",
        "category",
        "updated_at",
        "attributes",
    ];
    let mut out = format!("{}\r\n", names.join(",")).into_bytes();
    for record in &records {
        let fields: Vec<String> = names.iter().map(|name| field(record.get(*name).copied())).collect();
        out.extend_from_slice(format!("{}\r\n", fields.join(",")).as_bytes());
    }
    Some(out)
}

/// A text's content, another value as JSON has it; quoted where it must be.
fn field(value: Option<&RawValue>) -> String {
    let raw = value.map_or("null", RawValue::get);
    let text = match serde_json::from_str::<serde_json::Value>(raw) {
        Ok(serde_json::Value::Null) => String::new(),
        Ok(serde_json::Value::String(text)) => text,
        _ => raw.to_owned(),
    };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}
