//! The keys of what upserts brought: an upsert's pages are not stored, and its rows are the job's own all the same.

use super::gone;
use super::plan::Plan;
use crate::pg::latch;
use crate::store::brought;
use sluice_core::Result;
use sluice_core::data;
use sluice_core::keys::{Pass, passes};

/// Keys that came more than once in a read.
pub fn duplicates(plan: &Plan, generation: i64) -> Result<u64> {
    let batches = brought::of_generation(plan.job.id, generation, &gone::key_form(plan))?;
    let records: i64 = batches.iter().map(|(_, records)| *records).sum();
    let of = passes(u64::try_from(records).unwrap_or(0));
    let mut duplicates = 0;
    for number in 0..of {
        let mut pass = Pass::new(number, of);
        for (first, _) in &batches {
            latch::check_interrupts();
            let keys = unpacked(plan, generation, *first)?;
            data::split_keys(&keys, plan.job.key.len()).for_each(|key| pass.see(key));
        }
        duplicates += pass.duplicates;
    }
    Ok(duplicates)
}

fn unpacked(plan: &Plan, generation: i64, number: i64) -> Result<Vec<u8>> {
    let packed = brought::keys(plan.job.id, generation, number)?.ok_or_else(gone::lost)?;
    Ok(data::decompress(&packed, gone::MOST_KEY_BYTES)?)
}
