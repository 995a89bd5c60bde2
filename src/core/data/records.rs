//! Records with all their members, for looking at data whose mapping is not known yet.

use super::error::{DataError, excerpt};
use super::kind::{JsonKind, trim};
use super::path::SingularQuery;
use super::pick::pick;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;

/// One member of a record: its name, and its value's raw text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) name: String,
    pub(crate) raw: &'a str,
}

/// Shows the first `max` records of an array to `look`, and says how many there were. The whole text is checked.
pub(crate) fn for_each_record<'a>(
    records_text: &'a str,
    max: u64,
    mut look: impl FnMut(&[Member<'a>]),
) -> Result<u64, DataError> {
    let text = trim(records_text);
    let not_json = |error| DataError::from_json(text, &error);
    if serde_json::from_str::<&RawValue>(text).is_ok() && JsonKind::of(text) != JsonKind::Array {
        return Err(DataError::NotAnArray {
            path: "$".into(),
            found: JsonKind::of(text),
        });
    }
    let records: Vec<&'a RawValue> = serde_json::from_str(text).map_err(not_json)?;
    let mut seen = 0;
    for record in records
        .into_iter()
        .map(RawValue::get)
        .take(usize::try_from(max).unwrap_or(usize::MAX))
    {
        seen += 1;
        if JsonKind::of(record) != JsonKind::Object {
            return Err(DataError::NotAnObject {
                record: seen,
                found: JsonKind::of(record),
            });
        }
        look(&members_of(record)?);
    }
    Ok(seen)
}

/// The members of one object's text, each name once: the last one counts.
pub(crate) fn members_of(object: &str) -> Result<Vec<Member<'_>>, DataError> {
    let mut parser = serde_json::Deserializer::from_str(object);
    let members = parser.deserialize_map(AllMembers);
    members.map_err(|error| DataError::from_json(object, &error))
}

/// The texts of the elements of one array's text.
pub fn elements(array: &str) -> Result<Vec<&str>, DataError> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(trim(array)).map_err(|error| DataError::from_json(trim(array), &error))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

/// What a query selects in one record (counted from 1) of an array, as it may stand in a message.
pub fn value_shown(records_text: &str, record: u64, query: &SingularQuery) -> Option<String> {
    let records: Vec<&RawValue> = serde_json::from_str(trim(records_text)).ok()?;
    let place = usize::try_from(record.checked_sub(1)?).ok()?;
    let picked = pick(records.get(place)?.get(), &[query]).ok()?;
    picked.first().copied().flatten().map(excerpt)
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
            let raw = map.next_value::<&'a RawValue>()?.get();
            if let Some(&position) = positions.get(&name) {
                members[position].raw = raw;
                continue;
            }
            positions.insert(name.clone(), members.len());
            members.push(Member { name, raw });
        }
        Ok(members)
    }
}
