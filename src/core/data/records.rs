//! Records with all their members, for looking at data whose mapping is not known yet.

use super::column::{Column, Mapping};
use super::error::{DataError, excerpt};
use super::kind::{JsonKind, trim};
use super::path::SingularQuery;
use super::pick::pick;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// One member of a record: its name, and its value's raw text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) name: String,
    pub(crate) raw: &'a str,
}

/// Members of one record that are told apart: more are not worth the memory.
const MOST_MEMBERS: usize = 100_000;

/// Shows the text of each record of an array to `look`, until that fails. The whole text is checked first of all, and
/// nothing is kept of it: a short text may hold many records.
pub fn each_record<'a, E: From<DataError>>(
    records_text: &'a str,
    look: impl FnMut(&'a str) -> Result<(), E>,
) -> Result<(), E> {
    let text = trim(records_text);
    let mut failed = None;
    let mut parser = serde_json::Deserializer::from_str(text);
    let outcome = parser.deserialize_seq(Texts {
        look,
        failed: &mut failed,
    });
    outcome
        .and_then(|()| parser.end())
        .map_err(|error| DataError::from_json(text, &error))?;
    failed.map_or(Ok(()), Err)
}

struct Texts<'f, F, E> {
    look: F,
    failed: &'f mut Option<E>,
}

impl<'a, E, F: FnMut(&'a str) -> Result<(), E>> Visitor<'a> for Texts<'_, F, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&'a RawValue>()? {
            if self.failed.is_none() {
                *self.failed = (self.look)(raw.get()).err();
            }
        }
        Ok(())
    }
}

/// Shows the first `max` records of an array to `look`, and says how many there were. The whole text is checked.
pub(crate) fn for_each_record<'a>(
    records_text: &'a str,
    max: u64,
    mut look: impl FnMut(&[Member<'a>]),
) -> Result<u64, DataError> {
    let text = trim(records_text);
    if serde_json::from_str::<&RawValue>(text).is_ok() && JsonKind::of(text) != JsonKind::Array {
        return Err(DataError::NotAnArray {
            path: "$".into(),
            found: JsonKind::of(text),
        });
    }
    let mut seen = 0;
    each_record(text, |record| {
        if seen == max {
            return Ok(());
        }
        seen += 1;
        match JsonKind::of(record) {
            JsonKind::Object => look(&members_of(record)?),
            found => return Err(DataError::NotAnObject { record: seen, found }),
        }
        Ok(())
    })?;
    Ok(seen)
}

/// The members of an object.
pub(crate) fn members_of(record: &str) -> Result<Vec<Member<'_>>, DataError> {
    let mut parser = serde_json::Deserializer::from_str(record);
    let members = parser.deserialize_map(AllMembers);
    members.map_err(|error| DataError::from_json(record, &error))
}

/// The texts of the records of an array, in their order.
pub fn split_records(records_text: &str) -> Result<Vec<&str>, DataError> {
    let mut records = Vec::new();
    each_record(records_text, |record| {
        records.push(record);
        Ok::<(), DataError>(())
    })?;
    Ok(records)
}

/// An array without the elements that are no objects. Where none is one, the first is the error.
pub(crate) fn only_objects(records_text: &str) -> Result<Cow<'_, str>, DataError> {
    let records = split_records(records_text)?;
    let is_object = |record: &&str| JsonKind::of(record) == JsonKind::Object;
    let objects: Vec<&str> = records.iter().copied().filter(is_object).collect();
    match records.first() {
        Some(first) if objects.is_empty() => Err(DataError::NotAnObject {
            record: 1,
            found: JsonKind::of(first),
        }),
        _ if objects.len() == records.len() => Ok(Cow::Borrowed(records_text)),
        _ => Ok(Cow::Owned(format!("[{}]", objects.join(",")))),
    }
}

/// What a query selects in a record, as it may stand in a message.
pub fn value_shown(record: &str, query: &SingularQuery) -> Option<String> {
    let picked = pick(record, &[query]).ok()?;
    picked.first().copied().flatten().map(excerpt)
}

/// The most of a key that is kept to be shown.
const MOST_KEY_TEXT: usize = 8 * 1024;

/// The key of a record as the text of a JSON object, `{"id": 17}`; None where a part of it is missing, or very long.
pub fn key_shown(record: &str, mapping: &Mapping) -> Option<String> {
    let columns: Vec<_> = mapping.key.iter().map(|at| &mapping.columns[*at]).collect();
    let queries: Vec<&SingularQuery> = columns.iter().map(|column| &column.query).collect();
    let picked = pick(record, &queries).ok()?;
    let member = |(column, raw): (&&Column, Option<&str>)| {
        let raw = raw.filter(|raw| *raw != "null")?;
        Some(format!("{}: {raw}", serde_json::Value::from(column.name.as_str())))
    };
    let members: Option<Vec<String>> = columns.iter().zip(picked).map(member).collect();
    let text = format!("{{{}}}", members?.join(", "));
    (text.len() <= MOST_KEY_TEXT && !columns.is_empty()).then_some(text)
}

struct AllMembers;

impl<'a> Visitor<'a> for AllMembers {
    type Value = Vec<Member<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let known = positions.get(&name).copied();
            if known.is_none() && members.len() >= MOST_MEMBERS {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value::<&'a RawValue>()?.get();
            if let Some(position) = known {
                members[position].raw = raw;
                continue;
            }
            positions.insert(name.clone(), members.len());
            members.push(Member { name, raw });
        }
        Ok(members)
    }
}
