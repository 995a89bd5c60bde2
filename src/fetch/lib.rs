//! I/O without PostgreSQL.
