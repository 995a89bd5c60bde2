//! Names of types that no column can have, and the nearest one that it can.

use crate::connection::nearest;

/// Why a name cannot be a column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeFault {
    Unknown,
    /// A word of CREATE TABLE for an integer with a sequence.
    Serial,
    /// PostgreSQL has it for functions only.
    Pseudo,
    /// What PostgreSQL says of it.
    Refused(String),
}

impl TypeFault {
    pub(super) fn detail(&self) -> String {
        match self {
            TypeFault::Unknown => "There is no type of this name.".to_owned(),
            TypeFault::Serial => {
                "It is an integer whose values a sequence gives; here the remote gives them.".to_owned()
            }
            TypeFault::Pseudo => "It is a pseudo-type: arguments of functions have it, and no values.".to_owned(),
            TypeFault::Refused(said) => super::fault::as_sentence(said),
        }
    }
}

/// Words of CREATE TABLE, and of other systems, with the type that takes the same values.
const MEANT: [(&str, &str); 31] = [
    ("smallserial", "smallint"),
    ("serial2", "smallint"),
    ("serial", "integer"),
    ("serial4", "integer"),
    ("bigserial", "bigint"),
    ("serial8", "bigint"),
    ("string", "text"),
    ("str", "text"),
    ("nvarchar", "text"),
    ("clob", "text"),
    ("number", "numeric"),
    ("double", "double precision"),
    ("float32", "real"),
    ("float64", "double precision"),
    ("tinyint", "smallint"),
    ("int16", "smallint"),
    ("int32", "integer"),
    ("int64", "bigint"),
    ("long", "bigint"),
    ("object", "jsonb"),
    ("array", "jsonb"),
    ("any", "jsonb"),
    ("anyelement", "jsonb"),
    ("record", "jsonb"),
    ("cstring", "text"),
    ("unknown", "text"),
    ("datetime", "timestamptz"),
    ("datetime2", "timestamptz"),
    ("guid", "uuid"),
    ("blob", "bytea"),
    ("binary", "bytea"),
];
const SERIAL: [&str; 6] = ["smallserial", "serial2", "serial", "serial4", "bigserial", "serial8"];
const USUAL: [&str; 19] = [
    "text",
    "integer",
    "bigint",
    "smallint",
    "numeric",
    "double precision",
    "real",
    "boolean",
    "date",
    "timestamptz",
    "timestamp",
    "time",
    "interval",
    "uuid",
    "jsonb",
    "json",
    "bytea",
    "varchar",
    "inet",
];

/// The name without a modifier, in small letters.
fn word(name: &str) -> String {
    let word = name.split(['(', '[']).next().unwrap_or_default();
    word.trim().to_ascii_lowercase()
}

pub(super) fn is_serial(name: &str) -> bool {
    SERIAL.contains(&word(name).as_str())
}

/// The type that was most likely meant.
pub(super) fn nearest_type(name: &str) -> &'static str {
    let word = word(name);
    let meant = MEANT.iter().find(|(known, _)| *known == word).map(|(_, ty)| *ty);
    meant.or_else(|| nearest(&word, &USUAL)).unwrap_or("text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_type_is_the_one_that_was_meant() {
        for (name, nearest) in [
            ("serial", "integer"),
            ("BIGSERIAL", "bigint"),
            ("intger", "integer"),
            ("txt", "text"),
            ("string(20)", "text"),
            ("numericc(12,2)", "numeric"),
            ("datetime", "timestamptz"),
            ("anyelement", "jsonb"),
            ("app.mood", "text"),
        ] {
            assert_eq!(nearest_type(name), nearest, "{name}");
        }
        assert!(is_serial(" Serial8 ") && !is_serial("app.serial") && !is_serial("int8"));
    }
}
