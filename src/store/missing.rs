//! `sluice._missing`: keys that a published read did not have, without proof that they are gone.
//!
//! They belong to the read: a rollback that makes an earlier one the published one again has its keys with it.

use super::{execute, rows};
use sluice_core::Result;

/// The keys that waited for confirmation after this read; none where they were kept in another form.
pub fn of_generation(job: i64, generation: i64, form: &str) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT key FROM sluice._missing WHERE job_id = $1 AND generation = $2 AND key_form = $3";
    rows(sql, &[job.into(), generation.into(), form.into()], |r| r.need(1))
}

/// Keeps the keys that this read did not have.
pub fn keep(job: i64, generation: i64, form: &str, keys: &[Vec<u8>]) -> Result<()> {
    for chunk in keys.chunks(10_000) {
        let sql = "INSERT INTO sluice._missing (job_id, generation, key_form, key) \
                   SELECT $1, $2, $3, k FROM unnest($4::bytea[]) AS k ON CONFLICT DO NOTHING";
        execute(
            sql,
            &[job.into(), generation.into(), form.into(), chunk.to_vec().into()],
        )?;
    }
    Ok(())
}

/// Forgets the keys of all reads but these.
pub fn keep_only(job: i64, generations: &[i64]) -> Result<()> {
    let sql = "DELETE FROM sluice._missing WHERE job_id = $1 AND generation <> ALL ($2)";
    execute(sql, &[job.into(), generations.to_vec().into()]).map(drop)
}
