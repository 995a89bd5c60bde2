//! `sluice._ingest`: payloads that wait for their job's worker; `sluice._ingested`: the keys that they brought.

use super::{execute, returning, row, rows, value};
use crate::pg::catalog::storable;
use crate::pg::clock::Timestamp;
use crate::pg::jsonb::Jsonb;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::error::{Error, InternalError};
use sluice_core::{Result, ingest};
use std::collections::VecDeque;

/// A payload as a worker takes it.
pub struct Payload {
    pub id: i64,
    /// Its text in UTF-8.
    pub text: String,
    pub bytes: i64,
}

/// What kind of value a payload is (as `jsonb_typeof` says it), and the bytes of its text.
pub fn look(payload: Jsonb) -> Result<(String, i64)> {
    let sql = "SELECT jsonb_typeof($1), octet_length($1::text)::bigint";
    let found = row(sql, &[payload.into()], |r| Ok((r.need(1)?, r.need(2)?)))?;
    Ok(found.expect("a SELECT without FROM gives a row"))
}

/// How many payloads of a job are kept, and their bytes.
pub fn kept(job: i64) -> Result<(i64, i64)> {
    let sql = "SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM sluice._ingest WHERE job_id = $1";
    let found = row(sql, &[job.into()], |r| Ok((r.need(1)?, r.need(2)?)))?;
    Ok(found.unwrap_or_default())
}

/// Queues a payload; its id.
pub fn queue(job: i64, payload: Jsonb, bytes: i64, by: &str) -> Result<i64> {
    let sql = "INSERT INTO sluice._ingest (job_id, payload, bytes, queued_by) VALUES ($1, $2, $3, $4) RETURNING id";
    let args = [job.into(), payload.into(), bytes.into(), by.into()];
    Ok(returning(sql, &args, |r| r.need(1))?.expect("INSERT … RETURNING gives the id"))
}

/// The latest payload that waits now: a run takes those up to it, and leaves the job to others then.
pub fn latest(job: i64) -> Result<Option<i64>> {
    let sql = "SELECT max(id) FROM sluice._ingest WHERE job_id = $1 AND status = 'queued'";
    value::<i64>(sql, &[job.into()])
}

/// The next payloads in order, none after `latest` and at most `most`.
pub fn next(job: i64, latest: i64, most: i64) -> Result<Vec<Payload>> {
    let sql = include_str!("../../sql/query/next_payloads.sql");
    let args = [job.into(), latest.into(), most.into(), ingest::BATCH_BYTES.into()];
    rows(sql, &args, |r| {
        let text = String::from_utf8(r.need::<Vec<u8>>(2)?);
        Ok(Payload {
            id: r.need(1)?,
            text: text.map_err(|_| corrupt())?,
            bytes: r.need(3)?,
        })
    })
}

/// Forgets payloads in the transaction that writes their rows. Fails where one is no longer there: then somebody else
/// has written it, and this transaction must not commit.
pub fn take(ids: &[i64]) -> Result<()> {
    let sql = "DELETE FROM sluice._ingest WHERE id = ANY ($1) AND status = 'queued'";
    match execute(sql, &[ids.to_vec().into()])? {
        taken if taken == ids.len() as u64 => Ok(()),
        _ => Err(corrupt()),
    }
}

fn corrupt() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "the queue of payloads".into(),
    })
}

/// Sets a payload aside that cannot become rows: those behind it go on.
pub fn set_aside(id: i64, run: i64, error: &Error) -> Result<()> {
    let sql = "UPDATE sluice._ingest SET status = 'failed', run_id = $2, error_class = $3, sqlstate = $4, \
               error_message = $5, error_detail = $6, error_hint = $7 WHERE id = $1 AND status = 'queued'";
    let args = [
        id.into(),
        run.into(),
        error.class().as_str().into(),
        error.sqlstate().into(),
        storable(error.to_string()).into(),
        error.detail().map(storable).into(),
        error.hint().map(storable).into(),
    ];
    execute(sql, &args).map(drop)
}

/// How often runs have failed in a row before the payload that is next.
pub fn failures(job: i64) -> Result<u32> {
    let sql = "SELECT attempts FROM sluice._ingest WHERE job_id = $1 AND status = 'queued' ORDER BY id LIMIT 1";
    Ok(value::<i32>(sql, &[job.into()])?
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(0))
}

/// A run failed for a reason that is not the payloads': they are tried again at a time.
pub fn postpone(job: i64, run: i64, error: &Error, at: Timestamp) -> Result<()> {
    let sql = include_str!("../../sql/query/postpone_payload.sql");
    let args = [
        job.into(),
        run.into(),
        TimestampWithTimeZone::from(at).into(),
        error.class().as_str().into(),
        error.sqlstate().into(),
        storable(error.to_string()).into(),
        error.detail().map(storable).into(),
        error.hint().map(storable).into(),
    ];
    execute(sql, &args).map(drop)
}

/// Queues payloads again that were set aside (one, or all of the job), and lets waiting ones be tried now; how many.
pub fn retry(job: i64, payload: Option<i64>) -> Result<u64> {
    let sql = "UPDATE sluice._ingest SET status = 'queued', not_before = NULL, attempts = 0 \
               WHERE job_id = $1 AND (id = $2 OR $2 IS NULL) AND (status = 'failed' OR not_before IS NOT NULL)";
    execute(sql, &[job.into(), payload.into()])
}

/// Forgets payloads that were set aside (one, or all of the job); how many.
pub fn discard(job: i64, payload: Option<i64>) -> Result<u64> {
    let sql = "DELETE FROM sluice._ingest WHERE job_id = $1 AND (id = $2 OR $2 IS NULL) AND status = 'failed'";
    execute(sql, &[job.into(), payload.into()])
}

/// Remembers keys that payloads brought: their rows are the job's own until a later read has told otherwise.
pub fn keep_keys(job: i64, generation: i64, form: &str, run: i64, keys: &[Vec<u8>]) -> Result<()> {
    let sql = "INSERT INTO sluice._ingested AS i (job_id, after_generation, key_form, key, run_id) \
               SELECT DISTINCT $1, $2, $3, k, $4 FROM unnest($5::bytea[]) AS k \
               ON CONFLICT (job_id, after_generation, key_form, key) DO UPDATE SET gone_by = NULL WHERE i.gone_by IS NOT NULL";
    let args = [
        job.into(),
        generation.into(),
        form.into(),
        run.into(),
        keys.to_vec().into(),
    ];
    execute(sql, &args).map(drop)
}

/// Remembers keys whose rows payloads have removed.
pub fn bury_keys(job: i64, generation: i64, form: &str, run: i64, keys: &[Vec<u8>]) -> Result<()> {
    let sql = "INSERT INTO sluice._ingested (job_id, after_generation, key_form, key, run_id, gone_by) \
               SELECT DISTINCT $1, $2, $3, k, $4, $4 FROM unnest($5::bytea[]) AS k \
               ON CONFLICT (job_id, after_generation, key_form, key) DO UPDATE SET gone_by = EXCLUDED.gone_by";
    let args = [
        job.into(),
        generation.into(),
        form.into(),
        run.into(),
        keys.to_vec().into(),
    ];
    execute(sql, &args).map(drop)
}

/// Whether payloads have removed any row that is remembered.
pub fn is_any_buried(job: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM sluice._ingested WHERE job_id = $1 AND gone_by IS NOT NULL)";
    Ok(value::<bool>(sql, &[job.into()])?.unwrap_or(false))
}

/// Rows that payloads had removed were put back.
pub fn recall_keys(job: i64, form: &str, keys: &[Vec<u8>]) -> Result<()> {
    let sql = "UPDATE sluice._ingested SET gone_by = NULL WHERE job_id = $1 AND key_form = $2 AND key = ANY ($3) \
               AND gone_by IS NOT NULL";
    execute(sql, &[job.into(), form.into(), keys.to_vec().into()]).map(drop)
}

/// The last word of payloads on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Comes,
    /// A tombstone, which was applied.
    Goes,
}

impl Word {
    fn of(is_gone: bool) -> Word {
        match is_gone {
            true => Word::Goes,
            false => Word::Comes,
        }
    }
}

/// The keys that payloads brought or buried after read `from` began and before read `to` did (None: until now), each with
/// the last word on it.
pub fn keys_between(job: i64, form: &str, from: i64, to: Option<i64>) -> Result<Vec<(Vec<u8>, Word)>> {
    let sql = "SELECT DISTINCT ON (key) key, gone_by IS NOT NULL FROM sluice._ingested \
               WHERE job_id = $1 AND key_form = $2 AND after_generation >= $3 AND (after_generation < $4 OR $4 IS NULL) \
               ORDER BY key, after_generation DESC";
    rows(sql, &[job.into(), form.into(), from.into(), to.into()], |r| {
        Ok((r.need(1)?, Word::of(r.need(2)?)))
    })
}

/// The keys that payloads brought, in the order of the reads that were the latest then; a portion at a time.
pub struct Sent {
    job: i64,
    form: String,
    from: i64,
    to: i64,
    portion: VecDeque<(i64, Vec<u8>, Word)>,
    /// After which read and key the next portion begins; None: all of them are read.
    last: Option<(i64, Vec<u8>)>,
}

impl Sent {
    /// Those after read `from` began and before read `to` did.
    pub fn new(job: i64, form: String, from: i64, to: i64) -> Sent {
        // No key is empty.
        let (portion, last) = (VecDeque::new(), Some((from, Vec::new())));
        Sent {
            job,
            form,
            from,
            to,
            portion,
            last,
        }
    }

    pub fn count(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM sluice._ingested \
                   WHERE job_id = $1 AND key_form = $2 AND after_generation >= $3 AND after_generation < $4";
        let args = [
            self.job.into(),
            self.form.as_str().into(),
            self.from.into(),
            self.to.into(),
        ];
        Ok(value::<i64>(sql, &args)?.unwrap_or(0).unsigned_abs())
    }

    /// Hands out those that came before the read of a generation began, as far as they were not handed out yet.
    pub fn each_before(&mut self, generation: i64, mut take: impl FnMut(i64, &[u8], Word) -> Result<()>) -> Result<()> {
        loop {
            while let Some((from, key, word)) = self.portion.front() {
                if *from >= generation {
                    return Ok(());
                }
                take(*from, key, *word)?;
                self.portion.pop_front();
            }
            let Some(last) = self.last.take() else { return Ok(()) };
            self.portion = self.after(&last)?.into();
            self.last = self.portion.back().map(|(from, key, _)| (*from, key.clone()));
        }
    }

    fn after(&self, last: &(i64, Vec<u8>)) -> Result<Vec<(i64, Vec<u8>, Word)>> {
        let sql = "SELECT after_generation, key, gone_by IS NOT NULL FROM sluice._ingested \
                   WHERE job_id = $1 AND key_form = $2 AND (after_generation, key) > ($3, $4) AND after_generation < $5 \
                   ORDER BY after_generation, key LIMIT 10000";
        let args = [
            self.job.into(),
            self.form.as_str().into(),
            last.0.into(),
            last.1.clone().into(),
            self.to.into(),
        ];
        rows(sql, &args, |r| Ok((r.need(1)?, r.need(2)?, Word::of(r.need(3)?))))
    }
}

/// Forgets the keys that every kept read has judged, and those that came again in a run that is not taken back.
pub fn forget_keys(job: i64) -> Result<()> {
    execute(include_str!("../../sql/query/forget_ingested.sql"), &[job.into()]).map(drop)
}
