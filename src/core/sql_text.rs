//! The statements that write a target, and the ones that undo it: text only.
//!
//! Values never enter a statement. Rows come in through relations that exist for one statement only (ephemeral named
//! relations), whose columns are named by position (`c1`, `c2` …), so that no column of a target can collide with ours:
//!
//! | relation | columns | holds |
//! |---|---|---|
//! | [`INCOMING`] | `c1 … cn` the mapped columns, `ordinal` | a decoded batch |
//! | [`CHANGED`] | `c1 … cn`, `existed` | its rows that are new or differ |
//! | [`GONE`] | `k1 … kk` the key | rows to delete |
//! | [`UNDO`] | `ordinal`, `hash`, `k1 … kk`, `c1 … cn` former values | entries of an undo set |
//! | [`FOUND`] | `ordinal`, `row_id`, `part`, `c1 … cn` | rows that were found and locked, by their address |
//!
//! Every look-up in the target is a `LATERAL` subquery that is not flattened, so that no planner and no stale statistics
//! can turn it into anything but one probe of the key's index a row (with sequential scans off; see `pg::statement`).
//! What was found is then written by its address.
//!
//! Operators are named with their schemas: a session's `search_path` does not change what a statement means.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

pub const INCOMING: &str = "sluice_incoming";
pub const CHANGED: &str = "sluice_changed";
pub const GONE: &str = "sluice_gone";
pub const UNDO: &str = "sluice_undo";
pub const FOUND: &str = "sluice_found";

/// One column of the key and the operator by which the key's index finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    /// Schema and name of the equality operator, e.g. `pg_catalog` and `=`.
    pub operator: (String, String),
}

/// A target as far as its statements need it. Names are plain, not quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetText {
    pub schema: String,
    pub name: String,
    /// The columns that a job fills, in the order of its decoded rows.
    pub mapped: Vec<String>,
    pub key: Vec<KeyColumn>,
    /// Every column that can be given a value, in the table's order.
    pub all: Vec<String>,
    /// Whether PostgreSQL itself can say if a written row was new (it cannot for partitioned tables).
    pub knows_inserted: KnowsInserted,
}

/// Whether `RETURNING` of the target can tell an insert from an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnowsInserted {
    Yes,
    No,
}

/// The one place where an identifier is quoted.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list<T>(items: impl IntoIterator<Item = T>, each: impl Fn(T) -> String) -> String {
    items.into_iter().map(each).collect::<Vec<_>>().join(", ")
}

fn columns(prefix: &str, names: &[String]) -> String {
    list(names, |n| format!("{prefix}{}", quote(n)))
}

/// `c1, c2 …` with an alias before each.
fn places(alias: &str, count: usize) -> String {
    list(1..=count, |i| format!("{alias}.c{i}"))
}

impl TargetText {
    /// The table's quoted name with its schema.
    pub fn table(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// A fingerprint of columns as they are stored: 64 bits of hash over the row's text. (A cryptographic one costs twice
    /// as much, fails where a FIPS policy forbids MD5, and there is nobody to defend against.)
    /// The text depends on DateStyle, IntervalStyle, extra_float_digits and bytea_output, which are pinned, and on
    /// TimeZone, which an undo set remembers.
    fn row_hash(alias: &str, names: &[String]) -> String {
        let row = columns(&format!("{alias}."), names);
        format!("pg_catalog.hashtextextended(ROW({row})::pg_catalog.text, 0)")
    }

    fn place_of(&self, column: &str) -> usize {
        self.mapped.iter().position(|c| c == column).map_or(0, |i| i + 1)
    }

    /// `o."id" OPERATOR(pg_catalog.=) s.c1 AND …`; `place` names the other side's column of the i-th key column.
    fn key_matches(&self, place: impl Fn(usize, &KeyColumn) -> String) -> String {
        let each = |(i, k): (usize, &KeyColumn)| {
            let (schema, operator) = &k.operator;
            format!(
                "o.{} OPERATOR({}.{operator}) {}",
                quote(&k.name),
                quote(schema),
                place(i, k)
            )
        };
        self.key.iter().enumerate().map(each).collect::<Vec<_>>().join(" AND ")
    }

    /// `LATERAL (SELECT what FROM target WHERE the key matches tail) AS o`, against columns `c…` of a mapped row.
    fn probe_mapped(&self, what: &str, tail: &str) -> String {
        self.probe(
            what,
            &self.key_matches(|_, k| format!("s.c{}", self.place_of(&k.name))),
            tail,
        )
    }

    /// The same against key columns `k1 … kk`.
    fn probe_key(&self, what: &str, tail: &str) -> String {
        self.probe(what, &self.key_matches(|i, _| format!("s.k{}", i + 1)), tail)
    }

    fn probe(&self, what: &str, condition: &str, tail: &str) -> String {
        format!(
            "LATERAL (SELECT {what} FROM {} AS o WHERE {condition} {tail}) AS o",
            self.table()
        )
    }

    /// The key's columns of the target and then `others`, each under a name of its own.
    fn key_and(&self, others: &[String]) -> String {
        let key = self
            .key
            .iter()
            .enumerate()
            .map(|(i, k)| format!("o.{} AS k{}", quote(&k.name), i + 1));
        let others = others
            .iter()
            .enumerate()
            .map(|(i, c)| format!("o.{} AS v{}", quote(c), i + 1));
        key.chain(others).collect::<Vec<_>>().join(", ")
    }

    fn key_names(&self) -> Vec<String> {
        self.key.iter().map(|k| k.name.clone()).collect()
    }

    fn is_key(&self, column: &str) -> bool {
        self.key.iter().any(|k| k.name == column)
    }

    fn payload(&self) -> impl Iterator<Item = &String> {
        self.mapped.iter().filter(|c| !self.is_key(c))
    }

    /// Keeps the last of the incoming rows whose keys are equal to PostgreSQL although their bytes differ
    /// (`1.0` and `1.00`, `citext`, nondeterministic collations).
    pub fn settle(&self) -> String {
        let keys = list(&self.key, |k| format!("s.c{}", self.place_of(&k.name)));
        let all = places("s", self.mapped.len());
        format!("SELECT DISTINCT ON ({keys}) {all}, s.ordinal FROM {INCOMING} AS s ORDER BY {keys}, s.ordinal DESC")
    }

    /// Incoming rows that are new or differ in a byte from what is stored; writes and locks nothing.
    pub fn filter(&self) -> String {
        let payload: Vec<_> = self.payload().collect();
        let mut what = "true AS existed".to_string();
        for (i, column) in payload.iter().enumerate() {
            let _ = write!(what, ", o.{} AS v{}", quote(column), i + 1);
        }
        let mut differs = "o.existed IS NULL".to_string();
        if !payload.is_empty() {
            let stored = list(1..=payload.len(), |i| format!("o.v{i}"));
            let sent = list(&payload, |c| format!("s.c{}", self.place_of(c)));
            let _ = write!(
                differs,
                " OR ROW({stored})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({sent})::pg_catalog.record"
            );
        }
        format!(
            "SELECT {}, o.existed IS NOT NULL AS existed FROM {INCOMING} AS s LEFT JOIN {} ON true WHERE {differs}",
            places("s", self.mapped.len()),
            self.probe_mapped(&what, "OFFSET 0")
        )
    }

    /// Rows of [`CHANGED`] that exist already.
    pub fn count_existing(&self) -> String {
        format!("SELECT pg_catalog.count(*) FROM {CHANGED} AS s WHERE s.existed")
    }

    /// Key and mapped columns of the rows about to be updated, locked until the transaction ends, so that what is
    /// read is what will be overwritten. The lock is the one that the write would take anyway.
    pub fn former_of_changed(&self) -> String {
        let probe = self.probe_mapped(&self.key_and(&self.mapped), "FOR NO KEY UPDATE");
        format!("SELECT o.* FROM {CHANGED} AS s CROSS JOIN {probe} WHERE s.existed")
    }

    /// The keys of the changed rows as they came.
    pub fn keys_of_changed(&self) -> String {
        format!(
            "SELECT {} FROM {CHANGED} AS s",
            list(&self.key, |k| format!("s.c{}", self.place_of(&k.name)))
        )
    }

    /// Inserts incoming rows as they are.
    pub fn insert(&self) -> String {
        self.insert_from(INCOMING)
    }

    fn insert_from(&self, source: &str) -> String {
        format!(
            "INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {source} AS s",
            self.table(),
            columns("", &self.mapped),
            places("s", self.mapped.len())
        )
    }

    fn on_conflict(&self) -> String {
        let keys = columns("", &self.key_names());
        let set = list(self.payload(), |c| format!("{0} = EXCLUDED.{0}", quote(c)));
        match set.is_empty() {
            true => format!(" ON CONFLICT ({keys}) DO NOTHING"),
            false => format!(" ON CONFLICT ({keys}) DO UPDATE SET {set}"),
        }
    }

    /// Writes the changed rows by key.
    pub fn upsert(&self) -> String {
        self.insert_from(CHANGED) + &self.on_conflict()
    }

    /// As [`upsert`](Self::upsert); returns the key, whether the row was inserted (`NULL` where that cannot be known),
    /// the fingerprint of the whole row, and that of its mapped columns (for an inserted row `NULL`).
    pub fn upsert_returning(&self) -> String {
        let keys = columns("t.", &self.key_names());
        let (whole, mapped) = (Self::row_hash("t", &self.all), Self::row_hash("t", &self.mapped));
        let inserted = "t.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid";
        let returned = match self.knows_inserted {
            KnowsInserted::Yes => format!(
                "{inserted}, CASE WHEN {inserted} THEN {whole} END, CASE WHEN {inserted} THEN NULL ELSE {mapped} END"
            ),
            KnowsInserted::No => format!("NULL::pg_catalog.bool, {whole}, {mapped}"),
        };
        format!("{} RETURNING {keys}, {returned}", self.upsert())
    }

    /// Address, key and all columns of the rows about to be deleted, locked.
    pub fn find_gone(&self) -> String {
        let what = format!("o.ctid AS row_id, o.tableoid AS part, {}", self.key_and(&self.all));
        format!(
            "SELECT o.* FROM {GONE} AS s CROSS JOIN {}",
            self.probe_key(&what, "FOR UPDATE")
        )
    }

    /// For each undo entry whose row exists: its ordinal, the row's address, and whether the row is still as we wrote it.
    /// A row that stands where we deleted one is never ours.
    pub fn find_undo(&self, op: UndoOp, locking: Locking) -> String {
        let hash = match op {
            UndoOp::Inserted => Self::row_hash("o", &self.all),
            UndoOp::Updated => Self::row_hash("o", &self.mapped),
            UndoOp::Deleted => "NULL::pg_catalog.int8".into(),
        };
        let tail = match locking {
            Locking::Locked => "FOR UPDATE",
            Locking::Unlocked => "OFFSET 0",
        };
        let probe = self.probe_key(&format!("o.ctid AS row_id, o.tableoid AS part, {hash} AS hash"), tail);
        format!(
            "SELECT s.ordinal, o.row_id, o.part, coalesce(o.hash OPERATOR(pg_catalog.=) s.hash, false) \
             FROM {UNDO} AS s CROSS JOIN {probe}"
        )
    }

    fn found_matches() -> &'static str {
        "t.ctid OPERATOR(pg_catalog.=) r.row_id AND t.tableoid OPERATOR(pg_catalog.=) r.part"
    }

    /// Deletes the found rows; returns their ordinals.
    pub fn delete_found(&self) -> String {
        let (table, matches) = (self.table(), Self::found_matches());
        format!("DELETE FROM {table} AS t USING {FOUND} AS r WHERE {matches} RETURNING r.ordinal")
    }

    /// Gives the found rows their former values back; returns their ordinals. `None` where only the key is mapped.
    pub fn restore_found(&self) -> Option<String> {
        let set = list(self.payload(), |c| format!("{} = r.c{}", quote(c), self.place_of(c)));
        let (table, matches) = (self.table(), Self::found_matches());
        (!set.is_empty())
            .then(|| format!("UPDATE {table} AS t SET {set} FROM {FOUND} AS r WHERE {matches} RETURNING r.ordinal"))
    }

    /// Inserts deleted rows again where no row has their key; returns the keys.
    pub fn reinsert(&self) -> String {
        format!(
            "INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {UNDO} AS s ON CONFLICT ({}) DO NOTHING \
             RETURNING {}",
            self.table(),
            columns("", &self.all),
            places("s", self.all.len()),
            columns("", &self.key_names()),
            columns("t.", &self.key_names())
        )
    }
}

/// Whether rows that are looked at stay locked until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    Locked,
    Unlocked,
}

/// What a run did to a row, as its undo set calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UndoOp {
    #[serde(rename = "i")]
    Inserted,
    #[serde(rename = "u")]
    Updated,
    #[serde(rename = "d")]
    Deleted,
}
