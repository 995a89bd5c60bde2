//! The records in a body: where their array stands, and whether it is the same as before.

use super::column::MappingVersion;
use super::error::{DataError, excerpt};
use super::kind::{JsonKind, trim};
use super::path::SingularQuery;
use super::pick::{pick, without_mark};

/// What one look at a body found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<'a> {
    /// The array of records exactly as it was sent, without the envelope around it.
    pub text: &'a str,
    /// The raw values of the other queries of [`locate_with`], in their order.
    pub picked: Vec<Option<&'a str>>,
}

/// Finds the array of records in a body. The body must be one JSON document in UTF-8, with or without a byte order mark.
pub fn locate<'a>(body: &'a [u8], records: &SingularQuery) -> Result<Located<'a>, DataError> {
    locate_with(body, records, &[])
}

/// Finds the array of records and the values of other queries (a total, a next token) in the same pass.
pub fn locate_with<'a>(
    body: &'a [u8],
    records: &SingularQuery,
    others: &[&SingularQuery],
) -> Result<Located<'a>, DataError> {
    let body = text_of(body)?;
    let queries: Vec<&SingularQuery> = std::iter::once(records).chain(others.iter().copied()).collect();
    let mut picked = pick(body, &queries)?;
    let text = picked.remove(0).ok_or_else(|| DataError::PathMissing {
        path: records.to_string(),
    })?;
    match JsonKind::of(text) {
        JsonKind::Array => Ok(Located { text, picked }),
        found => Err(DataError::NotAnArray {
            path: records.to_string(),
            found,
        }),
    }
}

/// A body in UTF-8, without a byte order mark, that is no HTML.
pub(crate) fn text_of(body: &[u8]) -> Result<&str, DataError> {
    let body = std::str::from_utf8(body).map_err(|error| DataError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let body = without_mark(body)?;
    let content = trim(body);
    if content.starts_with('<') {
        return Err(DataError::Html {
            excerpt: excerpt(content),
        });
    }
    Ok(body)
}

/// What a page's records and their mapping hash to (BLAKE3): equal hashes become equal rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageHash(pub [u8; 32]);

pub fn hash(records_text: &str, version: &MappingVersion) -> PageHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&version.0);
    hasher.update(records_text.as_bytes());
    PageHash(*hasher.finalize().as_bytes())
}

/// The BLAKE3 hash of any bytes.
pub fn content_hash_bytes(content: &[u8]) -> [u8; 32] {
    *blake3::hash(content).as_bytes()
}

/// The BLAKE3 hash of any bytes, as 64 hexadecimal digits.
pub fn content_hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}
