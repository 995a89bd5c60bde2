//! Which records PostgreSQL refuses, and which of their columns: of a batch it tells neither.
//!
//! The pages are written in parts, each in a subtransaction: all at once, then 100 records, and of a part that is refused
//! 50, 25, 10 and single ones. What is refused alone is tried once more when all the others are there, since it may refer
//! to one of them. Rows that are in each other's way under a unique index are set aside and written together. Then it is
//! written with one column after the other left NULL, and taken back.

use super::apply::{Applier, Outcome};
use crate::pg::relation::Target;
use crate::pg::{failpoint, latch, spi, transaction};
use sluice_core::Class;
use sluice_core::call::CallError;
use sluice_core::data::{self, DecodedPage, Mapping};
use sluice_core::error::{DatabaseError, Error, RefusedRecord};
use std::collections::HashMap;
use std::ops::Range;

type Result<T, E = Error> = std::result::Result<T, E>;

const NOT_NULL_VIOLATION: &str = "23502";
const UNIQUE_VIOLATION: &str = "23505";
/// How often rows are set aside, each time without those that were in the way of others.
const MOST_SWAPS: usize = 10;
/// Records of the parts that are tried one after the other.
const PARTS: [usize; 6] = [usize::MAX, 100, 50, 25, 10, 1];
/// Refused records whose column is searched for, unless another one was refused with the same words.
const MOST_SEARCHED: usize = 50;

/// How carefully a transaction writes, which is raised when PostgreSQL has refused a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Care {
    /// All at once.
    Whole,
    /// In parts, so that refused records are left out.
    Parts,
    /// The same, with deferred constraints checked at each part.
    PartsAndConstraints,
}

impl Care {
    /// The next higher one, where this error came from the rows and may be a record's.
    pub fn after(self, error: &Error, from: Origin) -> Option<Care> {
        let may_be_a_records = matches!(error, Error::Database(refusal) if refusal.may_be_a_records());
        match self {
            _ if !may_be_a_records || from == Origin::Ours => None,
            Care::Whole => Some(Care::Parts),
            Care::Parts => Some(Care::PartsAndConstraints),
            Care::PartsAndConstraints => None,
        }
    }

    /// To be called at the beginning of a transaction.
    pub fn begin(self) -> Result<()> {
        if self == Care::PartsAndConstraints {
            spi::execute("SET CONSTRAINTS ALL IMMEDIATE", &[])?;
        }
        Ok(())
    }
}

/// What a transaction was doing when an error came: an unknown SQLSTATE of a trigger looks like an internal error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// It wrote rows, or was at its commit, where deferred triggers run.
    #[default]
    Rows,
    /// It wrote what is ours.
    Ours,
}

/// A page that is to be written.
pub struct Suspect<'a> {
    pub number: i64,
    pub page: &'a DecodedPage,
    /// The places of its rows' records in the page, counted from 1.
    pub places: Vec<u64>,
}

/// How pages are written.
pub struct Writing<'a> {
    pub target: &'a Target,
    pub mapping: &'a Mapping,
    pub write: &'a dyn Fn(&DecodedPage) -> Result<Outcome>,
    /// What sets rows aside that are in each other's way; None where rows are only added.
    pub swapping: Option<&'a Applier>,
}

/// A record that PostgreSQL refused.
#[derive(Debug, Clone)]
pub struct Refused {
    pub page: i64,
    pub record: u64,
    pub key: Vec<u8>,
    row: Vec<u8>,
    pub error: DatabaseError,
    /// The columns that are to blame, as positions in the mapping.
    pub columns: Vec<usize>,
    /// Another version of it came later.
    overtaken: bool,
}

impl Refused {
    /// The same, where its record came from another place than the page it was tried in.
    pub fn at(&self, page: i64, record: u64) -> Refused {
        Refused {
            page,
            record,
            ..self.clone()
        }
    }

    /// What a person is told of it; `text` is the record.
    pub fn told(&self, text: &str, mapping: &Mapping) -> RefusedRecord {
        let shown = |at: &usize| data::value_shown(text, &mapping.columns[*at].query);
        RefusedRecord {
            page: self.page,
            record: self.record,
            key: mapping.key.iter().filter_map(shown).collect(),
            value: self.columns.first().filter(|_| self.columns.len() == 1).and_then(shown),
            columns: self
                .columns
                .iter()
                .map(|at| mapping.columns[*at].name.clone())
                .collect(),
        }
    }
}

/// A record's bytes and where it stands.
struct Row<'a> {
    page: i64,
    record: u64,
    row: &'a [u8],
    key: &'a [u8],
}

fn rows_of<'a>(pages: &'a [Suspect], mapping: &Mapping) -> Vec<Row<'a>> {
    let (columns, keys) = (mapping.columns.len(), mapping.key.len());
    let of_page = |suspect: &'a Suspect| {
        let rows = data::split_rows(&suspect.page.rows, columns);
        let both = rows.zip(data::keys_of_rows(&suspect.page.keys, keys));
        suspect.places.iter().zip(both).map(|(record, (row, key))| Row {
            page: suspect.number,
            record: *record,
            row,
            key,
        })
    };
    pages.iter().flat_map(of_page).collect()
}

/// Writes pages without the records that PostgreSQL refuses, in the caller's transaction.
pub struct Sieve<'a> {
    writing: Writing<'a>,
    /// With more refused records than this nothing more is written.
    most: u64,
    refused: Vec<Refused>,
}

impl<'a> Sieve<'a> {
    pub fn new(writing: Writing<'a>, most: u64) -> Sieve<'a> {
        Sieve {
            writing,
            most,
            refused: Vec::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.refused.len() as u64 > self.most
    }

    /// Writes these pages; what each part came to.
    pub fn take(&mut self, pages: &[Suspect]) -> Result<Vec<Outcome>> {
        let rows = rows_of(pages, self.writing.mapping);
        let mut done = Vec::new();
        self.write(&rows, 0..rows.len(), 0, &mut done)?;
        self.note_overtaken(&rows);
        Ok(done)
    }

    fn write(&mut self, rows: &[Row], range: Range<usize>, level: usize, done: &mut Vec<Outcome>) -> Result<()> {
        let mut start = range.start;
        while start < range.end && !self.is_over() {
            let end = range.end.min(start.saturating_add(PARTS[level]));
            match self.part(&together(&rows[start..end]))? {
                Ok(outcome) => done.push(outcome),
                Err(error) if end - start == 1 => self.refuse(&rows[start], error),
                Err(_) => self.write(rows, start..end, level + 1, done)?,
            }
            start = end;
        }
        Ok(())
    }

    fn refuse(&mut self, row: &Row, error: DatabaseError) {
        self.refused.push(Refused {
            page: row.page,
            record: row.record,
            key: row.key.to_vec(),
            row: row.row.to_vec(),
            error,
            columns: Vec::new(),
            overtaken: false,
        });
    }

    /// An earlier version is not tried again after a later one.
    fn note_overtaken(&mut self, rows: &[Row]) {
        if self.refused.is_empty() {
            return;
        }
        let latest: HashMap<&[u8], (i64, u64)> = rows.iter().map(|row| (row.key, (row.page, row.record))).collect();
        for refused in &mut self.refused {
            let later = latest.get(refused.key.as_slice()).filter(|_| !refused.key.is_empty());
            refused.overtaken |= later.is_some_and(|at| *at > (refused.page, refused.record));
        }
    }

    /// What was refused in the end, with the columns that are to blame, and what the second tries came to.
    pub fn finish(mut self) -> Result<(Vec<Refused>, Vec<Outcome>)> {
        let mut done = Vec::new();
        loop {
            self.try_again(&mut done)?;
            if self.is_over() || !self.swap(&mut done)? {
                break;
            }
        }
        self.blame()?;
        Ok((self.refused, done))
    }

    /// Tries what was refused as often as it helps.
    fn try_again(&mut self, done: &mut Vec<Outcome>) -> Result<()> {
        let mut progress = !self.is_over();
        while progress {
            let before = self.refused.len();
            for mut refused in std::mem::take(&mut self.refused) {
                let again = match refused.overtaken {
                    true => Err(refused.error.clone()),
                    false => self.part(&single(refused.row.clone(), &refused.key))?,
                };
                match again {
                    Ok(outcome) => done.push(outcome),
                    Err(error) => {
                        refused.error = error;
                        self.refused.push(refused);
                    }
                }
            }
            progress = self.refused.len() < before && !self.refused.is_empty();
        }
        Ok(())
    }

    /// Writes together what was refused for the sake of each other's rows; whether there was any.
    fn swap(&mut self, done: &mut Vec<Outcome>) -> Result<bool> {
        let Some(applier) = self.writing.swapping else {
            return Ok(false);
        };
        let is_in_the_way = |refused: &Refused| {
            refused.error.sqlstate == UNIQUE_VIOLATION && !refused.overtaken && !refused.key.is_empty()
        };
        let mut moving: Vec<usize> = (0..self.refused.len())
            .filter(|at| is_in_the_way(&self.refused[*at]))
            .collect();
        for _ in 0..MOST_SWAPS {
            if moving.is_empty() {
                return Ok(false);
            }
            let mut stuck = Vec::new();
            match transaction::attempt(|| self.write_aside(applier, &moving, &mut stuck)) {
                Ok(outcome) => {
                    done.push(outcome);
                    let mut at = 0..;
                    self.refused.retain(|_| !moving.contains(&at.next().unwrap_or(0)));
                    return Ok(true);
                }
                Err(Error::Call(CallError::Stopped)) if stuck.is_empty() => return Ok(false),
                Err(Error::Call(CallError::Stopped)) => moving.retain(|at| !stuck.contains(at)),
                // Whatever speaks against setting them aside: they stay refused.
                Err(Error::Database(met)) if !is_passing(&met) => return Ok(false),
                Err(other) => return Err(other),
            }
        }
        Ok(false)
    }

    /// Sets the rows of these refused records aside and writes the records; those that are refused even so are `stuck`.
    fn write_aside(&self, applier: &Applier, moving: &[usize], stuck: &mut Vec<usize>) -> Result<Outcome> {
        let each = || moving.iter().map(|at| &self.refused[*at]);
        let keys: Vec<&[u8]> = each().map(|refused| refused.key.as_slice()).collect();
        let former = applier.set_aside(&keys)?.ok_or(CallError::Stopped)?;
        let all = DecodedPage {
            rows: each().flat_map(|refused| refused.row.clone()).collect(),
            keys: keys.concat(),
            records: u32::try_from(moving.len()).unwrap_or(u32::MAX),
            ..DecodedPage::default()
        };
        if let Ok(outcome) = self.part(&all)?
            && former.is_back(&outcome)
        {
            return former.keep_in(outcome, &self.writing.target.full_name());
        }
        for at in moving {
            let refused = &self.refused[*at];
            if self.part(&single(refused.row.clone(), &refused.key))?.is_err() {
                stuck.push(*at);
            }
        }
        Err(CallError::Stopped.into())
    }

    /// Writes a part, unless PostgreSQL refuses it.
    fn part(&self, page: &DecodedPage) -> Result<Result<Outcome, DatabaseError>> {
        latch::check_interrupts();
        let outcome = transaction::attempt(|| {
            failpoint::hit("refused.searching");
            (self.writing.write)(page)
        });
        match outcome {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(Error::Database(refusal)) if refusal.may_be_a_records() => Ok(Err(refusal)),
            Err(other) => Err(other),
        }
    }

    fn blame(&mut self) -> Result<()> {
        let mut known: HashMap<(String, String), Vec<usize>> = HashMap::new();
        let mut searched = 0;
        for at in 0..self.refused.len() {
            let refused = &self.refused[at];
            let words = (refused.error.sqlstate.clone(), refused.error.message.clone());
            let columns = match known.get(&words) {
                Some(columns) if self.explains(columns, refused)? => columns.clone(),
                _ if searched < MOST_SEARCHED => {
                    searched += 1;
                    self.columns(refused)?
                }
                _ => Vec::new(),
            };
            known.entry(words).or_insert_with(|| columns.clone());
            self.refused[at].columns = columns;
        }
        Ok(())
    }

    /// Whether a column that was to blame for the same words is so here.
    fn explains(&self, columns: &[usize], refused: &Refused) -> Result<bool> {
        let &[column] = columns else { return Ok(false) };
        let met = self.fate(&single(with_null(&refused.row, column), &refused.key))?;
        Ok(met.is_none_or(|met| !is_the_same(&refused.error, &met)))
    }

    /// The columns that are to blame: the one that is NULL and must not be; else those without whose value the record is
    /// taken; else the only one without whose value it is refused for another reason (where NULL may not be).
    fn columns(&self, refused: &Refused) -> Result<Vec<usize>> {
        if refused.error.sqlstate == NOT_NULL_VIOLATION
            && let Some(null) = self.forbidden_null(&refused.row)
        {
            return Ok(vec![null]);
        }
        let (mut blamed, mut otherwise) = (Vec::new(), Vec::new());
        for column in 0..self.writing.mapping.columns.len() {
            match self.fate(&single(with_null(&refused.row, column), &refused.key))? {
                None => blamed.push(column),
                Some(met) if !is_the_same(&refused.error, &met) => otherwise.push(column),
                Some(_) => {}
            }
        }
        if blamed.is_empty() && otherwise.len() == 1 {
            blamed = otherwise;
        }
        Ok(blamed)
    }

    fn forbidden_null(&self, row: &[u8]) -> Option<usize> {
        let columns = self.writing.mapping.columns.iter();
        let must_not = |name: &str| self.writing.target.column(name).is_some_and(|column| column.not_null);
        let mut both = columns.zip(data::fields(row));
        both.position(|(column, field)| field.is_none() && must_not(&column.name))
    }

    /// Writes a part, checks what its commit would check, and takes it back; the error that it meets.
    fn fate(&self, part: &DecodedPage) -> Result<Option<DatabaseError>> {
        let outcome = transaction::attempt(|| -> Result<()> {
            (self.writing.write)(part)?;
            spi::execute("SET CONSTRAINTS ALL IMMEDIATE", &[])?;
            // Nothing of it stays: an error ends the subtransaction.
            Err(CallError::Stopped.into())
        });
        match outcome {
            Err(Error::Call(CallError::Stopped)) | Ok(()) => Ok(None),
            Err(Error::Database(met)) if met.class() != Class::Cancelled => Ok(Some(met)),
            Err(other) => Err(other),
        }
    }
}

fn is_passing(met: &DatabaseError) -> bool {
    matches!(met.class(), Class::Database | Class::Resource | Class::Cancelled)
}

/// The detail of a constraint between rows names the key that is meant; other details quote the row, with defaults that
/// may differ each time.
pub fn is_the_same(refusal: &DatabaseError, met: &DatabaseError) -> bool {
    let is_between_rows = matches!(refusal.sqlstate.as_str(), "23503" | "23505" | "23P01");
    (&met.sqlstate, &met.message) == (&refusal.sqlstate, &refusal.message)
        && (!is_between_rows || met.detail == refusal.detail)
}

/// The record at a place (counted from 1) of an array.
pub fn nth(records_text: &str, place: u64) -> Option<&str> {
    let place = usize::try_from(place.checked_sub(1)?).ok()?;
    data::split_records(records_text).ok()?.get(place).copied()
}

/// Records as one page.
fn together(rows: &[Row]) -> DecodedPage {
    DecodedPage {
        rows: rows.iter().map(|row| row.row).collect::<Vec<_>>().concat(),
        keys: rows.iter().map(|row| row.key).collect::<Vec<_>>().concat(),
        records: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        ..DecodedPage::default()
    }
}

fn single(row: Vec<u8>, key: &[u8]) -> DecodedPage {
    DecodedPage {
        rows: row,
        keys: key.to_vec(),
        records: 1,
        ..DecodedPage::default()
    }
}

/// The row with one field NULL.
fn with_null(row: &[u8], at: usize) -> Vec<u8> {
    let mut out = row[..size_of::<i16>()].to_vec();
    for (place, field) in data::fields(row).enumerate() {
        match field.filter(|_| place != at) {
            Some(bytes) => {
                out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                out.extend_from_slice(bytes);
            }
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    out
}
