//! `sluice._reject`: records that could not become rows.
//!
//! ```text
//! rejected ─► replayed (replay_rejects wrote it) | superseded (its key came again, the same or another version, or a whole read without it)
//! ```
//!
//! A rollback of the run that settled one makes it `rejected` again.

use super::{execute, returning, row, rows, value};
use crate::pg::catalog::storable;
use sluice_core::Result;
use std::collections::HashMap;

/// A record to be kept aside.
#[derive(Debug, Clone)]
pub struct Rejected {
    pub page: i64,
    /// Its place in the page, counted from 1.
    pub position: i64,
    pub key: Option<String>,
    pub key_fields: Option<Vec<u8>>,
    pub reason: Reason,
    /// The line of the answer, where it is one that is no record; `raw` is not JSON then.
    pub line: Option<i64>,
    pub raw: String,
    pub raw_bytes: i64,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub column: Option<String>,
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Reason {
    /// As it is read again.
    pub fn into_stored(self) -> Reason {
        Reason {
            column: self.column.map(storable),
            sqlstate: self.sqlstate,
            message: storable(self.message),
            detail: self.detail.map(storable),
            hint: self.hint.map(storable),
        }
    }
}

/// The read that rejects belong to.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    pub job: i64,
    pub run: i64,
    pub generation: i64,
    pub key_form: &'a str,
}

/// Keeps records aside, each unless it is there already.
pub fn keep(of: Of, rejects: &[&Rejected]) -> Result<()> {
    // Escapes of JSON where the encoding is not UTF8: a record says the same with them.
    let each =
        |text: fn(&Rejected) -> Option<String>| rejects.iter().map(|r| text(r).map(storable)).collect::<Vec<_>>();
    let args = [
        of.job.into(),
        of.run.into(),
        of.generation.into(),
        of.key_form.into(),
        rejects.iter().map(|r| r.page).collect::<Vec<_>>().into(),
        rejects.iter().map(|r| r.position).collect::<Vec<_>>().into(),
        each(|r| r.key.clone()).into(),
        rejects.iter().map(|r| r.key_fields.clone()).collect::<Vec<_>>().into(),
        each(|r| r.reason.column.clone()).into(),
        each(|r| Some(r.reason.sqlstate.clone())).into(),
        each(|r| Some(r.reason.message.clone())).into(),
        each(|r| r.reason.detail.clone()).into(),
        each(|r| r.reason.hint.clone()).into(),
        each(|r| Some(r.raw.clone())).into(),
        rejects.iter().map(|r| r.raw_bytes).collect::<Vec<_>>().into(),
        rejects.iter().map(|r| r.line).collect::<Vec<_>>().into(),
    ];
    execute(include_str!("../../sql/query/keep_rejects.sql"), &args).map(drop)
}

/// Forgets what a read has rejected so far: it begins again, and judges every record anew. How many `run` has counted.
pub fn forget_of(job: i64, generation: i64, run: i64) -> Result<i64> {
    let sql = "WITH gone AS (DELETE FROM sluice._reject WHERE job_id = $1 AND generation = $2 RETURNING run_id) \
               SELECT count(*) FROM gone WHERE run_id = $3";
    let counted = returning(sql, &[job.into(), generation.into(), run.into()], |r| r.need(1))?;
    Ok(counted.unwrap_or(0))
}

/// The rejects of one read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub all: u64,
    pub without_key: u64,
}

pub fn count(job: i64, generation: i64) -> Result<Count> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE key_fields IS NULL) FROM sluice._reject \
               WHERE job_id = $1 AND generation = $2";
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    let found = row(sql, &[job.into(), generation.into()], |r| {
        Ok(Count {
            all: unsigned(r.need(1)?),
            without_key: unsigned(r.need(2)?),
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// The first few of a read, with those that it had again: page, position, message, detail.
pub fn first(job: i64, generation: i64, repeated: &[i64], limit: i64) -> Result<Vec<(i64, i64, Reason)>> {
    let sql = "SELECT page, position, column_name, sqlstate, error_message, error_detail, error_hint FROM sluice._reject \
               WHERE job_id = $1 AND (generation = $2 OR id = ANY ($4)) ORDER BY page, position LIMIT $3";
    let args = [job.into(), generation.into(), limit.into(), repeated.to_vec().into()];
    rows(sql, &args, |r| {
        let reason = Reason {
            column: r.get(3)?,
            sqlstate: r.need(4)?,
            message: r.need(5)?,
            detail: r.get(6)?,
            hint: r.get(7)?,
        };
        Ok((r.need(1)?, r.need(2)?, reason))
    })
}

/// The places of records that came with a read and are not in the target, by page.
pub fn places(job: i64, generation: i64) -> Result<HashMap<i64, Vec<u64>>> {
    by_page(
        job,
        generation,
        "SELECT page, position FROM sluice._reject WHERE job_id = $1 AND generation = $2 AND status <> 'replayed'",
    )
}

/// The same of a published read of everything, with those that it had again as they were.
pub fn places_of_published(job: i64, generation: i64) -> Result<HashMap<i64, Vec<u64>>> {
    by_page(
        job,
        generation,
        "SELECT page, position FROM sluice._reject WHERE job_id = $1 AND generation <= $2 \
         AND (until IS NULL OR until > $2) AND status <> 'replayed'",
    )
}

fn by_page(job: i64, generation: i64, sql: &str) -> Result<HashMap<i64, Vec<u64>>> {
    let mut found: HashMap<i64, Vec<u64>> = HashMap::new();
    for (page, position) in rows(sql, &[job.into(), generation.into()], |r| Ok((r.need(1)?, r.need(2)?)))? {
        let position: i64 = position;
        found.entry(page).or_default().push(position.unsigned_abs());
    }
    Ok(found)
}

/// A reject of the published read that may be one of this read, too.
#[derive(Debug, Clone)]
pub struct Repeatable {
    pub id: i64,
    /// Its page and its place there.
    pub at: (i64, i64),
    pub has_key: bool,
    pub reason: Reason,
    /// It is a line that is no record, whatever the columns are.
    pub is_line: bool,
}

/// What the read `published` rejected on pages that the read has again as they were.
pub fn repeatable(of: Of, published: i64) -> Result<Vec<Repeatable>> {
    let sql = include_str!("../../sql/query/repeatable_rejects.sql");
    let args = [
        of.job.into(),
        published.into(),
        of.generation.into(),
        of.key_form.into(),
    ];
    rows(sql, &args, |r| {
        Ok(Repeatable {
            id: r.need(1)?,
            at: (r.need(2)?, r.need(3)?),
            has_key: !r.need::<bool>(4)?,
            reason: Reason {
                column: r.get(5)?,
                sqlstate: r.need(6)?,
                message: r.need(7)?,
                detail: r.get(8)?,
                hint: r.get(9)?,
            },
            is_line: r.need(10)?,
        })
    })
}

/// Where a version of a record came: generation, page, position. A greater one is a later one.
pub type Version = (i64, i64, i64);

/// The latest read that has it: the published one of everything, where that had it again.
const LATEST: &str =
    "CASE WHEN x.until IS NULL AND x.generation < t.whole_generation THEN t.whole_generation ELSE x.generation END";

/// The waiting rejects whose key is known in this form: id, key, version.
pub fn open_keys(job: i64, key_form: &str) -> Result<Vec<(i64, Vec<u8>, Version)>> {
    let sql = format!(
        "SELECT x.id, x.key_fields, {LATEST}, x.page, x.position \
         FROM sluice._reject AS x JOIN sluice._job_state AS t ON t.job_id = x.job_id \
         WHERE x.job_id = $1 AND x.status = 'rejected' AND x.key_form = $2 AND x.key_fields IS NOT NULL"
    );
    rows(&sql, &[job.into(), key_form.into()], |r| {
        Ok((r.need(1)?, r.need(2)?, (r.need(3)?, r.need(4)?, r.need(5)?)))
    })
}

/// What became of rejects: the word, and the run that did it.
pub fn settle(ids: &[i64], status: Settled, run: i64) -> Result<()> {
    let sql = "UPDATE sluice._reject SET status = $2, settled_by = $3 WHERE id = ANY ($1) AND status = 'rejected'";
    execute(sql, &[ids.to_vec().into(), status.as_str().into(), run.into()]).map(drop)
}

/// How a reject is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Replayed,
    Superseded,
}

impl Settled {
    fn as_str(self) -> &'static str {
        match self {
            Settled::Replayed => "replayed",
            Settled::Superseded => "superseded",
        }
    }
}

/// A whole read took the place of earlier ones: what they rejected was mended, is gone, or was rejected again in another
/// way. What it had again as it was, `repeated`, goes on waiting.
pub fn supersede_before(job: i64, generation: i64, run: i64, repeated: &[i64]) -> Result<()> {
    let sql = "UPDATE sluice._reject SET until = $2, \
               settled_by = CASE WHEN status = 'rejected' THEN $3 ELSE settled_by END, \
               status = CASE WHEN status = 'rejected' THEN 'superseded' ELSE status END \
               WHERE job_id = $1 AND generation < $2 AND (until IS NULL OR status = 'rejected') \
               AND NOT EXISTS (SELECT FROM unnest($4) AS r (id) WHERE r.id = _reject.id)";
    let args = [job.into(), generation.into(), run.into(), repeated.to_vec().into()];
    execute(sql, &args).map(drop)
}

/// A read of what has changed was published: what is settled by then belongs to no later read.
pub fn close_settled(job: i64, generation: i64) -> Result<()> {
    let sql = "UPDATE sluice._reject SET until = $2 \
               WHERE job_id = $1 AND generation < $2 AND until IS NULL AND status <> 'rejected'";
    execute(sql, &[job.into(), generation.into()]).map(drop)
}

/// Runs after `run` were taken back, and the position with them: what they settled waits again, and what the later reads
/// did not have belongs to the next one as far as that has it.
pub fn take_back(job: i64, run: i64) -> Result<()> {
    let waits =
        "UPDATE sluice._reject SET status = 'rejected', settled_by = NULL WHERE job_id = $1 AND settled_by > $2";
    execute(waits, &[job.into(), run.into()])?;
    let reopen = "UPDATE sluice._reject AS x SET until = NULL FROM sluice._job_state AS t \
                  WHERE x.job_id = $1 AND t.job_id = x.job_id AND x.until > coalesce(t.published_generation, 0)";
    execute(reopen, &[job.into()]).map(drop)
}

/// A waiting reject of a published read.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub id: i64,
    pub version: Version,
    pub key_form: String,
    pub has_key: bool,
    /// None where not all of the record's text is kept, and where it is no record but a line.
    pub raw: Option<String>,
}

/// The waiting rejects of published reads after that version, in the order in which they came.
pub fn waiting_after(job: i64, after: Version, limit: i64) -> Result<Vec<Waiting>> {
    let sql = format!(
        "SELECT x.id, {LATEST}, x.page, x.position, x.key_form, x.key_fields IS NOT NULL, \
         CASE WHEN octet_length(x.raw) = x.raw_bytes AND x.line IS NULL THEN x.raw END \
         FROM sluice._reject AS x JOIN sluice._job_state AS t ON t.job_id = x.job_id \
         WHERE x.job_id = $1 AND x.status = 'rejected' AND x.generation <= t.published_generation \
         AND ({LATEST}, x.page, x.position) > ($2, $3, $4) ORDER BY 2, x.page, x.position LIMIT $5"
    );
    let args = [job.into(), after.0.into(), after.1.into(), after.2.into(), limit.into()];
    rows(&sql, &args, |r| {
        Ok(Waiting {
            id: r.need(1)?,
            version: (r.need(2)?, r.need(3)?, r.need(4)?),
            key_form: r.need(5)?,
            has_key: r.need(6)?,
            raw: r.get(7)?,
        })
    })
}

/// How many waiting rejects of published reads have no record that could be tried.
pub fn untried(job: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM sluice._reject AS x JOIN sluice._job_state AS t ON t.job_id = x.job_id \
               WHERE x.job_id = $1 AND x.status = 'rejected' AND x.generation <= t.published_generation \
               AND (octet_length(x.raw) <> x.raw_bytes OR x.line IS NOT NULL)";
    Ok(value::<i64>(sql, &[job.into()])?.unwrap_or(0))
}

/// Why a reject still is one.
pub fn explain(id: i64, reason: &Reason) -> Result<()> {
    let sql = "UPDATE sluice._reject SET column_name = $2, sqlstate = $3, error_message = $4, error_detail = $5, \
               error_hint = $6 WHERE id = $1";
    let args = [
        id.into(),
        reason.column.clone().into(),
        reason.sqlstate.as_str().into(),
        storable(reason.message.clone()).into(),
        reason.detail.clone().map(storable).into(),
        reason.hint.clone().map(storable).into(),
    ];
    execute(sql, &args).map(drop)
}

/// Forgets the rejects of all reads but these, as far as nothing waits for them.
pub fn keep_only(job: i64, generations: &[i64]) -> Result<()> {
    let sql = include_str!("../../sql/query/prune_rejects.sql");
    execute(sql, &[job.into(), generations.to_vec().into()]).map(drop)
}
