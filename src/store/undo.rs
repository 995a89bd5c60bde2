//! `sluice._undo`: what is needed to take a run back.

use super::job::Job;
use super::{execute, rows, run, value};
use sluice_core::Result;
use sluice_core::call::CallError;

/// Former images of one batch: column names, and the compressed payload of `pipeline::apply`.
pub struct UndoBatch {
    pub run: i64,
    pub batch: i32,
    pub first_load: bool,
    pub columns: Vec<String>,
    /// Their numbers in the table: a column's name may change.
    pub attnums: Vec<i64>,
    pub rows: i64,
    pub payload: Option<Vec<u8>>,
}

impl UndoBatch {
    /// The mark of a first load: the target, which had these columns, held nothing before.
    pub fn first_load(run: i64, attnums: Vec<i64>) -> UndoBatch {
        UndoBatch {
            run,
            batch: 0,
            first_load: true,
            columns: Vec::new(),
            attnums,
            rows: 0,
            payload: None,
        }
    }
}

/// Keeps the former images of a batch, in the transaction that changes the rows.
pub fn keep(job: i64, undo: &UndoBatch) -> Result<()> {
    let sql = "INSERT INTO sluice._undo (run_id, batch, job_id, kind, columns, attnums, rows, payload) \
               SELECT $1, coalesce(max(batch), 0) + 1, $2, $3, $4, $5, $6, $7 FROM sluice._undo WHERE run_id = $1";
    let kind = if undo.first_load { "first_load" } else { "rows" };
    let args = [
        undo.run.into(),
        job.into(),
        kind.into(),
        undo.columns.clone().into(),
        undo.attnums.clone().into(),
        undo.rows.into(),
        undo.payload.clone().into(),
    ];
    execute(sql, &args).map(drop)
}

/// The undo batches of all runs after `run`, the latest first, without their payloads.
pub fn after(job: i64, run: i64) -> Result<Vec<UndoBatch>> {
    let sql = "SELECT run_id, batch, kind = 'first_load', columns, attnums, rows FROM sluice._undo \
               WHERE job_id = $1 AND run_id > $2 ORDER BY run_id DESC, batch DESC";
    rows(sql, &[job.into(), run.into()], |r| {
        Ok(UndoBatch {
            run: r.need(1)?,
            batch: r.need(2)?,
            first_load: r.need(3)?,
            columns: r.need(4)?,
            attnums: r.need(5)?,
            rows: r.need(6)?,
            payload: None,
        })
    })
}

pub fn payload(run: i64, batch: i32) -> Result<Option<Vec<u8>>> {
    value::<Vec<u8>>(
        "SELECT payload FROM sluice._undo WHERE run_id = $1 AND batch = $2",
        &[run.into(), batch.into()],
    )
}

/// Forgets undo sets beyond the newest `keep_runs` published runs, older than `keep_days`, or that with all newer ones
/// take more than `keep_bytes`. They go from the oldest on: a rollback never jumps over a run.
pub fn prune(job: i64, keep_runs: i64, keep_days: i64, keep_bytes: Option<i64>) -> Result<()> {
    let sql = include_str!("../../sql/query/prune_undo.sql");
    execute(
        sql,
        &[job.into(), keep_runs.into(), keep_days.into(), keep_bytes.into()],
    )
    .map(drop)
}

/// The oldest run of a job that keeps an undo set.
pub fn oldest(job: i64) -> Result<Option<i64>> {
    value::<i64>("SELECT min(run_id) FROM sluice._undo WHERE job_id = $1", &[job.into()])
}

/// The run whose state is wanted: everything after it is taken back. 0: everything there is.
pub fn rollback_target(job: &Job, to: Option<i64>) -> Result<i64> {
    let published = run::published_after(job.id, 0)?;
    let kept = oldest(job.id)?;
    let nothing = |detail: &str| CallError::NothingToRollBack {
        name: job.name.clone(),
        detail: detail.into(),
    };
    let Some(latest) = published.first() else {
        return Err(nothing("No run of it is published.").into());
    };
    let after = match to {
        Some(to) if published.contains(&to) => to,
        Some(to) => {
            let detail = "It is no published run of this job.".to_string();
            return Err(CallError::NotRollbackTarget { run: to, detail }.into());
        }
        None => published.get(1).copied().unwrap_or(0),
    };
    if job.key.is_empty() {
        return Err(nothing("It appends without a key, so that its rows cannot be told from others.").into());
    }
    let undone: Vec<i64> = published.iter().copied().filter(|run| *run > after).collect();
    if undone.is_empty() {
        return Err(nothing("It stands at this run already.").into());
    }
    // Runs that changed nothing have no undo set; those that did must still have theirs.
    if run::changed_without_undo(job.id, after)? || (kept.is_none() && run::changed(*latest)?) {
        return Err(nothing("The undo sets of these runs are no longer kept.").into());
    }
    Ok(after)
}
