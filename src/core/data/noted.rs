//! What decoding a page tells of its records besides their rows: the kinds of the mapped values, and the members that no
//! column takes. Names and counts only, never a value; of hostile records a bounded number of names.

use super::infer::InferredType;
use super::kind::JsonKind;
use std::collections::HashMap;

/// Unmapped members that are told apart in one page; further ones are only counted.
const MOST_MEMBERS: usize = 1000;
/// A longer name is only counted: it can neither be kept nor become a column.
const MOST_NAME_BYTES: usize = 256;

/// How many values there were of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([u32; JsonKind::ALL.len()]);

impl Tally {
    #[inline]
    pub fn add(&mut self, kind: JsonKind) {
        self.0[kind as usize] += 1;
    }

    pub fn of(&self, kind: JsonKind) -> u64 {
        self.0[kind as usize].into()
    }

    pub fn records(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// The kinds that there were.
    pub fn kinds(&self) -> impl Iterator<Item = JsonKind> {
        JsonKind::ALL.into_iter().filter(|kind| self.of(*kind) > 0)
    }
}

/// A top-level member that no column takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    pub member: String,
    pub tally: Tally,
    /// The type that takes its values; None where all are null, or where types were not asked for.
    pub ty: Option<InferredType>,
}

impl Unmapped {
    /// The kind of its values; null where there are no others.
    pub fn sample(&self) -> JsonKind {
        self.tally.kinds().last().unwrap_or(JsonKind::Null)
    }
}

/// What a page tells of the shape of its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// For each column of the mapping, in its order.
    pub columns: Vec<Tally>,
    /// In the order of their first appearance. Empty where a column takes whole records: then nothing is left over.
    pub unmapped: Vec<Unmapped>,
    /// Occurrences of members that were too many, or whose name is too long, to be told apart.
    pub untold: u64,
}

impl Noted {
    /// Whether there was no record with a member.
    pub fn is_empty(&self) -> bool {
        let is_untouched = self.columns.iter().all(|tally| tally.records() == 0);
        is_untouched && self.unmapped.is_empty() && self.untold == 0
    }
}

/// Whether types are inferred for unmapped members; it takes a look into each of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inferring {
    Yes,
    No,
}

/// Takes notes while a page is decoded.
pub(super) struct Notes {
    pub(super) noted: Noted,
    positions: HashMap<String, usize>,
    /// Unmapped members mostly come in the same order: the one after the last one is tried first.
    expected: usize,
    inferring: Inferring,
}

impl Notes {
    pub(super) fn new(columns: usize, inferring: Inferring) -> Notes {
        Notes {
            noted: Noted {
                columns: vec![Tally::default(); columns],
                ..Noted::default()
            },
            positions: HashMap::new(),
            expected: 0,
            inferring,
        }
    }

    /// The next member may be the first of a record again.
    #[inline]
    pub(super) fn begin_record(&mut self) {
        self.expected = 0;
    }

    /// The place of an unmapped member; None where it is only counted.
    #[inline]
    pub(super) fn place(&mut self, member: &str) -> Option<usize> {
        let is_next = |unmapped: &Unmapped| unmapped.member == member;
        let place = match self.noted.unmapped.get(self.expected) {
            Some(next) if is_next(next) => Some(self.expected),
            _ => self.find(member),
        };
        match place {
            Some(at) => self.expected = at + 1,
            None => self.noted.untold += 1,
        }
        place
    }

    fn find(&mut self, member: &str) -> Option<usize> {
        if let Some(at) = self.positions.get(member) {
            return Some(*at);
        }
        let at = self.noted.unmapped.len();
        if at >= MOST_MEMBERS || member.len() > MOST_NAME_BYTES {
            return None;
        }
        self.noted.unmapped.push(Unmapped {
            member: member.to_owned(),
            tally: Tally::default(),
            ty: None,
        });
        self.positions.insert(member.to_owned(), at);
        Some(at)
    }

    #[inline]
    pub(super) fn add(&mut self, place: usize, raw: &str) {
        let unmapped = &mut self.noted.unmapped[place];
        let kind = JsonKind::of(raw);
        unmapped.tally.add(kind);
        if self.inferring == Inferring::Yes && kind != JsonKind::Null {
            let ty = InferredType::of(raw);
            unmapped.ty = Some(unmapped.ty.map_or(ty, |known| known.join(ty)));
        }
    }
}
