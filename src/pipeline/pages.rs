//! Drives the fetch threads: takes pages in order, fills batches, commits them.

use super::batch::Writer;
use super::batch::signed;
use super::collect::Batch;
use super::decode::{Arrived, Decoder};
use super::drift;
use super::events;
use super::page_size;
use super::plan::Plan;
use super::read::{self, ReadState};
use super::{Work, bgworker, failures, parents, rates};
use crate::pg::clock::Timestamp;
use crate::pg::shmem::{self, Phase};
use crate::pg::{clock, failpoint, latch, settings, signals, transaction};
use crate::store::job;
use serde_json::Value;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::error::{Error, HttpError, InternalError};
use sluice_core::http::status::says_token_lost;
use sluice_core::pagination::ParamPlace;
use sluice_core::pagination::Position;
use sluice_core::rate::Asks;
use sluice_core::retry::RetryPolicy;
use sluice_fetch::{self as fetch, Failure, FetchedPage, Limits, Poll, Read, ReadSpec, Timeouts};
use sluice_fetch::{Transport, UreqTransport};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the main thread sleeps when nothing wakes it: only as a safety net.
const IDLE: Duration = Duration::from_millis(500);

/// The most that is fetched while a batch is written, however large batches are.
const MOST_AHEAD: u64 = 64 * 1024 * 1024;

/// How a read went; what it brought is committed.
pub enum Fetched {
    /// It is complete.
    Whole,
    /// It is not, and another job waits for the worker, or the job reads otherwise by now.
    TurnOver,
    /// The remote does not know the token of that page any more.
    TokenLost { page: u64, remote: String, status: u16 },
    /// Another access token is to be asked for before this one expires.
    TokenAges,
}

/// Reads all pages from the checkpoint on.
pub fn fetch_all(work: &Work, plan: &Plan, read: &mut ReadState) -> Result<Fetched> {
    if let Some(foreach) = &plan.settings.foreach {
        return parents::fetch_all(work, plan, read, foreach);
    }
    let begin = || {
        Ok((
            spec(plan, read, read.position(plan.job.id)?, rates::asks(work)?)?,
            Decoder::new(plan, read)?,
        ))
    };
    let (spec, decoder) = transaction::run(begin)?;
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(spec.agent_settings()));
    let decoder = Arc::new(decoder);
    let (mut bell, rope) = latch::bell().map_err(|e| Error::Internal(InternalError::Os { what: e.to_string() }))?;
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || rope.pull());
    let remote = signals::with_all_blocked(|| fetch::start(spec, Arc::clone(&transport), Arc::clone(&decoder), wake));
    let mut writer = Writer::new(work, plan, decoder);
    let result = take_pages(work, plan, read, &remote, &mut bell, &mut writer);
    rates::note_figures(remote.figures());
    // Requests that are under way end here, not with the process: a held connection would outlive the run.
    remote.stop();
    transport.close();
    result
}

#[allow(clippy::too_many_arguments)] // the loop's two ends: where pages come from, where they go
fn take_pages(
    work: &Work,
    plan: &Plan,
    read: &mut ReadState,
    remote: &Read<Arrived>,
    bell: &mut latch::Bell,
    writer: &mut Writer,
) -> Result<Fetched> {
    let mut batch = Batch::new();
    let mut turn = Turn::begin(work, plan);
    // Behind the last page there is no checkpoint to go on from: it is committed with the end of the read.
    let mut is_last = false;
    let deadline = plan.settings.timeouts.run.map(|limit| (read.began + limit, limit));
    loop {
        check_end(work, deadline)?;
        failures::write_down(work, plan)?;
        if plan.renew_at.is_some_and(|at| clock::now() >= at) && !is_last {
            writer.commit(read, batch.take())?;
            return Ok(Fetched::TokenAges);
        }
        match remote.poll() {
            Poll::Page(page) => {
                note_page(work, &page);
                is_last = page.last;
                batch.add(page)?;
                turn.pages += 1;
                if turn.is_over() && !is_last {
                    writer.commit(read, batch.take())?;
                    return Ok(Fetched::TurnOver);
                }
                if batch.is_full(&plan.settings.commit_every) && !is_last {
                    writer.commit(read, batch.take())?;
                    if is_altered(plan)? {
                        return Ok(Fetched::TurnOver);
                    }
                }
            }
            Poll::Finished => {
                writer.finish(read, batch.take())?;
                return Ok(Fetched::Whole);
            }
            Poll::Failed(failure) => {
                // What came in order before the failure is good, and the checkpoint belongs behind it.
                writer.commit(read, batch.take())?;
                failures::note_place(plan, signed(failure.page), failure.attempts);
                transaction::run(|| drift::record_refused(plan, read.generation, &failure.error))?;
                return lost_token(plan, &failure).ok_or(failure.error);
            }
            Poll::Pending if batch.is_due(&plan.settings.commit_every) && !is_last => {
                writer.commit(read, batch.take())?;
                if is_altered(plan)? {
                    return Ok(Fetched::TurnOver);
                }
            }
            Poll::Pending => {
                rates::keep(plan)?;
                wait(work, remote, bell)?;
            }
        }
    }
}

/// Whether the job reads otherwise by now: then the rest of this read would be for nothing.
pub(super) fn is_altered(plan: &Plan) -> Result<bool> {
    transaction::run(|| Ok(!job::reads_as(&plan.job)?))
}

/// How much a run has read since it got its worker.
pub(super) struct Turn {
    limit: sluice_core::settings::Turn,
    began: Timestamp,
    pub pages: u64,
}

impl Turn {
    pub fn begin(work: &Work, plan: &Plan) -> Turn {
        Turn {
            limit: plan.settings.timing.turn,
            began: shmem::started_at(work.slot),
            pages: 0,
        }
    }

    /// Whether it has had its share, and another run waits for a worker.
    pub fn is_over(&self) -> bool {
        let had_share = self.pages >= self.limit.pages || clock::now().since(self.began) >= self.limit.time;
        had_share && shmem::is_any_waiting()
    }
}

/// Whether a failure says that a token has expired which an earlier page of the read gave.
pub(super) fn lost_token(plan: &Plan, failure: &Failure) -> Option<Fetched> {
    let Error::Http(HttpError::Status { remote, status, .. }) = &failure.error else {
        return None;
    };
    let is_lost = failure.page > 1 && plan.settings.pagination.has_mortal_tokens() && says_token_lost(*status);
    is_lost.then(|| Fetched::TokenLost {
        page: failure.page,
        remote: remote.clone(),
        status: *status,
    })
}

/// Ends the run where somebody asked for it or its time is over.
pub(super) fn check_end(work: &Work, deadline: Option<(Instant, Duration)>) -> Result<()> {
    transaction::guarded(|| {
        latch::check_interrupts();
        Ok(())
    })?;
    if shmem::stop_asked(work.slot) {
        return Err(CallError::Stopped.into());
    }
    signals::reload_settings_if_asked();
    events::tell_progress(work);
    match deadline {
        Some((at, limit)) if Instant::now() >= at => Err(CallError::RunTimeout { limit }.into()),
        _ => Ok(()),
    }
}

pub(super) fn wait(work: &Work, remote: &Read<Arrived>, bell: &mut latch::Bell) -> Result<()> {
    failpoint::hit("pages.waiting");
    let waiting = remote.waiting();
    let phase = if waiting.is_some() {
        Phase::Retrying
    } else {
        Phase::Fetching
    };
    shmem::set_phase(work.slot, phase);
    // A wait that is announced has a limit of its own, and so has each request.
    shmem::note_requests(work.slot, remote.requests(), waiting.is_some());
    bgworker::report_activity(waiting.as_deref().unwrap_or("waiting for the remote"));
    transaction::guarded(|| {
        bell.wait(IDLE);
        Ok(())
    })
}

pub(super) fn note_page(work: &Work, page: &FetchedPage<Arrived>) {
    let pages = page.total_pages.or_else(|| {
        let total = page.total.filter(|_| page.number == 1 && page.records > 0)?;
        Some(total.div_ceil(page.records))
    });
    // The last page knows best.
    let pages = if page.last { Some(page.number) } else { pages };
    shmem::update_progress(work.slot, |progress| {
        progress.phase = Phase::Writing;
        progress.pages_done = i64::try_from(page.number).unwrap_or(i64::MAX);
        progress.records_done += i64::try_from(page.records).unwrap_or(0);
        progress.bytes_done += i64::try_from(page.bytes).unwrap_or(0);
        if let Some(pages) = pages {
            progress.pages_total = i64::try_from(pages).unwrap_or(-1);
        }
    });
}

/// The job's parameters and its body, and in one of them where a read that goes on from the watermark begins. Below
/// parents each has a watermark of its own.
fn sent(plan: &Plan, read: &ReadState) -> (Vec<(String, String)>, Option<Value>) {
    let s = &plan.settings;
    let (mut params, mut body) = (s.params.clone(), s.body.clone());
    let bound = read.state.bound.as_deref().filter(|_| s.foreach.is_none());
    since(plan, bound, &mut params, &mut body);
    (params, body)
}

/// Has a request ask for what changed since a bound.
pub(super) fn since(plan: &Plan, bound: Option<&str>, params: &mut Vec<(String, String)>, body: &mut Option<Value>) {
    let s = &plan.settings;
    if let (Some(cursor), Some(bound)) = (&s.cursor, bound) {
        let value = match s.param_place {
            ParamPlace::Query => bound.into(),
            ParamPlace::Body => cursor.in_body(bound),
        };
        let added = s.param_place.add((&cursor.param, value), params, body);
        added.expect("the settings are refused where the parameter has no place");
    }
}

/// What the fetch threads are told: copies, since they may not look at settings themselves.
pub(super) fn spec(plan: &Plan, read: &ReadState, start: Option<Position>, asks: Asks) -> Result<ReadSpec> {
    let s = &plan.settings;
    let (params, body) = sent(plan, read);
    let terms = rates::terms(&plan.options, s);
    let page_size = page_size::of(plan)?;
    Ok(ReadSpec {
        base: plan.options.base_url.clone(),
        path: plan.job.path.clone(),
        method: s.method,
        body,
        params,
        headers: s.headers.clone(),
        auth: plan.auth.clone(),
        pagination: s.pagination.clone(),
        param_place: s.param_place,
        page_size,
        concurrency: s.concurrency.min(terms.most).max(1) as usize,
        caller_computes: read.direct,
        pace: rates::pace(plan.rate_budget, terms, asks)?,
        retry: RetryPolicy {
            attempts: s.retry.request_attempts,
            attempts_at_size: page_size::attempts(s.page_bounds, page_size),
            cap: s.retry.request_cap,
        },
        rules: plan.rules.clone(),
        failures: plan.failures.clone(),
        timeouts: Timeouts {
            connect: s.timeouts.connect,
            request: s.timeouts.request,
        },
        limits: Limits {
            max_body: settings::max_response_bytes(),
            max_ratio: settings::max_decompression_ratio(),
            // Of one collection: a read that does not end must not fill the disk.
            pages: s.limits.pages.or(Limits::default().pages),
            ahead: s.commit_every.bytes.min(MOST_AHEAD),
        },
        policy: plan.policy.clone(),
        tls: plan.tls.clone(),
        start,
        // By numbers of pages: below parents they mean something else.
        known: match s.foreach {
            None => read::conditions(plan, read)?,
            Some(_) => HashMap::new(),
        },
        seed: clock::random_seed(),
    })
}
