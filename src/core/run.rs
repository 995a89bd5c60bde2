//! The states of a run.
//!
//! ```text
//! scheduled ─► running ─► publishing ─► succeeded ─► rolled_back (by rollback_to)
//!                 │            ├──────► held ─► publishing (approve) | discarded | superseded
//!                 │            └──────► rolled_back (an empty answer kept back)
//!     ▲           ├─► retryable | failed | stopped | interrupted   (each keeps its checkpoint)
//!     └───────────┘ (its host asked to wait, or its job reads otherwise now: the worker is given back)
//! ```
//!
//! A run that was approved and could not be published is held again, whatever ended it; where its job reads otherwise by
//! then it is superseded.
//!
//! All states are durable: they are the `status` column of `sluice._run`. A run that says `running` while no session
//! holds its job's lock was interrupted, and the scheduler closes it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Asked for (schedule, `start_sync`), not yet taken by a worker; or given back until its host may be asked again, or
    /// to begin again as its job was changed. In: session, scheduler or worker; out: worker.
    Scheduled,
    /// A worker reads pages. In: worker; out: worker, or the scheduler when the job's lock is free.
    Running,
    /// A worker applies the stored pages in one transaction. In and out: worker.
    Publishing,
    /// Everything that was read is visible. In: worker, in the publishing transaction.
    Succeeded,
    /// A guard kept the read back; it waits for `approve` or `discard`. In: worker; once approved, whoever ends it.
    Held,
    /// Held, and a newer run was published or held, or the job was changed. In: worker, or `alter_job`.
    Superseded,
    /// Held, and dropped by a person. In: `discard`.
    Discarded,
    /// Its changes were undone, or an empty answer was refused by the policy. In: worker.
    RolledBack,
    /// Failed for a reason that may pass; another run goes on at the checkpoint. In: worker.
    Retryable,
    /// Failed for a reason that a person must mend. In: worker or scheduler.
    Failed,
    /// Ended by `stop_sync` or `pause_job`; the checkpoint is kept. In: worker.
    Stopped,
    /// Its process vanished (kill, crash, shutdown); the next run goes on at the checkpoint. In: scheduler or worker.
    Interrupted,
}

impl RunStatus {
    pub const ALL: [RunStatus; 12] = [
        RunStatus::Scheduled,
        RunStatus::Running,
        RunStatus::Publishing,
        RunStatus::Succeeded,
        RunStatus::Held,
        RunStatus::Superseded,
        RunStatus::Discarded,
        RunStatus::RolledBack,
        RunStatus::Retryable,
        RunStatus::Failed,
        RunStatus::Stopped,
        RunStatus::Interrupted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Scheduled => "scheduled",
            RunStatus::Running => "running",
            RunStatus::Publishing => "publishing",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Held => "held",
            RunStatus::Superseded => "superseded",
            RunStatus::Discarded => "discarded",
            RunStatus::RolledBack => "rolled_back",
            RunStatus::Retryable => "retryable",
            RunStatus::Failed => "failed",
            RunStatus::Stopped => "stopped",
            RunStatus::Interrupted => "interrupted",
        }
    }

    /// The status of this word, as it stands in `sluice._run`.
    pub fn parse(word: &str) -> Option<RunStatus> {
        RunStatus::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether a run may go from this status to `next` (the arrows above). A scheduled run can be stopped, and can fail
    /// before it reads: its target or its owner may be gone.
    pub fn may_become(self, next: RunStatus) -> bool {
        use RunStatus::*;
        match self {
            Scheduled => matches!(next, Running | Failed | Stopped | Interrupted | Held | Superseded),
            Running => !matches!(next, Running | Discarded),
            Publishing => !matches!(next, Running | Publishing | Discarded),
            Held => matches!(next, Publishing | Discarded | Superseded),
            Succeeded => next == RolledBack,
            Superseded | Discarded | RolledBack | Retryable | Failed | Stopped | Interrupted => false,
        }
    }

    /// Open runs occupy their job: no other run of it starts.
    pub fn is_open(self) -> bool {
        matches!(self, RunStatus::Scheduled | RunStatus::Running | RunStatus::Publishing)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who or what asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunSource {
    Schedule,
    Manual,
    Retry,
    Resume,
    CatchUp,
    Cron,
    Ingest,
    Rollback,
}

impl RunSource {
    pub const ALL: [RunSource; 8] = [
        RunSource::Schedule,
        RunSource::Manual,
        RunSource::Retry,
        RunSource::Resume,
        RunSource::CatchUp,
        RunSource::Cron,
        RunSource::Ingest,
        RunSource::Rollback,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunSource::Schedule => "schedule",
            RunSource::Manual => "manual",
            RunSource::Retry => "retry",
            RunSource::Resume => "resume",
            RunSource::CatchUp => "catch_up",
            RunSource::Cron => "cron",
            RunSource::Ingest => "ingest",
            RunSource::Rollback => "rollback",
        }
    }

    /// The source of this word, as it stands in `sluice._run`.
    pub fn parse(word: &str) -> Option<RunSource> {
        RunSource::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

impl fmt::Display for RunSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunTask {
    /// Reads the remote and publishes what came.
    Sync,
    /// Publishes the stored pages of an earlier run again.
    Replay,
    /// Makes rows of rejected records again.
    ReplayRejects,
    /// Takes published runs back.
    Rollback,
    /// Copies the target.
    Snapshot,
    /// Puts a copy of the target back.
    Restore,
}

impl RunTask {
    pub const ALL: [RunTask; 6] = [
        RunTask::Sync,
        RunTask::Replay,
        RunTask::ReplayRejects,
        RunTask::Rollback,
        RunTask::Snapshot,
        RunTask::Restore,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunTask::Sync => "sync",
            RunTask::Replay => "replay",
            RunTask::ReplayRejects => "replay_rejects",
            RunTask::Rollback => "rollback",
            RunTask::Snapshot => "snapshot",
            RunTask::Restore => "restore",
        }
    }

    /// The task of this word, as it stands in `sluice._run`.
    pub fn parse(word: &str) -> Option<RunTask> {
        RunTask::ALL.into_iter().find(|task| task.as_str() == word)
    }

    /// Who or what asks for such a run, where a person has asked for it.
    pub fn source(self) -> RunSource {
        match self {
            RunTask::Rollback | RunTask::Restore => RunSource::Rollback,
            RunTask::Sync | RunTask::Replay | RunTask::ReplayRejects | RunTask::Snapshot => RunSource::Manual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word<T: Serialize>(value: T) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn each_word_is_the_same_in_tables_and_in_json() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::parse(status.as_str()), Some(status));
            assert_eq!(word(status), status.to_string());
        }
        for source in RunSource::ALL {
            assert_eq!(RunSource::parse(source.as_str()), Some(source));
            assert_eq!(word(source), source.to_string());
        }
        for task in RunTask::ALL {
            assert_eq!(RunTask::parse(task.as_str()), Some(task));
            assert_eq!(word(task), task.as_str());
        }
        assert_eq!(RunStatus::parse("Running"), None);
        assert_eq!(RunSource::parse(""), None);
    }

    #[test]
    fn every_status_can_be_reached_and_every_open_one_can_end() {
        for status in RunStatus::ALL {
            let reached = RunStatus::ALL.into_iter().any(|before| before.may_become(status));
            assert!(reached || status == RunStatus::Scheduled, "{status}");
            let ends = RunStatus::ALL
                .into_iter()
                .any(|next| status.may_become(next) && !next.is_open());
            assert!(ends || !status.is_open(), "{status}");
        }
    }

    #[test]
    fn what_ended_stays_ended() {
        for status in RunStatus::ALL.into_iter().filter(|status| !status.is_open()) {
            for next in RunStatus::ALL.into_iter().filter(|next| status.may_become(*next)) {
                let by_a_person = [RunStatus::Held, RunStatus::Succeeded].contains(&status);
                assert!(by_a_person, "{status} became {next}");
            }
        }
    }

    #[test]
    fn no_status_becomes_itself_and_only_a_run_that_has_a_worker_goes_back_to_scheduled() {
        let has_worker = [RunStatus::Running, RunStatus::Publishing];
        for status in RunStatus::ALL {
            assert!(!status.may_become(status));
            assert_eq!(status.may_become(RunStatus::Scheduled), has_worker.contains(&status));
        }
    }
}
