//! Single values out of a body: totals, next tokens, the array of records.

use super::depth::{MAX_DEPTH, is_deeper};
use super::error::DataError;
use super::path::SingularQuery;
use super::tree::Tree;

/// The raw text of the value that each query selects, in the queries' order; `None` where it selects nothing.
///
/// The whole body is read once and must be one JSON document, at most [`MAX_DEPTH`] levels deep, without a byte order mark.
pub fn pick<'a>(body: &'a str, queries: &[&SingularQuery]) -> Result<Vec<Option<&'a str>>, DataError> {
    Picker::of(queries.iter().copied()).pick(body)
}

/// The same queries for many texts.
pub struct Picker {
    tree: Tree,
    queries: usize,
}

impl Picker {
    pub fn of<'q>(queries: impl IntoIterator<Item = &'q SingularQuery>) -> Picker {
        let mut count = 0;
        let tree = Tree::of(queries.into_iter().inspect(|_| count += 1));
        Picker { tree, queries: count }
    }

    /// See [`pick`].
    pub fn pick<'a>(&self, body: &'a str) -> Result<Vec<Option<&'a str>>, DataError> {
        if super::kind::trim(body).is_empty() {
            return Err(DataError::EmptyBody);
        }
        if is_deeper(body, MAX_DEPTH) {
            return Err(DataError::TooDeep { limit: MAX_DEPTH });
        }
        let mut found = vec![None; self.queries];
        self.tree
            .walk(body, &mut found)
            .map_err(|error| DataError::from_json(super::kind::trim(body), &error))?;
        Ok(found)
    }
}

/// Without a leading byte order mark, which RFC 8259 (section 8.1) lets a reader ignore.
///
/// # Errors
/// A second mark, which is no part of any format.
pub(crate) fn without_mark(text: &str) -> Result<&str, DataError> {
    match text.strip_prefix(MARK) {
        Some(rest) if rest.starts_with(MARK) => Err(DataError::SecondMark),
        rest => Ok(rest.unwrap_or(text)),
    }
}

const MARK: char = '\u{feff}';
