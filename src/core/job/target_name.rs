//! The name of a target as a person writes it: `products`, `shop.products`, `"Shop"."The Goods"`.
//!
//! It is read into its parts here and quoted when it becomes SQL, so that nothing but a name can stand in its place.
//! Names follow PostgreSQL's rules: bare letters are folded to lower case, quoted ones stay.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use super::LONGEST_NAME;
use crate::connection::{ConfigError, Subject, found};
use crate::sql_text::quote;

/// A table's name, with its schema where it was given. Displayed as SQL, each part quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetName {
    pub schema: Option<String>,
    pub table: String,
}

impl TargetName {
    /// The table of this exact name, found or made along the search path.
    pub fn of_table(table: &str) -> TargetName {
        TargetName {
            schema: None,
            table: table.to_owned(),
        }
    }

    /// Reads one or two identifiers with a dot between them.
    pub fn parse(text: &str) -> Result<TargetName, ConfigError> {
        parts(text).ok_or_else(|| ConfigError::WrongValue {
            subject: Subject::argument("target"),
            expected: "the name of a table, with or without its schema".to_owned(),
            found: Some(found(text)),
            example: "'shop.products', or '\"Shop\".\"Products\"' where capitals or blanks are meant".to_owned(),
        })
    }
}

fn parts(text: &str) -> Option<TargetName> {
    let mut rest = text.trim().chars().peekable();
    let first = identifier(&mut rest)?;
    match rest.next() {
        None => Some(TargetName::of_table(&first)),
        Some('.') => {
            let table = identifier(&mut rest)?;
            let whole = rest.next().is_none();
            whole.then_some(TargetName {
                schema: Some(first),
                table,
            })
        }
        Some(_) => None,
    }
}

fn identifier(rest: &mut Peekable<Chars>) -> Option<String> {
    let name = if rest.next_if_eq(&'"').is_some() {
        quoted_name(rest)?
    } else {
        bare_name(rest)
    };
    (!name.is_empty() && name.len() <= LONGEST_NAME).then_some(name)
}

/// What stands before the closing quote; a doubled quote is one.
fn quoted_name(rest: &mut Peekable<Chars>) -> Option<String> {
    let mut name = String::new();
    loop {
        match rest.next()? {
            '"' if rest.next_if_eq(&'"').is_some() => name.push('"'),
            '"' => return Some(name),
            '\0' => return None,
            other => name.push(other),
        }
    }
}

fn bare_name(rest: &mut Peekable<Chars>) -> String {
    let mut name = String::new();
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    while let Some(c) = rest.next_if(|&c| begins(c) || (!name.is_empty() && (c.is_ascii_digit() || c == '$'))) {
        name.push(c.to_ascii_lowercase());
    }
    name
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quote(schema))?;
        }
        f.write_str(&quote(&self.table))
    }
}

#[test]
fn a_target_is_a_name_and_nothing_else() {
    let sql = |text: &str| TargetName::parse(text).map(|name| name.to_string());
    assert_eq!(sql("Products").unwrap(), r#""products""#);
    assert_eq!(sql(" shop.p_1$ ").unwrap(), r#""shop"."p_1$""#);
    assert_eq!(sql(r#""Shop"."The ""Goods""""#).unwrap(), r#""Shop"."The ""Goods""""#);
    let refused = [
        "",
        "a b",
        "a.b.c",
        "a.",
        ".a",
        "1a",
        "\"a",
        "\"\"",
        "p;DROP/**/TABLE/**/q",
        "p(a/**/int);--",
        "p--",
    ];
    for text in refused {
        assert!(TargetName::parse(text).is_err(), "{text}");
    }
}
