//! The rate budget of a token endpoint: of its host and of the client that asks. A remote that asks to be left alone is left
//! alone by all connections of that client, and that is no failure of theirs.

use super::Client;
use crate::pg::{clock, rates as shared, transaction};
use crate::pipeline::rates;
use sluice_core::Result;
use sluice_core::connection::DEFAULT_MAX_CONCURRENCY;
use sluice_core::rate::{Asks, Terms};
use sluice_fetch::Pace;
use std::time::Duration;

/// The way to the budget, in a transaction. Failures have their own delays here, so that an open breaker may be probed.
pub fn pace(client: &Client) -> Result<Pace> {
    let terms = Terms::new(None, 1, Duration::ZERO, DEFAULT_MAX_CONCURRENCY);
    rates::pace(Some(client.oauth.budget()), terms, Asks::Insisting)
}

/// Writes what has to survive and is not written yet; outside of a transaction.
pub fn keep(client: &Client) -> Result<()> {
    let identity = client.oauth.budget();
    match shared::find(identity).filter(|budget| budget.is_unwritten()) {
        Some(budget) => {
            transaction::run(|| rates::keep_now(identity, budget, clock::now())).map(rates::Written::confirm)
        }
        None => Ok(()),
    }
}
