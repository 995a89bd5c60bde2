//! What is written down of a read's drift: with each batch what its pages tell, at the end of a whole read what it lacks.

use super::decode::Fresh;
use super::new_fields::NewFields;
use super::plan::Plan;
use crate::pg::clock;
use crate::store::drift::{self, Entry};
use crate::store::page;
use crate::store::state::State;
use sluice_core::Result;
use sluice_core::data::{InferredType, JsonKind, Mapping, Noted, SingularQuery, Unmapped};
use sluice_core::drift::{Drift, DriftKind, MANY, MOST_ROWS, Shape, columns_hash, field};
use sluice_core::target::TargetError;
use std::collections::HashMap;

/// A kind of drift and its field.
type Row = (&'static str, String);

/// What is known of a job's records, as far as it is committed.
#[derive(Clone)]
pub struct Known {
    job: i64,
    generation: i64,
    columns: String,
    shape: Shape,
    /// What has been told, with the type of the column that a new member waits for.
    told: HashMap<(String, String), Option<InferredType>>,
}

impl Known {
    pub fn load(plan: &Plan, generation: i64) -> Result<Known> {
        let columns = columns_hash(&plan.settings.columns);
        let told = drift::told(plan.job.id, generation)?.into_iter();
        Ok(Known {
            job: plan.job.id,
            generation,
            shape: drift::shape(plan.job.id, &columns)?.unwrap_or_default(),
            columns,
            told: told.map(|(kind, field, ty)| ((kind, field), ty)).collect(),
        })
    }

    /// Writes down what these pages tell, in the caller's transaction; what is known once that is committed.
    pub fn record<'f>(&self, pages: impl Iterator<Item = &'f Fresh>, new_fields: &NewFields) -> Result<Known> {
        let mut next = self.clone();
        let mut entries = Entries::default();
        let left_out = new_fields.left_out();
        next.shape.left_out.extend(left_out.into_iter().flatten().cloned());
        for fresh in pages {
            for told in next.shape.take(self.generation, &fresh.mapping, &fresh.noted) {
                entries.add(told, None, None);
            }
            let note = |member: &Unmapped| {
                let is_left_out = left_out.is_some_and(|all| all.contains(&shown(member)));
                is_left_out.then(|| "left out".to_string())
            };
            entries.add_unmapped(&fresh.noted, note, |member| {
                fresh.wanted.iter().find(|w| w.member == *member).map(|w| w.ty)
            });
            for wider in &fresh.waiting.columns {
                let drift::Entry { told, place, ty } = wider.told();
                entries.add(told, Some(place), ty);
            }
        }
        next.write(self, entries)?;
        Ok(next)
    }

    /// Tells what a whole read has lacked, where each of its pages was looked at.
    pub fn record_missing(&self, mapping: &Mapping) -> Result<()> {
        let mut entries = Entries::default();
        for told in self.shape.missing(self.generation, mapping) {
            entries.add(told, None, None);
        }
        self.clone().write(self, entries)
    }

    fn write(&mut self, before: &Known, entries: Entries) -> Result<()> {
        if self.shape != before.shape {
            drift::keep_shape(self.job, &self.columns, &self.shape)?;
        }
        let entries = self.bounded(entries);
        drift::record(self.job, self.generation, clock::now(), &entries)
    }

    /// The rows to write: those that would be too many are one, and types take the values of former pages too.
    fn bounded(&mut self, entries: Entries) -> Vec<Entry> {
        let mut rows = Vec::new();
        let mut more = entries.untold;
        for ((kind, field), mut entry) in entries.rows {
            let key = (kind.to_string(), field);
            match self.told.get(&key) {
                Some(former) => entry.ty = joined(*former, entry.ty),
                None if self.told.len() >= MOST_ROWS => {
                    more += entry.told.count;
                    continue;
                }
                None => {}
            }
            self.told.insert(key, entry.ty);
            rows.push(entry);
        }
        rows.sort_by(|a, b| a.told.field.cmp(&b.told.field));
        rows.extend((more > 0).then(|| many(more)));
        rows
    }
}

/// The type that takes the values of both, where a column is waited for at all.
fn joined(former: Option<InferredType>, ty: Option<InferredType>) -> Option<InferredType> {
    match (former, ty) {
        (Some(former), Some(ty)) => Some(former.join(ty)),
        (former, ty) => ty.or(former),
    }
}

fn shown(member: &Unmapped) -> String {
    field(&SingularQuery::member(&member.member))
}

/// The row that counts what has no row of its own.
fn many(count: u64) -> Entry {
    Entry {
        told: Drift {
            kind: DriftKind::NewField,
            field: MANY.into(),
            sample: JsonKind::Null,
            count,
            note: Some(format!(
                "more than {MOST_ROWS} fields, or names of more than 256 bytes: only counted"
            )),
        },
        place: "$".into(),
        ty: None,
    }
}

/// What the pages of one batch tell, each kind and field once.
#[derive(Default)]
struct Entries {
    rows: HashMap<Row, Entry>,
    untold: u64,
}

impl Entries {
    fn add(&mut self, told: Drift, place: Option<String>, ty: Option<InferredType>) {
        let place = place.unwrap_or_else(|| told.field.clone());
        let key = (told.kind.as_str(), told.field.clone());
        match self.rows.get_mut(&key) {
            Some(entry) => {
                entry.told.count += told.count;
                entry.told.sample = told.sample;
                entry.ty = joined(entry.ty, ty);
            }
            None => drop(self.rows.insert(key, Entry { told, place, ty })),
        }
    }

    fn add_unmapped(
        &mut self,
        noted: &Noted,
        note: impl Fn(&Unmapped) -> Option<String>,
        ty: impl Fn(&String) -> Option<InferredType>,
    ) {
        self.untold += noted.untold;
        for unmapped in &noted.unmapped {
            let told = Drift {
                kind: DriftKind::NewField,
                field: shown(unmapped),
                sample: unmapped.sample(),
                count: unmapped.tally.records(),
                note: note(unmapped),
            };
            let place = SingularQuery::member(&unmapped.member).to_string();
            self.add(told, Some(place), ty(&unmapped.member));
        }
    }
}

/// Tells what the run ended with, where that is a new member.
pub fn record_refused(plan: &Plan, generation: i64, error: &sluice_core::Error) -> Result<()> {
    let sluice_core::Error::Target(TargetError::NewField { field, sample, .. }) = error else {
        return Ok(());
    };
    let known = Known::load(plan, generation)?;
    let mut entries = Entries::default();
    let told = Drift {
        kind: DriftKind::NewField,
        field: field.clone(),
        sample: *sample,
        count: 1,
        note: Some("the run ended before the page that has it".into()),
    };
    entries.add(told, None, None);
    known.clone().write(&known, entries)
}

/// At the end of a read of the whole collection: tells what it lacked, unless pages of it were taken for known unseen.
pub fn record_missing(plan: &Plan, generation: i64, state: &State, mapping: &Mapping) -> Result<()> {
    if let Some(published) = state.published_generation
        && page::share_content(plan.job.id, generation, published)?
    {
        return Ok(());
    }
    Known::load(plan, generation)?.record_missing(mapping)
}
