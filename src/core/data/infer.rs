//! Proposals from real records: columns, types, keys. Nothing here decides; a person does.

use super::decimal::Decimal;
use super::error::DataError;
use super::escape::content_of;
use super::kind::JsonKind;
use super::names::column_names;
use super::path::SingularQuery;
use super::pick::Picker;
use super::records::{Member, each_record, for_each_record, members_of};
use super::time;
use std::collections::{HashMap, HashSet};

/// Members that are looked at: many more than a table can have columns.
const MOST_MEMBERS: usize = 10_000;
/// Names of members that are told apart in a page.
const MOST_NAMES: usize = 100_000;

/// The types that are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InferredType {
    Int8,
    Numeric,
    Bool,
    Timestamptz,
    Date,
    Uuid,
    Text,
    Jsonb,
}

impl InferredType {
    pub(super) const ALL: [InferredType; 8] = [
        InferredType::Int8,
        InferredType::Numeric,
        InferredType::Bool,
        InferredType::Timestamptz,
        InferredType::Date,
        InferredType::Uuid,
        InferredType::Text,
        InferredType::Jsonb,
    ];

    /// The type of that SQL name.
    pub fn of_sql(name: &str) -> Option<InferredType> {
        InferredType::ALL.into_iter().find(|ty| ty.sql() == name)
    }

    /// As it is written in CREATE TABLE.
    pub fn sql(self) -> &'static str {
        match self {
            InferredType::Int8 => "bigint",
            InferredType::Numeric => "numeric",
            InferredType::Bool => "boolean",
            InferredType::Timestamptz => "timestamp with time zone",
            InferredType::Date => "date",
            InferredType::Uuid => "uuid",
            InferredType::Text => "text",
            InferredType::Jsonb => "jsonb",
        }
    }

    /// The same for a statement of ours, whatever the search path: another type may have the name.
    pub fn qualified(self) -> &'static str {
        match self {
            InferredType::Date => "pg_catalog.date",
            InferredType::Uuid => "pg_catalog.uuid",
            InferredType::Text => "pg_catalog.text",
            InferredType::Jsonb => "pg_catalog.jsonb",
            // Words of the grammar.
            InferredType::Int8 | InferredType::Numeric | InferredType::Bool | InferredType::Timestamptz => self.sql(),
        }
    }

    /// The type of one value that is not null.
    pub(super) fn of(raw: &str) -> InferredType {
        match JsonKind::of(raw) {
            JsonKind::Boolean => InferredType::Bool,
            JsonKind::Number => InferredType::of_number(raw),
            JsonKind::Array | JsonKind::Object => InferredType::Jsonb,
            JsonKind::Null | JsonKind::String => {
                content_of(raw).map_or(InferredType::Text, |s| InferredType::of_string(&s))
            }
        }
    }

    /// A number is a bigint only when it is written as one: 1.0 promises fractions elsewhere.
    fn of_number(raw: &str) -> InferredType {
        let is_plain = !raw.contains(['.', 'e', 'E']);
        let is_integer = is_plain && Decimal::parse(raw).is_ok_and(|decimal| decimal.to_integer().is_ok());
        if is_integer {
            InferredType::Int8
        } else {
            InferredType::Numeric
        }
    }

    /// Only the forms that hardly any other text has; a time without an offset may mean any zone, and stays text.
    fn of_string(content: &str) -> InferredType {
        const HYPHENATED_UUID: usize = 36;
        match content {
            _ if time::date(content).is_ok() => InferredType::Date,
            _ if time::is_instant(content) => InferredType::Timestamptz,
            _ if content.len() == HYPHENATED_UUID && uuid::Uuid::try_parse(content).is_ok() => InferredType::Uuid,
            _ => InferredType::Text,
        }
    }

    /// The type that takes the values of both.
    pub fn join(self, other: InferredType) -> InferredType {
        match (self, other) {
            (one, two) if one == two => one,
            (InferredType::Jsonb, _) | (_, InferredType::Jsonb) => InferredType::Jsonb,
            (InferredType::Int8, InferredType::Numeric) | (InferredType::Numeric, InferredType::Int8) => {
                InferredType::Numeric
            }
            _ => InferredType::Text,
        }
    }
}

/// One proposed column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredColumn {
    pub name: String,
    pub query: SingularQuery,
    pub ty: InferredType,
    /// Null or missing in at least one record.
    pub nullable: bool,
}

/// What the first records of a page look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// In the order in which the members appear first.
    pub columns: Vec<InferredColumn>,
    /// How many records were looked at.
    pub records: u64,
}

/// What is known of one member so far; `ty` is `None` while all values are null.
#[derive(Default)]
struct Seen {
    name: String,
    ty: Option<InferredType>,
    present: u64,
}

/// Proposes a column for each member of the first `max_records` records.
pub fn infer(records_text: &str, max_records: u64) -> Result<Inferred, DataError> {
    let mut members: Vec<Seen> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let records = for_each_record(records_text, max_records, |record| {
        for member in record {
            let position = match positions.get(&member.name) {
                Some(position) => *position,
                None if members.len() >= MOST_MEMBERS => continue,
                None => {
                    members.push(Seen {
                        name: member.name.clone(),
                        ..Seen::default()
                    });
                    positions.insert(member.name.clone(), members.len() - 1);
                    members.len() - 1
                }
            };
            members[position].add(member.raw);
        }
    })?;
    let names = column_names(members.iter().map(|member| member.name.as_str()));
    let columns = members
        .iter()
        .zip(names)
        .map(|(member, name)| member.column(name, records))
        .collect();
    Ok(Inferred { columns, records })
}

impl Seen {
    fn add(&mut self, raw: &str) {
        if raw != "null" {
            let ty = InferredType::of(raw);
            self.ty = Some(self.ty.map_or(ty, |known| known.join(ty)));
            self.present += 1;
        }
    }

    fn column(&self, name: String, records: u64) -> InferredColumn {
        InferredColumn {
            name,
            query: SingularQuery::member(&self.name),
            ty: self.ty.unwrap_or(InferredType::Text),
            nullable: self.present < records,
        }
    }
}

/// The type that takes every value that a query selects in the records; text where there is none.
pub fn infer_at(records_text: &str, query: &SingularQuery) -> Result<InferredType, DataError> {
    let mut seen = Seen::default();
    let picker = Picker::of([query]);
    each_record(records_text, |record| {
        if let Some(raw) = picker.pick(record)?.first().copied().flatten() {
            seen.add(raw);
        }
        Ok::<(), DataError>(())
    })?;
    Ok(seen.ty.unwrap_or(InferredType::Text))
}

/// The names of all members that any record has, in the order of their first appearance. Records that are no objects
/// have none; where that is all of them, it is the error.
pub fn members(records_text: &str) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    let mut known = HashSet::new();
    let mut odd = None;
    let mut record = 0;
    each_record(records_text, |raw| {
        record += 1;
        match members_of(raw) {
            Ok(members) => {
                let new = members.into_iter().filter(|member| !known.contains(&member.name));
                for member in new.take(MOST_NAMES - names.len()).collect::<Vec<_>>() {
                    known.insert(member.name.clone());
                    names.push(member.name);
                }
            }
            Err(_) => {
                odd.get_or_insert((record, JsonKind::of(raw)));
            }
        }
        Ok::<(), DataError>(())
    })?;
    match odd {
        Some((record, found)) if names.is_empty() => Err(DataError::NotAnObject { record, found }),
        _ => Ok(names),
    }
}

/// The members that could be a key: scalar, in every record, never null and distinct. `id` comes first, the others in
/// the order of their first appearance. Without records there is nothing to propose.
pub fn unique_members(records_text: &str) -> Result<Vec<String>, DataError> {
    let mut candidates: Option<Vec<Candidate<'_>>> = None;
    for_each_record(records_text, u64::MAX, |record| match &mut candidates {
        None => candidates = Some(record.iter().filter_map(Candidate::begin).take(MOST_MEMBERS).collect()),
        Some(candidates) if candidates.is_empty() => {}
        Some(candidates) => {
            let values: HashMap<&str, &str> = record.iter().map(|member| (&*member.name, member.raw)).collect();
            candidates.retain_mut(|candidate| candidate.accepts(&values));
        }
    })?;
    let mut names: Vec<String> = candidates
        .unwrap_or_default()
        .into_iter()
        .map(|candidate| candidate.name)
        .collect();
    names.sort_by_key(|name| name != "id");
    Ok(names)
}

/// A member that was unique in the records so far.
struct Candidate<'a> {
    name: String,
    values: HashSet<&'a str>,
}

impl<'a> Candidate<'a> {
    fn begin(member: &Member<'a>) -> Option<Candidate<'a>> {
        let values = HashSet::from([member.raw]);
        is_key_value(member.raw).then(|| Candidate {
            name: member.name.clone(),
            values,
        })
    }

    fn accepts(&mut self, record: &HashMap<&str, &'a str>) -> bool {
        let raw = record.get(self.name.as_str());
        raw.is_some_and(|raw| is_key_value(raw) && self.values.insert(raw))
    }
}

fn is_key_value(raw: &str) -> bool {
    matches!(JsonKind::of(raw), JsonKind::String | JsonKind::Number)
}
