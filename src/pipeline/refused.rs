//! Which record PostgreSQL refused, and which of its columns: of a batch it tells neither.
//!
//! The batch is written again in parts, each in a transaction that is given up: the shortest beginning of it that meets
//! the same error ends with the record. Then that record is written with one column after the other left NULL.

use super::apply::{Applier, KeepUndo, Outcome};
use super::batch::current_target;
use super::gone;
use super::plan::Plan;
use crate::pg::relation::Target;
use crate::pg::{failpoint, spi, transaction};
use sluice_core::Class;
use sluice_core::call::CallError;
use sluice_core::data::{self, DecodedPage, Mapping};
use sluice_core::error::{DatabaseError, Error, RefusedRecord};
use std::sync::Arc;

type Result<T, E = Error> = std::result::Result<T, E>;

const NOT_NULL_VIOLATION: &str = "23502";

/// A page that was being written.
pub struct Suspect<'a> {
    pub number: i64,
    /// The text of its records.
    pub text: String,
    pub page: &'a DecodedPage,
}

/// How the pages were written.
pub struct Writing<'a> {
    pub target: &'a Target,
    pub mapping: &'a Mapping,
    pub write: &'a dyn Fn(&DecodedPage) -> Result<Outcome>,
}

/// The error with its record, where PostgreSQL refused one; else as it was. A cancellation of the search is what is
/// told instead of it.
pub fn named(error: Error, pages: &[Suspect], writing: &Writing) -> Error {
    match error {
        Error::Database(refusal) if refusal.class() == Class::Data => {
            let search = Search {
                rows: rows_of(pages, writing.mapping),
                refusal: &refusal,
                writing,
            };
            match search.record(pages) {
                Ok(record) => Error::Database(DatabaseError {
                    record: record.map(Box::new),
                    ..refusal
                }),
                Err(cancelled) => cancelled,
            }
        }
        other => other,
    }
}

/// The same for stored pages of a read, by their hashes; as it was where the search cannot be done.
pub fn named_in_store(error: Error, plan: &Plan, mapping: &Arc<Mapping>, pages: (i64, &[Vec<u8>])) -> Error {
    if error.class() != Class::Data {
        return error;
    }
    let job = plan.job.id;
    let found = transaction::run(|| {
        let applier = Applier::new(&current_target(plan)?, mapping)?;
        let texts = gone::numbers_and_texts(job, pages.0, pages.1)?;
        let decoded = texts.iter().map(|(_, text)| data::decode(text, mapping));
        let decoded = decoded.collect::<Result<Vec<_>, _>>()?;
        Ok((applier, texts, decoded))
    });
    let (applier, texts, decoded) = match found {
        Ok(found) => found,
        Err(other) if other.class() == Class::Cancelled => return other,
        Err(_) => return error,
    };
    let suspects = texts.into_iter().zip(&decoded);
    let suspects: Vec<Suspect> = suspects
        .map(|((number, text), page)| Suspect { number, text, page })
        .collect();
    let writing = Writing {
        target: &plan.target,
        mapping,
        write: &|page| applier.merge(&[page], KeepUndo::No),
    };
    named(error, &suspects, &writing)
}

/// A record's bytes and where it stands.
struct Row<'a> {
    page: usize,
    record: u64,
    row: &'a [u8],
    key: &'a [u8],
}

fn rows_of<'a>(pages: &'a [Suspect], mapping: &Mapping) -> Vec<Row<'a>> {
    let (columns, keys) = (mapping.columns.len(), mapping.key.len());
    let of_page = |(at, suspect): (usize, &'a Suspect)| {
        let rows = data::split_rows(&suspect.page.rows, columns);
        let both = rows.zip(data::split_keys(&suspect.page.keys, keys));
        (1..).zip(both).map(move |(record, (row, key))| Row {
            page: at,
            record,
            row,
            key,
        })
    };
    pages.iter().enumerate().flat_map(of_page).collect()
}

struct Search<'a> {
    rows: Vec<Row<'a>>,
    refusal: &'a DatabaseError,
    writing: &'a Writing<'a>,
}

/// What became of a part.
#[derive(PartialEq, Eq)]
enum Fate {
    Taken,
    /// With the error that is searched for.
    Refused,
    /// With another one.
    RefusedOtherwise,
}

impl Search<'_> {
    /// None where the error does not come again: another session's rows had a part in it, or the pages before these.
    fn record(&self, pages: &[Suspect]) -> Result<Option<RefusedRecord>> {
        let (mut taken, mut refused) = (0, self.rows.len());
        if self.fate(&self.beginning(refused))? != Fate::Refused {
            return Ok(None);
        }
        while refused - taken > 1 {
            let middle = taken + (refused - taken) / 2;
            match self.fate(&self.beginning(middle))? {
                Fate::Refused => refused = middle,
                _ => taken = middle,
            }
        }
        let row = &self.rows[refused - 1];
        let columns = self.columns(refused - 1)?;
        let mapping = self.writing.mapping;
        let page = &pages[row.page];
        let shown = |at: &usize| data::value_shown(&page.text, row.record, &mapping.columns[*at].query);
        Ok(Some(RefusedRecord {
            page: page.number,
            record: row.record,
            key: mapping.key.iter().filter_map(shown).collect(),
            value: columns.first().filter(|_| columns.len() == 1).and_then(shown),
            columns: columns.iter().map(|at| mapping.columns[*at].name.clone()).collect(),
        }))
    }

    /// The columns that are to blame: the one that is NULL and must not be; else those without whose value the record is
    /// taken; else the only one without whose value it is refused for another reason (where NULL may not be).
    fn columns(&self, at: usize) -> Result<Vec<usize>> {
        let row = &self.rows[at];
        if self.refusal.sqlstate == NOT_NULL_VIOLATION
            && let Some(null) = self.forbidden_null(row)
        {
            return Ok(vec![null]);
        }
        // A record that is refused because of another one is refused only behind it.
        let alone = self.fate(&with_last(DecodedPage::default(), row.row.to_vec(), row.key))? == Fate::Refused;
        let before = if alone { 0 } else { at };
        let (mut blamed, mut otherwise) = (Vec::new(), Vec::new());
        for column in 0..self.writing.mapping.columns.len() {
            let part = with_last(self.beginning(before), with_null(row.row, column), row.key);
            match self.fate(&part)? {
                Fate::Taken => blamed.push(column),
                Fate::RefusedOtherwise => otherwise.push(column),
                Fate::Refused => {}
            }
        }
        if blamed.is_empty() && otherwise.len() == 1 {
            blamed = otherwise;
        }
        Ok(blamed)
    }

    fn forbidden_null(&self, row: &Row) -> Option<usize> {
        let columns = self.writing.mapping.columns.iter();
        let must_not = |name: &str| self.writing.target.column(name).is_some_and(|column| column.not_null);
        let mut both = columns.zip(data::fields(row.row));
        both.position(|(column, field)| field.is_none() && must_not(&column.name))
    }

    /// The first `count` records as one page.
    fn beginning(&self, count: usize) -> DecodedPage {
        let rows = &self.rows[..count];
        DecodedPage {
            rows: rows.iter().map(|row| row.row).collect::<Vec<_>>().concat(),
            keys: rows.iter().map(|row| row.key).collect::<Vec<_>>().concat(),
            records: u32::try_from(count).unwrap_or(u32::MAX),
            ..DecodedPage::default()
        }
    }

    /// Writes a part, checks what its commit would check, and takes it back.
    fn fate(&self, part: &DecodedPage) -> Result<Fate> {
        let outcome = transaction::run(|| -> Result<()> {
            failpoint::hit("refused.searching");
            (self.writing.write)(part)?;
            spi::execute("SET CONSTRAINTS ALL IMMEDIATE", &[])?;
            // Nothing of it stays: an error ends the transaction without a commit.
            Err(CallError::Stopped.into())
        });
        match outcome {
            Err(Error::Call(CallError::Stopped)) => Ok(Fate::Taken),
            Err(error) if error.class() == Class::Cancelled => Err(error),
            Err(Error::Database(met)) if self.is_the_same(&met) => Ok(Fate::Refused),
            _ => Ok(Fate::RefusedOtherwise),
        }
    }

    /// The detail of a constraint between rows names the key that is meant; other details quote the row, with defaults
    /// that may differ each time.
    fn is_the_same(&self, met: &DatabaseError) -> bool {
        let refusal = self.refusal;
        let is_between_rows = matches!(refusal.sqlstate.as_str(), "23503" | "23505" | "23P01");
        (&met.sqlstate, &met.message) == (&refusal.sqlstate, &refusal.message)
            && (!is_between_rows || met.detail == refusal.detail)
    }
}

/// The records of `page` and one more.
fn with_last(mut page: DecodedPage, row: Vec<u8>, key: &[u8]) -> DecodedPage {
    page.rows.extend(row);
    page.keys.extend_from_slice(key);
    page.records += 1;
    page
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
