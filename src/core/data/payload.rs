//! The records of a document that was sent to us: one of them, an array of them, or a page as the remote answers it.

use super::error::DataError;
use super::kind::{JsonKind, trim};
use super::path::SingularQuery;
use super::pick::{pick, without_mark};
use std::borrow::Cow;

/// The array of a payload's records. Where the job's `records` select an array, that is it; else a payload that is an
/// array holds records, and an object is one.
pub fn payload_records<'a>(payload: &'a str, records: &SingularQuery) -> Result<Cow<'a, str>, DataError> {
    let payload = without_mark(payload)?;
    let selected = pick(payload, &[records])?.into_iter().next().flatten();
    if let Some(selected) = selected.filter(|value| JsonKind::of(value) == JsonKind::Array) {
        return Ok(selected.into());
    }
    let payload = trim(payload);
    match JsonKind::of(payload) {
        JsonKind::Array => Ok(payload.into()),
        JsonKind::Object => Ok(format!("[{payload}]").into()),
        found => Err(DataError::NotAnArray {
            path: "$".into(),
            found,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(payload: &str, records: &str) -> String {
        payload_records(payload, &SingularQuery::parse(records).unwrap())
            .unwrap()
            .into_owned()
    }

    #[test]
    fn a_record_an_array_and_a_page_are_told_apart_by_their_structure() {
        assert_eq!(of(r#" {"id": 1} "#, "$"), r#"[{"id": 1}]"#);
        assert_eq!(of(r#"[{"id": 1}, {"id": 2}]"#, "$"), r#"[{"id": 1}, {"id": 2}]"#);
        assert_eq!(of(r#"{"data": [{"id": 1}], "total": 1}"#, "$.data"), r#"[{"id": 1}]"#);
        assert_eq!(of(r#"{"id": 1, "data": "x"}"#, "$.data"), r#"[{"id": 1, "data": "x"}]"#);
        assert_eq!(of(r#"[{"id": 1}]"#, "$.data"), r#"[{"id": 1}]"#);
        assert_eq!(of("[]", "$"), "[]");
        assert_eq!(of("\u{feff}{\"id\": 1}", "$"), r#"[{"id": 1}]"#);
    }

    #[test]
    fn a_scalar_is_no_record_and_a_pit_is_refused() {
        let root = SingularQuery::root();
        for scalar in ["1", "\"x\"", "null", "true"] {
            assert!(payload_records(scalar, &root).is_err(), "{scalar}");
        }
        assert!(payload_records(&"[".repeat(100_000), &root).is_err());
        assert!(payload_records("", &root).is_err());
    }
}
