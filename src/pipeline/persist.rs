//! A transaction that is tried again where another session threw it back, or something ran short.

use crate::pg::{latch, transaction};
use sluice_core::{Class, Result};
use std::time::Duration;

/// How often it is tried.
const TRIES: u32 = 5;

/// Runs a transaction, again where a lock, a deadlock, a serialization failure or a shortage threw it back.
pub fn persist<R>(body: impl Fn() -> Result<R>) -> Result<R> {
    let mut delay = Duration::from_millis(250);
    let mut attempt = 1;
    loop {
        match transaction::run(&body) {
            Err(error) if matches!(error.class(), Class::Database | Class::Resource) && attempt < TRIES => {
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
