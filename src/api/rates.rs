//! What shared memory knows of a rate budget: the views read it through this function.

use crate::pg::clock::{self, Timestamp};
use crate::pg::report::or_raise;
use crate::pg::{Oid, identity, rates};
use crate::store::rate;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

/// The budget of a connection that the caller may use, or watches; NULL: none for the caller to see.
#[pg_extern(name = "_budget_seen", stable, parallel_unsafe)]
fn budget_seen(server: Option<Oid>) -> Option<i64> {
    let caller = identity::current_user();
    or_raise(server.map_or(Ok(None), |server| rate::budget_seen_by(caller, server)))
}

/// A budget as it stands now; no row where nobody has used it since the server's start.
#[pg_extern(name = "_rate_limit", volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn rate_limit(
    budget: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(requests_per_second, Option<f64>),
        name!(declared_limit, Option<String>),
        name!(tokens_left, Option<i64>),
        name!(waiters, i64),
        name!(in_flight, i64),
        name!(concurrency, i32),
        name!(not_before, Option<TimestampWithTimeZone>),
        name!(breaker, String),
        name!(failures, i64),
        name!(changed_at, Option<TimestampWithTimeZone>),
        name!(reason, Option<String>),
    ),
> {
    let found = budget.and_then(rates::find);
    let time = |at: Option<i64>| at.map(|at| TimestampWithTimeZone::from(Timestamp(at)));
    TableIterator::new(found.map(|budget| {
        let s = rates::shown(budget, clock::now());
        let declared = s.declared.map(|(limit, seconds)| match seconds {
            0 => limit.to_string(),
            seconds => format!("{limit} in {seconds} s"),
        });
        (
            s.per_second,
            declared,
            s.left.map(|left| i64::try_from(left).unwrap_or(i64::MAX)),
            i64::from(s.waiting),
            i64::from(s.under_way),
            i32::try_from(s.concurrency).unwrap_or(i32::MAX),
            time(s.kept.not_before),
            s.kept.breaker.as_str().to_owned(),
            i64::try_from(s.kept.failures).unwrap_or(0),
            time(s.changed_at),
            s.reason.map(str::to_owned),
        )
    }))
}
