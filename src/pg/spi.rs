//! SQL with parameters, answers as plain values.
//!
//! The statements are our own fixed texts; values are always parameters. A failure inside a statement is an ERROR that
//! unwinds to the caller's transaction; what remains as a `Result` is misuse of SPI, an internal error.
//!
//! Reading takes no transaction id, so that waiting uses none up and a standby answers too. Only what writes, a
//! statement with RETURNING or FOR UPDATE included, takes one.

use crate::pg::{catalog, plans};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiError, SpiHeapTupleData, SpiResult, SpiTupleTable};
use sluice_core::Result;
use sluice_core::error::{Error, InternalError};

/// One row of an answer.
pub struct Row<'a>(SpiHeapTupleData<'a>);

impl Row<'_> {
    /// The column's value, None for NULL. Columns count from 1.
    pub fn get<T: FromDatum + IntoDatum>(&self, column: usize) -> Result<Option<T>> {
        self.0.get::<T>(column).map_err(misuse)
    }

    /// The value of a column that our own statement never leaves NULL.
    pub fn need<T: FromDatum + IntoDatum>(&self, column: usize) -> Result<T> {
        self.get::<T>(column)?
            .ok_or(Error::Internal(InternalError::UnexpectedNull { column }))
    }
}

/// All rows of an answer, each turned into a value by `read`.
pub fn rows<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
    let _now = Snapshot::take();
    Spi::connect(|client| collect(select(client, sql, args).map_err(misuse)?, read))
}

/// The first row of an answer, if there is one.
pub fn row<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&Row) -> Result<T>) -> Result<Option<T>> {
    Ok(rows(sql, args, read)?.into_iter().next())
}

/// The first column of the first row.
pub fn value<T: FromDatum + IntoDatum>(sql: &str, args: &[DatumWithOid]) -> Result<Option<T>> {
    Ok(row(sql, args, |r| r.get::<T>(1))?.flatten())
}

/// Runs a statement that writes; how many rows it touched.
pub fn execute(sql: &str, args: &[DatumWithOid]) -> Result<u64> {
    catalog::require_primary()?;
    Spi::connect_mut(|client| {
        let table = update(client, sql, args).map_err(misuse)?;
        Ok(table.len() as u64)
    })
}

/// Runs a statement that writes or locks; the first row that it returns, if there is one.
pub fn returning<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&Row) -> Result<T>) -> Result<Option<T>> {
    Ok(all_returning(sql, args, read)?.into_iter().next())
}

/// Runs a statement that writes or locks; all rows that it returns.
pub fn all_returning<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
    catalog::require_primary()?;
    Spi::connect_mut(|client| collect(update(client, sql, args).map_err(misuse)?, read))
}

fn select<'c>(client: &SpiClient<'c>, sql: &str, args: &[DatumWithOid]) -> SpiResult<SpiTupleTable<'c>> {
    match plans::kept(client, sql, args)? {
        Some(plan) => client.select(&*plan, None, args),
        None => client.select(sql, None, args),
    }
}

fn update<'c>(client: &mut SpiClient<'c>, sql: &str, args: &[DatumWithOid]) -> SpiResult<SpiTupleTable<'c>> {
    match plans::kept(client, sql, args)? {
        Some(plan) => client.update(&*plan, None, args),
        None => client.update(sql, None, args),
    }
}

fn collect<T>(table: SpiTupleTable, mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
    let mut out = Vec::with_capacity(table.len());
    for tuple in table {
        out.push(read(&Row(tuple))?);
    }
    Ok(out)
}

/// What is committed now, and what this transaction has written, for one read. A read-only statement takes no snapshot
/// of its own, and a procedure that has just committed has none.
struct Snapshot;

impl Snapshot {
    fn take() -> Snapshot {
        // SAFETY: inside a transaction; taken off again when the value is dropped.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
        Snapshot
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // An error takes it off with its transaction.
        if !std::thread::panicking() {
            // SAFETY: `take` pushed it, and what was pushed since has been popped.
            unsafe { pg_sys::PopActiveSnapshot() };
        }
    }
}

fn misuse(error: SpiError) -> Error {
    Error::Internal(InternalError::Spi {
        what: error.to_string(),
    })
}
