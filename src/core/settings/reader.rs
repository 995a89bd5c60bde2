//! Walking the settings document: objects with known keys, and fields that know where they stand.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::SettingsFault;
use super::keys::Keys;
use crate::connection::{ConfigError, Subject, found, nearest};
use crate::data::path::SingularQuery;
use crate::job::LONGEST_NAME;
use crate::schedule::{format_interval, parse_interval};

/// The members of a JSON object in the order of the text, values as they stand there.
pub(super) struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Collect<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect(std::marker::PhantomData))
    }
}

/// An object of the document, its keys checked.
pub(super) struct Object<'a> {
    place: String,
    members: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The whole document.
    pub fn document(text: &'a str, keys: &Keys) -> Result<Object<'a>, ConfigError> {
        let Members(members) = serde_json::from_str(text).map_err(|error| SettingsFault::NotAnObject {
            line: error.line(),
            column: error.column(),
        })?;
        let object = Object {
            place: String::new(),
            members,
        };
        object.check(keys)?;
        Ok(object)
    }

    fn check(&self, keys: &Keys) -> Result<(), ConfigError> {
        for (place, (key, _)) in self.members.iter().enumerate() {
            let path = self.path(key);
            if self.members[..place].iter().any(|(earlier, _)| earlier == key) {
                return Err(SettingsFault::Twice { path }.into());
            }
            if keys.later.contains(&key.as_str()) {
                let what = Subject::Setting(path).to_string();
                return Err(ConfigError::NotSupportedYet {
                    what,
                    supported: Vec::new(),
                });
            }
            if !keys.known.contains(&key.as_str()) {
                let nearest = nearest(key, keys.known);
                return Err(ConfigError::UnknownSetting {
                    path,
                    nearest,
                    valid: keys.known.to_vec(),
                });
            }
        }
        Ok(())
    }

    fn path(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place)
        }
    }

    /// The field, unless it is not given or null.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let (_, raw) = self.members.iter().find(|(known, _)| known == key)?;
        (raw.get() != "null").then(|| Field {
            path: self.path(key),
            raw,
        })
    }

    /// The object below `key`; an empty one where it is not given.
    pub fn object(&self, key: &str, keys: &Keys) -> Result<Object<'a>, ConfigError> {
        match self.get(key) {
            Some(field) => field.object(keys),
            None => Ok(Object {
                place: self.path(key),
                members: Vec::new(),
            }),
        }
    }

    /// The meaning of one of `words`; `later` are words of the design that are not supported yet.
    pub fn choice<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
        later: &[&'static str],
    ) -> Result<Option<T>, ConfigError> {
        let Some(field) = self.get(key) else { return Ok(None) };
        field.choice(words, later).map(Some)
    }

    pub fn count(&self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, ConfigError> {
        let Some(field) = self.get(key) else { return Ok(None) };
        let count = field.whole(u64::from(*range.start())..=u64::from(*range.end()))?;
        Ok(Some(count as u32))
    }

    pub fn interval(&self, key: &str, range: RangeInclusive<Duration>) -> Result<Option<Duration>, ConfigError> {
        self.get(key).map(|field| field.interval(range)).transpose()
    }
}

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
        let object = Object {
            place: self.path.clone(),
            members,
        };
        object.check(keys)?;
        Ok(object)
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

    pub fn query(&self) -> Result<SingularQuery, ConfigError> {
        self.read_query(SingularQuery::parse)
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
            let reason = error.to_string();
            SettingsFault::WrongPath {
                subject: self.subject(),
                path,
                reason,
            }
            .into()
        })
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn format_size(bytes: u64) -> String {
    match bytes {
        b if b % (1 << 30) == 0 => format!("{} GB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{} MB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{} kB", b >> 10),
        b => format!("{b} B"),
    }
}
