//! Singular queries of RFC 9535 (`$.data.items`, `$['odd name'][0]`): parsed by a crate, walked by us on raw text.

use jsonpath_rust::parser::model::{Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use std::fmt;

/// Steps that a query may have; each step into an object costs one more look at its text.
pub const MAX_STEPS: usize = 32;

/// One step of a singular query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// An element of an array; negative counts from the end.
    Element(i64),
}

/// A query that selects at most one value (RFC 9535, section 2.3.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SingularQuery {
    pub steps: Vec<Step>,
}

/// A text that is no singular query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("path is empty")]
    Empty,
    #[error("path \"{query}\" is not a JSONPath query")]
    Syntax { query: String },
    #[error("path \"{query}\" may select more than one value")]
    NotSingular { query: String },
    #[error("path has more than {limit} steps")]
    TooLong { limit: usize },
}

impl SingularQuery {
    /// Parses `$.a['b'][0]`, or the bare words `a` and `a.b` as `$.a` and `$.a.b`.
    pub fn parse(query: &str) -> Result<SingularQuery, PathError> {
        let segments = segments(query)?;
        of_segments(query, segments)
    }

    /// Parses a path to an array of records, where a trailing `[*]` means the same as the array itself.
    pub fn parse_records(query: &str) -> Result<SingularQuery, PathError> {
        let mut segments = segments(query)?;
        segments.pop_if(|last| *last == Segment::Selector(Selector::Wildcard));
        of_segments(query, segments)
    }

    /// The query `$`: the whole document.
    pub fn root() -> SingularQuery {
        SingularQuery { steps: Vec::new() }
    }

    /// A query that selects nothing from a record: an object has no elements.
    pub fn nothing() -> SingularQuery {
        SingularQuery {
            steps: vec![Step::Element(0)],
        }
    }

    /// The query for one member of the root object, whatever its name.
    pub fn member(name: &str) -> SingularQuery {
        SingularQuery {
            steps: vec![Step::Member(name.into())],
        }
    }
}

fn segments(query: &str) -> Result<Vec<Segment>, PathError> {
    let query = query.trim();
    if query.is_empty() {
        return Err(PathError::Empty);
    }
    if !query.starts_with('$') {
        return bare(query);
    }
    let syntax = || PathError::Syntax { query: query.into() };
    if has_unquoted_blank(query) {
        return Err(syntax());
    }
    parse_json_path(query)
        .map(|parsed| parsed.segments)
        .map_err(|_| syntax())
}

/// Whether blanks stand outside of quoted names. The parser would take `$.a b` for the name `a b`, which RFC 9535 has
/// not; the few places where blanks mean nothing are not worth telling apart.
fn has_unquoted_blank(query: &str) -> bool {
    let mut quote = None;
    let mut characters = query.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (None, blank) if blank.is_whitespace() => return true,
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    false
}

/// `a.b` without `$`: names of letters, digits, `_` and `-`, which need no quotes to be told apart.
fn bare(query: &str) -> Result<Vec<Segment>, PathError> {
    let is_plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if !query.split('.').all(is_plain) {
        return Err(PathError::Syntax { query: query.into() });
    }
    Ok(query.split('.').map(Segment::name).collect())
}

fn of_segments(query: &str, segments: Vec<Segment>) -> Result<SingularQuery, PathError> {
    if segments.len() > MAX_STEPS {
        return Err(PathError::TooLong { limit: MAX_STEPS });
    }
    let steps = segments
        .into_iter()
        .map(|segment| step(query, segment))
        .collect::<Result<_, _>>()?;
    Ok(SingularQuery { steps })
}

fn step(query: &str, segment: Segment) -> Result<Step, PathError> {
    match segment {
        Segment::Selector(Selector::Name(name)) => Ok(Step::Member(name)),
        Segment::Selector(Selector::Index(index)) => Ok(Step::Element(index)),
        _ => Err(PathError::NotSingular { query: query.into() }),
    }
}

/// The normalised form: `.name` for a plain name, else `['name']` with the escapes of RFC 9535. It parses back.
impl fmt::Display for SingularQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.steps {
            match step {
                Step::Element(index) => write!(f, "[{index}]")?,
                Step::Member(name) if is_shorthand(name) => write!(f, ".{name}")?,
                Step::Member(name) => write_quoted(f, name)?,
            }
        }
        Ok(())
    }
}

fn is_shorthand(name: &str) -> bool {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The escapes of a normalized path (RFC 9535, section 2.7), and of every other control character, since paths stand in
/// messages.
fn write_quoted(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    f.write_str("['")?;
    for character in name.chars() {
        match character {
            '\'' => f.write_str("\\'")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("']")
}
