//! Walking the settings document: objects with known keys, duplicates refused.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::SettingsFault;
use super::field::Field;
use super::keys::Keys;
use crate::connection::{ConfigError, Subject, nearest};

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
        Object::checked(String::new(), members, keys)
    }

    /// The object at `place`, which is empty for the document itself.
    pub fn checked(
        place: String,
        members: Vec<(String, &'a RawValue)>,
        keys: &Keys,
    ) -> Result<Object<'a>, ConfigError> {
        let object = Object { place, members };
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
