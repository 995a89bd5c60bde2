//! The index of the scenarios, one topic a line; each test's name says what holds.
//!
//! Run one: `make test-e2e ONLY=a_name` (see CONTRIBUTING.md).

mod harness; // the harness itself, on a server without pg_sluice
mod shop; // what the scenarios below have in common: a server, an API, a role, a connection

mod auth; // credentials: sent where they belong, and nowhere else
mod crashes; // processes that die in mid-run, and what must not be lost
mod first_load; // the first load, and what people see of it
mod gone; // which missing rows are removed, and when
mod guards; // answers that must never destroy data
mod modes; // upsert, the other paginations, targets that were there before
mod refresh; // a refresh: what readers see, what is written, what is left alone
mod undo; // taking published runs back
mod roles; // who a run acts as, several databases, names of every kind
