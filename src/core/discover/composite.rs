//! Two members that tell records apart together, where none does alone.
//!
//! Nearly any two members of a small sample are distinct by chance. A pair counts where one of them is named as a key,
//! and the other is of a type that keys have.

use super::answer::word;
use super::columns::{ProposedColumn, Shape, joined};
use crate::data::{self, DataError, InferredType, Step};
use std::collections::HashSet;

/// Members that are paired, the likeliest first: some sixty pairs at most.
const MOST_MEMBERS: usize = 12;
/// A longer value is no part of a key.
const LONGEST_VALUE: usize = 100;

/// Two members, in the order of the records.
pub(super) struct Pair<'a> {
    pub columns: [&'a ProposedColumn; 2],
    /// How many values each has alone.
    pub distinct: [usize; 2],
}

/// A member and its value in each record.
struct Part<'a> {
    column: &'a ProposedColumn,
    place: usize,
    rank: u8,
    values: Vec<String>,
}

/// The likeliest pair that no two records have in common.
pub(super) fn likeliest_pair<'a>(pages: &[&str], shape: &'a Shape) -> Result<Option<Pair<'a>>, DataError> {
    if shape.records < 2 {
        return Ok(None);
    }
    let parts = parts(&joined(pages)?, shape)?;
    let mut best: Option<(u8, &Part, &Part)> = None;
    for (at, one) in parts.iter().enumerate() {
        for other in &parts[at + 1..] {
            let rank = one.rank + other.rank;
            let may_be = one.rank.min(other.rank) <= NAMED && best.is_none_or(|(known, ..)| rank < known);
            if may_be && are_distinct(one, other) {
                best = Some((rank, one, other));
            }
        }
    }
    Ok(best.map(|(_, one, other)| {
        let (one, other) = if one.place < other.place {
            (one, other)
        } else {
            (other, one)
        };
        Pair {
            columns: [one.column, other.column],
            distinct: [one, other].map(|part| part.values.iter().collect::<HashSet<_>>().len()),
        }
    }))
}

fn are_distinct(one: &Part, other: &Part) -> bool {
    let mut seen = HashSet::with_capacity(one.values.len());
    one.values.iter().zip(&other.values).all(|pair| seen.insert(pair))
}

fn parts<'a>(records_text: &str, shape: &'a Shape) -> Result<Vec<Part<'a>>, DataError> {
    let mut likely: Vec<(usize, &ProposedColumn, u8)> = shape
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.present == shape.records)
        .filter_map(|(place, column)| Some((place, column, rank(column)?)))
        .collect();
    likely.sort_by_key(|(_, _, rank)| *rank);
    likely.truncate(MOST_MEMBERS);
    let picker = data::Picker::of(likely.iter().map(|(_, column, _)| &column.column.query));
    let mut values = vec![Vec::new(); likely.len()];
    for record in data::split_records(records_text)? {
        for (values, raw) in values.iter_mut().zip(picker.pick(record)?) {
            values.push(raw.unwrap_or_default().to_owned());
        }
    }
    let parts = likely
        .into_iter()
        .zip(values)
        .map(|((place, column, rank), values)| Part {
            column,
            place,
            rank,
            values,
        });
    Ok(parts
        .filter(|part| part.values.iter().all(|value| value.len() <= LONGEST_VALUE))
        .collect())
}

/// The rank of a member whose name says that it is part of a key.
const NAMED: u8 = 2;

/// How likely a member is part of a key, 1 the likeliest; None for what no key has.
fn rank(column: &ProposedColumn) -> Option<u8> {
    const WORDS: [&str; 17] = [
        "code", "sku", "slug", "number", "no", "nr", "symbol", "currency", "locale", "lang", "language", "country",
        "line", "position", "year", "month", "version",
    ];
    let Some(Step::Member(name)) = column.column.query.steps.last() else {
        return None;
    };
    let word = word(name);
    let is_named = || WORDS.iter().any(|known| word.ends_with(known));
    Some(match column.column.ty {
        InferredType::Jsonb | InferredType::Bool | InferredType::Numeric => return None,
        _ if word.ends_with("id") || word.ends_with("key") => 1,
        _ if is_named() => NAMED,
        InferredType::Uuid => 3,
        InferredType::Int8 | InferredType::Date => 4,
        InferredType::Timestamptz => 5,
        InferredType::Text => 6,
    })
}
