//! `optimize_sync`: what the last runs of a job say about its settings.

use super::jobs::{Change, adjust};
use super::{given, may_operate, operable_job, require_server, to_change};
use crate::pg::report::or_raise;
use crate::store::job::{self, Job};
use crate::store::{audit, optimize, repair};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::optimize::{NEEDED, Present, Proposal, What, propose};
use sluice_core::schedule::Schedule;
use sluice_core::settings::Settings;

/// Proposes page size, concurrency and schedule, and sets them where asked to.
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns
fn optimize_sync(
    job: default!(Option<&str>, "NULL"),
    apply: default!(Option<bool>, "false"),
) -> TableIterator<
    'static,
    (
        name!(data_type, String),
        name!(what, String),
        name!(current, Option<String>),
        name!(proposed, Option<String>),
        name!(reason, String),
        name!(applied, bool),
    ),
> {
    let rows = or_raise(given("apply", apply).and_then(|apply| match apply {
        true => judge(job, to_change)?.into_iter().map(apply_to).collect(),
        false => judge(job, Ok),
    }));
    TableIterator::new(rows.into_iter().flat_map(|judged| judged.told))
}

type Told = (String, String, Option<String>, Option<String>, String, bool);

struct Judged {
    job: Job,
    proposals: Vec<Proposal>,
    told: Vec<Told>,
}

fn judge(name: Option<&str>, take: fn(Job) -> Result<Job>) -> Result<Vec<Judged>> {
    let jobs = match name {
        Some(name) => vec![operable_job(name)?],
        None => job::all()?,
    };
    let mut judged = Vec::new();
    for job in jobs {
        if may_operate(&job)? {
            judged.push(judge_job(take(job)?)?);
        }
    }
    Ok(judged)
}

fn judge_job(job: Job) -> Result<Judged> {
    let runs = optimize::runs(job.id)?;
    if runs.len() < NEEDED {
        let reason = format!("it takes {NEEDED} runs that succeeded, and there are {}", runs.len());
        let told = (
            job.name.clone(),
            "runs".into(),
            Some(runs.len().to_string()),
            None,
            reason,
            false,
        );
        return Ok(Judged {
            job,
            proposals: Vec::new(),
            told: vec![told],
        });
    }
    let settings = Settings::parse(&job.settings)?;
    let schedule = Schedule::parse(&job.schedule)?;
    let present = Present {
        page_size: settings.page_size,
        page_bounds: settings.page_bounds,
        concurrency: settings.concurrency,
        schedule: &schedule,
        lengths: settings.timing.adaptive,
        rows: optimize::read_records(job.id)?,
    };
    let proposals = propose(&present, &runs);
    let told = proposals.iter().map(|proposal| told(&job, proposal)).collect();
    Ok(Judged { job, proposals, told })
}

fn told(job: &Job, of: &Proposal) -> Told {
    let what = of.what.as_str().to_owned();
    (
        job.name.clone(),
        what,
        of.current.clone(),
        of.proposed.clone(),
        of.reason.clone(),
        false,
    )
}

/// Changes the job as `alter_job` does. What a read is asked for with changes only between reads.
fn apply_to(mut judged: Judged) -> Result<Judged> {
    require_server()?;
    if judged.proposals.iter().all(|proposal| proposal.proposed.is_none()) {
        return Ok(judged);
    }
    let job = judged.job.id;
    // Until the end of the transaction no worker begins a read.
    let between_reads = repair::try_lock(job)? && optimize::is_between_reads(job)?;
    let mut change = Change::default();
    let mut settings = serde_json::Map::new();
    for (proposal, row) in judged.proposals.iter().zip(&mut judged.told) {
        let Some(value) = &proposal.proposed else { continue };
        match proposal.what {
            What::Schedule => change.schedule = Some(value),
            _ if !between_reads => {
                row.4
                    .push_str("; not changed while a read is under way or waits to be approved");
                continue;
            }
            what => {
                let number: serde_json::Number =
                    value.parse().expect("sizes and numbers of requests are whole numbers");
                settings.insert(what.as_str().into(), number.into());
            }
        }
        row.5 = true;
    }
    change.settings = (!settings.is_empty()).then_some(serde_json::Value::Object(settings));
    if judged.told.iter().any(|row| row.5) {
        adjust(&judged.job, &change)?;
        audit::note("optimize_sync", "job", &judged.job.name)?;
    }
    Ok(judged)
}
