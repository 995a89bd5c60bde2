//! The states of a run.
//!
//! ```text
//! scheduled ─► running ─► publishing ─► succeeded ─► rolled_back (by rollback_to)
//!                 │            ├──────► held ─► publishing (approve) | discarded | superseded
//!                 │            └──────► rolled_back (an empty answer kept back)
//!                 └─► retryable | failed | stopped | interrupted   (each keeps its checkpoint)
//! ```
//!
//! All states are durable: they are the `status` column of `sluice._run`. A run that says `running` while no session
//! holds its job's lock was interrupted, and the scheduler closes it.

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Asked for (schedule, `start_sync`), not yet taken by a worker. In: session or scheduler; out: worker.
    Scheduled,
    /// A worker reads pages. In: worker; out: worker, or the scheduler when the job's lock is free.
    Running,
    /// A worker applies the stored pages in one transaction. In and out: worker.
    Publishing,
    /// Everything that was read is visible. In: worker, in the publishing transaction.
    Succeeded,
    /// A guard kept the read back; it waits for `approve` or `discard`. In: worker.
    Held,
    /// Held, and a newer run was published or held. In: worker.
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

    /// Open runs occupy their job: no other run of it starts.
    pub fn is_open(self) -> bool {
        matches!(self, RunStatus::Scheduled | RunStatus::Running | RunStatus::Publishing)
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
}
