//! Arming, and what oids mean: they are of the place where they were written down, while names go with a dump. Access levels
//! are in `sql/schema/80_access.sql`.

use super::operate::refuse_without_arm_file;
use super::{here, require_server, wake};
use crate::pg::report::{or_raise, tell};
use crate::pg::{Oid, catalog};
use crate::store::{arming, audit};
use pgrx::prelude::*;
use sluice_core::Result;

/// This place: what is written now has oids of this cluster and database.
#[pg_extern(name = "_here", stable, parallel_safe)]
fn here_now() -> String {
    let (system, database) = here();
    format!("{system}/{}", database.to_u32())
}

/// The role that a row means: by its oid where the row was written or armed here, else by its name.
#[pg_extern(name = "_role_now", stable, parallel_safe)]
fn role_now(role: Option<Oid>, name: Option<&str>, armed_in: Option<&str>) -> Option<Oid> {
    match armed_in == Some(here_now().as_str()) {
        true => role,
        false => name.and_then(catalog::role_oid),
    }
}

/// Lets the jobs of a restored, copied or upgraded database run here; how many there were to arm.
#[pg_extern(volatile, parallel_unsafe)]
fn arm() -> i64 {
    or_raise(arm_here())
}

fn arm_here() -> Result<i64> {
    require_server()?;
    // A person who arms believes that work begins.
    refuse_without_arm_file()?;
    let armed = arming::arm_all(here())?;
    for left in arming::left()? {
        tell(
            format!("job \"{}\" was not armed: {} is not here", left.job, left.missing),
            "Make it, or rename what it is now, and call sluice.arm() again; or give the job another connection; or drop it.".into(),
        );
    }
    audit::note_here("arm")?;
    wake();
    Ok(armed)
}
