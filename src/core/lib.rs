//! Everything pg_sluice decides, without doing any of it: no server, no sockets, no clock, no threads.
//!
//! A function here takes what was seen (a response, a settings document, a time) and returns what follows from it.
//! `now` and random bytes are arguments. The crates and modules around it do the I/O.

pub mod alert;
pub mod arm_file;
pub mod call;
pub mod class;
pub mod connection;
pub mod counted;
pub mod cursor;
pub mod data;
pub mod discover;
pub mod drift;
pub mod error;
pub mod error_rule;
pub mod failure;
pub mod foreach;
pub mod from_page;
pub mod guard;
pub mod http;
pub mod ingest;
pub mod job;
pub mod keys;
pub mod oauth;
pub mod openapi;
pub mod optimize;
pub mod page_size;
pub mod pagination;
pub mod rate;
pub mod retry;
pub mod retry_queue;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod sql_text;
pub mod target;
pub mod url_policy;

pub use class::Class;
pub use error::{Error, Explain, Result};
