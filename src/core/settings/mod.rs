//! What a job's settings document means.
//!
//! [`Settings::parse`] reads the document's text and refuses what it does not know: an unknown key with its nearest
//! neighbour, a key whose time has not come by name. A key that is `null` counts as not given. Values are read from the
//! text itself, so that numbers in `columns` defaults keep their digits.
//!
//! `reader` walks the document; `keys` says which keys there are; one file each reads the larger parts.

mod columns;
mod fault;
mod keys;
mod pagination;
mod reader;
mod request;

use std::time::Duration;

use crate::connection::ConfigError;
use crate::data::path::SingularQuery;
use crate::pagination::Pagination;
use reader::Object;

pub use columns::ColumnSetting;
pub use fault::SettingsFault;

/// How many requests a job has under way at most.
pub const MOST_CONCURRENCY: u32 = 75;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MEGABYTE: u64 = 1024 * 1024;

/// A job's settings, with defaults where the document says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the array of records is in a page. Default: the page itself.
    pub records: SingularQuery,
    /// None: every top-level member of the records, as the target has columns for.
    pub columns: Option<Vec<ColumnSetting>>,
    pub params: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub pagination: Pagination,
    /// Records asked for in one page.
    pub page_size: Option<u64>,
    /// 1 to 75; default 8.
    pub concurrency: u32,
    /// Between the starts of two requests; default none.
    pub min_delay: Duration,
    pub commit_every: CommitEvery,
    pub on_empty: OnEmpty,
    /// The share of the live rows from which on a read is held: above 0, at most 1; default 0.5.
    pub max_shrink: f64,
    pub on_missing: OnMissing,
    /// Rows are removed only when their absence is confirmed; default true.
    pub confirm_deletes: bool,
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
}

/// A batch is committed when one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitEvery {
    /// Default 8 MB of records.
    pub bytes: u64,
    /// `seconds` in the document; default 2 s.
    pub time: Duration,
    pub pages: Option<u64>,
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
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Attempts at one request within a run; default 12.
    pub request_attempts: u32,
    /// The longest delay between two of them; default 5 s.
    pub request_cap: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutSettings {
    /// Default 10 s.
    pub connect: Duration,
    /// One request with its whole answer; default 45 s.
    pub request: Duration,
    /// Of `discover`, `preview` and `test_connection`; default 15 s.
    pub probe: Duration,
    pub run: Option<Duration>,
}

/// Limits of one run; none where not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitSettings {
    pub pages: Option<u64>,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

/// How long undo sets are kept: whichever is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndoSettings {
    /// Default 10; 0 keeps none.
    pub keep_runs: u32,
    /// Default 7.
    pub keep_days: u32,
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
        fixed_words(&given)?;
        let page_size = given
            .get("page_size")
            .map(|field| field.whole(1..=1_000_000))
            .transpose()?;
        let pagination = pagination::read(given.get("pagination"), page_size)?;
        let params = request::params(given.get("params"), &pagination)?;
        Ok(Settings {
            records: given
                .get("records")
                .map_or_else(|| Ok(root()), |field| field.records_query())?,
            columns: given.get("columns").map(columns::read).transpose()?,
            params,
            headers: request::headers(given.get("headers"))?,
            pagination,
            page_size,
            concurrency: given.count("concurrency", 1..=MOST_CONCURRENCY)?.unwrap_or(8),
            min_delay: given.interval("min_delay", Duration::ZERO..=HOUR)?.unwrap_or_default(),
            commit_every: commit_every(&given)?,
            on_empty: on_empty(&given)?,
            max_shrink: given.get("max_shrink").map_or(Ok(0.5), |field| field.share())?,
            on_missing: on_missing(&given)?,
            confirm_deletes: given.get("confirm_deletes").map_or(Ok(true), |field| field.truth())?,
            retry: retry(&given)?,
            timeouts: timeouts(&given)?,
            limits: limits(&given)?,
            undo: undo(&given)?,
            verify: verify(&given)?,
            verify_every: given
                .interval("verify_every", Duration::from_secs(1)..=366 * DAY)?
                .unwrap_or(DAY),
            max_pause: given
                .interval("max_pause", Duration::from_secs(1)..=30 * DAY)?
                .unwrap_or(HOUR),
            owner: given.get("owner").map(|field| field.name()).transpose()?,
        })
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

/// Settings of which this release knows one word only: checked, not kept.
fn fixed_words(given: &Object<'_>) -> Result<(), ConfigError> {
    let fixed: [(&str, &'static str, &'static [&'static str]); 4] = [
        ("format", "json", &["ndjson", "csv"]),
        ("method", "GET", &["HEAD", "POST"]),
        ("on_new_field", "ignore", &["add_column", "fail"]),
        ("on_bad_record", "fail", &["reject"]),
    ];
    for (key, word, later) in fixed {
        given.choice(key, &[(word, ())], later)?;
    }
    Ok(())
}

fn on_empty(given: &Object<'_>) -> Result<OnEmpty, ConfigError> {
    let words = [
        ("rollback", OnEmpty::RollBack),
        ("hold", OnEmpty::Hold),
        ("accept", OnEmpty::Accept),
    ];
    Ok(given.choice("on_empty", &words, &[])?.unwrap_or(OnEmpty::RollBack))
}

fn on_missing(given: &Object<'_>) -> Result<OnMissing, ConfigError> {
    let words = [("delete", OnMissing::Delete), ("keep", OnMissing::Keep)];
    Ok(given
        .choice("on_missing", &words, &["mark"])?
        .unwrap_or(OnMissing::Delete))
}

fn verify(given: &Object<'_>) -> Result<Verify, ConfigError> {
    let words = [("changed", Verify::Changed), ("always", Verify::Always)];
    Ok(given.choice("verify", &words, &[])?.unwrap_or(Verify::Changed))
}

fn commit_every(given: &Object<'_>) -> Result<CommitEvery, ConfigError> {
    let part = given.object("commit_every", &keys::COMMIT_EVERY)?;
    Ok(CommitEvery {
        bytes: part
            .get("bytes")
            .map_or(Ok(8 * MEGABYTE), |field| field.size(64 * 1024..=1024 * MEGABYTE))?,
        time: part
            .get("seconds")
            .map_or(Ok(Duration::from_secs(2)), |field| field.seconds(0.05, 3600.0))?,
        pages: part.get("pages").map(|field| field.whole(1..=1_000_000)).transpose()?,
    })
}

fn retry(given: &Object<'_>) -> Result<RetrySettings, ConfigError> {
    let part = given.object("retry", &keys::RETRY)?;
    let cap = part.interval("request_cap", Duration::from_millis(1)..=HOUR)?;
    Ok(RetrySettings {
        request_attempts: part.count("request_attempts", 1..=1000)?.unwrap_or(12),
        request_cap: cap.unwrap_or(Duration::from_secs(5)),
    })
}

fn timeouts(given: &Object<'_>) -> Result<TimeoutSettings, ConfigError> {
    let part = given.object("timeouts", &keys::TIMEOUTS)?;
    let shortest = Duration::from_millis(100);
    let connect = part.interval("connect", shortest..=HOUR)?;
    let request = part.interval("request", shortest..=24 * HOUR)?;
    let probe = part.interval("probe", shortest..=HOUR)?;
    Ok(TimeoutSettings {
        connect: connect.unwrap_or(Duration::from_secs(10)),
        request: request.unwrap_or(Duration::from_secs(45)),
        probe: probe.unwrap_or(Duration::from_secs(15)),
        run: part.interval("run", Duration::from_secs(1)..=30 * DAY)?,
    })
}

fn limits(given: &Object<'_>) -> Result<LimitSettings, ConfigError> {
    let part = given.object("limits", &keys::LIMITS)?;
    let most = 1..=i64::MAX as u64;
    Ok(LimitSettings {
        pages: part.get("pages").map(|field| field.whole(most.clone())).transpose()?,
        rows: part.get("rows").map(|field| field.whole(most.clone())).transpose()?,
        bytes: part.get("bytes").map(|field| field.size(most)).transpose()?,
    })
}

fn undo(given: &Object<'_>) -> Result<UndoSettings, ConfigError> {
    let part = given.object("undo", &keys::UNDO)?;
    Ok(UndoSettings {
        keep_runs: part.count("keep_runs", 0..=10_000)?.unwrap_or(10),
        keep_days: part.count("keep_days", 0..=3_660)?.unwrap_or(7),
    })
}

#[cfg(test)]
mod tests;
