//! The data path, from a job's definition to rows that everybody sees.
//!
//! ```text
//! plan ─► read (resume or begin) ─► fetch threads ─► pages in order ─► batch ─► commit {rows, undo, ledger, checkpoint}
//!                                                                       │ no page left
//!                                        first load, upsert: settle ◄───┴───► replace: publish by difference
//! ```
//!
//! One file a step: `plan` gathers what a run needs and refuses what cannot work; `read` decides where to begin;
//! `rates` keeps what the remote asked for, `page_size` chooses how long pages are; `decode` turns responses into pages on the fetch threads; `pages` drives the read, `parents` one below each row of a
//! query; `collect` holds pages until `batch` writes and commits them; `new_fields` sees members that no column takes,
//! `drift` writes them down, `evolve` gives them columns, and `widen` columns a type that takes their values; `refused` finds the records that PostgreSQL would not take, `named` the one that ends a run, `rejects` keeps
//! them aside with those that could not be decoded, `replay` tries them again; `gone` finds what vanished, `heed` what payloads have to say of it, `sweep` removes
//! it, `difference` what changed; `publish` makes a read visible, `publication` ends the transaction that does, `replay_run` one that is stored already, `settle` ends
//! one whose rows are there, `brought` keeps what it brought; `after_publish` calls the owner's function when that is
//! done; `persist` tries a transaction again; `events` tells others what happened, and `alert` calls whom an event rule names; `ingest` writes what others sent us; `rollback` takes runs
//! back; `tokens` gets and renews what OAuth 2 gives, asking by `remote`; `failures` writes down the requests that failed,
//! and goes on as error rules say; `snapshot` copies the target, `restore` puts a copy back; `finish` ends a run's row.
//! Every transaction is short and none is open while the network is waited for.

mod after_publish;
pub mod alert;
mod apply;
mod batch;
mod brought;
mod collect;
mod decode;
mod difference;
mod drift;
pub mod events;
mod evolve;
mod failures;
mod finish;
mod gone;
mod heed;
mod ingest;
mod named;
mod new_fields;
mod page_size;
mod pages;
mod parents;
mod persist;
mod plan;
pub mod preview;
pub mod probe;
mod publication;
mod publish;
pub mod rates;
mod read;
pub mod reference;
mod refused;
mod rejects;
mod remote;
mod replay;
mod replay_run;
mod restore;
mod rollback;
mod secrets;
mod settle;
mod snapshot;
mod sweep;
pub mod tokens;
mod widen;

use crate::pg::shmem::{self, Phase};
use crate::pg::{bgworker, failpoint, transaction};
use crate::store::failure::Place;
use crate::store::state;
use failures::After;
use pages::Fetched;
use plan::{Plan, Task};
use read::ReadState;
use sluice_core::error::HttpError;
use sluice_core::{Error, Result};
use tokens::Access;

/// What a worker was started for.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The worker's slot in shared memory.
    pub slot: usize,
    pub job: i64,
    pub run: i64,
}

impl Work {
    fn phase(&self, phase: Phase) {
        shmem::update_progress(self.slot, |progress| progress.phase = phase);
    }
}

/// How a run ended that did not fail.
#[derive(Debug)]
enum Ended {
    /// What was read is visible; committed already.
    Published,
    /// A guard kept the read back for a person to decide.
    Held(String),
    /// An empty answer was refused; the last good data stays.
    KeptBack(Error),
    /// The payloads that waited are written; committed already.
    Ingested,
    /// A rollback, a snapshot or a restoration is done; committed already.
    Done,
    /// The turn is over and others wait, or the job reads otherwise by now; what was read is committed, and the run goes on
    /// behind them, or begins anew.
    GaveBack,
    /// The job reads otherwise by now than this run has read: nothing of it was published.
    Altered,
}

/// What comes after the commit that ends a run changes nothing about how it ended: errors go to the log.
fn left_alone(what: &str, outcome: Result<()>) {
    if let Err(error) = outcome {
        // Telling it takes a cancellation that has come meanwhile: there is nothing left to cancel.
        let _ = transaction::guarded(|| {
            pgrx::warning!("pg_sluice: {what}: {error}");
            Ok(())
        });
    }
}

/// Does one run, from taking it to ending its row.
///
/// # Errors
/// Only what could not be written to the run's row, such as an extension that was dropped meanwhile.
pub fn run(work: &Work) -> Result<()> {
    let Some(run) = transaction::run(|| plan::take(work))? else {
        return Ok(());
    };
    events::tell();
    let started = crate::pg::clock::now();
    let task = plan::task(&run);
    let mut failed_at = Place::default();
    let mut read_as = None;
    let outcome = transaction::run(|| plan::load(work.job, Some(work.run), &task)).and_then(|mut plan| {
        bgworker::report_activity(&format!("syncing {}", plan.job.name));
        shmem::set_patience(work.slot, plan.patience());
        plan.open_credentials(&task)?;
        let outcome = work_on(work, &task, &mut plan);
        left_alone("keeping what a host asked for", rates::keep(&plan));
        left_alone("writing failures down", failures::write_down(work, &plan));
        read_as = Some(plan.job.clone());
        failed_at = plan.failed_at.get();
        outcome.map_err(|error| plan.rules.of_failure(error, None))
    });
    if outcome.is_err() && shmem::is_replaced(work.slot) {
        // As if it had died: the scheduler closes the run, counts that and goes on with it.
        return Ok(());
    }
    transaction::run(|| finish::settle(work, started, &outcome, (failed_at, read_as.as_ref())))?;
    events::tell();
    match outcome {
        Ok(Ended::Held(_) | Ended::KeptBack(_)) | Err(_) => transaction::run(|| forget_left(work)),
        Ok(_) => Ok(()),
    }
}

/// Forgets reads that were given up, where this run has ended one or begun another: a job of which nothing is published
/// for long would keep all of them.
fn forget_left(work: &Work) -> Result<()> {
    match state::goes_on(work.job, work.run)? {
        true => Ok(()),
        false => publication::forget_reads(work.job),
    }
}

fn work_on(work: &Work, task: &Task, plan: &mut Plan) -> Result<Ended> {
    match *task {
        Task::ReplayRejects => replay::run(work, plan),
        Task::Ingest => ingest::run(work, plan),
        Task::Sync => sync(work, plan),
        Task::Approve { generation } => publish::approved(work, plan, generation),
        Task::Replay { run } => replay_run::run(work, plan, run),
        Task::RollBack { to, resume } => rollback::run(work, plan, to, resume),
        Task::Snapshot { ref label, ref by } => snapshot::run(work, plan, label, by),
        Task::Restore { snapshot } => restore::run(work, plan, snapshot),
    }
}

fn sync(work: &Work, plan: &mut Plan) -> Result<Ended> {
    let mut access = Access::open(work, plan)?;
    let mut read = transaction::run(|| read::resume_or_begin(work, plan))?;
    while !read.complete {
        match pages::fetch_all(work, plan, &mut read) {
            Ok(Fetched::Whole) => break,
            Ok(Fetched::TurnOver) => return Ok(Ended::GaveBack),
            Ok(Fetched::TokenLost { page, remote, status }) => {
                let lost = HttpError::TokenLost {
                    remote,
                    page,
                    status,
                    restarts: read.state.restarts,
                };
                read = transaction::run(|| read::restart(work, plan, &read, lost.into()))?;
                failpoint::hit("read.restarted");
            }
            Ok(Fetched::TokenAges) => {
                access.renew_early(work, plan)?;
                read = go_on(work, plan, &read)?;
            }
            Err(error) => match failures::go_on(work, plan, &read, &mut access, error)? {
                After::Again(again) => read = *again,
                After::GoOn => read = go_on(work, plan, &read)?,
            },
        }
    }
    access.has_worked()?;
    if read.direct {
        settle::settle_direct(work, plan, &read)
    } else {
        publish::by_difference(work, plan, &mut read)
    }
}

/// The same read from its checkpoint on, with another token.
fn go_on(work: &Work, plan: &Plan, read: &ReadState) -> Result<ReadState> {
    let mut again = transaction::run(|| read::resume_or_begin(work, plan))?;
    again.began = read.began;
    Ok(again)
}
