//! The setting `foreach`: the parents below each of which the job's collection is read.

use super::columns::ColumnSetting;
use super::fault::SettingsFault;
use super::keys;
use super::object::Object;
use crate::connection::{ConfigError, Subject};
use crate::foreach::{Absent, Foreach, parent_column};
use std::time::Duration;

const MOST_QUERY: usize = 100_000;

pub(super) fn read(given: &Object<'_>, columns: Option<&[ColumnSetting]>) -> Result<Option<Foreach>, ConfigError> {
    let takes = columns
        .unwrap_or_default()
        .iter()
        .find(|c| parent_column(&c.query).is_some());
    let Some(field) = given.get("foreach") else {
        return match takes {
            Some(column) => Err(SettingsFault::Needs {
                subject: Subject::setting(&format!("columns.{}.parent", column.name)),
                needs: "foreach".to_owned(),
                because: "Only a job that reads below the rows of a query has parents.",
            }
            .into()),
            None => Ok(None),
        };
    };
    let object = field.object(&keys::FOREACH)?;
    let Some(query) = object.get("query") else {
        return Err(SettingsFault::Needs {
            subject: field.subject(),
            needs: "foreach.query".to_owned(),
            because: "Each row of the query is a parent.",
        }
        .into());
    };
    let text = query.text("a SELECT statement", "\"SELECT id FROM shop.orders\"")?;
    if text.len() > MOST_QUERY || text.contains('\0') {
        return Err(query.wrong(
            "a SELECT statement of at most 100,000 bytes",
            "\"SELECT id FROM shop.orders\"",
        ));
    }
    let words = [("skip", Absent::Skip), ("empty", Absent::Empty), ("fail", Absent::Fail)];
    Ok(Some(Foreach {
        query: text,
        absent: object.choice("absent", &words, &[])?.unwrap_or(Absent::Skip),
        timeout: object
            .interval("timeout", Duration::from_secs(1)..=Duration::from_secs(3600))?
            .unwrap_or(Duration::from_secs(60)),
    }))
}
