//! Records that could not become rows: kept aside in the commit of the batch that they came in, counted, and settled when
//! a later version of them comes.

use super::plan::Plan;
use super::refused::{Refused, Suspect, nth};
use super::{Work, gone};
use crate::pg::key_identity::KeyIdentity;
use crate::store::reject::{self, Reason, Rejected, Repeatable, Settled, Version};
use crate::store::run::{self, Counts};
use sluice_core::data::{DataError, Mapping, Reject, excerpt, key_shown};
use sluice_core::error::{DatabaseError, Error, Explain};
use sluice_core::keys::KeyId;
use sluice_core::settings::OnBadRecord;
use sluice_core::{Class, Result};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// A record's text is kept whole up to this; of a longer one the beginning is kept, and it waits for the next read.
const MOST_RAW: usize = 1 << 20;
const CUT_RAW: usize = 64 << 10;
/// The most of a message that is kept.
const MOST_MESSAGE: usize = 1000;
/// Rejects that an error tells of.
const EXAMPLES: i64 = 3;
/// A read of fewer records may have none that fits.
const FEWEST_FOR_ALL: u64 = 10;

/// The rejects of one read.
pub struct Rejects<'a> {
    work: &'a Work,
    plan: &'a Plan,
    generation: i64,
    key_form: String,
    /// The published read whose rejects may come again as they were.
    published: Option<i64>,
    /// Whether they are kept once more even then.
    anew: Cell<bool>,
    /// Those of them that have come.
    repeated: RefCell<HashMap<i64, HasKey>>,
}

/// Whether a reject's key can be read.
type HasKey = bool;

impl<'a> Rejects<'a> {
    pub fn new(work: &'a Work, plan: &'a Plan, generation: i64) -> Rejects<'a> {
        Rejects {
            work,
            plan,
            generation,
            key_form: gone::key_form(plan),
            published: None,
            anew: Cell::new(false),
            repeated: RefCell::default(),
        }
    }

    /// What comes again as the read `published` rejected it, on the same page, is not kept once more.
    pub fn repeating(mut self, published: Option<i64>) -> Rejects<'a> {
        self.published = published;
        self
    }

    /// For versions of records that are later than every read's.
    pub fn later_than_all(work: &'a Work, plan: &'a Plan) -> Rejects<'a> {
        Rejects::new(work, plan, i64::MAX)
    }

    /// Whether bad records are kept aside; otherwise they end the run.
    pub fn are_kept(plan: &Plan) -> bool {
        plan.settings.on_bad_record == OnBadRecord::Reject
    }

    /// Each is a version of its key in this read, whose places matter where keys come twice.
    pub fn keep_anew(&self) {
        self.anew.set(true);
    }

    /// What this read has rejected so far.
    pub fn count(&self) -> Result<reject::Count> {
        let mut count = reject::count(self.work.job, self.generation)?;
        let repeated = self.repeated.borrow();
        count.all += repeated.len() as u64;
        count.without_key += repeated.values().filter(|has_key| !**has_key).count() as u64;
        Ok(count)
    }

    /// Rejects without a readable key before the pages are gone through: with those of pages that are as they were.
    pub fn without_key(&self) -> Result<u64> {
        let again = self.repeatable()?.into_values().filter(|again| !again.has_key);
        Ok(reject::count(self.work.job, self.generation)?.without_key + again.count() as u64)
    }

    /// Those of the published read that came again as they were.
    pub fn repeated(&self) -> Vec<i64> {
        self.repeated.borrow().keys().copied().collect()
    }

    /// Leaves out what the published read rejected in the same way: whoever publishes this one meets it again.
    pub fn without_repeated(&self, mut rejects: Vec<Rejected>) -> Result<Vec<Rejected>> {
        if !rejects.is_empty() {
            let repeatable = self.repeatable()?;
            rejects.retain(|reject| same(&repeatable, reject).is_none());
        }
        Ok(rejects)
    }

    fn of(&self) -> reject::Of<'_> {
        reject::Of {
            job: self.work.job,
            run: self.work.run,
            generation: self.generation,
            key_form: &self.key_form,
        }
    }

    /// Rejects of the published read on pages that are as they were, by their places.
    fn repeatable(&self) -> Result<HashMap<(i64, i64), Repeatable>> {
        let Some(published) = self.published else {
            return Ok(HashMap::new());
        };
        let found = reject::repeatable(self.of(), published)?;
        Ok(found.into_iter().map(|again| (again.at, again)).collect())
    }

    /// How many more the read may have.
    pub fn room(&self) -> Result<u64> {
        Ok(self.plan.settings.max_rejects.saturating_sub(self.count()?.all))
    }

    /// Keeps records aside; fails where the read has too many then.
    pub fn keep(&self, rejects: &[Rejected]) -> Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        let before = self.count()?.all;
        let repeatable = match self.anew.get() {
            true => HashMap::new(),
            false => self.repeatable()?,
        };
        let (again, new): (Vec<&Rejected>, Vec<&Rejected>) =
            rejects.iter().partition(|reject| same(&repeatable, reject).is_some());
        let again = again.into_iter().filter_map(|reject| same(&repeatable, reject));
        let again = again.map(|again| (again.id, again.has_key));
        self.repeated.borrow_mut().extend(again);
        if !new.is_empty() {
            reject::keep(self.of(), &new)?;
        }
        let rejected = self.count()?.all;
        let limit = self.plan.settings.max_rejects;
        if rejected > limit {
            let first = self.examples()?;
            return Err(DataError::TooManyRejects { rejected, limit, first }.into());
        }
        let counts = Counts {
            rejected: i64::try_from(rejected - before).unwrap_or(i64::MAX),
            ..Counts::default()
        };
        run::add_counts(self.work.run, &counts)
    }

    /// Fails where one batch rejects so many that the read has too many, before each of them is made ready to be kept:
    /// their number is the remote's. `undecoded` gives the first ones.
    pub fn refuse_many(&self, more: u64, undecoded: impl FnOnce(usize) -> Result<Vec<Rejected>>) -> Result<()> {
        let limit = self.plan.settings.max_rejects;
        if more <= limit {
            return Ok(());
        }
        let rejected = self.count()?.all + more;
        let first = undecoded(EXAMPLES as usize)?;
        let first = first.iter().map(|reject| {
            told(
                reject.page,
                reject.position,
                &reject.reason.message,
                &reject.reason.detail,
            )
        });
        let first = first.collect();
        Err(DataError::TooManyRejects { rejected, limit, first }.into())
    }

    /// Fails where nothing of the read became a row: then it is not the records that are wrong.
    pub fn refuse_all(&self, records: u64) -> Result<()> {
        if records < FEWEST_FOR_ALL || self.count()?.all < records {
            return Ok(());
        }
        let first = self.examples()?;
        Err(DataError::AllRejected { records, first }.into())
    }

    fn examples(&self) -> Result<Vec<String>> {
        let first = reject::first(self.work.job, self.generation, &self.repeated(), EXAMPLES)?;
        let first = first.iter();
        Ok(first
            .map(|(page, position, reason)| told(*page, *position, &reason.message, &reason.detail))
            .collect())
    }

    /// Settles what waits and has come in a later version in these pages, which are in the target with this transaction.
    pub fn note_versions<'p>(&self, pages: impl FnOnce() -> Vec<Suspect<'p>>) -> Result<()> {
        let waiting = reject::open_keys(self.work.job, &self.key_form)?;
        if waiting.is_empty() {
            return Ok(());
        }
        let identity = KeyIdentity::new(&self.plan.target, &self.plan.job.key);
        let open = Open::of(waiting, &identity)?;
        // A rejected record is a version, too.
        let mut outdated: Vec<i64> = open.outdated_by_each_other().collect();
        for suspect in pages() {
            let mut places = suspect.places.iter();
            identity.each(&suspect.page.keys, self.plan.job.key.len(), |_, id| {
                let record = places.next().copied().unwrap_or(0);
                outdated.extend(open.before(id, (self.generation, suspect.number, signed(record))));
            })?;
        }
        match outdated.is_empty() {
            true => Ok(()),
            false => reject::settle(&outdated, Settled::Superseded, self.work.run),
        }
    }
}

/// The reject that this one repeats.
fn same<'r>(repeatable: &'r HashMap<(i64, i64), Repeatable>, reject: &Rejected) -> Option<&'r Repeatable> {
    let found = repeatable.get(&(reject.page, reject.position));
    // A stored page does not tell which line of the answer a text in it was.
    found.filter(|again| again.is_line || again.reason == reject.reason.clone().into_stored())
}

/// What is wrong with a record, as it is told in the detail of an error.
fn told(page: i64, position: i64, message: &str, detail: &Option<String>) -> String {
    let detail = detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!(
        "Record {position} of page {page}: {message}{}.",
        detail.trim_end_matches('.')
    )
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The waiting rejects of a job by their keys.
struct Open(HashMap<KeyId, Vec<(i64, Version)>>);

impl Open {
    fn of(waiting: Vec<(i64, Vec<u8>, Version)>, identity: &KeyIdentity) -> Result<Open> {
        let keys = identity.ids(waiting.iter().map(|(_, key, _)| key.as_slice()))?;
        let mut open: HashMap<KeyId, Vec<(i64, Version)>> = HashMap::new();
        for (key, (id, _, version)) in keys.into_iter().zip(waiting) {
            open.entry(key).or_default().push((id, version));
        }
        Ok(Open(open))
    }

    /// Those of a key that came before.
    fn before(&self, key: KeyId, at: Version) -> impl Iterator<Item = i64> {
        let of_key = self.0.get(&key).into_iter().flatten();
        of_key.filter(move |(_, version)| *version < at).map(|(id, _)| *id)
    }

    fn outdated_by_each_other(&self) -> impl Iterator<Item = i64> {
        self.0.values().flat_map(|versions| {
            let latest = versions.iter().map(|(_, version)| *version).max();
            let older = versions.iter().filter(move |(_, version)| Some(*version) < latest);
            older.map(|(id, _)| *id)
        })
    }
}

/// A record that was passed over when its page was decoded.
pub fn of_decoding(page: i64, place: u64, reject: &Reject, text: &str, mapping: &Mapping) -> Rejected {
    // What was decoded may be a part of the page.
    let reason = reason_of(&reject.error.clone().of_record(place));
    let Some(line) = reject.error.line() else {
        return kept(page, place, reject.key.clone(), reason, (text, mapping));
    };
    // The page has the line as a text in JSON. PostgreSQL's text has no place for NUL.
    let shown: String = serde_json::from_str(text).unwrap_or_default();
    Rejected {
        line: Some(signed(line)),
        ..kept(page, place, None, reason, (&shown.replace('\0', "\u{fffd}"), mapping))
    }
}

/// A record that PostgreSQL refused.
pub fn of_refusal(refused: &Refused, text: &str, mapping: &Mapping) -> Rejected {
    let reason = reason_of_refusal(refused, text, mapping);
    kept(
        refused.page,
        refused.record,
        Some(refused.key.clone()).filter(|key| !key.is_empty()),
        reason,
        (text, mapping),
    )
}

/// What is wrong with a record that PostgreSQL refused.
pub fn reason_of_refusal(refused: &Refused, text: &str, mapping: &Mapping) -> Reason {
    let told = refused.told(text, mapping);
    let column = match told.columns.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let error = Error::Database(DatabaseError {
        record: Some(Box::new(told)),
        ..refused.error.clone()
    });
    Reason {
        column,
        sqlstate: error.sqlstate().to_owned(),
        message: one_line(&error.to_string()),
        detail: error.detail(),
        hint: error.hint(),
    }
}

/// What is wrong with a record that could not be decoded.
pub fn reason_of(error: &DataError) -> Reason {
    Reason {
        column: error.column().map(str::to_owned),
        sqlstate: error.sqlstate().to_owned(),
        message: error.to_string(),
        detail: error.detail(),
        hint: error.hint(),
    }
}

/// PostgreSQL's messages may quote the remote's text: control characters are escaped (F-R25).
fn one_line(message: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => excerpt(c.encode_utf8(&mut [0; 4])),
        false => c.into(),
    };
    message.chars().take(MOST_MESSAGE).map(shown).collect()
}

fn kept(
    page: i64,
    place: u64,
    key_fields: Option<Vec<u8>>,
    reason: Reason,
    (text, mapping): (&str, &Mapping),
) -> Rejected {
    let cut = if text.len() > MOST_RAW {
        text.floor_char_boundary(CUT_RAW)
    } else {
        text.len()
    };
    Rejected {
        page,
        position: signed(place),
        key: key_fields.is_some().then(|| key_shown(text, mapping)).flatten(),
        key_fields,
        reason,
        line: None,
        raw: text[..cut].to_owned(),
        raw_bytes: signed(text.len() as u64),
    }
}

/// Refused records with the texts of their pages.
pub fn of_refusals(
    refused: &[Refused],
    mapping: &Mapping,
    text: impl Fn(i64) -> Result<String>,
) -> Result<Vec<Rejected>> {
    let mut pages: HashMap<i64, String> = HashMap::new();
    let mut rejects = Vec::new();
    for refused in refused {
        if !pages.contains_key(&refused.page) {
            // One page at a time: they come in order, but for those that were tried again.
            pages.clear();
            pages.insert(refused.page, text(refused.page)?);
        }
        let record = nth(&pages[&refused.page], refused.record).unwrap_or_default();
        rejects.push(of_refusal(refused, record, mapping));
    }
    Ok(rejects)
}

/// Whether an error says that a read is not worth going on with.
pub fn ends_read(error: &Error) -> bool {
    error.class() == Class::Data
        && matches!(
            error,
            Error::Data(DataError::TooManyRejects { .. } | DataError::AllRejected { .. })
        )
}
