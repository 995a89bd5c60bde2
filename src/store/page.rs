//! The page ledger (`sluice._page`) and the page store (`sluice._page_body`).
//!
//! A body is stored once for all pages that equal it, by its hash. A ledger row says which page of which read it was.

use super::{execute, row, rows, value};
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use sluice_core::pagination::{KnownPage, PageToken, Seen};
use std::collections::HashMap;

/// The ledger entry of a page.
#[derive(Debug, Clone)]
pub struct Entry {
    pub number: i64,
    pub token_in: String,
    pub token_out: Option<String>,
    pub records: i64,
    pub bytes: i64,
    pub hash: Vec<u8>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub total: Option<i64>,
    pub total_pages: Option<i64>,
    pub received_at: Timestamp,
    /// Identifies the row of a `foreach` query below which the page lies.
    pub parent: Option<Vec<u8>>,
    /// A rule took the answer for a page without records.
    pub ignored: bool,
}

/// What is kept of a page's content: both parts compressed.
#[derive(Debug, Clone)]
pub struct Body<'a> {
    pub hash: &'a [u8],
    pub records: i64,
    pub body: &'a [u8],
    pub keys: &'a [u8],
    /// Of its tombstones.
    pub gone: Option<&'a [u8]>,
}

/// Writes the ledger entries of a batch.
pub fn record(job: i64, generation: i64, run: i64, entries: &[Entry]) -> Result<()> {
    let sql = include_str!("../../sql/query/record_pages.sql");
    let args = [
        job.into(),
        generation.into(),
        run.into(),
        of_each(entries, |e| e.number).into(),
        of_each(entries, |e| e.token_in.clone()).into(),
        of_each(entries, |e| e.token_out.clone()).into(),
        of_each(entries, |e| e.records).into(),
        of_each(entries, |e| e.bytes).into(),
        of_each(entries, |e| e.hash.clone()).into(),
        of_each(entries, |e| e.etag.clone()).into(),
        of_each(entries, |e| TimestampWithTimeZone::from(e.received_at)).into(),
        of_each(entries, |e| e.last_modified.clone()).into(),
        of_each(entries, |e| e.total).into(),
        of_each(entries, |e| e.total_pages).into(),
        of_each(entries, |e| e.parent.clone()).into(),
        of_each(entries, |e| e.ignored).into(),
    ];
    execute(sql, &args).map(drop)
}

/// Makes a page of one read a page of another, as what its text has become since: (number, hash).
pub fn repeat(job: i64, (from, to): (i64, i64), run: i64, (number, hash): (i64, &[u8])) -> Result<()> {
    let sql = include_str!("../../sql/query/repeat_page.sql");
    let args = [
        job.into(),
        from.into(),
        number.into(),
        to.into(),
        run.into(),
        hash.to_vec().into(),
    ];
    execute(sql, &args).map(drop)
}

/// Whether a rule took an answer of a read for a page without records: the read says nothing of what is missing.
pub fn has_ignored(job: i64, generation: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM sluice._page WHERE job_id = $1 AND generation = $2 AND ignored)";
    Ok(value::<bool>(sql, &[job.into(), generation.into()])?.unwrap_or(false))
}

/// How many pages of a read have a content that is no longer stored.
pub fn lost_bodies(job: i64, generation: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM sluice._page AS p WHERE p.job_id = $1 AND p.generation = $2 AND p.records > 0 \
               AND NOT EXISTS (SELECT FROM sluice._page_body AS b WHERE b.job_id = p.job_id AND b.hash = p.hash)";
    Ok(value::<i64>(sql, &[job.into(), generation.into()])?.unwrap_or(0))
}

/// Keeps the contents of a batch's pages, each unless it is there already.
pub fn keep_bodies(job: i64, bodies: &[Body<'_>]) -> Result<()> {
    let sql = include_str!("../../sql/query/keep_bodies.sql");
    let args = [
        job.into(),
        of_each(bodies, |b| b.hash).into(),
        of_each(bodies, |b| b.records).into(),
        of_each(bodies, |b| b.body).into(),
        of_each(bodies, |b| b.keys).into(),
        of_each(bodies, |b| b.gone).into(),
    ];
    execute(sql, &args).map(drop)
}

/// One member of each, as the array that `unnest` takes apart again.
fn of_each<'a, T, M>(all: &'a [T], member: impl Fn(&'a T) -> M) -> Vec<M> {
    all.iter().map(member).collect()
}

/// A read's pages in order: (number, hash, records).
pub fn of_generation(job: i64, generation: i64) -> Result<Vec<(i64, Vec<u8>, i64)>> {
    let sql = "SELECT number, hash, records FROM sluice._page WHERE job_id = $1 AND generation = $2 ORDER BY number";
    rows(sql, &[job.into(), generation.into()], |r| {
        Ok((r.need(1)?, r.need(2)?, r.need(3)?))
    })
}

const CONTENTS: &str = "SELECT p.hash, p.records FROM sluice._page AS p WHERE p.job_id = $1 AND p.generation = $2";
const IS_STORED: &str = "EXISTS (SELECT FROM sluice._page_body AS b WHERE b.job_id = p.job_id AND b.hash = p.hash)";
/// A page with a rejected record is tried again: the table, or what the record refers to, may have been mended.
const HAS_NO_REJECTS: &str = "p.hash NOT IN (SELECT y.hash FROM sluice._reject AS x \
     JOIN sluice._page AS y ON (y.job_id, y.generation, y.number) = (x.job_id, $2, x.page) \
     WHERE x.job_id = $1 AND x.generation <= $2 AND (x.until IS NULL OR x.until > $2) AND x.status <> 'replayed')";

/// The contents of a read, for recognising pages: hash → records.
pub fn known(job: i64, generation: i64) -> Result<HashMap<Vec<u8>, u64>> {
    contents(job, generation, &format!("{CONTENTS} AND {HAS_NO_REJECTS}"))
}

/// The same, as far as the contents are stored: an upsert writes a ledger and no bodies.
pub fn known_stored(job: i64, generation: i64) -> Result<HashMap<Vec<u8>, u64>> {
    contents(
        job,
        generation,
        &format!("{CONTENTS} AND {IS_STORED} AND {HAS_NO_REJECTS}"),
    )
}

/// The contents of a read that are stored, rejects or not.
pub fn stored(job: i64, generation: i64) -> Result<HashMap<Vec<u8>, u64>> {
    contents(job, generation, &format!("{CONTENTS} AND {IS_STORED}"))
}

fn contents(job: i64, generation: i64, sql: &str) -> Result<HashMap<Vec<u8>, u64>> {
    let found = rows(sql, &[job.into(), generation.into()], |r| {
        Ok((r.need::<Vec<u8>>(1)?, r.need::<i64>(2)?))
    })?;
    Ok(found
        .into_iter()
        .map(|(hash, records)| (hash, u64::try_from(records).unwrap_or(0)))
        .collect())
}

/// The pages of a read that can be asked for with a validator, by number.
pub fn validated(job: i64, generation: i64) -> Result<HashMap<u64, KnownPage>> {
    let sql = "SELECT number, token_in, token_out, records, hash, etag, last_modified, total, total_pages FROM sluice._page \
               WHERE job_id = $1 AND generation = $2 AND (etag IS NOT NULL OR last_modified IS NOT NULL)";
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    let found = rows(sql, &[job.into(), generation.into()], |r| {
        let page = KnownPage {
            token: PageToken(r.need(2)?),
            next: r.get::<String>(3)?.map(PageToken),
            records: unsigned(r.need(4)?),
            digest: r.need::<Vec<u8>>(5)?.try_into().unwrap_or_default(),
            etag: r.get(6)?,
            last_modified: r.get(7)?,
            total: r.get(8)?.map(unsigned),
            total_pages: r.get(9)?.map(unsigned),
        };
        Ok((unsigned(r.need(1)?), page))
    })?;
    Ok(found.into_iter().collect())
}

/// The pages of one parent in a read, in order: (number, hash, records).
pub fn of_parent(job: i64, generation: i64, parent: &[u8]) -> Result<Vec<(i64, Vec<u8>, i64)>> {
    let sql = "SELECT number, hash, records FROM sluice._page \
               WHERE job_id = $1 AND generation = $2 AND parent = $3 ORDER BY number";
    rows(sql, &[job.into(), generation.into(), parent.to_vec().into()], |r| {
        Ok((r.need(1)?, r.need(2)?, r.need(3)?))
    })
}

/// Whether it is known of each page of a read below which parent it lies.
pub fn have_parents(job: i64, generation: i64) -> Result<bool> {
    let sql = "SELECT NOT EXISTS (SELECT FROM sluice._page WHERE job_id = $1 AND generation = $2 AND parent IS NULL)";
    Ok(value::<bool>(sql, &[job.into(), generation.into()])?.unwrap_or(false))
}

/// A read's pages from one on, by which one that comes again is recognised.
pub fn seen(job: i64, generation: i64, from: i64) -> Result<Vec<Seen>> {
    let sql = "SELECT token_in, records, hash FROM sluice._page WHERE job_id = $1 AND generation = $2 AND number >= $3";
    rows(sql, &[job.into(), generation.into(), from.into()], |r| {
        Ok(Seen {
            token: PageToken(r.need(1)?),
            records: u64::try_from(r.need::<i64>(2)?).unwrap_or(0),
            digest: r.need::<Vec<u8>>(3)?.try_into().unwrap_or_default(),
        })
    })
}

/// Takes the pages of a pass out of a read that begins again. They stay, under a number that no read has, until they are
/// pruned with the contents that only they have.
pub fn put_aside(job: i64, generation: i64, aside: i64) -> Result<()> {
    let sql = "UPDATE sluice._page SET generation = $3 WHERE job_id = $1 AND generation = $2";
    execute(sql, &[job.into(), generation.into(), aside.into()]).map(drop)
}

/// The compressed body of a page.
pub fn body(job: i64, hash: &[u8]) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT body FROM sluice._page_body WHERE job_id = $1 AND hash = $2";
    value::<Vec<u8>>(sql, &[job.into(), hash.to_vec().into()])
}

/// The compressed keys of a page.
pub fn keys(job: i64, hash: &[u8]) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT keys FROM sluice._page_body WHERE job_id = $1 AND hash = $2";
    value::<Vec<u8>>(sql, &[job.into(), hash.to_vec().into()])
}

/// The compressed keys of a page's tombstones.
pub fn gone(job: i64, hash: &[u8]) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT gone FROM sluice._page_body WHERE job_id = $1 AND hash = $2";
    value::<Vec<u8>>(sql, &[job.into(), hash.to_vec().into()])
}

/// How many records the committed pages of a read had, and how many bytes they were on the wire.
pub fn brought(job: i64, generation: i64) -> Result<(u64, u64)> {
    let sql = "SELECT coalesce(sum(records), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM sluice._page \
               WHERE job_id = $1 AND generation = $2";
    let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
    let found = row(sql, &[job.into(), generation.into()], |r| {
        Ok((unsigned(r.need(1)?), unsigned(r.need(2)?)))
    })?;
    Ok(found.unwrap_or_default())
}

/// Records of a read so far.
pub fn records(job: i64, generation: i64) -> Result<i64> {
    let sql = "SELECT coalesce(sum(records), 0)::bigint FROM sluice._page WHERE job_id = $1 AND generation = $2";
    Ok(value::<i64>(sql, &[job.into(), generation.into()])?.unwrap_or(0))
}

/// Forgets the ledger of all reads but these, and the contents that no kept read has.
pub fn keep_only(job: i64, generations: &[i64]) -> Result<()> {
    let sql = include_str!("../../sql/query/prune_pages.sql");
    execute(sql, &[job.into(), generations.to_vec().into()]).map(drop)
}

/// The pages of the first load that this run began.
pub fn of_first_load(job: i64, run: i64) -> Result<Vec<Vec<u8>>> {
    rows(
        include_str!("../../sql/query/pages_of_first_load.sql"),
        &[job.into(), run.into()],
        |r| r.need(1),
    )
}

/// Whether two reads have a page with the same records.
pub fn share_content(job: i64, one: i64, other: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM sluice._page AS p JOIN sluice._page AS q ON q.job_id = p.job_id AND q.hash = p.hash \
               WHERE p.job_id = $1 AND p.generation = $2 AND q.generation = $3 AND p.records > 0)";
    Ok(value::<bool>(sql, &[job.into(), one.into(), other.into()])?.unwrap_or(false))
}
