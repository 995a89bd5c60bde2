//! What a job's settings document means.
//!
//! [`Settings::parse`] reads the document's text and refuses what it does not know: an unknown key with its nearest
//! neighbour, a key whose time has not come by name. A key that is `null` counts as not given. Values are read from the
//! text itself, so that numbers in `columns` defaults keep their digits.
//!
//! `keys` says which keys there are; `object` and `field` walk the document; one file each reads the larger parts.

mod columns;
mod cursor;
mod error_match;
mod fault;
mod field;
mod foreach;
mod format;
mod keys;
mod object;
mod page_size;
mod pagination;
mod parts;
mod request;
mod size;
mod timing;
mod type_name;

use std::time::Duration;

use crate::connection::{ConfigError, Subject};
use crate::cursor::Cursor;
use crate::data::path::SingularQuery;
use crate::data::{DeletedWhen, Formats};
use crate::foreach::{Foreach, parent_column};
use crate::http::Method;
use crate::job::{FunctionName, Mode};
use crate::page_size::Bounds;
use crate::pagination::{Pagination, ParamPlace};
use crate::target::DELETED_AT;
use object::Object;

pub use columns::ColumnSetting;
pub use fault::SettingsFault;
pub use parts::{CommitEvery, LimitSettings, RetrySettings, TimeoutSettings, UndoSettings};
pub use timing::{RunWhen, TimingSettings, Turn};
pub use type_name::TypeFault;

/// How many requests a job has under way at most.
pub const MOST_CONCURRENCY: u32 = 75;

/// The highest `max_rejects`.
const MOST_REJECTS: u64 = 100_000;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A job's settings, with defaults where the document says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the array of records is in a page. Default: the page itself.
    pub formats: Formats,
    pub records: SingularQuery,
    /// None: every top-level member of the records, as the target has columns for.
    pub columns: Option<Vec<ColumnSetting>>,
    pub params: Vec<(String, String)>,
    /// The collection is read below each row of a query.
    pub foreach: Option<Foreach>,
    pub headers: Vec<(String, String)>,
    pub method: Method,
    /// What a POST sends; pagination may add to it.
    pub body: Option<serde_json::Value>,
    pub pagination: Pagination,
    /// Where the pages' parameters go.
    pub param_place: ParamPlace,
    /// Records asked for in one page; the most, where it adapts itself.
    pub page_size: Option<u64>,
    /// Within what it does that; None: it does not.
    pub page_bounds: Option<Bounds>,
    /// 1 to 75; default 8.
    pub concurrency: u32,
    /// Between the starts of two requests; default none.
    pub min_delay: Duration,
    pub commit_every: CommitEvery,
    pub on_empty: OnEmpty,
    /// The share of the live rows from which on a read is held: above 0, at most 1; default 0.5.
    pub max_shrink: f64,
    pub on_missing: OnMissing,
    /// Whether the document says so.
    pub on_missing_is_given: bool,
    /// Rows are removed only when their absence is confirmed; default true.
    pub confirm_deletes: bool,
    pub on_new_field: OnNewField,
    pub on_bad_record: OnBadRecord,
    /// Rejects of one read; one more ends the run. Default 1000.
    pub max_rejects: u64,
    pub retry: RetrySettings,
    pub timeouts: TimeoutSettings,
    pub limits: LimitSettings,
    pub undo: UndoSettings,
    pub verify: Verify,
    /// Default one day.
    pub verify_every: Duration,
    /// The longest time between two pages of one generation; default one hour.
    pub max_pause: Duration,
    /// The role that owns a target that is to be created.
    pub owner: Option<String>,
    /// What is asked for when the collection was read before; None: all of it, every time.
    pub cursor: Option<Cursor>,
    /// How often a job with a cursor reads the whole collection all the same; None: never.
    pub reconcile_every: Option<Duration>,
    /// Which records say that their row is gone.
    pub deleted_when: Option<DeletedWhen>,
    /// Called with the job's name and the run's id in the transaction that makes a read visible.
    pub after_publish: Option<FunctionName>,
    pub timing: TimingSettings,
}

/// What becomes of a read without records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEmpty {
    RollBack,
    Hold,
    Accept,
}

/// What becomes of rows that are gone remotely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Delete,
    /// They stay, and the column `_deleted_at` says since when they are gone.
    Mark,
    Keep,
}

/// What becomes of a member that no column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNewField {
    /// It is told in sync_drift and left out.
    Ignore,
    /// The target gets a column for it.
    AddColumn,
    /// The run ends before the page that has it.
    Fail,
}

/// What becomes of a record that cannot become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadRecord {
    /// It is kept aside, and the others are written.
    Reject,
    /// The run ends.
    Fail,
}

/// When rows of unchanged pages are compared again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Once in `verify_every`.
    Changed,
    /// In every run.
    Always,
}

impl Settings {
    /// Reads a settings document: the text of a JSON object.
    pub fn parse(document: &str) -> Result<Settings, ConfigError> {
        let given = Object::document(document, &keys::SETTINGS)?;
        let (page_size, page_bounds) = page_size::read(&given)?;
        let records = match given.get("records") {
            Some(field) => field.records_query()?,
            None => root(),
        };
        let columns = given.get("columns").map(columns::read).transpose()?;
        let places = pagination::Places {
            records: &records,
            columns: columns.as_deref(),
        };
        let formats = format::read(&given, columns.as_deref())?;
        let on_missing = on_missing(&given)?;
        check_mark(on_missing, columns.as_deref())?;
        let paged = given.get("pagination");
        let sent = request::sent(&given)?;
        let pagination = pagination::read(paged.as_ref(), page_size, &places)?;
        page_size::check(page_bounds, &pagination)?;
        let param_place = pagination::param_place(paged.as_ref(), &pagination, &sent)?;
        let params = request::params(given.get("params"), &pagination, param_place)?;
        let beside = cursor::Beside {
            columns: columns.as_deref(),
            params: &params,
            pagination: &pagination,
            body: sent.body.as_ref(),
            place: param_place,
        };
        let cursor = cursor::read(given.get("cursor"), &beside)?;
        let foreach = foreach::read(&given, columns.as_deref())?;
        if foreach.is_some() {
            check_beside_foreach(page_bounds.is_some(), cursor.as_ref())?;
        }
        Ok(Settings {
            formats,
            records,
            columns,
            params,
            foreach,
            headers: request::headers(given.get("headers"))?,
            method: sent.method,
            body: sent.body,
            pagination,
            param_place,
            page_size,
            page_bounds,
            concurrency: given.count("concurrency", 1..=MOST_CONCURRENCY)?.unwrap_or(8),
            min_delay: given.interval("min_delay", Duration::ZERO..=HOUR)?.unwrap_or_default(),
            commit_every: parts::commit_every(&given)?,
            on_empty: on_empty(&given)?,
            max_shrink: given.get("max_shrink").map_or(Ok(0.5), |field| field.share())?,
            on_missing,
            on_missing_is_given: given.get("on_missing").is_some(),
            confirm_deletes: given.get("confirm_deletes").map_or(Ok(true), |field| field.truth())?,
            on_new_field: on_new_field(&given)?,
            on_bad_record: on_bad_record(&given)?,
            max_rejects: match given.get("max_rejects") {
                Some(field) => field.whole(0..=MOST_REJECTS)?,
                None => 1000,
            },
            retry: parts::retry(&given)?,
            timeouts: parts::timeouts(&given)?,
            limits: parts::limits(&given)?,
            undo: parts::undo(&given)?,
            verify: verify(&given)?,
            verify_every: given
                .interval("verify_every", Duration::from_secs(1)..=366 * DAY)?
                .unwrap_or(DAY),
            max_pause: given
                .interval("max_pause", Duration::from_secs(1)..=30 * DAY)?
                .unwrap_or(HOUR),
            owner: given.get("owner").map(|field| field.name()).transpose()?,
            reconcile_every: reconcile_every(&given, cursor.is_some())?,
            cursor,
            deleted_when: given.get("deleted_when").map(|field| field.expression()).transpose()?,
            after_publish: given.get("after_publish").map(|field| field.function()).transpose()?,
            timing: timing::read(&given)?,
        })
    }

    /// The size of the first page that is looked at: one that the remote can surely bring.
    pub fn first_size(&self) -> Option<u64> {
        self.page_bounds.map(|bounds| bounds.least).or(self.page_size)
    }

    /// Refuses what has no meaning in a mode.
    pub fn check_mode(&self, mode: Mode) -> Result<(), ConfigError> {
        if self.cursor.is_some() && mode == Mode::Replace {
            return Err(SettingsFault::NoEffect {
                subject: Subject::setting("cursor"),
                because: "Mode \"replace\" compares the whole collection with the table, and reads all of it every time.",
                instead: "Use mode \"upsert\", or leave the cursor out.",
            }
            .into());
        }
        let is_numbered = matches!(self.pagination, Pagination::Page { .. });
        if self.page_bounds.is_some() && is_numbered && mode == Mode::Append {
            return Err(SettingsFault::NoEffect {
                subject: Subject::setting("page_size.min"),
                because: "Numbers of pages mean another place with another size, and mode \"append\" never begins a read again.",
                instead: "Give one size, or use pagination of type \"offset\".",
            }
            .into());
        }
        let removing = [
            ("on_missing", self.on_missing_is_given),
            ("deleted_when", self.deleted_when.is_some()),
            ("reconcile_every", self.reconcile_every.is_some()),
        ];
        match removing.into_iter().find(|(_, given)| *given && mode == Mode::Append) {
            None => Ok(()),
            Some((name, _)) => Err(SettingsFault::NoEffect {
                subject: Subject::setting(name),
                because: "Mode \"append\" adds rows, and never changes or removes one.",
                instead: "Use mode \"upsert\" or \"replace\", or leave the setting out.",
            }
            .into()),
        }
    }

    /// The column of a keyset that the key alone does not show to be unique. Columns that take a parent's value are the
    /// same all through a read.
    pub fn keyset_beside(&self, key: &[String]) -> Option<&str> {
        let Pagination::Keyset { column, .. } = &self.pagination else {
            return None;
        };
        let is_parents = |name: &String| {
            let declared = self.columns.iter().flatten().find(|column| column.name == *name);
            declared.is_some_and(|column| parent_column(&column.query).is_some())
        };
        let mut own = key.iter().filter(|name| !is_parents(name));
        let is_key = own.next() == Some(column) && own.next().is_none();
        (!is_key).then_some(column)
    }

    /// Refuses a job with parents and a table that is there, but no columns.
    pub fn check_columns(&self) -> Result<(), ConfigError> {
        match (&self.foreach, &self.columns) {
            (Some(_), None) => Err(SettingsFault::Needs {
                subject: Subject::setting("foreach"),
                needs: "columns".to_owned(),
                because: "The first page of one parent does not say which columns there are.",
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// Whether a watermark of `self` holds for `other`: the same records, of which the same becomes rows.
    pub fn reads_the_same(&self, other: &Settings) -> bool {
        let place = |settings: &Settings| {
            settings
                .cursor
                .as_ref()
                .map(|cursor| (cursor.query.clone(), cursor.format))
        };
        // Members of an object have no order.
        let columns = |settings: &Settings| {
            let mut columns = settings.columns.clone();
            columns
                .iter_mut()
                .for_each(|all| all.sort_by(|one, other| one.name.cmp(&other.name)));
            columns
        };
        let sorted = |pairs: &[(String, String)]| {
            let mut pairs = pairs.to_vec();
            pairs.sort();
            pairs
        };
        self.formats == other.formats
            && self.foreach.is_some() == other.foreach.is_some()
            && (self.method, &self.body) == (other.method, &other.body)
            && self.records == other.records
            && columns(self) == columns(other)
            && sorted(&self.params) == sorted(&other.params)
            && sorted(&self.headers) == sorted(&other.headers)
            && place(self) == place(other)
            && self.deleted_when == other.deleted_when
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::parse("{}").expect("an empty document has only defaults")
    }
}

fn root() -> SingularQuery {
    SingularQuery { steps: Vec::new() }
}

/// What makes no sense below parents, or is not done there yet.
fn check_beside_foreach(has_bounds: bool, cursor: Option<&Cursor>) -> Result<(), ConfigError> {
    if has_bounds {
        return Err(ConfigError::NotSupportedYet {
            what: "setting \"page_size\" with bounds beside \"foreach\"".to_owned(),
            supported: Vec::new(),
        });
    }
    match cursor.and_then(|cursor| parent_column(&cursor.query)) {
        Some(_) => Err(SettingsFault::NoEffect {
            subject: Subject::setting("cursor.column"),
            because: "It is filled with a value of the parent, which is the same in all its records.",
            instead: "Name a column that tells when a record was changed.",
        }
        .into()),
        None => Ok(()),
    }
}

fn on_empty(given: &Object<'_>) -> Result<OnEmpty, ConfigError> {
    let words = [
        ("rollback", OnEmpty::RollBack),
        ("hold", OnEmpty::Hold),
        ("accept", OnEmpty::Accept),
    ];
    Ok(given.choice("on_empty", &words, &[])?.unwrap_or(OnEmpty::RollBack))
}

fn on_new_field(given: &Object<'_>) -> Result<OnNewField, ConfigError> {
    let words = [
        ("ignore", OnNewField::Ignore),
        ("add_column", OnNewField::AddColumn),
        ("fail", OnNewField::Fail),
    ];
    Ok(given.choice("on_new_field", &words, &[])?.unwrap_or(OnNewField::Ignore))
}

fn on_missing(given: &Object<'_>) -> Result<OnMissing, ConfigError> {
    let words = [
        ("delete", OnMissing::Delete),
        ("mark", OnMissing::Mark),
        ("keep", OnMissing::Keep),
    ];
    Ok(given.choice("on_missing", &words, &[])?.unwrap_or(OnMissing::Delete))
}

/// The column that says when a row was gone is not filled from records.
fn check_mark(on_missing: OnMissing, columns: Option<&[ColumnSetting]>) -> Result<(), ConfigError> {
    let names_it = columns.is_some_and(|columns| columns.iter().any(|column| column.name == DELETED_AT));
    if on_missing != OnMissing::Mark || !names_it {
        return Ok(());
    }
    Err(SettingsFault::NoEffect {
        subject: Subject::setting(&format!("columns.{DELETED_AT}")),
        because: "With on_missing \"mark\" this column says since when a row is gone.",
        instead: "Give the column another name.",
    }
    .into())
}

fn reconcile_every(given: &Object<'_>, has_cursor: bool) -> Result<Option<Duration>, ConfigError> {
    let every = given.interval("reconcile_every", Duration::from_secs(60)..=366 * DAY)?;
    if every.is_some() && !has_cursor {
        return Err(SettingsFault::Needs {
            subject: Subject::setting("reconcile_every"),
            needs: "cursor".to_owned(),
            because: "Without a cursor each read is as whole as any other.",
        }
        .into());
    }
    Ok(every)
}

fn on_bad_record(given: &Object<'_>) -> Result<OnBadRecord, ConfigError> {
    let words = [("reject", OnBadRecord::Reject), ("fail", OnBadRecord::Fail)];
    Ok(given
        .choice("on_bad_record", &words, &[])?
        .unwrap_or(OnBadRecord::Reject))
}

fn verify(given: &Object<'_>) -> Result<Verify, ConfigError> {
    let words = [("changed", Verify::Changed), ("always", Verify::Always)];
    Ok(given.choice("verify", &words, &[])?.unwrap_or(Verify::Changed))
}

#[cfg(test)]
mod cursor_tests;
#[cfg(test)]
mod tests;
