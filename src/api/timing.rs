//! When a job runs, as `create_job` and `alter_job` are given it: schedule, time zone, and what it waits for.

use crate::pg::zone::Zone;
use crate::pg::{clock, identity, report};
use crate::store::connection;
use crate::store::job::{self, Job};
use crate::store::timing::between_runs;
use serde_json::Value;
use sluice_core::call::CallError;
use sluice_core::counted::counted;
use sluice_core::job::{JobFault, check_cycle};
use sluice_core::schedule::Schedule;
use sluice_core::settings::Settings;
use sluice_core::{Error, Result};

/// Refuses a time zone, jobs and a connection that are not there, and jobs that would wait for each other.
pub fn check(name: &str, settings: &Settings) -> Result<()> {
    let timing = &settings.timing;
    if let Some(zone) = timing.time_zone.as_deref().filter(|zone| Zone::named(zone).is_none()) {
        return Err(JobFault::UnknownTimeZone { name: zone.into() }.into());
    }
    if let Some(when) = &timing.run_when {
        connection::by_name(&when.connection)?;
    }
    if timing.depends_on.is_empty() {
        return Ok(());
    }
    for other in timing.depends_on.iter().filter(|other| *other != name) {
        if let Err(Error::Call(CallError::UnknownJob { name, nearest })) = job::by_name(other, identity::current_user())
        {
            return Err(JobFault::UnknownDependency { name, nearest }.into());
        }
    }
    let mut edges = job::dependencies()?;
    edges.retain(|(job, _)| job != name);
    edges.extend(timing.depends_on.iter().map(|other| (name.to_owned(), other.clone())));
    Ok(check_cycle(name, &edges)?)
}

/// Gives the job another schedule, or the same one in another time zone or between other bounds; whether its next run is
/// another one.
pub fn alter(job: &mut Job, change: (Option<&str>, Option<&Value>), settings: &Settings) -> Result<bool> {
    let (schedule, document) = change;
    if document.is_some() {
        check(&job.name, settings)?;
    }
    if let Some(schedule) = schedule {
        job.schedule = schedule.trim().to_string();
    }
    let parsed = Schedule::parse(&job.schedule)?;
    job.every = between_runs(&parsed, &settings.timing, clock::now());
    let of_settings = ["time_zone", "adaptive"];
    let given = |key: &&str| document.is_some_and(|all| all.get(key).is_some());
    Ok(schedule.is_some() || of_settings.iter().any(given))
}

/// Takes a job that is dropped out of what others wait for, and tells of them.
pub fn forget(job: &Job) -> Result<()> {
    let waited = job::forget_dependency(&job.name, identity::current_user())?;
    if waited.is_empty() {
        return Ok(());
    }
    let all = waited.len();
    let mut told: Vec<String> = waited.into_iter().flatten().collect();
    let others = all - told.len();
    if others > 0 {
        told.push(counted(others, "other job"));
    }
    report::tell(
        format!(
            "jobs that waited for job \"{}\" do so no longer: {}",
            job.name,
            told.join(", ")
        ),
        "It was taken out of their setting \"depends_on\".".into(),
    );
    Ok(())
}
