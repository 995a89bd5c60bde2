//! Starts workers for the runs that wait for one, in their order and within the limits.

use super::here;
use crate::pg::clock::{self, Timestamp};
use crate::pg::shmem::{Reserved, Room};
use crate::pg::{Oid, bgworker, failpoint, shmem, transaction};
use crate::store::due::Waiting;
use crate::store::failure::{self, Failure, Place};
use crate::store::job::Job;
use crate::store::run::Run;
use crate::store::{self, connection, due, ingest, retry, role, run, state};
use crate::worker::{isolated, rates};
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::failure::NextStep;
use sluice_core::retry_queue::{Failed, Next};
use sluice_core::run::{RunSource, RunStatus, RunTask};
use sluice_core::settings::Settings;
use sluice_core::target::TargetError;
use sluice_core::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How many workers may end before one of them takes the run.
const ATTEMPTS: i32 = 5;
/// How long the system may leave a run waiting that nothing keeps from running.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The longest delay that a run which goes on after an interruption is given.
const LONGEST_RESUME: f64 = 60.0;

/// What is known of workers and hosts while runs are started.
pub struct Starts {
    database: u32,
    now: Timestamp,
    paused: HashSet<Oid>,
    busy: HashSet<i64>,
    hosts: HashMap<Oid, u64>,
    full_hosts: HashSet<u64>,
    holds: rates::Holds,
    is_full: bool,
}

/// How starting went for all runs that wait.
pub struct Started {
    /// When the next of them may start.
    pub next: Timestamp,
    /// Whether nothing failed; otherwise they are tried again soon.
    pub smooth: bool,
    /// The server had no background worker slot: the scheduler's own may be the one that is missed.
    pub slotless: bool,
}

/// What became of a run that was to start.
enum Start {
    /// It has a worker, or nothing is to be done.
    Done,
    /// Every worker is busy, or every one for its host: the one that ends first wakes us.
    Busy,
    /// The server has no background worker slot.
    Slotless,
}

impl Starts {
    /// `paused` are connections whose jobs wait.
    pub fn new(database: u32, now: Timestamp, paused: HashSet<Oid>) -> Starts {
        let slots = shmem::slots();
        let ours = slots.iter().filter(|slot| slot.database == database);
        Starts {
            database,
            now,
            paused,
            busy: ours.map(|slot| slot.job).collect(),
            hosts: HashMap::new(),
            full_hosts: HashSet::new(),
            holds: rates::Holds::at(now),
            is_full: false,
        }
    }

    /// Starts what may start now.
    pub fn start_all(mut self) -> Result<Started> {
        let mut started = Started {
            next: Timestamp::NEVER,
            smooth: true,
            slotless: false,
        };
        for waiting in transaction::run(|| due::waiting(self.now))? {
            let delay = self.delay(&waiting);
            if delay > 0.0 {
                started.next = started.next.min(self.now.plus(Duration::from_secs_f64(delay)));
            } else if !self.busy.contains(&waiting.job) && !self.is_full {
                self.start_one(&waiting, &mut started);
            }
        }
        Ok(started)
    }

    /// Seconds until the run may start. One that goes on after an interruption never waits long: then the clock was set back.
    fn delay(&self, waiting: &Waiting) -> f64 {
        let resumes = waiting.source == RunSource::Resume.as_str();
        match resumes && waiting.delay > LONGEST_RESUME + 1.0 {
            true => 0.0,
            false => waiting.delay,
        }
    }

    fn start_one(&mut self, waiting: &Waiting, started: &mut Started) {
        let put_off = isolated("looking at a budget", || self.holds.put_off(waiting));
        if let Some(until) = put_off.flatten() {
            started.next = started.next.min(until);
            return;
        }
        match isolated("starting a worker", || self.start(waiting)) {
            Some(Start::Done) => {}
            Some(Start::Busy) => shmem::set_starved(self.database),
            Some(Start::Slotless) => {
                shmem::set_slotless(self.database);
                (started.smooth, started.slotless, self.is_full) = (false, true, true);
            }
            None => {
                started.smooth = false;
                if waiting.age >= PATIENCE.as_secs_f64() {
                    isolated("giving up a run", || leave_to_queue(waiting, self.now));
                }
            }
        }
    }

    fn start(&mut self, waiting: &Waiting) -> Result<Start> {
        let (run_id, job_id) = (waiting.run, waiting.job);
        let host = self.host(waiting.server)?;
        if self.full_hosts.contains(&host) {
            return Ok(Start::Busy);
        }
        failpoint::hit("scheduler.start");
        let Some(job) = store::job::by_id(job_id)? else {
            return Ok(Start::Done);
        };
        let Some(run) = run::by_id(run_id)? else {
            return Ok(Start::Done);
        };
        let asked_for = run.task != RunTask::Sync || run.approved_by.is_some();
        if !job.enabled && !asked_for {
            return fail_disabled(&job, &run).map(|()| Start::Done);
        }
        let rests = job.paused || self.paused.contains(&job.server);
        if job.armed != Some(here()) || (rests && !asked_for) {
            return Ok(Start::Done);
        }
        let Some(owner) = role::owner_of(job.target)? else {
            return fail_without_target(&job, &run).map(|()| Start::Done);
        };
        let wanted = shmem::reservation(self.database, (job_id, run_id), owner.run_as(), host);
        match shmem::reserve(wanted, &job.name, Room::of_settings()) {
            Reserved::Slot(slot) => self.start_on(slot, &job, &run),
            Reserved::NotNow => Ok(Start::Done),
            Reserved::Full => {
                self.is_full = true;
                Ok(Start::Busy)
            }
            Reserved::HostFull => {
                self.full_hosts.insert(host);
                Ok(Start::Busy)
            }
        }
    }

    fn start_on(&self, slot: usize, job: &Job, run: &Run) -> Result<Start> {
        // Only now: waiting for a slot is no attempt, however often it was looked for one.
        match run::count_attempt(run.id) {
            Ok(attempts) if attempts <= ATTEMPTS => {}
            counted => {
                shmem::release(slot);
                counted?;
                return give_up(job, run).map(|()| Start::Done);
            }
        }
        if bgworker::start_worker(slot, &job.name) {
            return Ok(Start::Done);
        }
        shmem::release(slot);
        Ok(Start::Slotless)
    }

    /// Identifies the host of a connection; 0 where it has none that can be read.
    fn host(&mut self, server: Oid) -> Result<u64> {
        if let Some(host) = self.hosts.get(&server) {
            return Ok(*host);
        }
        let options = connection::by_oid(server)?.and_then(|found| ConnectionOptions::parse(&found.options).ok());
        let name = options.and_then(|options| options.base_url.host_str().map(str::to_owned));
        let host = name.map_or(0, |name| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish().max(1)
        });
        self.hosts.insert(server, host);
        Ok(host)
    }
}

/// The system has left a run waiting that nothing keeps from running: it fails, and the queue tries a read again.
fn leave_to_queue(waiting: &Waiting, now: Timestamp) -> Result<()> {
    let (Some(job), Some(run)) = (store::job::by_id(waiting.job)?, run::by_id(waiting.run)?) else {
        return Ok(());
    };
    let error = CallError::LeftWaiting {
        job: job.name.clone(),
        limit: PATIENCE,
    };
    fail_unstarted((&job, &run), RunStatus::Retryable, &error.into(), || {
        queue(&job, &run, now)
    })
}

fn queue(job: &Job, run: &Run, now: Timestamp) -> Result<()> {
    let policy = Settings::parse(&job.settings).unwrap_or_default().retry.queue;
    let open = retry::open_of(job.id)?;
    let failed = Failed {
        class: sluice_core::Class::Resource,
        recoverable: true,
        retries: open.map_or(0, |entry| entry.retries),
        progressed: false,
    };
    match policy.next(failed, open.is_some(), 0.5) {
        Next::Wait { delay, retries } => {
            retry::queue(run.id, retries, policy.attempts, now.plus(delay))?;
            state::plan_next(job.id, None)
        }
        Next::Dead => retry::bury(job.id, run.id),
        Next::NotQueued => store::job::plan_after_failure(job, now, false),
    }
}

/// Worker after worker ended before it could take the run: the reason is in the server's log.
fn give_up(job: &Job, run: &Run) -> Result<()> {
    let error = CallError::WorkerDidNotStart {
        job: job.name.clone(),
        attempts: ATTEMPTS,
    };
    fail_for_a_person(job, run, &error.into())
}

/// A job that was disabled after the run was asked for: whoever waits for the run learns it.
fn fail_disabled(job: &Job, run: &Run) -> Result<()> {
    let error = CallError::Disabled {
        name: job.name.clone(),
        reason: job.disabled_reason.clone(),
    };
    run::fail(run.id, RunStatus::Failed, &error.into(), clock::now()).map(drop)
}

/// The target is gone: no role to run as, nothing to write to. The run fails without a worker.
fn fail_without_target(job: &Job, run: &Run) -> Result<()> {
    let error = TargetError::Gone {
        target: format!("{}.{}", job.target_schema, job.target_table),
        job: job.name.clone(),
    };
    fail_for_a_person(job, run, &error.into())
}

/// A run that fails without a worker until a person mends the reason.
fn fail_for_a_person(job: &Job, run: &Run, error: &Error) -> Result<()> {
    fail_unstarted((job, run), RunStatus::Failed, error, || {
        let now = clock::now();
        state::note_failure(job.id, now)?;
        store::job::plan_after_failure(job, now, true)
    })
}

/// Ends a run without a worker. What follows from that is for reads only: payloads come again, what a person has asked
/// for is asked for again, and what a person has approved waits for a decision again.
fn fail_unstarted(
    (job, run): (&Job, &Run),
    status: RunStatus,
    error: &Error,
    follow: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let now = clock::now();
    if !run::fail(run.id, status, error, now)? {
        return Ok(());
    }
    let next = if run.is_read() {
        follow()?;
        None
    } else if run.source == RunSource::Ingest.as_str() && run.approved_by.is_none() {
        let at = now.plus(sluice_core::ingest::delay_after(ingest::failures(job.id)? + 1));
        ingest::postpone(job.id, run.id, error, at)?;
        Some((NextStep::Queued, Some(at)))
    } else {
        run::hold_again(run.id)?;
        Some((NextStep::Stopped, None))
    };
    failure::record(&Failure {
        job: job.id,
        run: run.id,
        at: now,
        place: Place::default(),
        error,
        next,
    })
}
