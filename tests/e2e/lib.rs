//! The harness of the end-to-end tests: real servers, real workers, a scripted API.
//!
//! [`Cluster`] starts a server of its own in a few hundred milliseconds (a copied template), and can crash it.
//! [`Db`] is a client that answers in text. [`wait_until`] waits for a view to say something, and tells what the views
//! and the log said where that never came. [`assert_table_equals_source`] compares a table with the API's truth.
//! Nothing here sleeps for a fixed time: each wait is for a state, with a limit.
//!
//! The PostgreSQL that is used has pg_sluice installed: `SLUICE_PG_CONFIG` (scripts/private-postgres.sh), else PG_CONFIG.
//! `KEEP=1` keeps the data directories and prints their place.

mod cluster;
mod compare;
mod connect;
mod db;
mod folder;
mod installation;
mod processes;
mod replica;
mod reply;
mod wait;

pub use cluster::{Cluster, Stop};
pub use compare::{assert_table_equals_source, differences};
pub use connect::connect_shop;
pub use db::{Call, Db, literal};
pub use folder::{give_to_server_user, new_folder};
pub use processes::{is_dumpable, kill9, memory_high_water, memory_holds, resume, suspend};
pub use reply::{Rows, SqlError};
pub use wait::{eventually, wait_until};
