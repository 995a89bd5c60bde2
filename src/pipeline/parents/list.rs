//! The parents of a read: the rows that the query has when it begins.

use super::watermarks;
use crate::pg::{query, shmem, transaction};
use crate::pipeline::plan::Plan;
use crate::pipeline::read::ReadState;
use crate::pipeline::{Work, bgworker};
use crate::store::parent;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::counted::counted;
use sluice_core::error::{DatabaseError, Error};
use sluice_core::foreach::{Foreach, Parent, covers};
use std::collections::HashSet;

/// Parents of one read.
const MOST_PARENTS: u64 = 100_000;
const QUERY_CANCELLED: &str = "57014";

/// Keeps the parents of a new read, and from where on each is asked for.
pub fn keep(work: &Work, plan: &Plan, read: &ReadState, foreach: &Foreach) -> Result<()> {
    if read.next_page > 1 || transaction::run(|| parent::count(work.job, read.generation))? > 0 {
        return Ok(());
    }
    bgworker::report_activity("looking for parents");
    let wanted: Vec<String> = wanted(plan)?;
    let outcome = transaction::run(|| {
        let columns = query::columns(&foreach.query).map_err(CallError::Parents)?;
        covers(&columns, wanted.iter().cloned()).map_err(CallError::Parents)?;
        query::rows_as_json(&foreach.query, MOST_PARENTS, foreach.timeout)
    });
    let rows = match outcome {
        Err(Error::Database(DatabaseError { sqlstate, .. }))
            if sqlstate == QUERY_CANCELLED && !shmem::stop_asked(work.slot) =>
        {
            let limit = foreach.timeout;
            return Err(CallError::ParentsTimeout { limit }.into());
        }
        other => other?,
    };
    if rows.len() as u64 > MOST_PARENTS {
        return Err(CallError::TooManyParents { limit: MOST_PARENTS }.into());
    }
    let mut known = HashSet::new();
    let parents = rows.iter().filter_map(|row| Parent::parse(row));
    let parents: Vec<Parent> = parents.filter(|parent| known.insert(parent.identity())).collect();
    transaction::run(|| {
        let bounds = watermarks::bounds(plan, &read.state)?;
        parent::keep(work.job, read.generation, &parents, &bounds)
    })
}

/// The names that a job's requests and columns take from its parents.
fn wanted(plan: &Plan) -> Result<Vec<String>> {
    let columns = plan.candidates.iter().map(|(_, query, _)| query);
    Ok(sluice_core::foreach::wanted(
        &plan.job.path,
        &plan.settings.params,
        plan.settings.body.as_ref(),
        columns,
    )?)
}

/// What a run says of parents that could not be read, where others could.
pub fn told_of_failed(failed: i64, parents: i64) -> Option<String> {
    let all = counted(parents, "parent");
    (failed > 0 && failed < parents).then(|| format!("{failed} of {all} could not be read: see sync_parents"))
}
