//! Error classes: the one word that says how a failure is answered.
//!
//! Retry policy, health and the views look at the class and at nothing else (DESIGN.md section 7). A class comes
//! from structure (the kind of transport error, an HTTP status, an SQLSTATE), never from a message's text.

use serde::{Deserialize, Serialize};

/// Why something failed, as far as the reaction is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The remote could not be reached: resolution, refused, reset, broken transfer.
    Network,
    /// A time limit passed while the remote was silent or slow.
    Timeout,
    /// The remote asks us to slow down (429).
    RateLimit,
    /// The remote failed by its own account (408, 425, 5xx).
    Server,
    /// Credentials are missing, wrong or not sufficient (401, 403).
    Auth,
    /// The definition cannot work as it stands: address, path, target, privileges.
    Config,
    /// The remote's content is not what a record or a row can be made of.
    Data,
    /// The target's shape and the job do not fit together.
    Schema,
    /// An empty or shrunken answer was kept back.
    Empty,
    /// The same page or token came twice in one read.
    PaginationLoop,
    /// Local and remote changes collide.
    Conflict,
    /// PostgreSQL refused for now: serialization, deadlock, lock.
    Database,
    /// Something ran out: memory, disk, slots.
    Resource,
    /// A person or a shutdown ended the work.
    Cancelled,
    /// A bug in pg_sluice.
    Internal,
}

impl Class {
    pub const ALL: [Class; 15] = [
        Class::Network,
        Class::Timeout,
        Class::RateLimit,
        Class::Server,
        Class::Auth,
        Class::Config,
        Class::Data,
        Class::Schema,
        Class::Empty,
        Class::PaginationLoop,
        Class::Conflict,
        Class::Database,
        Class::Resource,
        Class::Cancelled,
        Class::Internal,
    ];

    /// The word used in tables, views and docs.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Network => "network",
            Class::Timeout => "timeout",
            Class::RateLimit => "rate_limit",
            Class::Server => "server",
            Class::Auth => "auth",
            Class::Config => "config",
            Class::Data => "data",
            Class::Schema => "schema",
            Class::Empty => "empty",
            Class::PaginationLoop => "pagination_loop",
            Class::Conflict => "conflict",
            Class::Database => "database",
            Class::Resource => "resource",
            Class::Cancelled => "cancelled",
            Class::Internal => "internal",
        }
    }

    /// Whether the same work may succeed when it is simply done again later.
    pub fn is_recoverable(self) -> bool {
        matches!(
            self,
            Class::Network | Class::Timeout | Class::RateLimit | Class::Server | Class::Database | Class::Resource
        )
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
