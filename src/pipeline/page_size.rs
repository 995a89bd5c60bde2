//! The size of pages, where a job sets bounds for it: chosen when a read begins, and smaller where a remote fails with it.
//!
//! Offsets say where a page is whatever its size: there a read goes on at its checkpoint. Numbers of pages do not: there it
//! begins again.

use super::Work;
use super::plan::Plan;
use super::read::{self, ReadState};
use crate::pg::clock::{self, Timestamp};
use crate::store::{page_size as store, state};
use sluice_core::http::HttpError;
use sluice_core::page_size::Bounds;
use sluice_core::pagination::Pagination;
use sluice_core::{Class, Error, Result};

/// Chooses the size of a read that begins.
pub fn begin(plan: &Plan, now: Timestamp) -> Result<()> {
    let Some(bounds) = plan.settings.page_bounds else {
        return Ok(());
    };
    let job = plan.job.id;
    let present = store::in_use(job)?;
    let of = |is_other| match present {
        Some(size) => store::sample(job, size, is_other),
        None => Ok(None),
    };
    let size = bounds.next(present, of(false)?, of(true)?, store::failed(job, now)?);
    store::choose(job, size)
}

/// The size that a read asks for.
pub fn of(plan: &Plan) -> Result<Option<u64>> {
    match plan.settings.page_bounds {
        Some(_) => Ok(store::in_use(plan.job.id)?.or(plan.settings.page_size)),
        None => Ok(plan.settings.page_size),
    }
}

/// The size that takes the place of the present one after this error; None: it has nothing to do with that.
pub fn smaller(plan: &Plan, error: &Error) -> Result<Option<(u64, u64)>> {
    let Some(bounds) = plan.settings.page_bounds.filter(|_| is_too_much(error)) else {
        return Ok(None);
    };
    let Some(present) = of(plan)? else { return Ok(None) };
    let worked = store::sample(plan.job.id, present, true)?.map(|sample| sample.size);
    let smaller = bounds.smaller(present, worked);
    if smaller.is_none() {
        // It fails with the least, too: that was not for the size.
        store::forget_failed(plan.job.id)?;
    }
    Ok(smaller.map(|size| (present, size)))
}

/// Goes on with a smaller size, in the caller's transaction.
pub fn shrink(
    work: &Work,
    plan: &Plan,
    read: &ReadState,
    (failed, size): (u64, u64),
    error: &Error,
) -> Result<ReadState> {
    store::shrink(plan.job.id, failed, size, clock::now())?;
    match plan.settings.pagination {
        Pagination::Page { .. } => read::restart(work, plan, read, error.clone()),
        _ => {
            // The number of pages was declared for another size.
            state::forget_pages(plan.job.id)?;
            read::resume_or_begin(work, plan)
        }
    }
}

/// Leaves the read in progress, in the caller's transaction: the next one begins with a smaller size.
pub fn give_up(plan: &Plan, (failed, size): (u64, u64)) -> Result<()> {
    store::shrink(plan.job.id, failed, size, clock::now())?;
    state::give_up_read(plan.job.id)
}

/// Whether a request may have failed because of what it asked for at once.
fn is_too_much(error: &Error) -> bool {
    if error.ruling().is_some() {
        return false;
    }
    match error {
        Error::Http(HttpError::Status { status: 413, .. } | HttpError::TooLarge { .. }) => true,
        Error::Http(HttpError::Status { .. }) => error.class() == Class::Server,
        Error::Http(HttpError::Timeout { .. }) => true,
        _ => false,
    }
}

/// How often a request is sent that the remote fails with or is slow at: less often where a smaller size may help.
pub fn attempts(bounds: Option<Bounds>, size: Option<u64>) -> u32 {
    match bounds.zip(size) {
        Some((bounds, size)) if size > bounds.least => 3,
        _ => u32::MAX,
    }
}
