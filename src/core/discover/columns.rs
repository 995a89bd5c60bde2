//! Columns, key and cursor, from the records of all pages that were seen.

use super::answer::word;
use crate::data::{self, DataError, InferredColumn, InferredType, JsonKind, SingularQuery, Step};
use std::collections::HashSet;

/// A proposed column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProposedColumn {
    pub column: InferredColumn,
    /// Whether its path is just its name.
    pub is_plain: bool,
    /// Whether the pages after the first need a wider type than the first.
    pub is_widened: bool,
    /// Records that have a value for it.
    pub present: u64,
}

/// What the records are made of.
pub(super) struct Shape {
    pub columns: Vec<ProposedColumn>,
    /// Records that were looked at.
    pub records: u64,
    /// The member that holds the values, where a record only wraps them.
    pub wrapped_in: Option<String>,
    /// Whether there are more than these.
    pub is_cut: bool,
}

impl Shape {
    /// At most so many columns: those of the key, and the first of the others.
    pub fn fitting(&self, key: &[String], most: usize) -> Shape {
        let is_key = |proposed: &&ProposedColumn| key.contains(&proposed.column.name);
        let mut room = most.saturating_sub(self.columns.iter().filter(is_key).count());
        let fits = |proposed: &&ProposedColumn| {
            let fits = is_key(proposed) || room > 0;
            room = room.saturating_sub(usize::from(!is_key(proposed)));
            fits
        };
        Shape {
            columns: self.columns.iter().filter(fits).cloned().collect(),
            records: self.records,
            wrapped_in: self.wrapped_in.clone(),
            is_cut: self.columns.len() > most,
        }
    }

    /// Whether the columns have to be declared: the first page alone would not give them.
    pub fn needs_columns(&self) -> bool {
        self.is_cut
            || self.wrapped_in.is_some()
            || self
                .columns
                .iter()
                .any(|proposed| proposed.is_widened || !proposed.is_plain)
    }
}

/// Members that wrap a record's values in well-known forms, and the members that must stand beside them.
const WRAPPERS: [(&str, &[&str]); 4] = [
    ("attributes", &["type", "id"]),
    ("properties", &["type", "geometry"]),
    ("fields", &["id", "createdTime"]),
    ("_source", &["_id"]),
];

/// The columns of the records on these pages. The first page is what `create_job` looks at by itself.
pub(super) fn shape(first: &str, pages: &[&str]) -> Result<Shape, DataError> {
    let all = joined(pages)?;
    let inferred = data::infer(&all, u64::MAX)?;
    let on_first = data::infer(first, u64::MAX)?.columns;
    let wrapper = WRAPPERS
        .iter()
        .find(|(name, beside)| wraps(&inferred.columns, name, beside));
    let mut columns = Vec::new();
    for column in inferred.columns {
        match wrapper {
            Some((name, _)) if column.query == SingularQuery::member(name) => {
                let inner = unwrapped(&all, name)?;
                columns.extend(
                    data::infer(&inner, u64::MAX)?
                        .columns
                        .into_iter()
                        .map(|inner| within(name, inner)),
                );
            }
            _ => columns.push(column),
        }
    }
    rename_twins(&mut columns, wrapper.map(|(name, _)| *name));
    let present = present(&all, &columns)?;
    let propose = |(column, present): (InferredColumn, u64)| {
        let before = on_first.iter().find(|first| first.query == column.query);
        ProposedColumn {
            is_plain: column.query == SingularQuery::member(&column.name),
            is_widened: before.is_none_or(|first| first.ty != column.ty),
            present,
            column,
        }
    };
    Ok(Shape {
        columns: columns.into_iter().zip(present).map(propose).collect(),
        records: inferred.records,
        wrapped_in: wrapper.map(|(name, _)| (*name).to_owned()),
        is_cut: false,
    })
}

fn wraps(columns: &[InferredColumn], name: &str, beside: &[&str]) -> bool {
    let has = |name: &str| {
        columns
            .iter()
            .find(|column| column.query == SingularQuery::member(name))
    };
    let is_whole = |column: &InferredColumn| column.ty == InferredType::Jsonb && !column.nullable;
    has(name).is_some_and(is_whole) && beside.iter().all(|name| has(name).is_some())
}

fn within(outer: &str, mut column: InferredColumn) -> InferredColumn {
    column.query.steps.insert(0, Step::Member(outer.to_owned()));
    column
}

/// A column from inside the wrapper yields its name to one from outside.
fn rename_twins(columns: &mut [InferredColumn], wrapper: Option<&str>) {
    let Some(wrapper) = wrapper else { return };
    let outside: HashSet<String> = columns
        .iter()
        .filter(|column| column.query.steps.len() == 1)
        .map(|column| column.name.clone())
        .collect();
    for column in columns.iter_mut().filter(|column| column.query.steps.len() > 1) {
        if outside.contains(&column.name) {
            column.name = format!("{}_{}", wrapper.trim_start_matches('_'), column.name);
        }
    }
}

/// The arrays as one.
pub(super) fn joined(pages: &[&str]) -> Result<String, DataError> {
    let mut records = Vec::new();
    for page in pages {
        records.extend(data::split_records(page)?);
    }
    Ok(format!("[{}]", records.join(",")))
}

fn unwrapped(records_text: &str, name: &str) -> Result<String, DataError> {
    let query = SingularQuery::member(name);
    let mut inner = Vec::new();
    let picker = data::Picker::of([&query]);
    for record in data::split_records(records_text)? {
        let picked = picker.pick(record)?;
        let object = picked.first().copied().flatten();
        inner.extend(object.filter(|raw| JsonKind::of(raw) == JsonKind::Object));
    }
    Ok(format!("[{}]", inner.join(",")))
}

/// For each column how many records have a value for it.
fn present(records_text: &str, columns: &[InferredColumn]) -> Result<Vec<u64>, DataError> {
    let picker = data::Picker::of(columns.iter().map(|column| &column.query));
    let mut present = vec![0; columns.len()];
    for record in data::split_records(records_text)? {
        for (count, raw) in present.iter_mut().zip(picker.pick(record)?) {
            *count += u64::from(raw.is_some_and(|raw| raw != "null"));
        }
    }
    Ok(present)
}

/// The member by which records can be told apart, by the records of one or more pages that have no record in common.
pub(super) fn unique(pages: &[&str]) -> Result<Vec<String>, DataError> {
    data::unique_members(&joined(pages)?)
}

/// The likeliest key: `id`, then what is named as a key, then whole numbers, uuids and texts. Times, fractions and
/// long texts are unique by chance.
pub(super) fn likeliest_key<'c>(unique: &[String], shape: &'c Shape) -> Option<&'c ProposedColumn> {
    let rank = |proposed: &&ProposedColumn| {
        let Some(Step::Member(name)) = proposed.column.query.steps.last() else {
            return 9;
        };
        let word = word(name);
        match proposed.column.ty {
            InferredType::Timestamptz | InferredType::Date | InferredType::Numeric | InferredType::Bool => 8,
            _ if matches!(word.as_str(), "id" | "uuid" | "guid" | "key") => 0,
            _ if word.ends_with("id") || word.ends_with("key") => 1,
            _ if matches!(
                word.as_str(),
                "code" | "sku" | "slug" | "number" | "symbol" | "isbn" | "ean"
            ) =>
            {
                2
            }
            InferredType::Int8 | InferredType::Uuid => 3,
            _ => 4,
        }
    };
    let is_unique = |proposed: &&ProposedColumn| match proposed.column.query.steps.as_slice() {
        [Step::Member(name)] => unique.contains(name),
        _ => false,
    };
    let candidates = shape.columns.iter().filter(is_unique);
    candidates.min_by_key(rank).filter(|best| rank(best) < 8)
}

/// How a column tells when its record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangeTime {
    pub column: String,
    pub query: SingularQuery,
    pub format: &'static str,
}

/// The column that says when a record was changed last.
pub(super) fn change_time(shape: &Shape, sample: &str) -> Option<ChangeTime> {
    const WORDS: [&str; 16] = [
        "updatedat",
        "modifiedat",
        "lastmodified",
        "lastmodifiedat",
        "lastupdated",
        "lastupdatedat",
        "changedat",
        "updated",
        "modified",
        "modifieddate",
        "datemodified",
        "updatedon",
        "modifiedon",
        "updatetime",
        "updatedtime",
        "mtime",
    ];
    let named = |wanted: &str| {
        shape
            .columns
            .iter()
            .find(|proposed| word(&proposed.column.name) == wanted)
    };
    WORDS.iter().find_map(|wanted| {
        let column = &named(wanted)?.column;
        let format = time_format(column, sample)?;
        Some(ChangeTime {
            column: column.name.clone(),
            query: column.query.clone(),
            format,
        })
    })
}

fn time_format(column: &InferredColumn, sample: &str) -> Option<&'static str> {
    let records = data::split_records(sample).ok()?;
    let value = records.iter().find_map(|record| {
        let picked = data::pick(record, &[&column.query]).ok()?;
        picked.first().copied().flatten().filter(|raw| *raw != "null")
    })?;
    match column.ty {
        InferredType::Timestamptz | InferredType::Date => Some("iso8601"),
        InferredType::Int8 => epoch(value.parse().ok()?),
        InferredType::Text if value.ends_with("GMT\"") => Some("http_date"),
        InferredType::Text if is_iso(value.trim_matches('"')) => Some("iso8601"),
        _ => None,
    }
}

/// A time without a zone: `2024-01-31T12:00:00`, with a blank for the T as well.
fn is_iso(text: &str) -> bool {
    let form: String = text
        .chars()
        .take(16)
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    form == "0000-00-00T00:00" || form == "0000-00-00 00:00"
}

/// The unit in which a number is a time between 2001 and 2100.
fn epoch(value: i64) -> Option<&'static str> {
    const SECONDS: std::ops::Range<i64> = 1_000_000_000..4_200_000_000;
    let units = [(1, "epoch_s"), (1_000, "epoch_ms"), (1_000_000, "epoch_us")];
    units
        .into_iter()
        .find(|(unit, _)| SECONDS.contains(&(value / unit)))
        .map(|(_, name)| name)
}

/// The type as a person writes it.
pub(super) fn type_name(ty: InferredType) -> &'static str {
    match ty {
        InferredType::Timestamptz => "timestamptz",
        other => other.sql(),
    }
}
