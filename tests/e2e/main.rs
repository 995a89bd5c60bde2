//! The index of the scenarios, one topic a line; each test's name says what holds.
//!
//! Run one: `make test-e2e ONLY=a_name` (see CONTRIBUTING.md).

mod access; // who may do what
mod arming; // restored and copied databases
mod bad_input; // what the remote gets wrong
mod dropping; // databases and the extension, in mid-run
mod failure; // how a run fails
mod harness; // the harness itself, on a server without pg_sluice
mod hostile_owner; // whose code never runs with more rights than its own
mod scene; // what the scenarios below begin with
mod serving; // launcher, scheduler, workers
mod standby; // quiet until it is promoted
mod stopping; // prompt, whatever a run is doing
mod waiting; // for the remote, holding nothing
