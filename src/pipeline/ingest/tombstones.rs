//! Tombstones in payloads: rows that others say are gone go in the transaction that writes the payloads.
//!
//! As in a read, the last word on a key counts, only rows of the job's own go, `on_missing` says how, and `max_shrink` how
//! many: counted over the run, so that many payloads of one record each are no way around it.

use crate::pg::clock;
use crate::pipeline::apply::Applier;
use crate::pipeline::brought::{self, Sources};
use crate::pipeline::plan::Plan;
use crate::pipeline::sweep::sweep;
use crate::pipeline::{Work, gone, read};
use crate::store::{ingest, state};
use sluice_core::Result;
use sluice_core::data::{self, DecodedPage, Mapping};
use sluice_core::guard::{self, Live};
use sluice_core::job::Mode;
use sluice_core::settings::OnMissing;
use sluice_core::target::TargetError;
use std::cell::Cell;
use std::sync::Arc;

/// Those of one run.
pub struct Tombstones<'a> {
    work: &'a Work,
    plan: &'a Plan,
    /// The job's own rows before the run's first tombstone, and how many rows its tombstones have removed since.
    rows_before: Cell<Option<u64>>,
    removed: Cell<u64>,
}

/// What the tombstones of some payloads came to.
#[derive(Default, Clone, Copy)]
pub struct Buried {
    pub removed: u64,
    rows_before: Option<u64>,
}

impl<'a> Tombstones<'a> {
    pub fn new(work: &'a Work, plan: &'a Plan) -> Tombstones<'a> {
        Tombstones {
            work,
            plan,
            rows_before: Cell::new(None),
            removed: Cell::new(0),
        }
    }

    /// Removes the rows that these payloads, whose rows are written, have said last are gone.
    ///
    /// # Errors
    /// More rows than `max_shrink` allows for the run.
    pub fn apply(&self, applier: &Applier, pages: &[DecodedPage], mapping: &Arc<Mapping>) -> Result<Buried> {
        let settings = &self.plan.settings;
        let counts = settings.deleted_when.is_some()
            && settings.on_missing != OnMissing::Keep
            && self.plan.mode != Mode::Append
            && mapping.key.len() == self.plan.job.key.len();
        if !counts {
            return Ok(Buried::default());
        }
        let gone = brought::last_gone(self.plan, &pages.iter().collect::<Vec<_>>())?;
        if gone.is_empty() {
            return Ok(Buried::default());
        }
        let state = state::load(self.work.job, clock::now())?;
        let known = read::known_mapping(self.plan, &state).unwrap_or_else(|| Arc::clone(mapping));
        let keys: Vec<Vec<u8>> = data::split_keys(&gone, mapping.key.len()).map(<[u8]>::to_vec).collect();
        let (rows, own) = Sources::new(self.plan, &state, &known)?.own_among(&keys)?;
        let removed = sweep(self.work, self.plan, applier, &own.iter().collect::<Vec<_>>())?.deleted;
        let rows_before = self.rows_before.get().unwrap_or(rows);
        self.guard(rows_before, self.removed.get() + removed)?;
        let form = gone::key_form(self.plan);
        ingest::bury_keys(self.work.job, state.generation, &form, self.work.run, &own)?;
        Ok(Buried {
            removed,
            rows_before: Some(rows_before),
        })
    }

    fn guard(&self, rows_before: u64, removed: u64) -> Result<()> {
        let live = Live {
            rows_before,
            candidates_gone: removed,
            gone_confirmed: removed,
        };
        match guard::decide_tombstones(&live, &self.plan.settings) {
            None => Ok(()),
            Some(kept) => Err(TargetError::TooManyTombstones {
                job: self.plan.job.name.clone(),
                live,
                max_shrink: kept.max_shrink,
            }
            .into()),
        }
    }

    /// What was removed is committed.
    pub fn count(&self, buried: Buried) {
        self.removed.set(self.removed.get() + buried.removed);
        if self.rows_before.get().is_none() {
            self.rows_before.set(buried.rows_before);
        }
    }
}

/// The tombstones of a payload as a page of keys without rows: later versions of what waits as a reject.
pub fn as_versions(page: &DecodedPage) -> DecodedPage {
    DecodedPage {
        keys: page.gone.clone(),
        ..DecodedPage::default()
    }
}
