//! pg_sluice.
mod pg;
pgrx::pg_module_magic!();
