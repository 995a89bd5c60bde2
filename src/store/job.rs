//! `sluice._job`: what users define.

use super::{all_returning, execute, returning, row, rows, value};
use crate::pg::Oid;
use crate::pg::catalog::{is_holdable, not_ascii};
use crate::pg::spi::Row;
use sluice_core::Result;
use sluice_core::call::CallError;
use std::collections::HashSet;

/// A job's definition as it is stored.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: i64,
    pub name: String,
    pub owner: Oid,
    pub server: Oid,
    pub server_name: String,
    pub path: String,
    pub target: Oid,
    pub target_schema: String,
    pub target_table: String,
    pub mode: String,
    pub key: Vec<String>,
    pub schedule: String,
    /// Seconds between two runs; None for a manual job.
    pub every: Option<f64>,
    pub priority: String,
    /// The settings document as text.
    pub settings: String,
    pub enabled: bool,
    pub disabled_reason: Option<String>,
    pub paused: bool,
    pub pause_reason: Option<String>,
    /// (system identifier, database) of the place where it may run.
    pub armed: Option<(i64, Oid)>,
}

/// An oid of a job: the one in its row where the job was made or armed here, else that of what bears the name.
macro_rules! now {
    ($oid:literal, $by_name:literal) => {
        concat!(
            "(CASE WHEN j.armed_system || '/' || j.armed_database = sluice._here() THEN ",
            $oid,
            " ELSE (SELECT n.oid FROM ",
            $by_name,
            ") END)"
        )
    };
}
macro_rules! server_now {
    () => {
        now!(
            "j.server_oid",
            "pg_catalog.pg_foreign_server AS n WHERE n.srvname = j.server_name"
        )
    };
}
macro_rules! target_now {
    () => {
        now!(
            "j.target_oid",
            "pg_catalog.pg_class AS n JOIN pg_catalog.pg_namespace AS s ON s.oid = n.relnamespace \
             WHERE s.nspname = j.target_schema AND n.relname = j.target_table"
        )
    };
}

/// 0: nothing bears the name.
const COLUMNS: &str = concat!(
    "j.id, j.name, coalesce(sluice._owner_now(j), 0), coalesce(",
    server_now!(),
    ", 0), j.server_name, j.path, coalesce(",
    target_now!(),
    ", 0), j.target_schema, j.target_table, j.mode, j.key, j.schedule, pg_catalog.date_part('epoch', j.run_every), \
     j.priority, j.settings::text, j.enabled, j.disabled_reason, j.paused_at IS NOT NULL, j.pause_reason, j.armed_system, \
     j.armed_database"
);

fn read(r: &Row) -> Result<Job> {
    Ok(Job {
        id: r.need(1)?,
        name: r.need(2)?,
        owner: r.need(3)?,
        server: r.need(4)?,
        server_name: r.need(5)?,
        path: r.need(6)?,
        target: r.need(7)?,
        target_schema: r.need(8)?,
        target_table: r.need(9)?,
        mode: r.need(10)?,
        key: r.need(11)?,
        schedule: r.need(12)?,
        every: r.get(13)?,
        priority: r.need(14)?,
        settings: r.need(15)?,
        enabled: r.need(16)?,
        disabled_reason: r.get(17)?,
        paused: r.need(18)?,
        pause_reason: r.get(19)?,
        armed: r.get::<i64>(20)?.zip(r.get::<Oid>(21)?),
    })
}

/// Whether role $1 sees job j: what the view `_visible_job` says of the current user.
const SEEN: &str = "(pg_has_role($1, sluice._owner_now(j), 'USAGE') OR pg_has_role($1, 'pg_monitor', 'USAGE') \
     OR has_function_privilege($1, 'sluice._monitor_level()', 'EXECUTE') \
     OR has_function_privilege($1, 'sluice._operator_level()', 'EXECUTE'))";

/// The job of this name, or the error that names the nearest one. A job that `seer` does not see is not there.
pub fn by_name(name: &str, seer: Oid) -> Result<Job> {
    let found = row(
        &format!("SELECT {COLUMNS} FROM sluice._job AS j WHERE j.name = $2 AND {SEEN}"),
        &[seer.into(), name.into()],
        read,
    )?;
    match found {
        Some(job) => Ok(job),
        None => Err(CallError::UnknownJob {
            name: name.into(),
            nearest: nearest(name, seer)?,
        }
        .into()),
    }
}

fn nearest(name: &str, seer: Oid) -> Result<Option<String>> {
    let sql = format!("SELECT j.name FROM sluice._job AS j WHERE {SEEN}");
    let names: Vec<String> = rows(&sql, &[seer.into()], |r| r.need(1))?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(sluice_core::connection::nearest(name, &names).map(str::to_string))
}

/// The jobs that a role sees.
pub fn seen_by(seer: Oid) -> Result<HashSet<i64>> {
    let sql = format!("SELECT j.id FROM sluice._job AS j WHERE {SEEN}");
    Ok(rows(&sql, &[seer.into()], |r| r.need(1))?.into_iter().collect())
}

/// The other jobs that write a target: the mode of each, and its name where `seer` sees it.
pub fn others_of_target(job: &Job, seer: Oid) -> Result<Vec<(String, Option<String>)>> {
    let sql = format!(
        "SELECT j.mode, CASE WHEN {SEEN} THEN j.name END FROM sluice._job AS j \
         WHERE {} = $2 AND j.name <> $3 ORDER BY j.id",
        target_now!()
    );
    let args = [seer.into(), job.target.into(), job.name.as_str().into()];
    rows(&sql, &args, |r| Ok((r.need(1)?, r.get(2)?)))
}

pub fn by_id(id: i64) -> Result<Option<Job>> {
    row(
        &format!("SELECT {COLUMNS} FROM sluice._job AS j WHERE j.id = $1"),
        &[id.into()],
        read,
    )
}

pub fn all() -> Result<Vec<Job>> {
    rows(
        &format!("SELECT {COLUMNS} FROM sluice._job AS j ORDER BY j.id"),
        &[],
        read,
    )
}

pub fn exists(name: &str) -> Result<bool> {
    Ok(value::<i64>("SELECT id FROM sluice._job WHERE name = $1", &[name.into()])?.is_some())
}

/// Stores a new job with its empty state; its id.
pub fn insert(job: &Job, owner_name: &str) -> Result<i64> {
    require_holdable(job)?;
    let sql = include_str!("../../sql/query/insert_job.sql");
    let (system, database) = job.armed.unzip();
    let args = [
        job.name.as_str().into(),
        job.owner.into(),
        owner_name.into(),
        job.server.into(),
        job.server_name.as_str().into(),
        job.path.as_str().into(),
        job.target.into(),
        job.target_schema.as_str().into(),
        job.target_table.as_str().into(),
        job.mode.as_str().into(),
        job.key.clone().into(),
        job.schedule.as_str().into(),
        job.every.into(),
        job.priority.as_str().into(),
        job.settings.as_str().into(),
        system.into(),
        database.into(),
    ];
    Ok(returning(sql, &args, |r| r.need(1))?.expect("INSERT … RETURNING gives the id"))
}

/// Stores what `alter_job` may change.
pub fn update(job: &Job) -> Result<()> {
    require_holdable(job)?;
    let sql = include_str!("../../sql/query/update_job.sql");
    let args = [
        job.id.into(),
        job.path.as_str().into(),
        job.mode.as_str().into(),
        job.key.clone().into(),
        job.schedule.as_str().into(),
        job.every.into(),
        job.priority.as_str().into(),
        job.settings.as_str().into(),
        job.server.into(),
        job.server_name.as_str().into(),
    ];
    execute(sql, &args).map(drop)
}

/// Refuses a definition that could not be read again as it was given.
fn require_holdable(job: &Job) -> Result<()> {
    let texts = [&job.name, &job.path, &job.schedule, &job.settings];
    match texts.into_iter().chain(&job.key).all(|text| is_holdable(text)) {
        true => Ok(()),
        false => Err(not_ascii(
            format!("the definition of job \"{}\"", job.name),
            "Name the columns with the setting \"columns\", with escapes such as $['\\u00fc'], or use a database in UTF8.",
        )),
    }
}

/// Takes the row of a job that is about to be changed: who changes it at the same time waits, and sees the change.
pub fn lock(id: i64) -> Result<()> {
    let sql = "SELECT id FROM sluice._job WHERE id = $1 FOR NO KEY UPDATE";
    returning(sql, &[id.into()], |r| r.need::<i64>(1)).map(drop)
}

/// Whether the job still reads as it did when this was loaded, and does until the transaction ends: whoever changes that
/// takes the row of the job's state, too, after the job's own.
pub fn stays(job: &Job) -> Result<bool> {
    super::state::lock(job.id)?;
    reads_as(job)
}

/// Whether the job still reads as it did when this was loaded.
pub fn reads_as(job: &Job) -> Result<bool> {
    let sql = "SELECT j.server_oid = $2 AND j.path = $3 AND j.mode = $4 AND j.key = $5 AND j.settings = $6::jsonb \
               FROM sluice._job AS j WHERE j.id = $1";
    let args = [
        job.id.into(),
        job.server.into(),
        job.path.as_str().into(),
        job.mode.as_str().into(),
        job.key.clone().into(),
        job.settings.as_str().into(),
    ];
    Ok(value::<bool>(sql, &args)?.unwrap_or(false))
}

pub fn delete(id: i64) -> Result<()> {
    execute("DELETE FROM sluice._job WHERE id = $1", &[id.into()]).map(drop)
}

pub fn pause(id: i64, reason: Option<&str>) -> Result<()> {
    let sql = "UPDATE sluice._job SET paused_at = coalesce(paused_at, now()), pause_reason = $2, updated_at = now() \
               WHERE id = $1";
    execute(sql, &[id.into(), reason.into()]).map(drop)
}

/// Takes back a pause and a disabling.
pub fn resume(id: i64) -> Result<()> {
    let sql = "UPDATE sluice._job SET paused_at = NULL, pause_reason = NULL, enabled = true, disabled_reason = NULL, \
               updated_at = now() WHERE id = $1";
    execute(sql, &[id.into()]).map(drop)
}

/// Stops a job for good: only a person takes it back.
pub fn disable(id: i64, reason: &str) -> Result<()> {
    let sql = "UPDATE sluice._job SET enabled = false, disabled_reason = $2, updated_at = now() WHERE id = $1";
    execute(sql, &[id.into(), reason.into()]).map(drop)
}

/// Keeps the stored names in step with what the catalogs say: objects are followed when they are renamed.
pub fn follow_names(job: &Job, schema: &str, table: &str, server: &str) -> Result<()> {
    if (
        job.target_schema.as_str(),
        job.target_table.as_str(),
        job.server_name.as_str(),
    ) == (schema, table, server)
    {
        return Ok(());
    }
    let sql = "UPDATE sluice._job SET target_schema = $2, target_table = $3, server_name = $4 WHERE id = $1";
    execute(sql, &[job.id.into(), schema.into(), table.into(), server.into()]).map(drop)
}

/// How many jobs use a connection, and the names of those that `seer` sees.
pub fn using_server(server: Oid, seer: Oid) -> Result<(i64, Vec<String>)> {
    let sql = format!(
        "SELECT count(*), coalesce(array_agg(j.name ORDER BY j.name) FILTER (WHERE {SEEN}), '{{}}') \
         FROM sluice._job AS j WHERE {} = $2",
        server_now!()
    );
    let found = row(&sql, &[seer.into(), server.into()], |r| Ok((r.need(1)?, r.need(2)?)))?;
    Ok(found.unwrap_or_default())
}

/// The jobs that every other one depends on by its settings: (job, the job that it waits for).
pub fn dependencies() -> Result<Vec<(String, String)>> {
    rows("SELECT d.job, d.on_job FROM sluice._dependency AS d", &[], |r| {
        Ok((r.need(1)?, r.need(2)?))
    })
}

/// Takes a job out of the dependencies of all others; of each that waited for it its name where `seer` sees it.
pub fn forget_dependency(name: &str, seer: Oid) -> Result<Vec<Option<String>>> {
    let sql = format!(
        "UPDATE sluice._job AS j SET settings = CASE pg_catalog.jsonb_typeof(j.settings -> 'depends_on') \
         WHEN 'array' THEN pg_catalog.jsonb_set(j.settings, '{{depends_on}}', (j.settings -> 'depends_on') - $2) \
         ELSE j.settings - 'depends_on' END, updated_at = now() \
         FROM sluice._dependency AS d WHERE d.job_id = j.id AND d.on_job = $2 RETURNING CASE WHEN {SEEN} THEN j.name END"
    );
    all_returning(&sql, &[seer.into(), name.into()], |r| r.get(1))
}

pub use super::timing::{plan_after_failure, plan_after_success};
