//! Columns for members that had none: found in the target or added to it, in the transaction of the first row that needs
//! them; and wider types for those that have one. Columns are only ever added or widened, and may be NULL.

use super::batch::current_target;
use super::new_fields::Wanted;
use super::plan::{self, Plan, Task};
use super::read::{self, MappingParts};
use super::widen::{self, Widenable, Wider};
use crate::pg::catalog::is_holdable;
use crate::pg::relation::Target;
use crate::pg::{failpoint, spi};
use crate::store::{drift, state};
use sluice_core::Result;
use sluice_core::data::{self, InferredType, JsonKind, Mapping, SingularQuery, Step, column_name};
use sluice_core::drift::{DriftKind, field};
use sluice_core::settings::OnNewField;
use sluice_core::sql_text::quote;
use sluice_core::target::MOST_COLUMNS;
use std::collections::HashSet;
use std::sync::Arc;

/// The job as it is with the new columns.
pub struct Evolved {
    pub plan: Plan,
    pub mapping: Arc<Mapping>,
    /// The columns that may become wider from now on.
    pub widenable: Arc<Widenable>,
}

/// What the rows of a batch, or of a read, need.
#[derive(Default)]
pub struct Wishes {
    pub new: Vec<Wanted>,
    pub wider: Vec<Wider>,
}

impl Wishes {
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.wider.is_empty()
    }
}

/// Gives members their columns, and columns their wider types, as the run-as role. What is told of them must be written
/// down already. None: none of it can be.
pub fn evolve(plan: &Plan, mapping: &Mapping, wishes: &Wishes, run: i64) -> Result<Option<Evolved>> {
    let target = current_target(plan)?;
    let mut is_wider = false;
    for wider in &wishes.wider {
        is_wider |= widen::widen(plan, &target, wider, run)?;
    }
    let mut found = Found::new(plan, &target, mapping, &wishes.new);
    found.keep_to_the_limit(room(&target)?);
    found.alter(&target)?;
    failpoint::hit("evolve.altered");
    let job = plan.job.id;
    for (member, _, column, note) in &found.columns {
        let note = note.replace("{run}", &run.to_string());
        drift::set_column(
            job,
            DriftKind::NewField,
            &field(&SingularQuery::member(member)),
            column.as_deref(),
            &note,
        )?;
    }
    drift::keep_made(job, &found.made())?;
    let columns: Vec<&String> = found
        .columns
        .iter()
        .filter_map(|(_, _, column, _)| column.as_ref())
        .collect();
    if columns.is_empty() && !is_wider {
        return Ok(None);
    }
    let plan = plan::load(job, None, &Task::Sync)?;
    let is_used = |name: &str| mapping.columns.iter().any(|c| c.name == name) || columns.iter().any(|c| *c == name);
    let mapping = MappingParts::of(&plan)
        .mapping(is_used)
        .ok_or(data::DataError::NoColumns)?;
    if !plan.columns_given {
        let names: Vec<String> = mapping.columns.iter().map(|c| c.name.clone()).collect();
        state::set_mapped(job, &names, &plan.target.fingerprint())?;
    }
    // The read goes on under the definition that it has now.
    state::set_definition(job, &read::definition(&plan))?;
    let mapping = Arc::new(mapping);
    let widenable = Arc::new(Widenable::of(&plan)?);
    Ok(Some(Evolved {
        plan,
        mapping,
        widenable,
    }))
}

/// Gives the members of a stored read that wait for it their columns, and columns their wider types, where it is published.
pub fn evolve_stored(plan: &Plan, mapping: &Mapping, generation: i64, run: i64) -> Result<Option<Evolved>> {
    let member = |query: SingularQuery| match query.steps.into_iter().next() {
        Some(Step::Member(name)) => Some(name),
        _ => None,
    };
    let waiting = drift::waiting(plan.job.id, generation, DriftKind::NewField)?.into_iter();
    let new: Vec<Wanted> = waiting
        .filter_map(|(place, ty)| {
            Some(Wanted {
                member: member(place)?,
                ty,
            })
        })
        .collect();
    let waiting = drift::waiting(plan.job.id, generation, DriftKind::Widened)?.into_iter();
    let wider: Vec<Wider> = waiting
        .filter_map(|(place, ty)| {
            let column = mapping.columns.iter().find(|column| column.query == place)?;
            Some(Wider {
                column: column.name.clone(),
                place,
                ty,
                sample: JsonKind::Null,
                records: 0,
            })
        })
        .collect();
    let wishes = Wishes { new, wider };
    if wishes.is_empty() {
        return Ok(None);
    }
    evolve(plan, mapping, &wishes, run)
}

/// The columns that the target can still get.
fn room(target: &Target) -> Result<usize> {
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a \
               WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0";
    let used = spi::value::<i64>(sql, &[target.oid.into()])?.unwrap_or(0);
    Ok(MOST_COLUMNS.saturating_sub(usize::try_from(used).unwrap_or(0)))
}

/// What each member gets: the type of a column that is to be added (None: it is there), its name, and what is noted.
struct Found {
    columns: Vec<(String, Option<InferredType>, Option<String>, &'static str)>,
}

impl Found {
    fn new(plan: &Plan, target: &Target, mapping: &Mapping, wanted: &[Wanted]) -> Found {
        let mut taken: HashSet<String> = target.columns.iter().map(|c| c.name.clone()).collect();
        let is_mapped = |name: &str| mapping.columns.iter().any(|c| c.name == name);
        let mut columns = Vec::new();
        for Wanted { member, ty } in wanted {
            let own = target.column(member).filter(|c| !c.generated && !c.identity_always);
            if !plan.columns_given && own.is_some() && !is_mapped(member) {
                columns.push((
                    member.clone(),
                    None,
                    Some(member.clone()),
                    "goes into the column of its name since run {run}",
                ));
                continue;
            }
            if plan.settings.on_new_field != OnNewField::AddColumn {
                columns.push((member.clone(), None, None, "left out: its column is no longer there"));
                continue;
            }
            let name = column_name(member, |name| taken.contains(name));
            if !is_holdable(&name) {
                let note = "left out: its name is not ASCII, and the database's encoding is not UTF8";
                columns.push((member.clone(), None, None, note));
                continue;
            }
            taken.insert(name.clone());
            columns.push((member.clone(), Some(*ty), Some(name), "column added by run {run}"));
        }
        Found { columns }
    }

    /// Those for which the target has no room are told of, and left out.
    fn keep_to_the_limit(&mut self, room: usize) {
        let added = self.columns.iter_mut().filter(|(_, ty, ..)| ty.is_some());
        for (_, ty, name, note) in added.skip(room) {
            (*ty, *name) = (None, None);
            *note = "left out: the target has no room for another column";
        }
    }

    /// The columns that are added.
    fn made(&self) -> Vec<(String, InferredType)> {
        let added = self.columns.iter();
        added
            .filter_map(|(_, ty, name, _)| Some((name.clone()?, (*ty)?)))
            .collect()
    }

    fn alter(&self, target: &Target) -> Result<()> {
        // Another session may have added it by now, of whatever type: it is filled, or the batch is refused, as any column.
        let clause = |(name, ty): &(String, InferredType)| {
            format!("ADD COLUMN IF NOT EXISTS {} {}", quote(name), ty.qualified())
        };
        let clauses: Vec<String> = self.made().iter().map(clause).collect();
        if clauses.is_empty() {
            return Ok(());
        }
        let sql = format!("ALTER TABLE {} {}", target.sql_name(), clauses.join(", "));
        spi::execute(&sql, &[]).map(drop)
    }
}
