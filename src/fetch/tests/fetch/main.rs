//! The agent and whole reads against small servers on 127.0.0.1 that do one wrong thing each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod failures;
mod headers;
mod policy;
mod probing;
mod reading;
mod reads;
mod ruled;
mod scripted;
mod stopping;
