//! Random histories of refreshes, local edits, columns that come and go, rollbacks, snapshots, restorations and replays,
//! each step compared with a model of what the table must hold; some with crashes. A failing seed tells itself and its steps.

use crate::history_model::{Copy, Mode, Model, Records, Row, Run, Text};
use crate::shop::Shop;
use std::collections::{BTreeMap, BTreeSet};

const SETTINGS: &str = r#"{"records": "$.data", "page_size": 20, "commit_every": {"pages": 1}, "verify": "always", "max_shrink": 1,
    "undo": {"keep_runs": 100}, "columns": {"id": "$.id", "name": "$.name", "price": "$.price"},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;
/// The same for jobs that ask for what has changed.
const FOLLOWING: &str = r#"{"records": "$.data", "page_size": 20, "commit_every": {"pages": 1}, "undo": {"keep_runs": 100},
    "columns": {"id": "$.id", "name": "$.name", "price": "$.price"},
    "cursor": {"column": "$.updated_at", "param": "updated_since"},
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}}"#;
const STEPS: usize = 25;

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

/// Whether servers crash in the middle of runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Calm,
    Stormy,
}

/// Places that every read comes by.
const CRASHES: [&str; 3] = ["batch.applied", "batch.before_commit", "publish.before_commit"];

struct History<'a> {
    shop: &'a mut Shop,
    weather: Weather,
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
        let (read, reach) = self.read();
        match self.weather == Weather::Stormy && self.dice.below(2) == 0 {
            true => self.crash_and_go_on(),
            false => self.call("CALL sluice.sync('products')"),
        }
        let run = self.latest();
        self.model.publish(run, read, reach, true);
    }

    /// The server dies in the middle of a run, and another one ends the read.
    fn crash_and_go_on(&mut self) {
        let point = CRASHES[self.dice.below(CRASHES.len())];
        self.steps.push(format!("-- a run that is killed at {point}"));
        self.shop.db.failpoint(point, "kill9");
        self.shop.start();
        self.shop.recover();
        self.shop.wait_for_run("succeeded");
    }

    /// What the remote answers now, and the highest time in it.
    fn read(&mut self) -> (Records, Text) {
        let is_followed = self.model.mode != Mode::Replace && !self.model.rows.is_empty();
        let bound = self.model.watermark.clone().filter(|_| is_followed).unwrap_or_default();
        let records: Vec<String> = self.shop.api.truth().into_values().collect();
        let records = format!("$records$[{}]$records$", records.join(","));
        let read = format!(
            "SELECT r.id, r.name, r.price, r.updated_at
             FROM json_to_recordset({records}::json) AS r (id bigint, name text, price numeric, updated_at text)
             WHERE r.updated_at >= '{bound}'"
        );
        let rows = self.shop.db.rows(&read).rows;
        let reach = rows.iter().map(|row| row[3].clone()).max().flatten();
        let reach = reach.filter(|_| self.model.mode != Mode::Replace);
        (rows.into_iter().map(keyed).collect(), reach)
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
                self.model.rename(&old, &new);
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
                watermark: self.model.watermark.clone(),
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

    /// Pages of a read of what has changed are not stored.
    fn replay(&mut self) {
        if self.model.mode != Mode::Replace {
            return self.refresh();
        }
        // Pages are kept of those that can be taken back, because they changed something.
        let changed = |run: &&Run| run.read.is_some() && (run.first_load || !run.changes.is_empty());
        let stored: Vec<&Run> = self.model.runs.iter().filter(changed).collect();
        if stored.is_empty() {
            return;
        }
        let run = stored[self.dice.below(stored.len())].clone();
        self.call(&format!("CALL sluice.replay({})", run.id));
        let id = self.latest();
        self.model.publish(id, run.read.expect("it has read"), None, false);
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
        let watermark = self.shop.db.value("SELECT cursor FROM sluice.sync_metadata");
        assert_eq!(watermark, self.model.watermark, "seed {seed}\nafter\n{steps}");
    }
}

fn keyed(row: Vec<Text>) -> (u64, [Text; 2]) {
    let id = row[0].as_deref().and_then(|id| id.parse().ok()).expect("an id");
    (id, [row[1].clone(), row[2].clone()])
}

/// So many histories of a job in this mode.
fn live_through(mode: Mode, weather: Weather, seeds: u64) {
    let (word, settings) = match mode {
        Mode::Replace => ("replace", SETTINGS),
        Mode::Upsert => ("upsert", FOLLOWING),
        Mode::Append => ("append", FOLLOWING),
    };
    let mut shop = Shop::open(60);
    for seed in 1..=seeds {
        shop.api.reset();
        shop.app.exec(&format!(
            "CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric, note text);
             SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{word}', schedule => 'manual',
                                      settings => '{settings}')"
        ));
        let model = Model {
            mode,
            columns: BTreeSet::from(["note".to_string()]),
            ..Model::default()
        };
        let mut history = History {
            shop: &mut shop,
            weather,
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

#[test]
fn every_history_leaves_the_table_as_the_model_says() {
    live_through(Mode::Replace, Weather::Calm, 5);
}

#[test]
fn every_history_of_an_upsert_leaves_table_and_watermark_as_the_model_says() {
    live_through(Mode::Upsert, Weather::Calm, 4);
}

#[test]
fn every_history_of_an_append_leaves_table_and_watermark_as_the_model_says() {
    live_through(Mode::Append, Weather::Calm, 4);
}

/// P1, R-2: several runs share a read, and its undo sets belong together.
#[test]
fn a_history_with_crashes_leaves_what_it_leaves_without_them() {
    for mode in [Mode::Replace, Mode::Upsert, Mode::Append] {
        live_through(mode, Weather::Stormy, 1);
    }
}
