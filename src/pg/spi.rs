//! SQL with parameters, answers as plain values.
//!
//! The statements are our own fixed texts; values are always parameters. A failure inside a statement is an ERROR that
//! unwinds to the caller's transaction; what remains as a `Result` is misuse of SPI, an internal error.

use crate::pg::catalog;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, SpiHeapTupleData};
use sluice_core::Result;
use sluice_core::call::CallError;
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
pub fn rows<T>(sql: &str, args: &[DatumWithOid], mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
    refuse_on_a_standby()?;
    Spi::connect_mut(|client| {
        let table = client.update(sql, None, args).map_err(misuse)?;
        let mut out = Vec::with_capacity(table.len());
        for tuple in table {
            out.push(read(&Row(tuple))?);
        }
        Ok(out)
    })
}

/// The first row of an answer, if there is one.
pub fn row<T>(sql: &str, args: &[DatumWithOid], read: impl FnMut(&Row) -> Result<T>) -> Result<Option<T>> {
    Ok(rows(sql, args, read)?.into_iter().next())
}

/// The first column of the first row.
pub fn value<T: FromDatum + IntoDatum>(sql: &str, args: &[DatumWithOid]) -> Result<Option<T>> {
    Ok(row(sql, args, |r| r.get::<T>(1))?.flatten())
}

/// Runs a statement; how many rows it touched.
pub fn execute(sql: &str, args: &[DatumWithOid]) -> Result<u64> {
    refuse_on_a_standby()?;
    Spi::connect_mut(|client| {
        let table = client.update(sql, None, args).map_err(misuse)?;
        Ok(table.len() as u64)
    })
}

/// Our statements take a transaction id, which a standby has none of. It shows what is there through the views.
fn refuse_on_a_standby() -> Result<()> {
    if catalog::in_recovery() {
        return Err(CallError::Standby.into());
    }
    Ok(())
}

fn misuse(error: SpiError) -> Error {
    Error::Internal(InternalError::Spi {
        what: error.to_string(),
    })
}
