//! Which records are tombstones: a logical expression of RFC 9535 (section 2.3.5) in which `@` is the record.

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// Longer texts are no expressions that anybody wrote.
const LONGEST: usize = 2000;

/// The expression, parsed by a crate; each record that it is asked about becomes a tree of values.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletedWhen {
    text: String,
    query: JpQuery,
}

impl DeletedWhen {
    /// `@.deleted == true`, `@.status == 'gone' && @.deleted_at != null`; None for anything else.
    pub fn parse(text: &str) -> Option<DeletedWhen> {
        if text.len() > LONGEST || has_unquoted_root(text) {
            return None;
        }
        let query = parse_json_path(&format!("$[?{text}]")).ok()?;
        match query.segments.as_slice() {
            [Segment::Selector(Selector::Filter(_))] => Some(DeletedWhen {
                text: text.to_owned(),
                query,
            }),
            _ => None,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for a record.
    pub fn holds(&self, record: &str) -> bool {
        let Ok(record) = serde_json::from_str::<Value>(record) else {
            return false;
        };
        let list = Value::Array(vec![record]);
        js_path_process(&self.query, &list).is_ok_and(|found| !found.is_empty())
    }
}

/// Whether a `$` stands outside of quotes: there is no document around a record to speak of.
fn has_unquoted_root(text: &str) -> bool {
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (None, '$') => return true,
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_holds_for_the_records_that_it_describes() {
        for (text, holds, not) in [
            ("@.deleted == true", r#"{"deleted": true}"#, r#"{"deleted": "true"}"#),
            ("@.deleted_at", r#"{"deleted_at": null}"#, r#"{"deleted": 1}"#),
            (
                "@.deleted_at != null",
                r#"{"deleted_at": "2024-01-01"}"#,
                r#"{"deleted_at": null}"#,
            ),
            (
                "@.status == 'gone' && (@.n > 5 || !@.n)",
                r#"{"status": "gone", "n": 6}"#,
                r#"{"status": "gone", "n": 5}"#,
            ),
            (
                "@['odd $ name'].x == 1.5",
                r#"{"odd $ name": {"x": 1.5}}"#,
                r#"{"x": 1.5}"#,
            ),
        ] {
            let when = DeletedWhen::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(when.holds(holds), "{text}: {holds}");
            assert!(!when.holds(not), "{text}: {not}");
            assert_eq!(when.text(), text);
        }
    }

    #[test]
    fn what_is_no_expression_on_the_record_is_refused() {
        for text in [
            "",
            "deleted",
            "@.a ==",
            "$.deleted == true",
            "@.a] , [?@.b",
            "true",
            "@.a == 1]['x'",
            "@.a = 1",
        ] {
            assert_eq!(DeletedWhen::parse(text), None, "{text}");
        }
        assert_eq!(DeletedWhen::parse(&format!("@.a == '{}'", "x".repeat(LONGEST))), None);
    }

    #[test]
    fn a_record_that_is_no_value_is_no_tombstone() {
        let when = DeletedWhen::parse("@.deleted == true").expect("an expression");
        for record in ["", "{", "[]", "1"] {
            assert!(!when.holds(record), "{record}");
        }
    }
}
