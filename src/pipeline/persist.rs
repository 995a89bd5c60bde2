//! A transaction that is tried again where another session threw it back.

use crate::pg::{latch, transaction};
use sluice_core::{Class, Result};
use std::time::Duration;

/// How often it is tried.
const TRIES: u32 = 5;

/// Runs a transaction, again where a lock, a deadlock or a serialization failure threw it back.
pub fn persist<R>(body: impl Fn() -> Result<R>) -> Result<R> {
    let mut delay = Duration::from_millis(250);
    let mut attempt = 1;
    loop {
        match transaction::run(&body) {
            Err(error) if error.class() == Class::Database && attempt < TRIES => {
                attempt += 1;
                transaction::guarded(|| {
                    latch::wait(delay);
                    Ok(())
                })?;
                delay *= 2;
            }
            outcome => return outcome,
        }
    }
}
