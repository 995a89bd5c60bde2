//! Copies a target: every row that has a key, as text, in compressed chunks, with the position of the job.
//!
//! One statement reads the rows, so that they are of one moment; the job is occupied meanwhile, so that the position is
//! of the same. The copy is one transaction: it is there as a whole, or it has never been there.

use super::apply::{Values, copied_columns, read_all};
use super::batch::{current_target, signed};
use super::plan::Plan;
use super::{Ended, Work, rollback};
use crate::pg::shmem::{self, Phase};
use crate::pg::{clock, failpoint, latch, transaction};
use crate::store::run::{self, Counts};
use crate::store::{snapshot, state};
use sluice_core::Result;
use sluice_core::data;
use sluice_core::error::{Error, InternalError};
use sluice_core::run::RunStatus;

/// A chunk is written when it has so many bytes of text, or rows.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
const CHUNK_ROWS: usize = 10_000;
/// The text of one chunk never unpacks to more than this.
const MOST_CHUNK_BYTES: usize = 1 << 30;

/// Copies the target of the job.
pub(super) fn run(work: &Work, plan: &Plan, label: &str, by: &str) -> Result<Ended> {
    work.phase(Phase::Copying);
    transaction::run(|| once(work, plan, label, by))?;
    Ok(Ended::Done)
}

fn once(work: &Work, plan: &Plan, label: &str, by: &str) -> Result<()> {
    let target = current_target(plan)?;
    let mapping = rollback::mapping(plan)?;
    let mapped: Vec<String> = mapping.columns.iter().map(|c| c.name.clone()).collect();
    let id = snapshot::begin(&snapshot::Begun {
        job: work.job,
        label,
        made_by: work.run,
        created_by: by,
        columns: &copied_columns(&target),
        mapped: &mapped,
        key: &plan.job.key,
        position: &state::position(work.job)?,
    })?;
    let mut chunk = Chunk::new(work, id);
    read_all(&target, &plan.job.key, |rows| chunk.add(rows))?;
    chunk.write()?;
    failpoint::hit("snapshot.copied");
    snapshot::finish(id)?;
    let counts = Counts {
        records: signed(chunk.copied),
        bytes: signed(chunk.bytes_read),
        ..Counts::default()
    };
    run::add_counts(work.run, &counts)?;
    run::finish(work.run, RunStatus::Succeeded, clock::now())?;
    failpoint::hit("snapshot.before_commit");
    Ok(())
}

/// Rows that wait until there are enough of them.
struct Chunk<'a> {
    work: &'a Work,
    snapshot: i64,
    number: i32,
    rows: Vec<Values>,
    bytes: usize,
    copied: u64,
    bytes_read: u64,
}

impl<'a> Chunk<'a> {
    fn new(work: &'a Work, snapshot: i64) -> Chunk<'a> {
        Chunk {
            work,
            snapshot,
            number: 0,
            rows: Vec::new(),
            bytes: 0,
            copied: 0,
            bytes_read: 0,
        }
    }

    fn add(&mut self, rows: Vec<Values>) -> Result<()> {
        latch::check_interrupts();
        let bytes: usize = rows.iter().flatten().flatten().map(String::len).sum();
        self.bytes += bytes;
        self.rows.extend(rows);
        match self.bytes >= CHUNK_BYTES || self.rows.len() >= CHUNK_ROWS {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.number += 1;
        self.copied += self.rows.len() as u64;
        self.bytes_read += self.bytes as u64;
        let text = serde_json::to_string(&self.rows).expect("lists of strings are always JSON");
        let payload = data::compress(text.as_bytes());
        snapshot::add(self.snapshot, self.number, signed(self.rows.len() as u64), payload)?;
        self.rows.clear();
        self.bytes = 0;
        let (pages, records) = (i64::from(self.number), signed(self.copied));
        shmem::update_progress(self.work.slot, |p| {
            p.pages_done = pages;
            p.records_done = records;
        });
        Ok(())
    }
}

/// The rows of a chunk.
pub fn rows(snapshot: i64, number: i32) -> Result<Vec<Values>> {
    let packed = snapshot::chunk(snapshot, number)?.ok_or_else(lost)?;
    let text = data::decompress_text(&packed, MOST_CHUNK_BYTES)?;
    serde_json::from_str(&text).map_err(|_| lost())
}

fn lost() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "a snapshot".into(),
    })
}
