//! The setting page_size: one size, or the bounds of one that adapts itself.

use super::fault::SettingsFault;
use super::keys;
use super::object::Object;
use crate::connection::{ConfigError, Subject};
use crate::page_size::Bounds;

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
    let bound = |key: &str| match given.get(key) {
        Some(field) => field.whole(1..=MOST),
        None => Err(SettingsFault::Needs {
            subject: field.subject(),
            needs: format!("page_size.{key}"),
            because: "A size that adapts itself stays within both.",
        }
        .into()),
    };
    let (least, most) = (bound("min")?, bound("max")?);
    match least <= most {
        true => Ok((Some(most), Some(Bounds { least, most }))),
        false => Err(SettingsFault::Order {
            subject: Subject::setting("page_size"),
            order: "\"min\", \"max\"",
        }
        .into()),
    }
}
