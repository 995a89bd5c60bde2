//! Wider types for columns that were made here from the data, where a value comes that does not fit.
//!
//! The fetch threads see which records wait for a wider column; the transaction that writes the first of them alters it. A
//! column whose type a person has chosen or changed, and a key's, is never altered; neither is one on which something
//! depends that PostgreSQL would have to drop. Then the records are rejects.

use super::batch::current_target;
use super::plan::Plan;
use crate::pg::relation::Target;
use crate::pg::transaction;
use crate::pg::{clock, spi};
use crate::store::drift;
use sluice_core::data::{
    self, Column, DataError, InferredType, JsonKind, Mapping, Reject, Sifted, SingularQuery, Widening,
};
use sluice_core::drift::{Drift, DriftKind, field};
use sluice_core::error::Error;
use sluice_core::settings::OnNewField;
use sluice_core::sql_text::quote;
use sluice_core::{Class, Result};
use std::collections::HashSet;

/// A column that is to have a wider type.
#[derive(Debug, Clone)]
pub struct Wider {
    pub column: String,
    /// Where its values are in a record.
    pub place: SingularQuery,
    pub ty: InferredType,
    pub sample: JsonKind,
    /// Records that wait for it.
    pub records: u64,
}

impl Wider {
    /// As it is told of.
    pub fn told(&self) -> drift::Entry {
        drift::Entry {
            told: Drift {
                kind: DriftKind::Widened,
                field: field(&self.place),
                sample: self.sample,
                count: self.records,
                note: None,
            },
            place: self.place.to_string(),
            ty: Some(self.ty),
        }
    }
}

/// Records of a page that wait for a wider column: by their places, and what they wait for.
#[derive(Debug, Default)]
pub struct Waiting {
    pub records: HashSet<u64>,
    pub columns: Vec<Wider>,
}

/// The columns that may become wider.
pub struct Widenable(HashSet<String>);

impl Widenable {
    pub fn of(plan: &Plan) -> Result<Widenable> {
        if plan.settings.on_new_field != OnNewField::AddColumn {
            return Ok(Widenable(HashSet::new()));
        }
        let made = drift::made(plan.job.id)?.into_iter();
        let is_ours = |(name, ty): &(String, InferredType)| may_be_altered(plan, &plan.target, name, *ty);
        Ok(Widenable(made.filter(is_ours).map(|(name, _)| name).collect()))
    }

    /// Which of a page's rejects wait. One without a readable key does not: it could be any row's.
    pub fn look(&self, text: &str, mapping: &Mapping, sifted: &Sifted) -> Result<Waiting> {
        let mut waiting = Waiting::default();
        if self.0.is_empty() || sifted.rejects.is_empty() {
            return Ok(waiting);
        }
        let records = data::split_records(text)?;
        for reject in sifted.rejects.iter().filter(|reject| reject.key.is_some()) {
            let record = records.get(reject.record as usize - 1).copied().unwrap_or_default();
            let wider = self.wider(reject, record, mapping)?;
            if !wider.is_empty() {
                waiting.records.insert(reject.record);
            }
            wider.into_iter().for_each(|wider| join(&mut waiting.columns, wider));
        }
        Ok(waiting)
    }

    /// What a rejected record needs; nothing where the column that it is rejected for may not become wider.
    fn wider(&self, reject: &Reject, record: &str, mapping: &Mapping) -> Result<Vec<Wider>> {
        let is_for = |name: &String| matches!(&reject.error, DataError::DoesNotFit { column, .. } if column == name);
        if !self.0.iter().any(is_for) {
            return Ok(Vec::new());
        }
        let columns = mapping.columns.iter().filter(|column| self.0.contains(&column.name));
        let columns: Vec<&Column> = columns.collect();
        let values = data::pick(record, &columns.iter().map(|column| &column.query).collect::<Vec<_>>())?;
        let wider = |(column, raw): (&&Column, Option<&str>)| {
            let raw = raw.filter(|raw| *raw != "null")?;
            Some(Wider {
                column: column.name.clone(),
                place: column.query.clone(),
                ty: InferredType::of_column(column.ty)?.wider_for(raw)?,
                sample: JsonKind::of(raw),
                records: 1,
            })
        };
        let needed: Vec<Wider> = columns.iter().zip(values).filter_map(wider).collect();
        let is_enough = needed.iter().any(|wider| is_for(&wider.column));
        Ok(if is_enough { needed } else { Vec::new() })
    }
}

/// Adds one to those of other pages or records.
pub fn join(all: &mut Vec<Wider>, wider: Wider) {
    match all.iter_mut().find(|known| known.column == wider.column) {
        Some(known) => {
            known.ty = known.ty.join(wider.ty);
            known.records += wider.records;
        }
        None => all.push(wider),
    }
}

fn may_be_altered(plan: &Plan, target: &Target, name: &String, made: InferredType) -> bool {
    let now = target.column(name).filter(|column| !column.generated);
    let is_as_made = now.and_then(|column| InferredType::of_column(column.encoding())) == Some(made);
    is_as_made && !plan.job.key.contains(name)
}

/// Tells of columns that wait, where their pages were told of already.
pub fn tell(plan: &Plan, generation: i64, wider: &[Wider]) -> Result<()> {
    let entries: Vec<drift::Entry> = wider.iter().map(Wider::told).collect();
    drift::record(plan.job.id, generation, clock::now(), &entries)
}

/// Gives a column its wider type, as the run-as role; false where that cannot be, which is told.
pub fn widen(plan: &Plan, target: &Target, wider: &Wider, run: i64) -> Result<bool> {
    let job = plan.job.id;
    let made = drift::made(job)?.into_iter().find(|(name, _)| *name == wider.column);
    let step = made
        .filter(|(name, ty)| may_be_altered(plan, target, name, *ty))
        .and_then(|(_, from)| Some((from, Widening::new(from, wider.ty)?)));
    let Some((from, step)) = step else {
        return Ok(false);
    };
    let (column, to) = (quote(&wider.column), wider.ty.sql());
    let alter = format!(
        "ALTER TABLE {} ALTER COLUMN {column} TYPE {}",
        target.sql_name(),
        wider.ty.qualified()
    );
    let sql = format!("{alter} USING {}", step.using(&column));
    // The table is written anew, and with it runs what its owner has hung on it.
    spi::execute(
        &format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", target.sql_name()),
        &[],
    )?;
    current_target(plan)?;
    let done = match transaction::attempt(|| spi::execute(&sql, &[]).map(drop)) {
        Ok(()) => Ok(()),
        Err(Error::Database(met)) if !matches!(met.class(), Class::Database | Class::Resource | Class::Cancelled) => {
            Err(met)
        }
        Err(other) => return Err(other),
    };
    let field = field(&wider.place);
    match done {
        Ok(()) => {
            let note = format!("{} before, {to} since run {run}", from.sql());
            drift::keep_made(job, &[(wider.column.clone(), wider.ty)])?;
            drift::set_column(job, DriftKind::Widened, &field, Some(&wider.column), &note)?;
            Ok(true)
        }
        Err(met) => {
            let note = format!("not widened: {}; {alter};", met.message);
            drift::set_column(job, DriftKind::Widened, &field, None, &note)?;
            Ok(false)
        }
    }
}
