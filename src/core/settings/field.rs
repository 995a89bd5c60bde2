//! A value of the settings document that knows where it stands: each reading checks the value or says what it must be.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::SettingsFault;
use super::keys::Keys;
use super::object::{Members, Object};
use super::size::{format_size, parse_size};
use crate::connection::{ConfigError, Subject, found, nearest};
use crate::data::DeletedWhen;
use crate::data::path::SingularQuery;
use crate::job::{FunctionName, LONGEST_NAME};
use crate::schedule::{format_interval, parse_interval};

/// A value of the document and its place.
pub(super) struct Field<'a> {
    pub path: String,
    pub raw: &'a RawValue,
}

impl<'a> Field<'a> {
    pub fn subject(&self) -> Subject {
        Subject::setting(&self.path)
    }

    /// The last part of the path, as one would write the field.
    fn key(&self) -> &str {
        self.path.rsplit_once('.').map_or(self.path.as_str(), |(_, key)| key)
    }

    /// `example` is the value alone.
    pub fn wrong(&self, expected: &str, example: &str) -> ConfigError {
        self.wrong_because(expected, self.found(), example)
    }

    fn wrong_because(&self, expected: &str, found: String, example: &str) -> ConfigError {
        ConfigError::WrongValue {
            subject: self.subject(),
            expected: expected.to_owned(),
            found: Some(found),
            example: format!("\"{}\": {example}", self.key()),
        }
    }

    fn found(&self) -> String {
        match self.value() {
            Value::String(text) => found(&text),
            Value::Array(_) => "It is an array.".to_owned(),
            Value::Object(_) => "It is an object.".to_owned(),
            _ => found(self.raw.get()),
        }
    }

    pub fn value(&self) -> Value {
        serde_json::from_str(self.raw.get()).unwrap_or(Value::Null)
    }

    pub fn members(&self, example: &str) -> Result<Vec<(String, Field<'a>)>, ConfigError> {
        let Ok(Members(members)) = serde_json::from_str::<Members<'a>>(self.raw.get()) else {
            return Err(self.wrong("an object", example));
        };
        let field = |(key, raw): (String, &'a RawValue)| {
            let path = format!("{}.{key}", self.path);
            (key, Field { path, raw })
        };
        Ok(members.into_iter().map(field).collect())
    }

    pub fn object(&self, keys: &Keys) -> Result<Object<'a>, ConfigError> {
        let example = format!("{{\"{}\": …}}", keys.known[0]);
        let Ok(Members(members)) = serde_json::from_str(self.raw.get()) else {
            return Err(self.wrong("an object", &example));
        };
        Object::checked(self.path.clone(), members, keys)
    }

    pub fn choice<T: Copy>(&self, words: &[(&'static str, T)], later: &[&'static str]) -> Result<T, ConfigError> {
        let valid: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        let Value::String(given) = self.value() else {
            return Err(self.wrong("a text", &format!("\"{}\"", valid[0])));
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == given) {
            return Ok(*meaning);
        }
        if let Some(word) = later.iter().find(|word| **word == given) {
            let what = format!("{} \"{word}\"", self.subject());
            return Err(ConfigError::NotSupportedYet { what, supported: valid });
        }
        let nearest = nearest(&given, &valid);
        Err(ConfigError::UnknownWord {
            subject: self.subject(),
            found: Some(found(&given)),
            nearest,
            valid,
        })
    }

    pub fn whole(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        match serde_json::from_str::<u64>(self.raw.get()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => {
                let expected = match *range.end() {
                    most if most >= i64::MAX as u64 => format!("a whole number from {} on", range.start()),
                    most => format!("a whole number from {} to {most}", range.start()),
                };
                Err(self.wrong(&expected, &(*range.end()).min(100).to_string()))
            }
        }
    }

    /// Above 0, at most 1.
    pub fn share(&self) -> Result<f64, ConfigError> {
        match serde_json::from_str::<f64>(self.raw.get()) {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
            _ => Err(self.wrong("a number above 0 and at most 1", "0.5")),
        }
    }

    pub fn truth(&self) -> Result<bool, ConfigError> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("true or false", "true"))
    }

    pub fn seconds(&self, least: f64, most: f64) -> Result<Duration, ConfigError> {
        match serde_json::from_str::<f64>(self.raw.get()) {
            Ok(seconds) if (least..=most).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
            _ => Err(self.wrong(&format!("a number of seconds from {least} to {most}"), "2")),
        }
    }

    pub fn minutes(&self, least: f64, most: f64) -> Result<Duration, ConfigError> {
        match serde_json::from_str::<f64>(self.raw.get()) {
            Ok(minutes) if (least..=most).contains(&minutes) => Ok(Duration::from_secs_f64(minutes * 60.0)),
            _ => Err(self.wrong(&format!("a number of minutes from {least} to {most}"), "20")),
        }
    }

    pub fn interval(&self, range: RangeInclusive<Duration>) -> Result<Duration, ConfigError> {
        const EXAMPLE: &str = "\"30 s\", \"2 minutes\" or \"1 hour 30 minutes\"";
        let Value::String(text) = self.value() else {
            return Err(self.wrong("an interval, as a text with its unit", EXAMPLE));
        };
        match parse_interval(&text) {
            Ok(length) if range.contains(&length) => Ok(length),
            Ok(_) => {
                let (least, most) = (format_interval(*range.start()), format_interval(*range.end()));
                Err(self.wrong(&format!("an interval from {least} to {most}"), &format!("\"{least}\"")))
            }
            Err(fault) => {
                let sentence = format!("{} {}", found(&text), fault.sentence());
                Err(self.wrong_because("an interval, as a text with its unit", sentence, EXAMPLE))
            }
        }
    }

    /// An array of 1 to 20 intervals.
    pub fn intervals(&self, range: RangeInclusive<Duration>) -> Result<Vec<Duration>, ConfigError> {
        const EXAMPLE: &str = "[\"5 min\", \"10 min\"]";
        match serde_json::from_str::<Vec<&RawValue>>(self.raw.get()) {
            Ok(each) if (1..=20).contains(&each.len()) => {
                let field = |(place, raw): (usize, &'a RawValue)| Field {
                    path: format!("{}[{place}]", self.path),
                    raw,
                };
                let fields = each.into_iter().enumerate().map(field);
                fields.map(|field| field.interval(range.clone())).collect()
            }
            _ => Err(self.wrong("an array of 1 to 20 intervals", EXAMPLE)),
        }
    }

    /// A number of bytes, or a text with one of PostgreSQL's memory units (1 kB is 1024 B).
    pub fn size(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let bytes = match self.value() {
            Value::String(text) => parse_size(&text),
            _ => serde_json::from_str::<u64>(self.raw.get()).ok(),
        };
        match bytes {
            Some(bytes) if range.contains(&bytes) => Ok(bytes),
            _ => {
                let expected = match *range.end() {
                    most if most >= i64::MAX as u64 => "a number of bytes or a size such as \"8 MB\"".to_owned(),
                    most => format!("from {} to {}", format_size(*range.start()), format_size(most)),
                };
                Err(self.wrong(&expected, "\"8 MB\""))
            }
        }
    }

    pub fn text(&self, expected: &str, example: &str) -> Result<String, ConfigError> {
        match self.value() {
            Value::String(text) if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(expected, example)),
        }
    }

    /// The name of a role or another object.
    pub fn name(&self) -> Result<String, ConfigError> {
        match self.value() {
            Value::String(text) if (1..=LONGEST_NAME).contains(&text.len()) && !text.chars().any(char::is_control) => {
                Ok(text)
            }
            _ => Err(self.wrong("a name of 1 to 63 bytes", "\"app\"")),
        }
    }

    /// The name of a function.
    pub fn function(&self) -> Result<FunctionName, ConfigError> {
        let (expected, example) = (
            "the name of a function, without its arguments",
            "\"app.refresh_totals\"",
        );
        let text = self.text(expected, example)?;
        FunctionName::parse(&text).ok_or_else(|| self.wrong(expected, example))
    }

    pub fn query(&self) -> Result<SingularQuery, ConfigError> {
        self.read_query(SingularQuery::parse)
    }

    /// A logical expression on a record.
    pub fn expression(&self) -> Result<DeletedWhen, ConfigError> {
        let (expected, example) = (
            "a logical expression of RFC 9535 on the record @",
            "\"@.deleted == true\"",
        );
        let text = self.text(expected, example)?;
        DeletedWhen::parse(&text).ok_or_else(|| self.wrong(expected, example))
    }

    /// The name of a query parameter.
    pub fn param(&self, example: &str) -> Result<String, ConfigError> {
        match self.value() {
            Value::String(name) if !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                Ok(name)
            }
            _ => Err(self.wrong("the name of a parameter", example)),
        }
    }

    /// As [`Field::query`]; a `[*]` at the end means the same as none.
    pub fn records_query(&self) -> Result<SingularQuery, ConfigError> {
        self.read_query(SingularQuery::parse_records)
    }

    fn read_query<E: fmt::Display>(
        &self,
        parse: impl Fn(&str) -> Result<SingularQuery, E>,
    ) -> Result<SingularQuery, ConfigError> {
        let path = self.text("a path", "\"$.data\"")?;
        parse(&path).map_err(|error| {
            SettingsFault::WrongPath {
                subject: self.subject(),
                reason: error.to_string(),
            }
            .into()
        })
    }
}
