//! What becomes of a member that no column takes, as far as the fetch threads decide it: told, left out, given a column,
//! or the end of the run.

use super::plan::Plan;
use super::read::ReadState;
use crate::store::drift;
use sluice_core::Result;
use sluice_core::data::{InferredType, Inferring, JsonKind, Noted, SingularQuery, Unmapped, column_name};
use sluice_core::drift::{columns_hash, field};
use sluice_core::settings::OnNewField;
use sluice_core::sql_text::quote;
use sluice_core::target::TargetError;
use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;

/// A member that is to have a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub member: String,
    pub ty: InferredType,
}

/// The rules of one read.
pub struct NewFields {
    job: String,
    table: String,
    policy: OnNewField,
    /// Members that a column of the target waits for which the mapping does not use yet.
    adoptable: HashSet<String>,
    /// Columns that a new one may not be called.
    taken: HashSet<String>,
    /// Members that are left out on purpose. Where the job names its columns, the first page of its first read says so.
    left_out: OnceLock<BTreeSet<String>>,
    columns_given: bool,
}

impl NewFields {
    pub fn new(plan: &Plan, read: &ReadState) -> Result<NewFields> {
        let policy = plan.settings.on_new_field;
        // A read that decides which columns it fills does so with every page of it.
        let adopts = policy != OnNewField::Ignore || read.mapping.is_none() || read.first_load;
        let members = plan
            .candidates
            .iter()
            .filter(|(name, query, _)| *query == SingularQuery::member(name));
        let adoptable = members.map(|(name, ..)| name.clone());
        let left_out = OnceLock::new();
        if let Some(shape) = drift::shape(plan.job.id, &columns_hash(&plan.settings.columns))? {
            let dropped = drift::with_columns(plan.job.id)?.into_iter();
            let dropped = dropped.filter(|(_, column)| plan.target.column(column).is_none());
            let all = shape
                .left_out
                .into_iter()
                .chain(dropped.map(|(place, _)| field(&place)));
            let _ = left_out.set(all.collect());
        } else if !plan.columns_given {
            let _ = left_out.set(BTreeSet::new());
        }
        Ok(NewFields {
            job: plan.job.name.clone(),
            table: plan.target.full_name(),
            policy,
            adoptable: adoptable.filter(|_| adopts && !plan.columns_given).collect(),
            taken: plan.target.columns.iter().map(|column| column.name.clone()).collect(),
            left_out,
            columns_given: plan.columns_given,
        })
    }

    /// Whether the types of unmapped members are needed.
    pub fn inferring(&self) -> Inferring {
        match self.policy {
            OnNewField::Ignore => Inferring::No,
            OnNewField::AddColumn | OnNewField::Fail => Inferring::Yes,
        }
    }

    /// The members that are left out on purpose; none before the first page with records.
    pub fn left_out(&self) -> Option<&BTreeSet<String>> {
        self.left_out.get()
    }

    /// The members of a page that are to have a column; an error where there may be none that has none.
    pub fn look(&self, noted: &Noted) -> Result<Vec<Wanted>> {
        if noted.is_empty() {
            return Ok(Vec::new());
        }
        let left_out = self.left_out.get_or_init(|| match self.columns_given {
            true => noted.unmapped.iter().map(shown).collect(),
            false => BTreeSet::new(),
        });
        let new = noted
            .unmapped
            .iter()
            .filter(|unmapped| !left_out.contains(&shown(unmapped)));
        new.filter_map(|unmapped| self.wanted(unmapped).transpose()).collect()
    }

    fn wanted(&self, unmapped: &Unmapped) -> Result<Option<Wanted>> {
        let has_column = self.adoptable.contains(&unmapped.member);
        if self.policy == OnNewField::Fail && !has_column {
            return Err(self.refused(unmapped));
        }
        let has_value = unmapped.sample() != JsonKind::Null;
        let is_added = has_column || self.policy == OnNewField::AddColumn;
        Ok((has_value && is_added).then(|| Wanted {
            member: unmapped.member.clone(),
            // A column that is there has a type already.
            ty: unmapped.ty.unwrap_or(InferredType::Text),
        }))
    }

    fn refused(&self, unmapped: &Unmapped) -> sluice_core::Error {
        let column = column_name(&unmapped.member, |name| self.taken.contains(name));
        TargetError::NewField {
            job: self.job.clone(),
            table: self.table.clone(),
            field: shown(unmapped),
            sample: unmapped.sample(),
            column: quote(&column),
            ty: unmapped.ty,
        }
        .into()
    }
}

fn shown(unmapped: &Unmapped) -> String {
    field(&SingularQuery::member(&unmapped.member))
}
