//! Single values out of a body: totals, next tokens, the array of records.

use super::depth::{MAX_DEPTH, is_deeper};
use super::error::DataError;
use super::path::SingularQuery;
use super::tree::Tree;

/// The raw text of the value that each query selects, in the queries' order; `None` where it selects nothing.
///
/// The whole body is read once and must be one JSON document, at most [`MAX_DEPTH`] levels deep. A byte order mark
/// before it is skipped.
pub fn pick<'a>(body: &'a str, queries: &[&SingularQuery]) -> Result<Vec<Option<&'a str>>, DataError> {
    let body = without_mark(body);
    if super::kind::trim(body).is_empty() {
        return Err(DataError::EmptyBody);
    }
    if is_deeper(body, MAX_DEPTH) {
        return Err(DataError::TooDeep { limit: MAX_DEPTH });
    }
    let mut found = vec![None; queries.len()];
    let tree = Tree::of(queries.iter().copied());
    tree.walk(body, &mut found)
        .map_err(|error| DataError::from_json(super::kind::trim(body), &error))?;
    Ok(found)
}

/// Without a leading byte order mark, which RFC 8259 (section 8.1) lets a reader ignore.
pub(crate) fn without_mark(body: &str) -> &str {
    body.strip_prefix('\u{feff}').unwrap_or(body)
}
