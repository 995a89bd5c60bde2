//! Whether the remote can be asked for what changed since: a time of change, and a parameter that filters by it.

use super::answer::Page;
use super::columns::{ChangeTime, change_time, shape};
use super::prober::Prober;
use super::trial::{Kind, Trial, Tried, obeyed};
use crate::data::{self, DataError, SingularQuery};
use serde_json::{Value, json};

/// How changes are told.
pub(super) struct Changes {
    pub time: ChangeTime,
    /// The parameter that was proven to filter by it.
    pub param: Option<String>,
}

impl Changes {
    /// The setting `cursor`, as far as it is known; the usual format goes without saying.
    pub fn setting(&self) -> Value {
        let mut setting = json!({"column": self.time.column});
        if let Some(param) = &self.param {
            setting["param"] = json!(param);
        }
        if self.time.format != "iso8601" {
            setting["format"] = json!(self.time.format);
        }
        setting
    }
}

const PARAMS: [&str; 5] = [
    "updated_since",
    "modified_since",
    "since",
    "updated_after",
    "updated_at[gte]",
];

/// The time of change on the first page; with requests left, the parameter that leaves out all that is older than the
/// newest record.
pub(super) fn find(prober: &mut Prober, first: &Page) -> Result<Option<Changes>, DataError> {
    let shape = shape(&first.text, &[&first.text])?;
    let Some(time) = change_time(&shape, &first.text) else {
        return Ok(None);
    };
    let param = newest(&first.text, &time.query).and_then(|newest| {
        let trials = PARAMS.map(|param| Trial::new(Kind::Since, param, newest.as_str()));
        let leaves_out_older = |page: &Page| {
            let times = times(&page.text, &time.query).unwrap_or_default();
            !times.is_empty() && times.iter().all(|time| *time >= Time::of(&newest))
        };
        let found = obeyed(prober, &trials, 1, &leaves_out_older, &mut Tried::default());
        found.map(|(trial, _)| trial.param)
    });
    Ok(Some(Changes { time, param }))
}

/// A time as it can be compared with others of the same form.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Time {
    Number(i128),
    Text(String),
}

impl Time {
    fn of(text: &str) -> Time {
        text.parse().map_or_else(|_| Time::Text(text.to_owned()), Time::Number)
    }
}

fn times(records_text: &str, query: &SingularQuery) -> Option<Vec<Time>> {
    let records = data::split_records(records_text).ok()?;
    let time = |record: &&str| {
        let picked = data::pick(record, &[query]).ok()?;
        let raw = picked.first().copied().flatten().filter(|raw| *raw != "null")?;
        Some(Time::of(raw.trim_matches('"')))
    };
    records.iter().map(time).collect()
}

/// The newest time on a page that has older ones too, and all in one form.
fn newest(records_text: &str, query: &SingularQuery) -> Option<String> {
    let times = times(records_text, query)?;
    let (newest, oldest) = (times.iter().max()?, times.iter().min()?);
    let text = |time: &Time| match time {
        Time::Number(number) => number.to_string(),
        Time::Text(text) => text.clone(),
    };
    let same_form = |time: &Time| {
        let (one, other) = (text(time), text(newest));
        one.len() == other.len()
            && one.chars().last().map(char::is_numeric) == other.chars().last().map(char::is_numeric)
    };
    (newest != oldest && times.iter().all(same_form)).then(|| text(newest))
}
