//! What a job is, as `create_job` and `alter_job` are given it: name, path, mode, priority, key.
//!
//! The texts are checked here when they are given; whether what they name exists (connection, target, columns) is asked by
//! the caller, which raises the other faults of [`JobFault`].

mod fault;
mod function;
mod order;
mod path;
mod target_name;

use std::fmt;

use crate::connection::{ConfigError, Subject, found, nearest};

pub use fault::JobFault;
pub use function::{FunctionFault, FunctionName};
pub use order::check_cycle;
pub use path::{JobPath, PathFault};
pub use target_name::TargetName;

/// The longest name of a job or a column, in bytes: that of PostgreSQL's identifiers.
pub const LONGEST_NAME: usize = 63;

/// What a run does with the records that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each read is the whole collection: what differs is written at the end, what is proven gone is removed.
    Replace,
    /// Each read is some of the collection: rows are merged by key as they arrive.
    Upsert,
    /// Each read is some of a log: rows are added as they arrive, and none is changed or removed.
    Append,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Replace, Mode::Upsert, Mode::Append];

    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Replace => "replace",
            Mode::Upsert => "upsert",
            Mode::Append => "append",
        }
    }

    pub fn parse(text: &str) -> Result<Mode, ConfigError> {
        const WORDS: [&str; 3] = ["replace", "upsert", "append"];
        let mode = Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
        mode.ok_or_else(|| unknown_word("mode", text, &WORDS))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of the due jobs is run first. Declared in the order of the SQL enum: `DESC` puts high first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    pub const ALL: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
        }
    }

    pub fn parse(text: &str) -> Result<Priority, ConfigError> {
        let priority = Priority::ALL.into_iter().find(|priority| priority.as_str() == text);
        priority.ok_or_else(|| unknown_word("priority", text, &["high", "normal", "low"]))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A job's name: 1 to 63 bytes, printable, no blank at either end. It is the job's `data_type` in the views.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobName(String);

impl JobName {
    pub fn parse(text: &str) -> Result<JobName, ConfigError> {
        let printable = !text.chars().any(char::is_control);
        if printable && text.trim() == text && (1..=LONGEST_NAME).contains(&text.len()) {
            return Ok(JobName(text.to_owned()));
        }
        Err(ConfigError::WrongValue {
            subject: Subject::argument("name"),
            expected: "1 to 63 bytes of printable text without blanks at either end".to_owned(),
            found: Some(found_name(text)),
            example: "'products'".to_owned(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the argument `key`: at least one column, each named once.
pub fn check_key(key: &[String]) -> Result<(), ConfigError> {
    if key.is_empty() {
        return Err(JobFault::EmptyKey.into());
    }
    for (place, column) in key.iter().enumerate() {
        if key[..place].contains(column) {
            return Err(JobFault::KeyColumnTwice { column: column.clone() }.into());
        }
    }
    Ok(())
}

fn found_name(text: &str) -> String {
    match text.len() {
        length if length > LONGEST_NAME => format!("It has {length} bytes."),
        _ => found(text),
    }
}

fn unknown_word(argument: &str, text: &str, words: &[&'static str]) -> ConfigError {
    ConfigError::UnknownWord {
        subject: Subject::argument(argument),
        found: Some(found(text)),
        nearest: nearest(text, words),
        valid: words.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    #[test]
    fn modes_and_priorities_are_read_as_they_are_written() {
        for mode in Mode::ALL {
            assert_eq!(Mode::parse(mode.as_str()).unwrap(), mode);
        }
        for priority in Priority::ALL {
            assert_eq!(Priority::parse(priority.as_str()).unwrap(), priority);
        }
        assert!(Priority::High > Priority::Normal && Priority::Normal > Priority::Low);
    }

    #[test]
    fn a_misspelt_mode_names_the_nearest() {
        assert_eq!(
            Mode::parse("replcae").unwrap_err().hint().unwrap(),
            "Did you mean \"replace\"?"
        );
        assert_eq!(
            Priority::parse("hihg").unwrap_err().hint().unwrap(),
            "Did you mean \"high\"?"
        );
    }

    #[test]
    fn a_job_name_is_printable_and_fits_an_identifier() {
        for name in ["products", "Products of 2024", "produkte-ü", &"x".repeat(63)] {
            assert_eq!(JobName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", " ", " x", "x ", "a\nb", "a\u{0}", &"x".repeat(64), &"ü".repeat(32)] {
            let error = JobName::parse(name).unwrap_err();
            assert_eq!(error.sqlstate(), "22023", "{name:?}");
            assert!(!error.detail().unwrap().contains('\n'));
        }
    }

    #[test]
    fn a_key_has_columns_each_once() {
        let key = |columns: &[&str]| columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        assert!(check_key(&key(&["shop", "id"])).is_ok());
        assert!(check_key(&key(&[])).is_err());
        assert!(check_key(&key(&["id", "id"])).is_err());
    }
}
