//! The setting page_size: one size, or the bounds of one that adapts itself.

use super::fault::SettingsFault;
use super::keys;
use super::object::Object;
use crate::connection::{ConfigError, Subject};
use crate::page_size::Bounds;
use crate::pagination::Pagination;

const MOST: u64 = 1_000_000;

/// The size (the most, with bounds), and the bounds.
pub(super) fn read(given: &Object<'_>) -> Result<(Option<u64>, Option<Bounds>), ConfigError> {
    let Some(field) = given.get("page_size") else {
        return Ok((None, None));
    };
    if !field.raw.get().starts_with('{') {
        return Ok((Some(field.whole(1..=MOST)?), None));
    }
    let given = field.object(&keys::PAGE_SIZE)?;
    let bound = |key: &str, least: u64| match given.get(key) {
        Some(field) => field.whole(least..=MOST),
        None => Err(needs(
            &format!("page_size.{key}"),
            "A size that adapts itself stays within both.",
        )),
    };
    let least = bound("min", 1)?;
    let most = bound("max", least)?;
    Ok((Some(most), Some(Bounds { least, most })))
}

/// A size that changes has to be told to the remote.
pub(super) fn check(bounds: Option<Bounds>, pagination: &Pagination) -> Result<(), ConfigError> {
    let needed = match pagination {
        Pagination::Page { size_param: None, .. } => "pagination.size_param",
        Pagination::Offset { limit_param: None, .. } => "pagination.limit_param",
        _ => return Ok(()),
    };
    match bounds {
        Some(_) => Err(needs(needed, "Without it the remote would not know the size.")),
        None => Ok(()),
    }
}

fn needs(needs: &str, because: &'static str) -> ConfigError {
    SettingsFault::Needs {
        subject: Subject::setting("page_size"),
        needs: needs.to_owned(),
        because,
    }
    .into()
}
