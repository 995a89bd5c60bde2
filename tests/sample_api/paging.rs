//! The seven ways to page through the products, each below its own path, all over one list of entries.
//!
//! A request becomes a [`Position`] (where in the list, how many, which page by number); a position over a list becomes
//! a [`Page`] (these entries, this total, this next). Both are pure.

use crate::calendar;
use crate::catalogue::Snapshot;
use crate::query::Query;
use crate::record::Entry;
use crate::settings::{LastPage, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    None,
    Page,
    Offset,
    Cursor,
    NextUrl,
    Link,
    Keyset,
}

impl Scheme {
    /// `/page/products`, `/page/groups/7/products` and so on; `None` for any other path.
    pub(crate) fn of_path(path: &str) -> Option<Scheme> {
        let (scheme, collection) = path.strip_prefix('/')?.split_once('/')?;
        let found = match scheme {
            "none" => Scheme::None,
            "page" => Scheme::Page,
            "offset" => Scheme::Offset,
            "cursor" => Scheme::Cursor,
            "next_url" => Scheme::NextUrl,
            "link" => Scheme::Link,
            "keyset" => Scheme::Keyset,
            _ => return None,
        };
        (collection == "products" || group_of(path).is_some()).then_some(found)
    }

    pub(crate) fn size_param(self) -> &'static str {
        match self {
            Scheme::Page | Scheme::Link => "per_page",
            _ => "limit",
        }
    }

    /// The parameter that says which page, empty for [`Scheme::None`].
    pub(crate) fn place_param(self) -> &'static str {
        match self {
            Scheme::None => "",
            Scheme::Page | Scheme::Link => "page",
            Scheme::Offset => "offset",
            Scheme::Cursor | Scheme::NextUrl => "cursor",
            Scheme::Keyset => "after_id",
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) scheme: Scheme,
    /// Index into the list; may lie past its end.
    pub(crate) start: u64,
    /// After the clamp.
    pub(crate) size: u64,
    /// 1-based in every scheme: what faults, holds and the log mean by a page.
    pub(crate) page: u64,
}

/// A parameter that cannot be read, by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadParam(pub(crate) &'static str);

impl Position {
    pub(crate) fn read(
        scheme: Scheme,
        query: &Query,
        list: &[Entry],
        settings: &Settings,
    ) -> Result<Position, BadParam> {
        if scheme == Scheme::None {
            return Ok(Position {
                scheme,
                start: 0,
                size: list.len() as u64,
                page: 1,
            });
        }
        let asked = number(query, scheme.size_param())?.unwrap_or(settings.page_size);
        let size = asked.min(settings.max_page_size).max(1);
        let (start, page) = match query.get(scheme.place_param()).filter(|text| !text.is_empty()) {
            None => (0, 1),
            Some(place) => place_of(scheme, place, size, settings, list).ok_or(BadParam(scheme.place_param()))?,
        };
        Ok(Position {
            scheme,
            start,
            size,
            page,
        })
    }

    /// Where the page of that number begins, for a server that repeats itself.
    pub(crate) fn at_page(self, page: u64) -> Position {
        Position {
            start: page.saturating_sub(1).saturating_mul(self.size),
            page,
            ..self
        }
    }

    /// The entries of this position.
    pub(crate) fn slice(self, list: &[Entry]) -> &[Entry] {
        let start = self.start.min(list.len() as u64);
        let end = start.saturating_add(self.size).min(list.len() as u64);
        &list[start as usize..end as usize]
    }

    /// The value that [`Scheme::place_param`] has for the page after this one; `None` when this is the last.
    pub(crate) fn next(self, list: &[Entry], settings: &Settings) -> Option<String> {
        let end = self.start.saturating_add(self.size);
        let more = match settings.last_page {
            LastPage::NamesNothing => end < list.len() as u64,
            LastPage::NamesAnEmptyPage => true,
        };
        if self.scheme == Scheme::None || !more {
            return None;
        }
        let past_end = self.slice(list).is_empty();
        let step = |present: u64, next: u64| if past_end { present } else { next };
        let last_id = list[..end.min(list.len() as u64) as usize]
            .last()
            .map_or(0, |entry| entry.id);
        Some(match self.scheme {
            Scheme::Page | Scheme::Link => (step(self.page - 1, self.page) + settings.first_page).to_string(),
            Scheme::Offset => step(self.start, end).to_string(),
            Scheme::Keyset => last_id.to_string(),
            _ => format!("{last_id:x}-{:x}", step(self.page, self.page + 1)),
        })
    }
}

/// The start and the page that a parameter's text means; `None` where it cannot be read.
fn place_of(scheme: Scheme, text: &str, size: u64, settings: &Settings, list: &[Entry]) -> Option<(u64, u64)> {
    match scheme {
        Scheme::Page | Scheme::Link => {
            let page = text.parse::<u64>().ok()?.checked_sub(settings.first_page)?;
            Some((page.saturating_mul(size), page.saturating_add(1)))
        }
        Scheme::Offset => {
            let start: u64 = text.parse().ok()?;
            Some((start, start / size + 1))
        }
        _ => {
            let (after, page) = parse_cursor(text)?;
            let start = list.partition_point(|entry| entry.id <= after) as u64;
            Some((start, page.unwrap_or(start / size + 1)))
        }
    }
}

/// The group that a path is about: `7` of `/page/groups/7/products`.
pub(crate) fn group_of(path: &str) -> Option<u64> {
    let (_, below) = path.strip_prefix('/')?.split_once('/')?;
    let group = below.strip_prefix("groups/")?.strip_suffix("/products")?;
    group.parse().ok().filter(|group| *group > 0)
}

/// What is paged through, where that is not simply all products by id: `?updated_since=` keeps what changed at or after
/// that instant, `?tombstones=1` adds what was removed, `?order=updated_at` has the latest change last; a group (of the
/// path, or `?group=`) has the products of ten ids, `?group_size=` another number: the first group those from 1 on.
pub(crate) fn chosen(path: &str, query: &Query, snapshot: &Snapshot) -> Result<Option<Vec<Entry>>, BadParam> {
    let since = match query.get("updated_since").filter(|text| !text.is_empty()) {
        Some(text) => Some(calendar::parse_instant(text).ok_or(BadParam("updated_since"))?),
        None => None,
    };
    let tombstones = query.get("tombstones") == Some("1");
    let by_time = query.get("order") == Some("updated_at");
    let group = match number(query, "group")?.or_else(|| group_of(path)) {
        None => None,
        Some(group) => {
            let size = number(query, "group_size")?.unwrap_or(10);
            let first = group.saturating_sub(1).saturating_mul(size);
            Some(first + 1..=first.saturating_add(size))
        }
    };
    if since.is_none() && !tombstones && !by_time && group.is_none() {
        return Ok(None);
    }
    let removed: &[Entry] = if tombstones { &snapshot.removed } else { &[] };
    let all = snapshot.entries.iter().chain(removed).copied();
    let mut list: Vec<Entry> = all
        .filter(|entry| since.is_none_or(|since| entry.updated_at() >= since))
        .filter(|entry| group.as_ref().is_none_or(|ids| ids.contains(&entry.id)))
        .collect();
    match by_time {
        true => list.sort_unstable_by_key(|entry| (entry.updated_at(), entry.id)),
        false => list.sort_unstable_by_key(|entry| entry.id),
    }
    Ok(Some(list))
}

fn number(query: &Query, name: &'static str) -> Result<Option<u64>, BadParam> {
    match query.get(name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| BadParam(name)),
    }
}

/// A cursor is `<last id>-<page>`, both in hexadecimal; a plain decimal number is the last id alone.
fn parse_cursor(text: &str) -> Option<(u64, Option<u64>)> {
    match text.split_once('-') {
        None => Some((text.parse().ok()?, None)),
        Some((id, page)) => Some((
            u64::from_str_radix(id, 16).ok()?,
            Some(u64::from_str_radix(page, 16).ok()?),
        )),
    }
}
