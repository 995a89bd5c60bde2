//! Going back: what would change, and having a worker do it.

use super::operate::{wait, wait_until_free};
use super::{caller_name, given, jobs, operable_job, require_server, wake};
use crate::pg::FunctionCallInfo;
use crate::pg::procedure::{self, Procedure};
use crate::pg::report::or_raise;
use crate::pipeline::preview;
use crate::store::job::{self, Job};
use crate::store::{run, undo};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::{CallError, counted};

/// Puts a job's rows and position back to what they were after a run; NULL: before the latest published one.
#[pg_extern(sql = "
CREATE PROCEDURE sluice.rollback_to(job text, run bigint DEFAULT NULL, resume boolean DEFAULT false)
LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
")]
fn rollback_to(name: Option<&str>, to: Option<i64>, resume: Option<bool>, call: FunctionCallInfo) {
    or_raise(procedure::run(call, "sluice.rollback_to", |procedure| {
        require_server()?;
        let job = operable_job(given("job", name)?)?;
        undo::rollback_target(&job, to)?;
        let resume = resume.unwrap_or(false);
        if !job.paused {
            job::pause(job.id, Some("a rollback is under way"))?;
        }
        let ended = roll_back(procedure, &job, to, resume);
        if !job.paused && (resume || ended.is_err()) {
            // A rollback that came to nothing leaves the job as it was.
            job::unpause(job.id)?;
            wake();
            procedure.commit();
        } else if ended.is_ok() {
            procedure::notice(&format!(
                "the job is paused; SELECT sluice.resume_job({}) lets it go on",
                pgrx::spi::quote_literal(&job.name)
            ));
        }
        ended
    }));
}

/// Ends what the job is doing, has a worker roll it back, and waits for that.
fn roll_back(procedure: &Procedure, job: &Job, to: Option<i64>, resume: bool) -> Result<()> {
    jobs::stop(job)?;
    wait_until_free(procedure, job)?;
    let asked = run::request_rollback(job.id, &caller_name()?, to, resume)?;
    let id = asked.ok_or(CallError::NothingToRollBack {
        name: job.name.clone(),
        detail: "Another run of it began at the same moment.".into(),
    })?;
    wake();
    procedure.commit();
    wait(procedure, id, &job.name)
}

/// What a rollback would change: the runs that it undoes, newest first, with what each did; the last row, without a run,
/// says what would be taken back in all, and how many rows would be left because others changed them since. The rows of a
/// first load are counted as they came: which of them others changed is looked at only when they are removed.
#[pg_extern(stable, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn preview_rollback(
    job: Option<&str>,
    run: default!(Option<i64>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(run_id, Option<i64>),
        name!(finished_at, Option<TimestampWithTimeZone>),
        name!(inserted, i64),
        name!(updated, i64),
        name!(deleted, i64),
        name!(what, String),
    ),
> {
    TableIterator::new(or_raise(given("job", job).and_then(|job| preview(job, run))))
}

type Undone = (Option<i64>, Option<TimestampWithTimeZone>, i64, i64, i64, String);

fn preview(name: &str, to: Option<i64>) -> Result<Vec<Undone>> {
    let job = operable_job(name)?;
    let after = undo::rollback_target(&job, to)?;
    let runs = run::undone_by_rollback(job.id, after)?;
    let loaded = run::loaded_first(job.id, after)?;
    let mut shown: Vec<Undone> = runs
        .into_iter()
        .map(|(id, at, inserted, updated, deleted, what)| (Some(id), at, inserted, updated, deleted, what))
        .collect();
    let all = preview::rollback(&job, after)?;
    let left = all.left.len() as i64;
    let back = (all.reinserted as i64, all.restored as i64, all.removed as i64 + loaded);
    let what = format!(
        "in all; {} changed by others since {} left",
        counted(left, "row"),
        if left == 1 { "is" } else { "are" }
    );
    shown.push((None, None, back.0, back.1, back.2, what));
    Ok(shown)
}
