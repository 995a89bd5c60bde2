//! `sluice._snapshot` and `sluice._snapshot_chunk`: copies of a target, made on demand.

use super::{execute, returning, row, value};
use crate::pg::spi::Row;
use sluice_core::Result;

/// A copy of a target, without its rows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: i64,
    pub job: i64,
    pub label: String,
    pub made_by: i64,
    /// What is kept of each row.
    pub columns: Vec<String>,
    /// Their types' names then.
    pub types: Vec<Option<String>>,
    /// What the job filled of that.
    pub mapped: Vec<String>,
    pub key: Vec<String>,
    /// JSON, as `store::state` gives it.
    pub position: String,
    pub rows: i64,
    pub chunks: i32,
}

const COLUMNS: &str = "id, job_id, label, made_by, columns, mapped, key, position::text, rows, chunks, types";

fn read(r: &Row) -> Result<Snapshot> {
    Ok(Snapshot {
        id: r.need(1)?,
        job: r.need(2)?,
        label: r.need(3)?,
        made_by: r.need(4)?,
        columns: r.need(5)?,
        mapped: r.need(6)?,
        key: r.need(7)?,
        position: r.need(8)?,
        rows: r.need(9)?,
        chunks: r.need(10)?,
        types: r.need(11)?,
    })
}

pub fn by_id(id: i64) -> Result<Option<Snapshot>> {
    let sql = format!("SELECT {COLUMNS} FROM sluice._snapshot WHERE id = $1");
    row(&sql, &[id.into()], read)
}

/// The same, kept from being dropped until the transaction ends.
pub fn lock(id: i64) -> Result<Option<Snapshot>> {
    let sql = format!("SELECT {COLUMNS} FROM sluice._snapshot WHERE id = $1 FOR KEY SHARE");
    returning(&sql, &[id.into()], read)
}

/// Why its rows do not fit into the target as it is now; None where they do.
pub fn obstacle(id: i64) -> Result<Option<String>> {
    let sql = "SELECT sluice._snapshot_obstacle(j.target_oid, s.columns, s.types, s.key) \
               FROM sluice._snapshot AS s JOIN sluice._job AS j ON j.id = s.job_id WHERE s.id = $1";
    value::<String>(sql, &[id.into()])
}

/// Who makes a snapshot, and what of.
pub struct Begun<'a> {
    pub job: i64,
    pub label: &'a str,
    pub made_by: i64,
    pub created_by: &'a str,
    pub columns: &'a [String],
    pub mapped: &'a [String],
    pub key: &'a [String],
    pub position: &'a str,
}

/// A snapshot without rows; its id.
pub fn begin(begun: &Begun<'_>) -> Result<i64> {
    let args = [
        begun.job.into(),
        begun.label.into(),
        begun.made_by.into(),
        begun.created_by.into(),
        begun.columns.to_vec().into(),
        begun.mapped.to_vec().into(),
        begun.key.to_vec().into(),
        begun.position.into(),
    ];
    let sql = include_str!("../../sql/query/insert_snapshot.sql");
    Ok(returning(sql, &args, |r| r.need(1))?.expect("the job of a running run exists"))
}

/// Adds rows to it: (number of the chunk, rows, payload).
pub fn add(id: i64, number: i32, rows: i64, payload: Vec<u8>) -> Result<()> {
    let sql = "INSERT INTO sluice._snapshot_chunk (snapshot_id, number, rows, payload) VALUES ($1, $2, $3, $4)";
    execute(sql, &[id.into(), number.into(), rows.into(), payload.into()]).map(std::mem::drop)
}

/// Sums up what was added.
pub fn finish(id: i64) -> Result<()> {
    let sql = "UPDATE sluice._snapshot AS s SET rows = c.rows, bytes = c.bytes, chunks = c.chunks \
               FROM (SELECT coalesce(sum(k.rows), 0) AS rows, coalesce(sum(octet_length(k.payload)), 0) AS bytes, \
                            count(*) AS chunks FROM sluice._snapshot_chunk AS k WHERE k.snapshot_id = $1) AS c \
               WHERE s.id = $1";
    execute(sql, &[id.into()]).map(std::mem::drop)
}

/// The compressed rows of a chunk.
pub fn chunk(id: i64, number: i32) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT payload FROM sluice._snapshot_chunk WHERE snapshot_id = $1 AND number = $2";
    value::<Vec<u8>>(sql, &[id.into(), number.into()])
}

/// The snapshot that a run made.
pub fn made_by(job: i64, run: i64) -> Result<Option<(i64, i64, i64)>> {
    let sql = "SELECT id, rows, bytes FROM sluice._snapshot WHERE job_id = $1 AND made_by = $2 ORDER BY id DESC";
    row(sql, &[job.into(), run.into()], |r| {
        Ok((r.need(1)?, r.need(2)?, r.need(3)?))
    })
}

/// Forgets a snapshot with its rows.
pub fn drop(id: i64) -> Result<()> {
    execute("DELETE FROM sluice._snapshot WHERE id = $1", &[id.into()]).map(std::mem::drop)
}
