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
//! | [`COPIED`] | `k1 … kk` | the rows of a snapshot |
//! | [`EXTRA`] | `k1 … kk` | rows that the snapshot does not have |
//! | [`OWN`] | `k1 … kk` | rows that the job has brought |
//! | [`FOUND`] | `ordinal`, `row_id`, `part`, `c1 … cn` | rows that were found and locked, by their address |
//!
//! Every look-up in the target is a `LATERAL` subquery that is not flattened, so that no planner and no stale statistics
//! can turn it into anything but one probe of the key's index a row (with sequential scans off; see `pg::statement`).
//! What was found is then written by its address.
//!
//! Operators are named with their schemas: a session's `search_path` does not change what a statement means.
//!
//! Size: the statements share relations, aliases and fingerprints, and are read against each other.

use crate::data::{InferredType, Widening};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

pub const INCOMING: &str = "sluice_incoming";
pub const CHANGED: &str = "sluice_changed";
pub const GONE: &str = "sluice_gone";
pub const UNDO: &str = "sluice_undo";
pub const FOUND: &str = "sluice_found";
pub const COPIED: &str = "sluice_copied";
pub const EXTRA: &str = "sluice_extra";
pub const OWN: &str = "sluice_own";

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
    /// Their numbers, which outlive a change of name.
    pub attnums: Vec<i64>,
    /// For columns that came after the rows that are taken back: whether they still hold what PostgreSQL gave them, as
    /// conditions on `o`.
    pub unfilled: Vec<String>,
    /// The types of columns that are of one that is inferred.
    pub types: BTreeMap<String, InferredType>,
    /// Columns that had a narrower type when fingerprints were taken.
    pub widened: BTreeMap<String, Widening>,
    pub kind: TableKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Only its own rows count, not those of tables that inherit from it. A written row tells whether it was new.
    Plain,
    /// Its partitions are the table. PostgreSQL does not tell whether a written row was new.
    Partitioned,
}

/// The one place where an identifier is quoted.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal, whatever standard_conforming_strings says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
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
    fn row_hash(&self, alias: &str, names: &[String]) -> String {
        let row = list(names, |name| {
            let column = format!("{alias}.{}", quote(name));
            match self.widened.get(name) {
                Some(widening) => widening.former_text(&column),
                None => column,
            }
        });
        format!("pg_catalog.hashtextextended(ROW({row})::pg_catalog.text, 0)")
    }

    /// The table as a place to look for rows.
    fn reach(&self) -> String {
        match self.kind {
            TableKind::Plain => format!("ONLY {}", self.table()),
            TableKind::Partitioned => self.table(),
        }
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
            self.reach()
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

    /// Incoming rows whose key no row has; writes and locks nothing.
    pub fn absent(&self) -> String {
        format!(
            "SELECT {}, false AS existed FROM {INCOMING} AS s LEFT JOIN {} ON true WHERE o.existed IS NULL",
            places("s", self.mapped.len()),
            self.probe_mapped("true AS existed", "OFFSET 0")
        )
    }

    fn has_key(&self) -> String {
        let each = |k: &KeyColumn| format!("o.{} IS NOT NULL", quote(&k.name));
        self.key.iter().map(each).collect::<Vec<_>>().join(" AND ")
    }

    /// All columns of every row that can be found by its key.
    pub fn all_rows(&self) -> String {
        let (all, table, has_key) = (columns("o.", &self.all), self.reach(), self.has_key());
        format!("SELECT {all} FROM {table} AS o WHERE {has_key}")
    }

    /// The keys of rows that are not among [`COPIED`].
    pub fn not_copied(&self) -> String {
        let (key, table, has_key) = (self.key_and(&[]), self.reach(), self.has_key());
        let matches = self.key_matches(|i, _| format!("s.k{}", i + 1));
        format!(
            "SELECT {key} FROM {table} AS o WHERE {has_key} AND NOT EXISTS (SELECT FROM {COPIED} AS s WHERE {matches})"
        )
    }

    /// Those of [`EXTRA`] that are among [`OWN`].
    pub fn own_extra(&self) -> String {
        let same = |(i, k): (usize, &KeyColumn)| {
            let (schema, operator) = &k.operator;
            format!("o.k{0} OPERATOR({1}.{operator}) s.k{0}", i + 1, quote(schema))
        };
        let matches = self.key.iter().enumerate().map(same).collect::<Vec<_>>().join(" AND ");
        let key = list(1..=self.key.len(), |i| format!("s.k{i}"));
        format!("SELECT {key} FROM {EXTRA} AS s WHERE EXISTS (SELECT FROM {OWN} AS o WHERE {matches})")
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
        let (whole, mapped) = (self.row_hash("t", &self.all), self.row_hash("t", &self.mapped));
        let inserted = "t.xmax OPERATOR(pg_catalog.=) '0'::pg_catalog.xid";
        let returned = match self.kind {
            TableKind::Plain => format!(
                "{inserted}, CASE WHEN {inserted} THEN {whole} END, CASE WHEN {inserted} THEN NULL ELSE {mapped} END"
            ),
            TableKind::Partitioned => format!("NULL::pg_catalog.bool, {whole}, {mapped}"),
        };
        format!("{} RETURNING {keys}, {returned}", self.upsert())
    }

    /// Inserts incoming rows whose key no row has, the first of each key.
    pub fn append(&self) -> String {
        let keys = columns("", &self.key_names());
        format!(
            "{} ORDER BY s.ordinal ON CONFLICT ({keys}) DO NOTHING",
            self.insert_from(INCOMING)
        )
    }

    /// The same; returns the key and the fingerprint of the whole row.
    pub fn append_returning(&self) -> String {
        let keys = columns("t.", &self.key_names());
        format!("{} RETURNING {keys}, {}", self.append(), self.row_hash("t", &self.all))
    }

    /// Address, key and all columns of the rows about to be deleted, locked.
    pub fn find_gone(&self) -> String {
        let what = format!("o.ctid AS row_id, o.tableoid AS part, {}", self.key_and(&self.all));
        format!(
            "SELECT o.* FROM {GONE} AS s CROSS JOIN {}",
            self.probe_key(&what, "FOR UPDATE")
        )
    }

    /// Whether nobody has filled a column that came later.
    fn is_unfilled(&self) -> String {
        match self.unfilled.is_empty() {
            true => "true AS unfilled".into(),
            false => format!("({}) AS unfilled", self.unfilled.join(" AND ")),
        }
    }

    /// For each incoming row that is there: its address, whether it is still as it came, and its key.
    pub fn find_as_sent(&self, locking: Locking) -> String {
        let payload: Vec<String> = self.payload().cloned().collect();
        let unfilled = self.is_unfilled();
        let what = format!(
            "o.ctid AS row_id, o.tableoid AS part, {unfilled}, {}",
            self.key_and(&payload)
        );
        let stored = list(1..=payload.len(), |i| format!("o.v{i}"));
        let sent = list(&payload, |c| format!("s.c{}", self.place_of(c)));
        let same = format!("ROW({stored})::pg_catalog.record OPERATOR(pg_catalog.*=) ROW({sent})::pg_catalog.record");
        let same = if payload.is_empty() { "true".into() } else { same };
        let keys = list(1..=self.key.len(), |i| format!("o.k{i}"));
        let probe = self.probe_mapped(&what, locking.tail());
        format!("SELECT o.row_id, o.part, {same} AND o.unfilled, {keys} FROM {INCOMING} AS s CROSS JOIN {probe}")
    }

    /// For each undo entry whose row exists: its ordinal, the row's address, whether the row is still as we wrote it, and
    /// whether nobody has filled a column that came later. A row that stands where we deleted one is never ours.
    pub fn find_undo(&self, op: UndoOp, locking: Locking) -> String {
        let hash = match op {
            UndoOp::Inserted => self.row_hash("o", &self.all),
            UndoOp::Updated => self.row_hash("o", &self.mapped),
            UndoOp::Deleted => "NULL::pg_catalog.int8".into(),
        };
        let unfilled = match op {
            UndoOp::Inserted => self.is_unfilled(),
            UndoOp::Updated | UndoOp::Deleted => "true AS unfilled".into(),
        };
        let what = format!("o.ctid AS row_id, o.tableoid AS part, {hash} AS hash, {unfilled}");
        let probe = self.probe_key(&what, locking.tail());
        format!(
            "SELECT s.ordinal, o.row_id, o.part, coalesce(o.hash OPERATOR(pg_catalog.=) s.hash, false), o.unfilled \
             FROM {UNDO} AS s CROSS JOIN {probe}"
        )
    }

    fn found_matches() -> &'static str {
        "t.ctid OPERATOR(pg_catalog.=) r.row_id AND t.tableoid OPERATOR(pg_catalog.=) r.part"
    }

    /// Deletes the found rows; returns their ordinals.
    pub fn delete_found(&self) -> String {
        let (table, matches) = (self.reach(), Self::found_matches());
        format!("DELETE FROM {table} AS t USING {FOUND} AS r WHERE {matches} RETURNING r.ordinal")
    }

    /// Gives columns of the found rows other values (column, expression); returns where each row is now.
    pub fn move_found(&self, ways: &[(String, String)]) -> String {
        let set = list(ways, |(column, value)| format!("{} = {value}", quote(column)));
        let (table, matches) = (self.reach(), Self::found_matches());
        format!(
            "UPDATE {table} AS t SET {set} FROM {FOUND} AS r WHERE {matches} RETURNING r.ordinal, t.ctid, t.tableoid"
        )
    }

    /// Writes the time into a column of the found rows; returns their ordinals and the fingerprints of their mapped columns.
    pub fn mark_found(&self, column: &str) -> String {
        let (table, matches, hash) = (self.reach(), Self::found_matches(), self.row_hash("t", &self.mapped));
        format!(
            "UPDATE {table} AS t SET {} = pg_catalog.now() FROM {FOUND} AS r WHERE {matches} RETURNING r.ordinal, {hash}",
            quote(column)
        )
    }

    /// Gives the found rows their former values back; returns their ordinals. `None` where only the key is mapped.
    pub fn restore_found(&self) -> Option<String> {
        let set = list(self.payload(), |c| format!("{} = r.c{}", quote(c), self.place_of(c)));
        let (table, matches) = (self.reach(), Self::found_matches());
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

impl Locking {
    /// What ends the look-up; without a lock, something that keeps it from being flattened.
    fn tail(self) -> &'static str {
        match self {
            Locking::Locked => "FOR UPDATE",
            Locking::Unlocked => "OFFSET 0",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn target(mapped: &[&str], key: &[&str]) -> TargetText {
        let operator = ("ext".to_string(), "=".to_string());
        TargetText {
            schema: "shop".into(),
            name: "The \"Goods\"".into(),
            mapped: names(mapped),
            key: key
                .iter()
                .map(|k| KeyColumn {
                    name: k.to_string(),
                    operator: operator.clone(),
                })
                .collect(),
            all: names(&["id", "name", "note"]),
            attnums: vec![1, 2, 3],
            unfilled: Vec::new(),
            types: BTreeMap::new(),
            widened: BTreeMap::new(),
            kind: TableKind::Plain,
        }
    }

    #[test]
    fn quotes_in_a_name_are_doubled() {
        assert_eq!(target(&["id"], &["id"]).table(), r#""shop"."The ""Goods""""#);
        assert_eq!(quote("a\"; DROP TABLE x; --"), r#""a""; DROP TABLE x; --""#);
    }

    #[test]
    fn keys_are_compared_by_the_operator_of_their_index() {
        let text = target(&["name", "id"], &["id"]);
        for statement in [text.filter(), text.former_of_changed()] {
            assert!(statement.contains(r#"o."id" OPERATOR("ext".=) s.c2"#), "{statement}");
        }
        assert!(text.find_gone().contains(r#"o."id" OPERATOR("ext".=) s.k1"#));
    }

    #[test]
    fn a_look_up_is_never_flattened_into_its_query() {
        let text = target(&["id", "name"], &["id"]);
        assert!(text.filter().contains("LEFT JOIN LATERAL (") && text.filter().contains("OFFSET 0)"));
        assert!(text.find_undo(UndoOp::Updated, Locking::Unlocked).contains("OFFSET 0)"));
        assert!(text.former_of_changed().contains("FOR NO KEY UPDATE)"));
        assert!(text.find_gone().contains("FOR UPDATE)"));
    }

    #[test]
    fn rows_are_compared_byte_by_byte_and_without_their_key() {
        let filter = target(&["id", "name", "note"], &["id"]).filter();
        let compared = "ROW(o.v1, o.v2)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(s.c2, s.c3)::pg_catalog.record";
        assert!(filter.ends_with(compared), "{filter}");
    }

    #[test]
    fn appending_changes_no_row_that_is_there() {
        let text = target(&["id", "name"], &["id"]);
        assert!(
            text.append()
                .ends_with(r#"AS s ORDER BY s.ordinal ON CONFLICT ("id") DO NOTHING"#)
        );
        assert!(text.append_returning().contains(r#"DO NOTHING RETURNING t."id", "#));
    }

    #[test]
    fn a_key_is_never_set_by_an_update() {
        let text = target(&["id", "name"], &["id"]);
        assert!(
            text.upsert()
                .ends_with(r#"ON CONFLICT ("id") DO UPDATE SET "name" = EXCLUDED."name""#)
        );
        let restore = text.restore_found().expect("there is a column beside the key");
        assert!(restore.contains(r#"SET "name" = r.c2 FROM"#), "{restore}");
    }

    #[test]
    fn a_target_of_keys_only_is_never_updated() {
        let text = target(&["id"], &["id"]);
        assert!(text.upsert().ends_with("DO NOTHING"));
        assert!(!text.filter().contains("*<>"));
        assert_eq!(text.restore_found(), None);
    }

    #[test]
    fn a_partitioned_target_is_not_asked_for_system_columns_of_a_written_row() {
        let plain = target(&["id", "name"], &["id"]);
        let partitioned = TargetText {
            kind: TableKind::Partitioned,
            ..plain.clone()
        };
        assert!(plain.upsert_returning().contains("t.xmax"));
        assert!(!partitioned.upsert_returning().contains("xmax"));
    }

    #[test]
    fn tables_that_inherit_from_a_target_are_not_touched() {
        let plain = target(&["id", "name"], &["id"]);
        for statement in [plain.filter(), plain.find_gone(), plain.delete_found()] {
            assert!(statement.contains(r#"ONLY "shop""#), "{statement}");
        }
        let partitioned = TargetText {
            kind: TableKind::Partitioned,
            ..plain
        };
        assert!(!partitioned.filter().contains("ONLY"));
    }

    #[test]
    fn a_deleted_row_comes_back_with_all_its_columns() {
        let text = target(&["id", "name"], &["id"]).reinsert();
        assert!(
            text.contains(r#"("id", "name", "note") OVERRIDING SYSTEM VALUE SELECT s.c1, s.c2, s.c3"#),
            "{text}"
        );
        assert!(text.contains(r#"ON CONFLICT ("id") DO NOTHING"#));
    }

    #[test]
    fn an_inserted_row_is_recognised_by_all_its_columns_and_an_updated_one_by_the_mapped() {
        let text = target(&["id", "name"], &["id"]);
        let whole = r#"ROW(o."id", o."name", o."note")"#;
        assert!(text.find_undo(UndoOp::Inserted, Locking::Locked).contains(whole));
        assert!(
            text.find_undo(UndoOp::Updated, Locking::Locked)
                .contains(r#"ROW(o."id", o."name")::"#)
        );
    }

    #[test]
    fn an_inserted_row_whose_later_column_was_filled_is_not_ours_any_more() {
        let text = TargetText {
            unfilled: names(&["o.\"a\" IS NULL", "o.\"b\" IS NULL"]),
            ..target(&["id", "name"], &["id"])
        };
        let condition = r#"(o."a" IS NULL AND o."b" IS NULL) AS unfilled"#;
        let find = |op| text.find_undo(op, Locking::Locked);
        assert!(find(UndoOp::Inserted).contains(condition));
        assert!(
            !find(UndoOp::Updated).contains(condition),
            "only the former values are put back"
        );
        assert!(text.find_as_sent(Locking::Locked).contains(condition));
    }

    #[test]
    fn a_row_without_a_whole_key_is_in_no_copy() {
        let text = target(&["id", "name"], &["id"]);
        for statement in [text.all_rows(), text.not_copied()] {
            assert!(statement.contains(r#"o."id" IS NOT NULL"#), "{statement}");
        }
        assert!(
            text.own_extra().ends_with(r#"WHERE o.k1 OPERATOR("ext".=) s.k1)"#),
            "{}",
            text.own_extra()
        );
        assert!(text.absent().ends_with("WHERE o.existed IS NULL"));
    }

    #[test]
    fn of_keys_that_differ_in_bytes_only_the_last_stays() {
        let text = target(&["name", "id"], &["id"]).settle();
        assert!(text.starts_with("SELECT DISTINCT ON (s.c2)"));
        assert!(text.ends_with("ORDER BY s.c2, s.ordinal DESC"));
    }
}
