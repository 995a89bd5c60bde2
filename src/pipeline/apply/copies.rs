//! A target copied as text, and made equal to a copy again.
//!
//! A row that is there gets the copied values of the columns that the job fills; one that is not comes back with all its
//! columns. Rows that the copy does not have are removed only where the job has brought them. What is written here has
//! undo sets as any other batch has.

use super::shape::{lock_same, target_text};
use super::{Applier, KeepUndo, Outcome, Statements, Values};
use crate::pg::relation::Target;
use crate::pg::rowset::{Field, Rowset, RowsetWriter};
use crate::pg::statement::{Pinned, Planning, Session, Statement, session};
use sluice_core::Result;
use sluice_core::data::{DecodedPage, FieldFormat, InferredType, Widening, key_fields, page_of_texts, split_keys};
use sluice_core::sql_text::{COPIED, EXTRA, INCOMING, OWN};
use std::borrow::Cow;

/// Rows that are read at once.
const ROWS_PER_FETCH: i64 = 100;
/// Rows that are removed by one statement.
const ROWS_PER_DELETE: i64 = 10_000;

/// Hands out the rows of a table, as texts of all columns that can be given a value, as of the moment it is called.
pub fn read_all(target: &Target, key: &[String], take: impl FnMut(Vec<Values>) -> Result<()>) -> Result<()> {
    lock_same(target, &target.fingerprint())?;
    let text = target_text(target, Vec::new(), key)?;
    let _exact = Pinned::exact_text();
    session(|session| {
        Statement::prepare(session, &text.all_rows(), Planning::Ordinary).each(session, ROWS_PER_FETCH, take)
    })
}

/// The columns that [`read_all`] hands out.
pub fn copied_columns(target: &Target) -> Vec<String> {
    let settable = target.columns.iter().filter(|c| !c.generated);
    settable.map(|c| c.name.clone()).collect()
}

/// What a copy holds.
pub struct Copied<'a> {
    pub columns: &'a [String],
    /// The names of their types.
    pub types: &'a [Option<String>],
    pub mapped: &'a [String],
    pub key: &'a [String],
}

/// Makes a target equal to a copy.
pub struct Restorer {
    /// Writes rows that are not there: all copied columns that the target still has.
    whole: Applier,
    /// Writes rows that are there: of these, the mapped ones.
    mapped: Applier,
    /// Where the columns of each are in a copied row.
    whole_places: Vec<usize>,
    mapped_places: Vec<usize>,
    key_places: Vec<usize>,
    /// Which of a row's values are texts of a narrower type than the target's.
    widened: Vec<(usize, Widening)>,
    /// Copied columns that the target no longer has.
    pub dropped: Vec<String>,
}

fn widened(target: &Target, copied: &Copied<'_>) -> Vec<(usize, Widening)> {
    let of = |(place, (name, then)): (usize, (&String, &Option<String>))| {
        let then = InferredType::of_sql(then.as_deref()?)?;
        let now = InferredType::of_column(target.column(name)?.encoding())?;
        Some((place, Widening::new(then, now)?))
    };
    let both = copied.columns.iter().zip(copied.types);
    both.enumerate().filter_map(of).collect()
}

/// Hands keys to the function that it is given.
pub type Keys<'a> = &'a dyn Fn(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

impl Restorer {
    pub fn new(target: &Target, copied: &Copied<'_>) -> Result<Restorer> {
        let is_there = |name: &&String| target.column(name).is_some_and(|c| !c.generated);
        let whole: Vec<String> = copied.columns.iter().filter(is_there).cloned().collect();
        let mapped: Vec<String> = copied.mapped.iter().filter(is_there).cloned().collect();
        let places = |names: &[String]| -> Vec<usize> {
            let place = |name: &String| copied.columns.iter().position(|c| c == name);
            names.iter().filter_map(place).collect()
        };
        Ok(Restorer {
            whole_places: places(&whole),
            mapped_places: places(&mapped),
            key_places: places(copied.key),
            widened: widened(target, copied),
            dropped: copied.columns.iter().filter(|c| !whole.contains(c)).cloned().collect(),
            whole: Applier::of_texts(target, whole, copied.key)?,
            mapped: Applier::of_texts(target, mapped, copied.key)?,
        })
    }

    /// The key of each of these rows.
    pub fn each_key(&self, rows: &[Values], take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let page = page_of_texts(rows, &[], &self.key_places);
        split_keys(&page.keys, self.key_places.len()).try_for_each(take)
    }

    /// Puts rows of the copy back: those that are not there, and the mapped columns of those that differ.
    pub fn put_back(&self, rows: &[Values], keep: KeepUndo) -> Result<[Outcome; 2]> {
        let rows = &self.in_wider_types(rows)[..];
        let whole = page_of_texts(rows, &self.whole_places, &self.key_places);
        let missing = self.whole.add_absent(&[&whole], keep)?;
        let mapped = page_of_texts(rows, &self.mapped_places, &self.key_places);
        Ok([missing, self.mapped.merge(&[&mapped], keep)?])
    }

    fn in_wider_types<'r>(&self, rows: &'r [Values]) -> Cow<'r, [Values]> {
        if self.widened.is_empty() {
            return Cow::Borrowed(rows);
        }
        let mut rows = rows.to_vec();
        for row in &mut rows {
            for (place, widening) in &self.widened {
                if let Some(Some(text)) = row.get_mut(*place) {
                    *text = widening.text_of(text).into_owned();
                }
            }
        }
        Cow::Owned(rows)
    }

    /// Removes rows that the copy does not have and the job has brought. `copied`: the copy's keys. `own`: what the job
    /// has brought, in as many forms as it is known. How many rows that the copy does not have are left.
    pub fn remove_extra(
        &self,
        copied: Keys<'_>,
        own: &[OwnKeys<'_>],
        take: &mut dyn FnMut(Outcome) -> Result<()>,
        keep: KeepUndo,
    ) -> Result<u64> {
        let _exact = Pinned::exact_text();
        session(|session| {
            let copied = self.mapped.rowset_of_keys(session, copied)?;
            let not_copied = || Statement::prepare(session, &self.mapped.text.not_copied(), Planning::Ordinary);
            let extra = copied.named(session, COPIED, || not_copied().rowset(session));
            let mut left = extra.len();
            for own in own.iter().filter(|_| !extra.is_empty()) {
                let own = own.writer.rowset_of_keys(session, own.keys)?;
                let removed = extra.named(session, EXTRA, || {
                    own.named(session, OWN, || self.remove_own(session, take, keep))
                })?;
                left = left.saturating_sub(removed);
            }
            Ok(left)
        })
    }

    fn remove_own(
        &self,
        session: &Session,
        take: &mut dyn FnMut(Outcome) -> Result<()>,
        keep: KeepUndo,
    ) -> Result<u64> {
        let mut removed = 0;
        let own = Statement::prepare(session, &self.mapped.text.own_extra(), Planning::Ordinary);
        let places: Vec<usize> = (0..self.key_places.len()).collect();
        own.each(session, ROWS_PER_DELETE, |keys| {
            let page = page_of_texts(&keys, &[], &places);
            let keys: Vec<&[u8]> = split_keys(&page.keys, places.len()).collect();
            let outcome = self.mapped.delete_keys(&keys, keep)?;
            removed += outcome.deleted;
            take(outcome)
        })?;
        Ok(removed)
    }

    /// Writes keys that are texts.
    pub fn key_writer(&self) -> &Applier {
        &self.mapped
    }
}

/// Keys of rows that the job has brought, in the form that `writer` takes.
pub struct OwnKeys<'a> {
    pub writer: &'a Applier,
    pub keys: Keys<'a>,
}

impl Applier {
    /// An applier of rows whose fields are texts. What an INSERT may be given is not refused here.
    fn of_texts(target: &Target, columns: Vec<String>, key: &[String]) -> Result<Applier> {
        target.expect_table()?;
        let text = target_text(target, columns, key)?;
        let field = |(i, name): (usize, &String), prefix: &str| {
            let column = target.expect_column(name)?;
            Ok(Field::of(column, format!("{prefix}{}", i + 1), FieldFormat::Text))
        };
        let each = |names: &[String], prefix: &str| -> Result<Vec<Field>> {
            names.iter().enumerate().map(|named| field(named, prefix)).collect()
        };
        let mut columns = each(&text.mapped, "c")?;
        columns.push(Field::number("ordinal"));
        Ok(Applier {
            fingerprint: target.fingerprint(),
            columns,
            key: each(key, "k")?,
            all_binary: false,
            key_is_loose: false,
            statements: Statements::new(),
            target: target.clone(),
            text,
        })
    }

    /// Inserts the rows whose keys no row has; leaves the others alone.
    fn add_absent(&self, pages: &[&DecodedPage], keep: KeepUndo) -> Result<Outcome> {
        self.lock_shape()?;
        let _exact = Pinned::exact_text();
        session(|session| {
            let kept = self.last_of_each_key(pages)?.into_iter();
            let incoming = self.incoming(session, pages, kept)?;
            let find = || Statement::prepare(session, &self.text.absent(), Planning::Probe).rowset(session);
            let absent = incoming.named(session, INCOMING, find);
            self.write_changed(session, &absent, keep)
        })
    }

    fn rowset_of_keys(&self, session: &Session, keys: Keys<'_>) -> Result<Rowset> {
        let mut writer = RowsetWriter::new(session, &self.key, &self.target.full_name());
        keys(&mut |key| writer.add(key_fields(key)))?;
        Ok(writer.finish())
    }
}
