//! PostgreSQL itself: the only folder with `unsafe` and with `pg_sys`.
//!
//! Each file wraps one thing the server offers in a safe form. Nothing here knows our tables.

#![allow(unsafe_code)] // each block says why it is safe

pub mod bgworker;
pub mod catalog;
pub mod clock;
pub mod failpoint;
pub mod hooks;
pub mod identity;
pub mod key_file;
pub mod latch;
pub mod lock;
pub mod procedure;
pub mod report;
pub mod settings;
pub mod shmem;
pub mod signals;
pub mod spi;
pub mod transaction;
pub mod xact;
