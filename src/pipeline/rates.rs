//! A run and the rate budget of its host and credential.
//!
//! Fetch threads use the budget in shared memory by themselves. What has to survive a crash is written here, by the worker's
//! main thread in small transactions of its own, and read back before a budget is used.

use super::Work;
use super::plan::Plan;
use super::probe::{self, Question};
use crate::pg::clock::{self, Timestamp};
use crate::pg::{bgworker, failpoint, rates, shmem, transaction};
use crate::store::{connection, job, rate, run};
use sluice_core::Result;
use sluice_core::connection::{ConnectionOptions, DEFAULT_MAX_CONCURRENCY};
use sluice_core::rate::{Asks, Breaker, Budget, Terms, Why};
use sluice_core::run::RunSource;
use sluice_core::settings::Settings;
use sluice_fetch::{Figures, Pace};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// A worker's run that only looks whether a host works again.
pub const PROBE: i64 = 0;

/// What a connection and a job allow themselves.
pub fn terms(options: &ConnectionOptions, settings: &Settings) -> Terms {
    let most = options.max_concurrency.unwrap_or(DEFAULT_MAX_CONCURRENCY);
    Terms::new(options.requests_per_second, options.burst, settings.min_delay, most)
}

/// The way to a budget, which knows what was kept of it.
pub fn pace(budget: Option<i64>, terms: Terms, asks: Asks) -> Result<Pace> {
    let (Some(identity), Some(shared)) = (budget, rates::shared()) else {
        return Ok(Pace::alone(terms).asking(asks));
    };
    if let (Some(kept), Some(found)) = (rate::kept(identity)?, rates::claim(identity, clock::now())) {
        found.take_up(&kept);
    }
    Ok(Pace::new(Arc::new(shared), identity as u64, rates::enter(), terms).asking(asks))
}

/// Whether the run may be the probe of an open breaker: somebody has asked for it, and wants to know now.
pub fn asks(work: &Work) -> Result<Asks> {
    let run = run::by_id(work.run)?;
    Ok(match run.is_some_and(|run| run.source == RunSource::Manual.as_str()) {
        true => Asks::Insisting,
        false => Asks::Ordinary,
    })
}

/// Writes what has to survive and is not written yet.
pub fn keep(plan: &Plan) -> Result<()> {
    match plan
        .rate_budget
        .and_then(|identity| Some((identity, rates::find(identity)?)))
    {
        Some((identity, budget)) if budget.is_unwritten() => {
            transaction::run(|| keep_now(identity, budget, clock::now()))?.confirm();
            failpoint::hit("rates.kept");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What of a budget was written, in a transaction that is not committed yet.
#[must_use = "the budget is taken for unwritten until it is confirmed after the commit"]
pub struct Written {
    budget: &'static Budget,
    version: u64,
}

impl Written {
    /// The transaction is committed.
    pub fn confirm(self) {
        self.budget.set_written(self.version);
    }
}

/// Writes a budget in the caller's transaction. Where its breaker has closed, what has waited for that is due.
pub fn keep_now(identity: i64, budget: &'static Budget, now: Timestamp) -> Result<Written> {
    let (version, kept) = budget.kept(now.0);
    let reason = rates::shown(budget, now).reason;
    if rate::keep(identity, &kept, reason, now)? {
        rate::release(identity, now)?;
        // Jobs of other databases wait for the same host.
        shmem::mark_all_dirty();
    }
    shmem::mark_dirty(bgworker::my_database());
    Ok(Written { budget, version })
}

/// A look from a session may have taught a budget what has to survive: the session's own transaction is not the place for it.
pub fn announce() {
    if shmem::is_ready() && rates::all().any(|(_, budget)| budget.is_unwritten()) {
        shmem::mark_dirty(bgworker::my_database());
    }
}

/// Until when a run need not be started, and why: its host asked to be left alone, or has failed too often. One that
/// somebody has asked for finds out by itself whether it still fails.
pub fn hold(budget: i64, is_manual: bool, now: Timestamp) -> Option<(Timestamp, String)> {
    let kept = rates::find(budget)?.kept(now.0).1;
    let told = kept.not_before.map(Timestamp).filter(|until| *until > now.plus(SHORT));
    if let Some(until) = told {
        return Some((until, Why::Remote.as_str().into()));
    }
    match kept.breaker {
        Breaker::Closed => None,
        _ if is_manual => None,
        open => {
            let probe = open.probe_at().map_or(now, Timestamp).max(now);
            let reason = format!(
                "the remote failed {} times in a row, and is asked once a minute",
                kept.failures
            );
            Some((probe.plus(SHORT * 5), reason))
        }
    }
}

/// Waits that are left to the worker.
const SHORT: Duration = Duration::from_secs(1);

/// Asks the host of a job once, whether it works again. What comes of it, the budget learns.
pub fn probe_host(work: &Work) -> Result<()> {
    let question = transaction::run(|| question(work.job))?;
    let Some((identity, question)) = question else {
        return Ok(());
    };
    bgworker::report_activity("looking whether the remote works again");
    // However it ends: an answer of any kind is what counts.
    let _ = probe::knock(&question);
    match rates::find(identity).filter(|budget| budget.is_unwritten()) {
        Some(budget) => transaction::run(|| keep_now(identity, budget, clock::now())).map(Written::confirm),
        None => Ok(()),
    }
}

fn question(job: i64) -> Result<Option<(i64, Question)>> {
    let Some(job) = job::by_id(job)? else { return Ok(None) };
    let Some(server) = connection::by_oid(job.server)? else {
        return Ok(None);
    };
    let Some(identity) = rate::budget_of(server.oid)? else {
        return Ok(None);
    };
    let settings = Settings::parse(&job.settings)?;
    // Below parents there is no address that always exists.
    let (path, settings) = match settings.foreach {
        None => (job.path, settings),
        Some(_) => ("/".into(), Settings::default()),
    };
    Ok(Some((identity, Question::of(server, &path, settings)?)))
}

thread_local! {
    static FIGURES: Cell<Figures> = const { Cell::new(Figures::NONE) };
}

/// Remembers how the requests of this worker's run went.
pub fn note_figures(figures: Figures) {
    let before = FIGURES.get();
    FIGURES.set(Figures {
        requests: before.requests + figures.requests,
        retries: before.retries + figures.retries,
        half: figures.half.or(before.half),
        most: figures.most.or(before.most),
        ..figures
    });
}

/// Writes them down, in the transaction that ends the run.
pub fn write_figures(work: &Work, page_size: Option<u64>) -> Result<()> {
    let figures = FIGURES.replace(Figures::NONE);
    if figures.requests == 0 {
        return Ok(());
    }
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    rate::note_run(
        work.run,
        &rate::RunPace {
            requests: i64::try_from(figures.requests).unwrap_or(i64::MAX),
            retries: i64::try_from(figures.retries).unwrap_or(i64::MAX),
            p50_ms: figures.half.map(ms),
            p95_ms: figures.most.map(ms),
            page_size: page_size.and_then(|size| i64::try_from(size).ok()),
            concurrency: i32::try_from(figures.concurrency).unwrap_or(i32::MAX),
        },
    )
}
