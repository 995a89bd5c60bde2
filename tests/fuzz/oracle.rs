//! What several targets compare with.

use serde_json::Value;
use sluice_core::Explain;
use sluice_core::data::{SingularQuery, Step};

/// The first line of an input, and what follows it.
pub fn first_line(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&input[..end]).ok()?, &input[end + 1..]))
}

/// What a query selects from a tree of values.
pub fn select<'v>(document: &'v Value, query: &SingularQuery) -> Option<&'v Value> {
    query.steps.iter().try_fold(document, |value, step| match step {
        Step::Member(name) => value.as_object()?.get(name),
        Step::Element(index) => {
            let elements = value.as_array()?;
            let from_start = match usize::try_from(*index) {
                Ok(from_start) => from_start,
                Err(_) => elements
                    .len()
                    .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
            };
            elements.get(from_start)
        }
    })
}

/// Levels of arrays and objects.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whatever came in, an error is one short line with a code, and neither detail nor hint can steer a terminal.
pub fn well_told(error: &dyn Explain) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.ends_with('.'), "{message:?}");
    assert!(message.chars().count() <= 400, "{message:?}");
    assert_eq!(error.sqlstate().len(), 5, "{message:?}");
    for text in [Some(message), error.detail(), error.hint()].into_iter().flatten() {
        assert!(!text.is_empty() && text.chars().count() <= 1000, "{text:?}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
