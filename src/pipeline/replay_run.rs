//! Publishes the stored pages of an earlier run again, without the network.
//!
//! It is a read of its own: a new generation, whose pages are those of the earlier one, decoded with the mapping of now
//! and compared with every row. So columns and types may have changed since, and all that holds for a read holds for it:
//! guards, undo set, skip proof. Everything is one transaction; what does not come to its end has never been there.

use super::batch::signed;
use super::publish::{self, Occasion};
use super::read::{self, MappingParts, ReadState};
use super::rejects::{self, Rejects};
use super::{Ended, Work, gone};
use crate::pg::clock;
use crate::pg::latch;
use crate::pg::{failpoint, shmem};
use crate::pipeline::plan::Plan;
use crate::store::{drift, page, parent, run, state};
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::data::{self, Mapping, Reject};
use std::borrow::Cow;
use std::sync::Arc;

/// Publishes the pages of run `of` again.
pub(super) fn run(work: &Work, plan: &Plan, of: i64) -> Result<Ended> {
    publish::publish(work, plan, Occasion::Replayed, &|| {
        stage(work, plan, of).map(Cow::Owned)
    })
}

/// Begins a generation with the pages of an earlier one.
fn stage(work: &Work, plan: &Plan, of: i64) -> Result<ReadState> {
    let unknown = CallError::UnknownRun { run: of };
    let source = run::replay_source(of)?.ok_or(unknown)?;
    let pages = page::of_generation(work.job, source)?;
    let (total_first, total_last, longest_pause) = run::read_facts(of)?;
    let generation = read::begin_stored(work, plan)?;
    parent::repeat(work.job, source, generation)?;
    let mapping = mapping(plan, &pages)?;
    if !plan.columns_given {
        let names: Vec<String> = mapping.columns.iter().map(|c| c.name.clone()).collect();
        state::set_mapped(work.job, &names, &plan.target.fingerprint())?;
    }
    let stored = Stored {
        job: work.job,
        mapping: &mapping,
        rejects: Rejects::new(work, plan, generation),
    };
    for (number, hash, records) in &pages {
        latch::check_interrupts();
        let now = match records {
            0 => hash.clone(),
            _ => stored.decoded_anew(*number, hash)?,
        };
        page::repeat(work.job, (source, generation), work.run, (*number, &now))?;
        shmem::update_progress(work.slot, |p| p.pages_done += 1);
    }
    failpoint::hit("replay.staged");
    let mut state = state::load(work.job, clock::now())?;
    (state.total_first, state.total_last, state.longest_pause) = (total_first, total_last, longest_pause);
    // Validators are of what was asked for then.
    state.definition = None;
    state::note_declared(work.job, total_first, total_last, longest_pause)?;
    Ok(ReadState::stored(generation, pages.len(), Some(mapping), state))
}

/// The job's columns, or those that the first record has and the target, too: as a read would choose them.
fn mapping(plan: &Plan, pages: &[gone::Page]) -> Result<Arc<Mapping>> {
    let parts = MappingParts::of(plan);
    let first = pages.iter().find(|(_, _, records)| *records > 0);
    let members = match first {
        Some((_, hash, _)) if !plan.columns_given => data::members(&gone::body_text(plan.job.id, hash)?)?,
        _ => Vec::new(),
    };
    // Runs have given columns to members that the first record may lack.
    let added = drift::with_columns(plan.job.id)?;
    let used = |name: &str| {
        let is_added = added.iter().any(|(_, column)| column == name);
        plan.columns_given || is_added || members.iter().any(|member| member == name)
    };
    Ok(Arc::new(parts.mapping(used).ok_or(data::DataError::NoColumns)?))
}

/// Pages of the store, as the mapping of now reads them.
struct Stored<'a> {
    job: i64,
    mapping: &'a Mapping,
    rejects: Rejects<'a>,
}

impl Stored<'_> {
    /// Stores a page as this mapping reads it, and keeps aside what it cannot read; its hash. Where the mapping is that
    /// of the former read it is there already.
    fn decoded_anew(&self, number: i64, hash: &[u8]) -> Result<Vec<u8>> {
        let text = gone::body_text(self.job, hash)?;
        let now = data::hash(&text, self.mapping.version()).0.to_vec();
        let sifted = data::sift(&text, self.mapping)?;
        if now != hash {
            let (body, keys) = (data::compress(text.as_bytes()), data::compress(&sifted.all_keys()));
            let gone = (!sifted.page.gone.is_empty()).then(|| data::compress(&sifted.page.gone));
            let body = page::Body {
                hash: &now,
                records: signed(sifted.records()),
                body: &body,
                keys: &keys,
                gone: gone.as_deref(),
            };
            page::keep_bodies(self.job, &[body])?;
        }
        if !sifted.rejects.is_empty() {
            let records = data::split_records(&text)?;
            let of = |reject: &Reject| {
                let record = records.get(reject.record as usize - 1).copied().unwrap_or_default();
                rejects::of_decoding(number, reject.record, reject, record, self.mapping)
            };
            self.rejects.keep(&sifted.rejects.iter().map(of).collect::<Vec<_>>())?;
        }
        Ok(now)
    }
}
