//! Arming: the one call of this kind that needs more than SQL. Access levels are in `sql/schema/80_access.sql`.

use super::operate::refuse_without_arm_file;
use super::{here, require_server, wake};
use crate::pg::report::or_raise;
use crate::store::{audit, job};
use pgrx::prelude::*;
use sluice_core::Result;

/// Lets the jobs of a restored, copied or upgraded database run here; how many there were to arm.
#[pg_extern(volatile, parallel_unsafe)]
fn arm() -> i64 {
    or_raise(arm_here())
}

fn arm_here() -> Result<i64> {
    require_server()?;
    // A person who arms believes that work begins.
    refuse_without_arm_file()?;
    let (system, database) = here();
    let armed = job::arm_all(system, database)?;
    audit::note_here("arm")?;
    wake();
    Ok(armed)
}
