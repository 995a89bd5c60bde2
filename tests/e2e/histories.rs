//! Random histories of refreshes, local edits, columns that come and go, rollbacks, snapshots, restorations and replays,
//! each step compared with a model of what the table must hold. A failing seed tells itself and its steps.

use crate::shop::Shop;
use std::collections::{BTreeMap, BTreeSet};

const SETTINGS: &str = r#"{"records": "$.data", "page_size": 20, "verify": "always", "max_shrink": 1,
    "undo": {"keep_runs": 100}, "columns": {"id": "$.id", "name": "$.name", "price": "$.price"},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;
const STEPS: usize = 25;

type Text = Option<String>;

/// The columns that the job fills, and the others by name.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    mapped: [Text; 2],
    local: BTreeMap<String, Text>,
}

#[derive(Clone, Debug)]
enum Change {
    /// With its local columns.
    Inserted(Row),
    Updated {
        sent: [Text; 2],
        former: [Text; 2],
    },
    Deleted(Row),
}

#[derive(Clone)]
struct Run {
    id: i64,
    changes: Vec<(u64, Change)>,
    first_load: bool,
    /// The keys of the job's rows before it.
    own_before: Option<BTreeSet<u64>>,
    /// What it read; none where it read nothing.
    read: Option<BTreeMap<u64, [Text; 2]>>,
}

struct Copy {
    id: i64,
    rows: BTreeMap<u64, Row>,
    own: Option<BTreeSet<u64>>,
    after: i64,
}

#[derive(Default)]
struct Model {
    rows: BTreeMap<u64, Row>,
    columns: BTreeSet<String>,
    own: Option<BTreeSet<u64>>,
    runs: Vec<Run>,
    copies: Vec<Copy>,
}

impl Model {
    fn empty_local(&self) -> BTreeMap<String, Text> {
        self.columns.iter().map(|c| (c.clone(), None)).collect()
    }

    /// A row of before as far as its columns are still there.
    fn fitted(&self, row: &Row) -> Row {
        let local = self.columns.iter();
        let local = local.map(|c| (c.clone(), row.local.get(c).cloned().flatten()));
        Row {
            mapped: row.mapped.clone(),
            local: local.collect(),
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

    fn publish(&mut self, id: i64, read: BTreeMap<u64, [Text; 2]>, from_remote: bool) {
        let first_load = from_remote && self.own.is_none() && self.rows.is_empty();
        let mut changes = Vec::new();
        let keys: BTreeSet<u64> = read.keys().copied().collect();
        let gone = self
            .own
            .clone()
            .unwrap_or_default()
            .difference(&keys)
            .copied()
            .collect();
        self.remove(&gone, &mut changes);
        read.iter().for_each(|(id, sent)| self.write(*id, sent, &mut changes));
        let own_before = self.own.replace(keys);
        self.runs.push(Run {
            id,
            changes,
            first_load,
            own_before,
            read: Some(read),
        });
    }

    /// The state after run `to`; 0: before all runs.
    fn roll_back(&mut self, to: i64) {
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
                let local = run.first_load || if lost { run.read.is_some() } else { untouched };
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

    fn restore(&mut self, run: i64, copy: usize) {
        let Copy { rows, own, after, .. } = &self.copies[copy];
        let (rows, own, after) = (rows.clone(), own.clone(), *after);
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
        let own_before = std::mem::replace(&mut self.own, own);
        self.runs.push(Run {
            id: run,
            changes,
            first_load: false,
            own_before,
            read: None,
        });
    }
}

/// A generator whose numbers are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

struct History<'a> {
    shop: &'a mut Shop,
    dice: Dice,
    model: Model,
    steps: Vec<String>,
    next: usize,
}

impl History<'_> {
    fn step(&mut self) {
        match self.dice.below(12) {
            0..=3 => self.refresh(),
            4..=6 => self.edit(),
            7 => self.change_columns(),
            8 | 9 => self.roll_back(),
            10 => self.copy_or_restore(),
            _ => self.replay(),
        }
    }

    fn call(&mut self, sql: &str) {
        self.steps.push(sql.to_string());
        self.shop.app.exec(sql);
    }

    fn latest(&mut self) -> i64 {
        self.shop.run("id").parse().expect("an id")
    }

    fn refresh(&mut self) {
        let seed = self.dice.below(1_000) as u64;
        match self.dice.below(4) {
            0 => drop(self.shop.api.remove(8.0, seed)),
            1 => drop(self.shop.api.add(3)),
            2 => drop(self.shop.api.change(20.0, seed)),
            _ => {}
        }
        let records: Vec<String> = self.shop.api.truth().into_values().collect();
        let records = format!("$records$[{}]$records$", records.join(","));
        let read = format!("SELECT id, name, price FROM json_populate_recordset(NULL::app.products, {records}::json)");
        let read = self.shop.db.rows(&read).rows.into_iter().map(keyed).collect();
        self.call("CALL sluice.sync('products')");
        let run = self.latest();
        self.model.publish(run, read, true);
    }

    fn edit(&mut self) {
        let ids: Vec<u64> = self.model.rows.keys().copied().collect();
        let kind = self.dice.below(4);
        if ids.is_empty() || kind == 0 {
            self.next += 1;
            let id = 100_000 + self.next as u64;
            self.call(&format!("INSERT INTO products (id, name) VALUES ({id}, 'local')"));
            let local = self.model.empty_local();
            let mapped = [Some("local".into()), None];
            self.model.rows.insert(id, Row { mapped, local });
            return;
        }
        let id = ids[self.dice.below(ids.len())];
        let value = format!("edit {}", self.steps.len());
        match kind {
            1 => {
                self.call(&format!("DELETE FROM products WHERE id = {id}"));
                self.model.rows.remove(&id);
            }
            2 => {
                self.call(&format!("UPDATE products SET name = '{value}' WHERE id = {id}"));
                self.model.rows.get_mut(&id).expect("a row").mapped[0] = Some(value);
            }
            _ => {
                self.call(&format!("UPDATE products SET note = '{value}' WHERE id = {id}"));
                self.model
                    .rows
                    .get_mut(&id)
                    .expect("a row")
                    .local
                    .insert("note".into(), Some(value));
            }
        }
    }

    /// A column that the job does not fill comes, or goes, or gets another name. Nobody writes to it.
    fn change_columns(&mut self) {
        let others: Vec<String> = self.model.columns.iter().filter(|c| *c != "note").cloned().collect();
        self.next += 1;
        let new = format!("extra_{}", self.next);
        let old = (!others.is_empty()).then(|| others[self.dice.below(others.len())].clone());
        match (old, self.dice.below(3)) {
            (Some(old), 0) => {
                self.call(&format!("ALTER TABLE products DROP COLUMN {old}"));
                self.model.columns.remove(&old);
            }
            (Some(old), 1) => {
                self.call(&format!("ALTER TABLE products RENAME COLUMN {old} TO {new}"));
                self.model.columns.remove(&old);
                self.model.columns.insert(new);
            }
            _ => {
                self.call(&format!("ALTER TABLE products ADD COLUMN {new} text"));
                self.model.columns.insert(new);
            }
        }
        let rows: Vec<(u64, Row)> = self
            .model
            .rows
            .iter()
            .map(|(id, row)| (*id, self.model.fitted(row)))
            .collect();
        self.model.rows = rows.into_iter().collect();
    }

    fn roll_back(&mut self) {
        let runs = self.model.runs.len();
        if runs < 2 {
            return;
        }
        let to = self.model.runs[runs - 1 - (1 + self.dice.below((runs - 1).min(4)))].id;
        self.call(&format!("CALL sluice.rollback_to('products', {to}, resume => true)"));
        self.model.roll_back(to);
    }

    fn copy_or_restore(&mut self) {
        if self.model.copies.is_empty() || self.dice.below(2) == 0 {
            self.call("CALL sluice.create_snapshot('products', 'a copy')");
            let copy = Copy {
                id: self.shop.db.number("SELECT max(id) FROM sluice.sync_snapshots"),
                rows: self.model.rows.clone(),
                own: self.model.own.clone(),
                after: self.latest(),
            };
            self.model.copies.push(copy);
            return;
        }
        let copy = self.dice.below(self.model.copies.len());
        let id = self.model.copies[copy].id;
        self.call(&format!("CALL sluice.restore_snapshot({id})"));
        let run = self.latest();
        self.call("SELECT sluice.resume_job('products')");
        self.model.restore(run, copy);
    }

    fn replay(&mut self) {
        let read: Vec<usize> = (0..self.model.runs.len())
            .filter(|at| self.model.runs[*at].read.is_some())
            .collect();
        if read.is_empty() {
            return;
        }
        let run = self.model.runs[read[self.dice.below(read.len())]].clone();
        self.call(&format!("CALL sluice.replay({})", run.id));
        let id = self.latest();
        self.model.publish(id, run.read.expect("it has read"), false);
    }

    fn assert_as_modelled(&mut self, seed: u64) {
        let columns: Vec<String> = self.model.columns.iter().cloned().collect();
        let listed: String = columns.iter().map(|c| format!(", {c}")).collect();
        let found = self
            .shop
            .db
            .rows(&format!("SELECT id, name, price{listed} FROM app.products"));
        let found: BTreeMap<u64, Row> = found
            .rows
            .into_iter()
            .map(|mut row| {
                let local = columns.iter().cloned().zip(row.split_off(3)).collect();
                let (id, mapped) = keyed(row);
                (id, Row { mapped, local })
            })
            .collect();
        let wrong: Vec<String> = (found
            .keys()
            .chain(self.model.rows.keys())
            .collect::<BTreeSet<_>>()
            .into_iter())
        .filter(|id| found.get(id) != self.model.rows.get(id))
        .map(|id| {
            format!(
                "{id}: found {:?}, expected {:?}",
                found.get(id),
                self.model.rows.get(id)
            )
        })
        .take(5)
        .collect();
        let steps = self.steps.join(";\n");
        assert!(wrong.is_empty(), "seed {seed}\n{}\nafter\n{steps}", wrong.join("\n"));
    }
}

fn keyed(row: Vec<Text>) -> (u64, [Text; 2]) {
    let id = row[0].as_deref().and_then(|id| id.parse().ok()).expect("an id");
    (id, [row[1].clone(), row[2].clone()])
}

#[test]
fn every_history_leaves_the_table_as_the_model_says() {
    let mut shop = Shop::open(60);
    for seed in 1..=5 {
        shop.api.reset();
        shop.app.exec(&format!(
            "CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric, note text);
             SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{SETTINGS}')"
        ));
        let model = Model {
            columns: BTreeSet::from(["note".to_string()]),
            ..Model::default()
        };
        let mut history = History {
            shop: &mut shop,
            dice: Dice(seed),
            model,
            steps: Vec::new(),
            next: 0,
        };
        history.refresh();
        for _ in 0..STEPS {
            history.step();
            history.assert_as_modelled(seed);
        }
        shop.app.exec("SELECT sluice.drop_job('products', drop_target => true)");
    }
}
