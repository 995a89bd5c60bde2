//! Rows that stand in each other's way: two that change places under a unique index are refused one by one, since each finds
//! its new value taken by the other.
//!
//! Their unique values are replaced by others that nobody has (NULL, where a column takes it), and then they are written.
//! Both happen in one transaction, and what is kept of them is what they were before.

use super::undo::{self, UndoText, Values};
use super::{Applier, Outcome};
use crate::pg::relation::Target;
use crate::pg::rowset::RowsetWriter;
use crate::pg::spi;
use crate::pg::statement::{Pinned, Planning, Session, Statement, session};
use sluice_core::error::Result;
use sluice_core::sql_text::{FOUND, TargetText, quote};
use std::collections::HashMap;

/// What rows were before they were set aside: their mapped values, by key.
pub struct Former(HashMap<Values, Values>);

impl Applier {
    /// Takes the rows with these keys out of each other's way. None where the target has no column for that.
    pub fn set_aside(&self, keys: &[&[u8]]) -> Result<Option<Former>> {
        self.require_key()?;
        self.lock_shape()?;
        let away = ways(&self.target, &self.text)?;
        if away.is_empty() {
            return Ok(None);
        }
        let _exact = Pinned::exact_text();
        session(|session| {
            let found = self.find_keys(session, self.keys(session, keys)?);
            let addresses = found.iter().map(|row| &row[..2]);
            move_away(session, (&self.target, &self.text), &away, addresses)?;
            let width = self.key.len();
            let place = |name: &String| self.text.all.iter().position(|column| column == name);
            let places: Vec<usize> = self.text.mapped.iter().filter_map(place).collect();
            let former = found.iter().map(|row| {
                let (key, all) = row[2..].split_at(width);
                (key.to_vec(), places.iter().map(|at| all[*at].clone()).collect())
            });
            Ok(Some(Former(former.collect())))
        })
    }
}

impl Former {
    /// Whether an outcome has written every row that was set aside.
    pub fn is_back(&self, outcome: &Outcome) -> bool {
        outcome.updated == self.0.len() as u64
    }

    /// The outcome with what the rows were before.
    pub fn keep_in(&self, mut outcome: Outcome, table: &str) -> Result<Outcome> {
        outcome.undo = match outcome.undo {
            Some(undo) => Some(undo.with_former(&self.0, table)?),
            None => None,
        };
        Ok(outcome)
    }
}

/// Which columns can be moved out of the way, and to what: one of each unique index besides the key's.
pub(super) fn ways(target: &Target, text: &TargetText) -> Result<Vec<(String, String)>> {
    let sql = "SELECT i.indexrelid::pg_catalog.int8, a.attname::pg_catalog.text, a.attnotnull, t.typcategory::pg_catalog.text, \
                      coalesce(nullif(t.typbasetype, 0::pg_catalog.oid), t.oid)::pg_catalog.int8 \
               FROM pg_catalog.pg_index AS i CROSS JOIN pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (n, at) \
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid AND a.attnum OPERATOR(pg_catalog.=) k.n \
               JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) a.atttypid \
               WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indimmediate \
               AND k.at OPERATOR(pg_catalog.<=) i.indnkeyatts \
               ORDER BY i.indexrelid, a.attnotnull, k.at";
    let columns = spi::rows(sql, &[target.oid.into()], |r| {
        Ok((
            r.need::<i64>(1)?,
            r.need::<String>(2)?,
            r.need::<bool>(3)?,
            r.need::<String>(4)?,
            r.need::<i64>(5)?,
        ))
    })?;
    let is_movable = |name: &String| text.mapped.contains(name) && !text.key.iter().any(|key| key.name == *name);
    let mut ways: HashMap<i64, (String, String)> = HashMap::new();
    for (index, name, not_null, category, ty) in columns.into_iter().filter(|column| is_movable(&column.1)) {
        let elsewhere = match not_null {
            false => Some("NULL".to_owned()),
            true => unheard_of(&name, (&category, ty), text),
        };
        if let Some(elsewhere) = elsewhere {
            ways.entry(index).or_insert((name, elsewhere));
        }
    }
    let mut ways: Vec<(String, String)> = ways.into_values().collect();
    ways.sort_unstable();
    ways.dedup_by(|one, other| one.0 == other.0);
    Ok(ways)
}

/// A value that no row has, another one for each ordinal; None for types of which none is known.
fn unheard_of(column: &str, (category, ty): (&str, i64), text: &TargetText) -> Option<String> {
    let column = quote(column);
    let largest = format!("(SELECT pg_catalog.max(x.{column}) FROM {} AS x)", text.table());
    Some(match (category, ty) {
        // smallint, integer, bigint, real, double precision, numeric
        ("N", 20 | 21 | 23 | 700 | 701 | 1700) => {
            format!("{largest} OPERATOR(pg_catalog.+) r.ordinal OPERATOR(pg_catalog.+) 1")
        }
        ("S", _) => "pg_catalog.gen_random_uuid()::pg_catalog.text".into(),
        // date, timestamp, timestamp with time zone
        (_, 1082 | 1114 | 1184) => format!(
            "{largest} OPERATOR(pg_catalog.+) \
             ((r.ordinal OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.*) '1 day'::pg_catalog.interval)"
        ),
        (_, 2950) => "pg_catalog.gen_random_uuid()".into(),
        _ => return None,
    })
}

/// Moves the rows at these addresses away; where each is now (ordinal, address, partition).
pub(super) fn move_away<'a>(
    session: &Session,
    (target, text): (&Target, &TargetText),
    ways: &[(String, String)],
    addresses: impl Iterator<Item = &'a [Option<String>]>,
) -> Result<Vec<Values>> {
    let mut rows = RowsetWriter::new(session, &undo::address_fields(), &target.full_name());
    for (ordinal, address) in addresses.enumerate() {
        let ordinal = ordinal.to_string();
        let address = address.iter().map(|part| part.as_deref().map(str::as_bytes));
        rows.add(std::iter::once(Some(ordinal.as_bytes())).chain(address))?;
    }
    let statement = text.move_found(ways);
    let run = || Statement::prepare(session, &statement, Planning::ProbeThenOrdinary).texts(session);
    Ok(rows.finish().named(session, FOUND, run))
}

impl UndoText {
    /// The same with these former values, by key, for rows that were updated.
    fn with_former(self, former: &HashMap<Values, Values>, table: &str) -> Result<UndoText> {
        let mut payload = undo::parse(&self, table)?;
        for entry in &mut payload.rows {
            if let Some(values) = former.get(&entry.1).filter(|_| entry.3.is_some()) {
                entry.3 = Some(values.clone());
            }
        }
        Ok(UndoText {
            columns: self.columns,
            attnums: self.attnums,
            payload: serde_json::to_string(&payload).expect("lists of strings are always JSON"),
        })
    }
}
