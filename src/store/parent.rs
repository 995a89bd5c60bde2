//! `sluice._parent`: the rows of a job's `foreach` query, below each of which its collection is read.

use super::{execute, rows, value};
use sluice_core::Result;
use sluice_core::error::{Error, InternalError};
use sluice_core::foreach::{Parent, ParentState};
use std::collections::HashMap;

/// A parent that is not read to its end.
pub struct Pending {
    pub ordinal: i64,
    pub parent: Parent,
    /// The number of its first page, where pages of it are committed.
    pub first_page: Option<i64>,
    /// From where on its records are asked for; None: all of them.
    pub bound: Option<String>,
    /// How far those that are committed reach.
    pub reach: Option<String>,
    pub totals: Totals,
}

/// The number of records that a parent's first and last page declared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub first: Option<i64>,
    pub last: Option<i64>,
}

/// What became of a parent in a batch.
#[derive(Debug, Clone)]
pub struct Mark {
    pub ordinal: i64,
    pub state: ParentState,
    pub first_page: i64,
    pub pages: i64,
    pub records: i64,
    pub reach: Option<String>,
    pub totals: Totals,
    /// A failed one's pages of the read before stand for it in this one.
    pub kept: bool,
    pub error: Option<String>,
}

/// How many parents a read has, where they are known.
pub fn count(job: i64, generation: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM sluice._parent WHERE job_id = $1 AND generation = $2";
    Ok(value::<i64>(sql, &[job.into(), generation.into()])?.unwrap_or(0))
}

/// Keeps the parents of a read in their order, each with where it is asked for from on, by its identity.
pub fn keep(job: i64, generation: i64, parents: &[Parent], bounds: &HashMap<Vec<u8>, String>) -> Result<()> {
    let sql = "INSERT INTO sluice._parent (job_id, generation, ordinal, identity, columns, bound) \
               SELECT $1, $2, $3 + p.place, p.identity, p.columns::jsonb, p.bound \
               FROM unnest($4::bytea[], $5::text[], $6::text[]) WITH ORDINALITY AS p (identity, columns, bound, place)";
    for (at, chunk) in (0i64..).zip(parents.chunks(CHUNK)) {
        let identities: Vec<Vec<u8>> = chunk.iter().map(|p| p.identity().to_vec()).collect();
        let columns: Vec<String> = chunk.iter().map(|p| p.text.clone()).collect();
        let of = |parent: &Parent| bounds.get(parent.identity().as_slice()).cloned();
        let bounds: Vec<Option<String>> = chunk.iter().map(of).collect();
        let args = [
            job.into(),
            generation.into(),
            (at * CHUNK as i64).into(),
            identities.into(),
            columns.into(),
            bounds.into(),
        ];
        execute(sql, &args)?;
    }
    Ok(())
}

const CHUNK: usize = 10_000;

/// The next parents after `after` that are not read to their end.
pub fn pending(job: i64, generation: i64, after: i64, most: i64) -> Result<Vec<Pending>> {
    let sql = "SELECT ordinal, columns::text, CASE WHEN state = 'reading' THEN first_page END, bound, reach, total_first, \
               total_last FROM sluice._parent WHERE job_id = $1 AND generation = $2 AND ordinal > $3 AND state IN ('pending', 'reading') \
               ORDER BY ordinal LIMIT $4";
    rows(sql, &[job.into(), generation.into(), after.into(), most.into()], |r| {
        let parent = Parent::parse(&r.need::<String>(2)?);
        Ok(Pending {
            ordinal: r.need(1)?,
            parent: parent.ok_or(Error::Internal(InternalError::Corrupt {
                what: "a parent of a read".into(),
            }))?,
            first_page: r.get(3)?,
            bound: r.get(4)?,
            reach: r.get(5)?,
            totals: Totals {
                first: r.get(6)?,
                last: r.get(7)?,
            },
        })
    })
}

/// Notes what became of parents, in the transaction that commits their pages.
pub fn mark(job: i64, generation: i64, marks: &[Mark]) -> Result<()> {
    let sql = include_str!("../../sql/query/mark_parents.sql");
    let args = [
        job.into(),
        generation.into(),
        marks.iter().map(|m| m.ordinal).collect::<Vec<_>>().into(),
        marks
            .iter()
            .map(|m| m.state.as_str().to_string())
            .collect::<Vec<_>>()
            .into(),
        marks.iter().map(|m| m.first_page).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.pages).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.records).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.kept).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.error.clone()).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.reach.clone()).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.totals.first).collect::<Vec<_>>().into(),
        marks.iter().map(|m| m.totals.last).collect::<Vec<_>>().into(),
    ];
    execute(sql, &args).map(drop)
}

/// The most pages that a parent has in a read.
pub fn most_pages(job: i64, generation: i64) -> Result<i64> {
    let sql = "SELECT coalesce(max(pages), 0) FROM sluice._parent WHERE job_id = $1 AND generation = $2";
    Ok(value::<i64>(sql, &[job.into(), generation.into()])?.unwrap_or(0))
}

/// How many parents of a read failed, and of how many of them nothing stands in their place.
pub fn failed(job: i64, generation: i64) -> Result<(i64, i64)> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE NOT kept) FROM sluice._parent \
               WHERE job_id = $1 AND generation = $2 AND state = 'failed'";
    let found = super::row(sql, &[job.into(), generation.into()], |r| Ok((r.need(1)?, r.need(2)?)))?;
    Ok(found.unwrap_or_default())
}

/// Makes the parents of one read those of another, with what became of each.
pub fn repeat(job: i64, from: i64, to: i64) -> Result<()> {
    let sql = "INSERT INTO sluice._parent (job_id, generation, ordinal, identity, columns, state, first_page, pages, records, \
                                           total_first, total_last, kept, error_message) \
               SELECT job_id, $3, ordinal, identity, columns, state, first_page, pages, records, \
                      total_first, total_last, kept, error_message \
               FROM sluice._parent WHERE job_id = $1 AND generation = $2";
    execute(sql, &[job.into(), from.into(), to.into()]).map(drop)
}

/// Forgets the parents of all reads but these.
pub fn keep_only(job: i64, generations: &[i64]) -> Result<()> {
    let sql = "DELETE FROM sluice._parent WHERE job_id = $1 AND generation <> ALL ($2)";
    execute(sql, &[job.into(), generations.to_vec().into()]).map(drop)
}
