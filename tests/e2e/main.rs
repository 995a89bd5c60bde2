//! The index of the scenarios, one topic a line; each test's name says what holds.
//!
//! Run one: `make test-e2e ONLY=a_name` (see CONTRIBUTING.md).

mod harness; // the harness itself, on a server without pg_sluice
mod shop; // what the scenarios below have in common: a server, an API, a role, a connection

mod crashes; // processes that die in mid-run, and what must not be lost
mod first_load; // the first load, and what people see of it

mod failure; // how a run fails: what is told where
mod scene; // a database of its own on a server, a role that owns the target, a job

mod access; // who may do what
mod arming; // restored and copied databases
mod bad_input; // what the remote gets wrong
mod dropping; // databases and the extension, in mid-run
mod hostile_owner; // whose code never runs with more rights than its own
mod owner_settings; // which change nothing about the rows
mod serving; // launcher, scheduler, workers
mod standby; // quiet until it is promoted
mod stopping; // prompt, whatever a run is doing
mod waiting; // for the remote, holding nothing
