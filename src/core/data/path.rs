//! Singular queries of RFC 9535 (`$.data.items`): parsed by a crate, walked on raw text.
use std::fmt;

/// One step of a singular query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// An element of an array; negative counts from the end.
    Element(i64),
}

/// A query that selects at most one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SingularQuery {
    pub steps: Vec<Step>,
}

impl fmt::Display for SingularQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")
    }
}
