//! `sluice._missing`: keys that the last complete read did not have, without proof that they are gone.

use super::{execute, rows};
use sluice_core::Result;

/// The keys that wait for confirmation.
pub fn of_job(job: i64) -> Result<Vec<Vec<u8>>> {
    rows(
        "SELECT key FROM sluice._missing WHERE job_id = $1",
        &[job.into()],
        |r| r.need(1),
    )
}

/// Replaces them by the keys that this read did not have.
pub fn replace(job: i64, generation: i64, keys: &[Vec<u8>]) -> Result<()> {
    execute("DELETE FROM sluice._missing WHERE job_id = $1", &[job.into()])?;
    for chunk in keys.chunks(10_000) {
        let sql = "INSERT INTO sluice._missing (job_id, key, generation) \
                   SELECT $1, k, $3 FROM unnest($2::bytea[]) AS k ON CONFLICT DO NOTHING";
        execute(sql, &[job.into(), chunk.to_vec().into(), generation.into()])?;
    }
    Ok(())
}
