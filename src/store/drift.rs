//! `sluice._shape` and `sluice._drift`: what a job's records have looked like, and what has changed.

use super::{execute, row, rows};
use crate::pg::catalog::storable;
use crate::pg::clock::Timestamp;
use pgrx::datum::TimestampWithTimeZone;
use sluice_core::Result;
use sluice_core::data::{InferredType, SingularQuery};
use sluice_core::drift::{Drift, DriftKind, Shape};

/// What is told of one field, as it is written.
pub struct Entry {
    pub told: Drift,
    pub place: String,
    /// The type of the column that it is to have.
    pub ty: Option<InferredType>,
}

/// The shape that was taken under this setting "columns"; None where there is none.
pub fn shape(job: i64, columns: &str) -> Result<Option<Shape>> {
    let sql = "SELECT shape::text FROM sluice._shape WHERE job_id = $1 AND columns = $2";
    let text = row(sql, &[job.into(), columns.into()], |r| r.need::<String>(1))?;
    // A shape of another release is taken anew.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

pub fn keep_shape(job: i64, columns: &str, shape: &Shape) -> Result<()> {
    let sql = "INSERT INTO sluice._shape (job_id, columns, shape) VALUES ($1, $2, $3::json) \
               ON CONFLICT (job_id) DO UPDATE SET columns = excluded.columns, shape = excluded.shape";
    let text = serde_json::to_string(shape).expect("a shape is names and numbers");
    // Escapes of JSON where the encoding is not UTF8; the type json keeps them.
    let text = storable(text);
    execute(sql, &[job.into(), columns.into(), text.into()]).map(drop)
}

/// What has been told so far: kind, field, and the type of the column that it waits for in this read.
pub fn told(job: i64, generation: i64) -> Result<Vec<(String, String, Option<InferredType>)>> {
    let sql = "SELECT kind, field, CASE WHEN generation = $2 THEN column_type END FROM sluice._drift WHERE job_id = $1";
    rows(sql, &[job.into(), generation.into()], |r| {
        Ok((r.need(1)?, r.need(2)?, type_of(r.get(3)?)))
    })
}

fn type_of(name: Option<String>) -> Option<InferredType> {
    name.as_deref().and_then(InferredType::of_sql)
}

/// Tells, or counts on. Each kind and field at most once in `entries`.
pub fn record(job: i64, generation: i64, now: Timestamp, entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let sql = include_str!("../../sql/query/record_drift.sql");
    let text = |of: fn(&Entry) -> String| -> Vec<String> { entries.iter().map(of).collect() };
    let option = |of: fn(&Entry) -> Option<String>| -> Vec<Option<String>> { entries.iter().map(of).collect() };
    let counts: Vec<i64> = entries
        .iter()
        .map(|e| i64::try_from(e.told.count).unwrap_or(i64::MAX))
        .collect();
    let args = [
        job.into(),
        generation.into(),
        TimestampWithTimeZone::from(now).into(),
        text(|e| storable(e.told.field.clone())).into(),
        text(|e| e.told.kind.as_str().into()).into(),
        text(|e| storable(e.place.clone())).into(),
        text(|e| e.told.sample.as_str().into()).into(),
        counts.into(),
        option(|e| e.ty.map(|ty| ty.sql().into())).into(),
        option(|e| e.told.note.clone()).into(),
    ];
    execute(sql, &args).map(drop)
}

/// The columns that were made from a job's records, with the types that they were given.
pub fn made(job: i64) -> Result<Vec<(String, InferredType)>> {
    let sql = "SELECT column_name, column_type FROM sluice._made_column WHERE job_id = $1 ORDER BY column_name";
    let found = rows(sql, &[job.into()], |r| Ok((r.need::<String>(1)?, r.need::<String>(2)?)))?;
    let known = found.into_iter();
    Ok(known
        .filter_map(|(name, ty)| Some((name, InferredType::of_sql(&ty)?)))
        .collect())
}

/// Notes columns that were made, or made wider.
pub fn keep_made(job: i64, columns: &[(String, InferredType)]) -> Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO sluice._made_column (job_id, column_name, column_type) \
               SELECT $1, n, t FROM unnest($2::text[], $3::text[]) AS c (n, t) \
               ON CONFLICT (job_id, column_name) DO UPDATE SET column_type = excluded.column_type";
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let types: Vec<String> = columns.iter().map(|(_, ty)| ty.sql().to_owned()).collect();
    execute(sql, &[job.into(), names.into(), types.into()]).map(drop)
}

/// The members that runs gave a column: where each is in a record, and the column.
pub fn with_columns(job: i64) -> Result<Vec<(SingularQuery, String)>> {
    let sql = "SELECT place, column_name FROM sluice._drift \
               WHERE job_id = $1 AND kind = 'new_field' AND column_name IS NOT NULL ORDER BY first_seen_at, field";
    let found = rows(sql, &[job.into()], |r| Ok((r.need::<String>(1)?, r.need::<String>(2)?)))?;
    let parsed = found
        .into_iter()
        .map(|(place, column)| (SingularQuery::parse(&place), column));
    Ok(parsed
        .filter_map(|(place, column)| Some((place.ok()?, column)))
        .collect())
}

/// The members of a read that wait for a column, or for a wider one, with the type that takes their values.
pub fn waiting(job: i64, generation: i64, kind: DriftKind) -> Result<Vec<(SingularQuery, InferredType)>> {
    let sql = "SELECT place, column_type FROM sluice._drift WHERE job_id = $1 AND generation = $2 AND kind = $3 \
               AND column_name IS NULL AND column_type IS NOT NULL ORDER BY first_seen_at, field";
    let found = rows(sql, &[job.into(), generation.into(), kind.as_str().into()], |r| {
        Ok((r.need::<String>(1)?, type_of(r.get(2)?)))
    })?;
    let parsed = found.into_iter().map(|(place, ty)| (SingularQuery::parse(&place), ty));
    Ok(parsed.filter_map(|(place, ty)| Some((place.ok()?, ty?))).collect())
}

/// The member has a column now, or a wider one; None: it cannot have one, which the note says.
pub fn set_column(job: i64, kind: DriftKind, field: &str, column: Option<&str>, note: &str) -> Result<()> {
    let sql = "UPDATE sluice._drift SET column_name = $4, note = $5, column_type = CASE WHEN $4 IS NOT NULL THEN column_type END \
               WHERE job_id = $1 AND field = $2 AND kind = $3";
    let (field, note) = (storable(field.into()), storable(note.into()));
    let args = [
        job.into(),
        field.into(),
        kind.as_str().into(),
        column.into(),
        note.into(),
    ];
    execute(sql, &args).map(drop)
}
