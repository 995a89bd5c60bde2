//! What a job's table must hold after each step of a history: rows with their columns, and which of them are the job's own.

use std::collections::{BTreeMap, BTreeSet};

pub type Text = Option<String>;
/// The columns that the job fills, by key.
pub type Records = BTreeMap<u64, [Text; 2]>;

/// How the job writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Replace,
    Upsert,
    Append,
}

/// The columns that the job fills, and the others by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub mapped: [Text; 2],
    pub local: BTreeMap<String, Text>,
}

#[derive(Clone, Debug)]
pub enum Change {
    /// With its local columns.
    Inserted(Row),
    Updated {
        sent: [Text; 2],
        former: [Text; 2],
    },
    Deleted(Row),
}

#[derive(Clone)]
pub struct Run {
    pub id: i64,
    pub changes: Vec<(u64, Change)>,
    pub first_load: bool,
    /// The keys of the job's rows before it.
    pub own_before: Option<BTreeSet<u64>>,
    pub watermark_before: Text,
    /// What it read; none where it read nothing.
    pub read: Option<Records>,
}

pub struct Copy {
    pub id: i64,
    pub rows: BTreeMap<u64, Row>,
    pub own: Option<BTreeSet<u64>>,
    pub watermark: Text,
    pub after: i64,
}

#[derive(Default)]
pub struct Model {
    pub mode: Mode,
    pub rows: BTreeMap<u64, Row>,
    pub columns: BTreeSet<String>,
    pub own: Option<BTreeSet<u64>>,
    /// From where on the next read asks.
    pub watermark: Text,
    pub runs: Vec<Run>,
    pub copies: Vec<Copy>,
}

impl Model {
    pub fn empty_local(&self) -> BTreeMap<String, Text> {
        self.columns.iter().map(|c| (c.clone(), None)).collect()
    }

    /// A row of before as far as its columns are still there.
    pub fn fitted(&self, row: &Row) -> Row {
        let local = self.columns.iter();
        let local = local.map(|c| (c.clone(), row.local.get(c).cloned().flatten()));
        Row {
            mapped: row.mapped.clone(),
            local: local.collect(),
        }
    }

    /// A column gets another name: rows of before go back under it. A copy knows columns by their names.
    pub fn rename(&mut self, old: &str, new: &str) {
        let rename = |row: &mut Row| {
            if let Some(value) = row.local.remove(old) {
                row.local.insert(new.to_string(), value);
            }
        };
        self.columns.remove(old);
        self.columns.insert(new.to_string());
        self.rows.values_mut().for_each(rename);
        for (_, change) in self.runs.iter_mut().flat_map(|run| &mut run.changes) {
            match change {
                Change::Inserted(row) | Change::Deleted(row) => rename(row),
                Change::Updated { .. } => {}
            }
        }
    }

    fn write(&mut self, id: u64, sent: &[Text; 2], changes: &mut Vec<(u64, Change)>) {
        let local = self.empty_local();
        match self.rows.get_mut(&id) {
            Some(row) if row.mapped == *sent => {}
            Some(row) => {
                let former = std::mem::replace(&mut row.mapped, sent.clone());
                let sent = sent.clone();
                changes.push((id, Change::Updated { sent, former }));
            }
            None => {
                let mapped = sent.clone();
                let row = Row { mapped, local };
                changes.push((id, Change::Inserted(row.clone())));
                self.rows.insert(id, row);
            }
        }
    }

    fn remove(&mut self, ids: &BTreeSet<u64>, changes: &mut Vec<(u64, Change)>) {
        for id in ids {
            if let Some(row) = self.rows.remove(id) {
                changes.push((*id, Change::Deleted(row)));
            }
        }
    }

    /// A run published `read`, whose highest time is `reach`.
    pub fn publish(&mut self, id: i64, read: Records, reach: Text, from_remote: bool) {
        let replaces = self.mode == Mode::Replace;
        let first_load = replaces && from_remote && self.own.is_none() && self.rows.is_empty();
        let mut changes = Vec::new();
        let mut keys: BTreeSet<u64> = read.keys().copied().collect();
        let own_before = self.own.take();
        let own = own_before.clone().unwrap_or_default();
        match replaces {
            true => self.remove(&own.difference(&keys).copied().collect(), &mut changes),
            false => keys.extend(own),
        }
        for (id, sent) in &read {
            // What is there stays as it is where rows are only added.
            if self.mode != Mode::Append || !self.rows.contains_key(id) {
                self.write(*id, sent, &mut changes);
            }
        }
        self.own = Some(keys);
        let watermark_before = self.watermark.clone();
        self.watermark = reach.max(self.watermark.take());
        self.runs.push(Run {
            id,
            changes,
            first_load,
            own_before,
            watermark_before,
            read: Some(read),
        });
    }

    /// The state after run `to`; 0: before all runs.
    pub fn roll_back(&mut self, to: i64) {
        let at = self.runs.iter().position(|run| run.id > to).expect("a run to undo");
        let undone = self.runs.split_off(at);
        for run in undone.iter().rev() {
            run.changes
                .iter()
                .for_each(|(id, change)| self.take_back(*id, change, run));
        }
        let changed = |run: &&Run| run.first_load || !run.changes.is_empty();
        if let Some(oldest) = undone.iter().find(changed) {
            self.own = oldest.own_before.clone();
            self.watermark = oldest.watermark_before.clone();
        }
        if self.mode != Mode::Replace {
            // What each run brought is known by itself.
            self.own = undone[0].own_before.clone();
        }
    }

    fn take_back(&mut self, id: u64, change: &Change, run: &Run) {
        let there = self.rows.get(&id).cloned();
        match (change, there) {
            (Change::Inserted(was), Some(row)) => {
                // Of a row that has lost a column since, what the run's pages brought is compared, if it read any.
                let lost = was.local.keys().any(|column| !self.columns.contains(column));
                let untouched = was
                    .local
                    .iter()
                    .all(|(column, value)| row.local.get(column) == Some(value));
                let is_stored = self.mode == Mode::Replace && run.read.is_some();
                let local = run.first_load || if lost { is_stored } else { untouched };
                if row.mapped == was.mapped && local {
                    self.rows.remove(&id);
                }
            }
            (Change::Updated { sent, former }, Some(row)) if row.mapped == *sent => {
                self.rows.get_mut(&id).expect("it is there").mapped = former.clone();
            }
            (Change::Deleted(row), None) => {
                let row = self.fitted(row);
                self.rows.insert(id, row);
            }
            _ => {}
        }
    }

    pub fn restore(&mut self, run: i64, copy: usize) {
        let Copy {
            rows,
            own,
            watermark,
            after,
            ..
        } = &self.copies[copy];
        let (rows, own, watermark, after) = (rows.clone(), own.clone(), watermark.clone(), *after);
        let since = self.runs.iter().filter(|run| run.id > after && !run.first_load);
        let inserted = since
            .flat_map(|run| &run.changes)
            .filter_map(|(id, change)| match change {
                Change::Inserted(_) => Some(*id),
                _ => None,
            });
        let brought: BTreeSet<u64> = self.own.iter().flatten().copied().chain(inserted).collect();
        let extra = brought.into_iter().filter(|id| !rows.contains_key(id)).collect();
        let mut changes = Vec::new();
        self.remove(&extra, &mut changes);
        for (id, row) in &rows {
            match self.rows.contains_key(id) {
                true => self.write(*id, &row.mapped, &mut changes),
                false => {
                    let row = self.fitted(row);
                    changes.push((*id, Change::Inserted(row.clone())));
                    self.rows.insert(*id, row);
                }
            }
        }
        let own_before = self.own.clone();
        if self.mode == Mode::Replace {
            self.own = own;
        }
        let watermark_before = std::mem::replace(&mut self.watermark, watermark);
        self.runs.push(Run {
            id: run,
            changes,
            first_load: false,
            own_before,
            watermark_before,
            read: None,
        });
    }
}
