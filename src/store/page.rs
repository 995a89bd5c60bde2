//! The page ledger (`sluice._page`) and the page store (`sluice._page_body`).
//!
//! A body is stored once for all pages that equal it, by its hash. A ledger row says which page of which read it was.

use super::{execute, rows, value};
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
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
    pub received_at: Timestamp,
}

/// What is kept of a page's content: both parts compressed.
#[derive(Debug, Clone)]
pub struct Body {
    pub hash: Vec<u8>,
    pub records: i64,
    pub body: Vec<u8>,
    pub keys: Vec<u8>,
}

/// Writes a page's ledger entry.
pub fn record(job: i64, generation: i64, run: i64, entry: &Entry) -> Result<()> {
    let sql = "INSERT INTO sluice._page (job_id, generation, number, run_id, token_in, token_out, records, bytes, \
               hash, etag, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let args = [
        job.into(),
        generation.into(),
        entry.number.into(),
        run.into(),
        entry.token_in.as_str().into(),
        entry.token_out.clone().into(),
        entry.records.into(),
        entry.bytes.into(),
        entry.hash.clone().into(),
        entry.etag.clone().into(),
        TimestampWithTimeZone::from(entry.received_at).into(),
    ];
    execute(sql, &args).map(drop)
}

/// Keeps a page's content, unless it is there already.
pub fn keep_body(job: i64, body: &Body) -> Result<()> {
    let sql = "INSERT INTO sluice._page_body (job_id, hash, records, body, keys) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT DO NOTHING";
    let args = [
        job.into(),
        body.hash.clone().into(),
        body.records.into(),
        body.body.clone().into(),
        body.keys.clone().into(),
    ];
    execute(sql, &args).map(drop)
}

/// A read's pages in order: (number, hash, records).
pub fn of_generation(job: i64, generation: i64) -> Result<Vec<(i64, Vec<u8>, i64)>> {
    let sql = "SELECT number, hash, records FROM sluice._page WHERE job_id = $1 AND generation = $2 ORDER BY number";
    rows(sql, &[job.into(), generation.into()], |r| {
        Ok((r.need(1)?, r.need(2)?, r.need(3)?))
    })
}

/// The contents of a read, for recognising pages: hash → records.
pub fn known(job: i64, generation: i64) -> Result<HashMap<Vec<u8>, u64>> {
    let pages = of_generation(job, generation)?;
    Ok(pages
        .into_iter()
        .map(|(_, hash, records)| (hash, u64::try_from(records).unwrap_or(0)))
        .collect())
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

/// The pages of the job's first load, whatever reads came after it.
pub fn of_first_load(job: i64) -> Result<Vec<Vec<u8>>> {
    rows(
        include_str!("../../sql/query/pages_of_first_load.sql"),
        &[job.into()],
        |r| r.need(1),
    )
}
