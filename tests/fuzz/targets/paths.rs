//! Singular queries of RFC 9535: what is read can be written and read again, and picks what a tree of values has.
//!
//! Input: the query, a line's end, a document.

use crate::oracle::{depth, first_line, select};
use serde_json::Value;
use sluice_core::data::{self, MAX_DEPTH, SingularQuery};

pub fn check(input: &[u8]) {
    let Some((text, document)) = first_line(input) else {
        return;
    };
    check_records_path(text);
    let Ok(query) = SingularQuery::parse(text) else { return };
    assert_eq!(
        SingularQuery::parse(&query.to_string()),
        Ok(query.clone()),
        "{text} as {query}"
    );
    let Ok(document) = std::str::from_utf8(document) else {
        return;
    };
    let Ok(tree) = serde_json::from_str::<Value>(document) else {
        return;
    };
    if depth(&tree) > MAX_DEPTH {
        return;
    }
    let picked = data::pick(document, &[&query, &SingularQuery::root(), &query]).expect("a document");
    let values: Vec<Option<Value>> = picked
        .iter()
        .map(|raw| raw.map(|raw| serde_json::from_str(raw).expect("a value")))
        .collect();
    let selected = select(&tree, &query).cloned();
    assert_eq!(values, [selected.clone(), Some(tree.clone()), selected], "{query}");
}

/// A path to records is any singular query, and means the same with `[*]` behind it.
fn check_records_path(text: &str) {
    let path = SingularQuery::parse_records(text);
    if let Ok(query) = SingularQuery::parse(text) {
        assert_eq!(path, Ok(query), "{text}");
    }
    if let Ok(path) = path {
        assert_eq!(SingularQuery::parse_records(&format!("{path}[*]")), Ok(path), "{text}");
    }
}
