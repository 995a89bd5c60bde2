//! How the records of a job change their shape: what they looked like, and what is told of a page that looks otherwise.
//!
//! A [`Shape`] is kept with the job. What a mapped member held in the first read that had it is what later reads are
//! compared with; a member that no column takes is told each time. Only names and types, never a value.

use crate::data::{JsonKind, Mapping, Noted, SingularQuery, Step, content_hash};
use crate::settings::ColumnSetting;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of drift that a job may have; what is more is counted in one row, under [`MANY`].
pub const MOST_ROWS: usize = 1000;
/// The field of that row.
pub const MANY: &str = "*";

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// Records have a member that no column takes.
    NewField,
    /// A whole read had no value where former reads had some.
    MissingField,
    /// Values are of a kind that the first read of the member had not.
    TypeChanged,
    /// Values did not fit a column whose type had been inferred.
    Widened,
}

impl DriftKind {
    pub fn as_str(self) -> &'static str {
        match self {
            DriftKind::NewField => "new_field",
            DriftKind::MissingField => "missing_field",
            DriftKind::TypeChanged => "type_changed",
            DriftKind::Widened => "widened",
        }
    }
}

/// One thing that is told of records; told again, it is counted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub kind: DriftKind,
    pub field: String,
    /// The kind of value that came, or that used to come where none does.
    pub sample: JsonKind,
    /// Records that had it; whole reads where it is what is missing.
    pub count: u64,
    pub note: Option<String>,
}

/// A member as it is told: by its name, or by its place where it lies deeper or its name cannot be shown.
pub fn field(place: &SingularQuery) -> String {
    match place.steps.as_slice() {
        [Step::Member(name)] if !name.contains(|c: char| c.is_control()) && name != MANY => name.clone(),
        _ => place.to_string(),
    }
}

/// What a shape is kept under: the setting "columns" says what is left out. Their order says nothing.
pub fn columns_hash(columns: &Option<Vec<ColumnSetting>>) -> String {
    let mut each: Vec<String> = columns.iter().flatten().map(|column| format!("{column:?}")).collect();
    each.sort_unstable();
    content_hash(format!("{:?}{each:?}", columns.is_some()).as_bytes())
}

/// What the records of a job have looked like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The places of mapped columns.
    fields: BTreeMap<String, Seen>,
    /// Members that the first page had and the job's "columns" leave out.
    pub left_out: BTreeSet<String>,
}

/// What is known of one mapped place; kinds are bits, by their order in [`JsonKind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    /// The read that had values here first, and their kinds.
    first: i64,
    kinds: u8,
    /// The last read that had the member, and its kinds there.
    last: i64,
    lately: u8,
}

const NULL: u8 = 1 << JsonKind::Null as u8;

impl Shape {
    /// Takes a page of the read `generation` in, and tells what is new in it.
    pub fn take(&mut self, generation: i64, mapping: &Mapping, noted: &Noted) -> Vec<Drift> {
        let mut told = Vec::new();
        for (column, tally) in mapping.columns.iter().zip(&noted.columns) {
            let Some(any) = tally.kinds().next() else { continue };
            let field = field(&column.query);
            let seen = self.fields.entry(field.clone()).or_insert(Seen {
                first: generation,
                kinds: 0,
                last: generation,
                lately: 0,
            });
            if seen.last != generation {
                (seen.last, seen.lately) = (generation, 0);
            }
            let bits = tally.kinds().fold(0, |bits, kind| bits | 1 << kind as u8);
            seen.lately |= bits;
            if seen.first == generation || seen.kinds & !NULL == 0 {
                seen.first = generation;
                seen.kinds |= bits;
                continue;
            }
            let is_other = |kind: &JsonKind| *kind != JsonKind::Null && seen.kinds & (1 << *kind as u8) == 0;
            let others: Vec<JsonKind> = tally.kinds().filter(is_other).collect();
            let count = others.iter().map(|kind| tally.of(*kind)).sum();
            if count > 0 {
                told.push(Drift {
                    kind: DriftKind::TypeChanged,
                    field,
                    sample: others.last().copied().unwrap_or(any),
                    count,
                    note: Some(format!("{} before", words(seen.kinds & !NULL))),
                });
            }
        }
        told
    }

    /// What a whole read, every page of which was taken in, no longer had: of these places only. A read without records
    /// says nothing, and neither does one whose pages were stored long before.
    pub fn missing(&self, generation: i64, mapping: &Mapping) -> Vec<Drift> {
        if !self.fields.values().any(|seen| seen.last == generation) {
            return Vec::new();
        }
        let fields = mapping.columns.iter().map(|column| field(&column.query));
        fields.filter_map(|field| self.missing_one(generation, field)).collect()
    }

    fn missing_one(&self, generation: i64, field: String) -> Option<Drift> {
        let seen = self.fields.get(&field)?;
        let former = seen.kinds & !NULL;
        if former == 0 {
            return None;
        }
        let (kind, sample) = match (seen.last == generation, seen.lately) {
            (false, _) => (DriftKind::MissingField, kinds(former).next()?),
            (true, NULL) => (DriftKind::TypeChanged, JsonKind::Null),
            (true, _) => return None,
        };
        let note = match kind {
            DriftKind::MissingField => "in no record of a whole read".to_string(),
            _ => format!("null in every record of a whole read, {} before", words(former)),
        };
        Some(Drift {
            kind,
            field,
            sample,
            count: 1,
            note: Some(note),
        })
    }
}

fn kinds(bits: u8) -> impl Iterator<Item = JsonKind> {
    JsonKind::ALL
        .into_iter()
        .filter(move |kind| bits & (1 << *kind as u8) != 0)
}

fn words(bits: u8) -> String {
    kinds(bits).map(JsonKind::as_str).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, ColumnType, Inferring, sift_noting};

    fn mapping() -> Mapping {
        let column = |name: &str, path: &str| Column {
            name: name.into(),
            query: SingularQuery::parse(path).expect("a path"),
            ty: ColumnType::Text,
            default: None,
        };
        let columns = vec![
            column("id", "$.id"),
            column("price", "$.price"),
            column("city", "$.at.city"),
        ];
        Mapping::new(SingularQuery::root(), columns, vec![0], "target")
    }

    fn read(shape: &mut Shape, generation: i64, records: &str) -> Vec<(DriftKind, String, &'static str, u64)> {
        let (_, noted) = sift_noting(records, &mapping(), Inferring::No).expect("records");
        let told = shape.take(generation, &mapping(), &noted);
        let missing = shape.missing(generation, &mapping());
        let all = told.into_iter().chain(missing);
        all.map(|d| (d.kind, d.field, d.sample.as_str(), d.count)).collect()
    }

    #[test]
    fn the_first_read_is_what_later_ones_are_compared_with() {
        let mut shape = Shape::default();
        let first = r#"[{"id": 1, "price": 2, "at": {"city": "x"}}, {"id": "a", "price": null, "at": {"city": "y"}}]"#;
        assert_eq!(read(&mut shape, 1, first), []);
        assert_eq!(read(&mut shape, 2, first), []);
        let other = r#"[{"id": 1, "price": "2"}, {"id": 2, "price": [2]}, {"id": 3, "price": "3"}]"#;
        assert_eq!(
            read(&mut shape, 3, other),
            [
                (DriftKind::TypeChanged, "price".into(), "array", 3),
                (DriftKind::MissingField, "$.at.city".into(), "string", 1),
            ]
        );
        assert_eq!(read(&mut shape, 4, first), []);
    }

    #[test]
    fn null_is_no_other_type_until_there_is_nothing_else() {
        let mut shape = Shape::default();
        read(&mut shape, 1, r#"[{"id": 1, "price": null}]"#);
        // Only now is it known what a price is.
        assert_eq!(
            read(&mut shape, 2, r#"[{"id": 1, "price": 5}, {"id": 2, "price": null}]"#),
            []
        );
        assert_eq!(
            read(&mut shape, 3, r#"[{"id": 1, "price": null}]"#),
            [(DriftKind::TypeChanged, "price".into(), "null", 1)]
        );
    }

    #[test]
    fn a_shape_is_kept_as_json() {
        let mut shape = Shape::default();
        read(&mut shape, 1, r#"[{"id": 1}]"#);
        shape.left_out.insert("x".into());
        let text = serde_json::to_string(&shape).expect("json");
        assert_eq!(serde_json::from_str::<Shape>(&text).expect("a shape"), shape);
    }

    #[test]
    fn names_that_cannot_be_shown_are_told_by_their_place() {
        assert_eq!(field(&SingularQuery::member("a b; --")), "a b; --");
        assert_eq!(field(&SingularQuery::member("a\0b")), "$['a\\u0000b']");
        assert_eq!(field(&SingularQuery::parse("$.a.b").expect("a path")), "$.a.b");
    }
}
