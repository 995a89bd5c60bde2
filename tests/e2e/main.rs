//! The index of the scenarios, one topic a line; each test's name says what holds.
//!
//! Run one: `make test-e2e ONLY=a_name` (see CONTRIBUTING.md).

mod harness; // the harness itself, on a server without pg_sluice
