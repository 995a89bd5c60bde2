//! Paging by a place that is asked for: a page's number, an offset, the last key.

use super::answer::{Beside, Page};
use super::columns;
use super::hints;
use super::paging::{Found, LastKey};
use super::prober::Prober;
use super::trial::{Kind, Trial, Tried, numbered, obeyed};
use crate::counted::counted;
use crate::data::SingularQuery;
use crate::pagination::ParamPlace;
use serde_json::{Value, json};

const PAGE_WORDS: [&str; 5] = ["page", "currentpage", "pagenumber", "pageindex", "number"];
const OFFSET_WORDS: [&str; 5] = ["offset", "skip", "start", "startat", "from"];

/// By asking for a place: a page's number, an offset, a key.
pub(super) fn by_place(prober: &mut Prober, first: &Page, key: Option<&LastKey>, tried: &mut Tried) -> Option<Found> {
    if first.count == 0 {
        return None;
    }
    let (own_page, own_offset) = (prober.own_params(&PAGE_WORDS), prober.own_params(&OFFSET_WORDS));
    let named = |own: &[String], usual: &str| own.first().map_or_else(|| usual.to_owned(), String::clone);
    let page = Trial::new(Kind::Page, &named(&own_page, "page"), 2);
    let offset = Trial::new(Kind::Offset, &named(&own_offset, "offset"), first.count);
    let mut likely = vec![page, offset];
    let is_offset = hints::has(first, &OFFSET_WORDS) || !own_offset.is_empty();
    if is_offset && !hints::has(first, &PAGE_WORDS) && own_page.is_empty() {
        likely.reverse();
    }
    for trial in likely {
        let begin = if trial.kind == Kind::Page { 1 } else { 0 };
        if let Some(second) = numbered(prober, first, &trial, begin, tried) {
            return Some(at_place(prober, first, trial, second, key));
        }
    }
    let rest = less_likely(first, key);
    let takes = |page: &Page| page.beside(first) == Beside::Others;
    let (trial, second) = obeyed(prober, &rest, 0, &takes, tried)?;
    if trial.kind == Kind::Keyset && !is_distinct(&[first, &second], key) {
        return None;
    }
    Some(at_place(prober, first, trial, second, key))
}

/// Where parameters in the body have no effect, they may belong to the query all the same.
pub(super) fn by_place_in_query(
    prober: &mut Prober,
    first: &Page,
    key: Option<&LastKey>,
    tried: &mut Tried,
) -> Option<Found> {
    if prober.place == ParamPlace::Query || prober.stopped.is_some() {
        return None;
    }
    prober.place = ParamPlace::Query;
    let found = by_place(prober, first, key, tried);
    if found.is_none() {
        prober.place = ParamPlace::Body;
    }
    found
}

fn less_likely(first: &Page, key: Option<&LastKey>) -> Vec<Trial> {
    let mut rest = Vec::new();
    if let Some(last) = key.and_then(|key| last_key(first, key)) {
        let params = ["after_id", "after", "since_id", "starting_after"];
        rest.extend(params.map(|param| Trial::new(Kind::Keyset, param, last.clone())));
    }
    let pages = ["_page", "page[number]"];
    rest.extend(pages.map(|param| Trial::new(Kind::Page, param, 2)));
    let offsets = ["skip", "start"];
    rest.extend(offsets.map(|param| Trial::new(Kind::Offset, param, first.count)));
    rest
}

/// The key of the last record as a parameter's value, where keys rise.
fn last_key(page: &Page, key: &LastKey) -> Option<Value> {
    let records = crate::data::split_records(&page.text).ok()?;
    let value = |record: &&str| {
        let picked = crate::data::pick(record, &[&key.query]).ok()?;
        picked.first().copied().flatten().map(str::to_owned)
    };
    let values: Vec<String> = records.iter().map(value).collect::<Option<_>>()?;
    let numbers: Option<Vec<i128>> = values.iter().map(|value| value.parse().ok()).collect();
    let rises = match numbers {
        Some(numbers) => numbers.windows(2).all(|pair| pair[0] < pair[1]),
        None => values.windows(2).all(|pair| pair[0] < pair[1]),
    };
    let last = values.last().filter(|_| rises)?;
    serde_json::from_str(last).ok()
}

/// Whether the key is distinct on both pages: no job goes on by another one.
fn is_distinct(pages: &[&Page], key: Option<&LastKey>) -> bool {
    let texts: Vec<&str> = pages.iter().map(|page| page.text.as_str()).collect();
    let unique = columns::unique(&texts).unwrap_or_default();
    key.is_some_and(|key| unique.iter().any(|member| SingularQuery::member(member) == key.query))
}

fn at_place(prober: &mut Prober, first: &Page, trial: Trial, second: Page, key: Option<&LastKey>) -> Found {
    let mut found = at_place_of(prober, first, trial, second, key);
    found.scheme = prober.placed(found.scheme);
    found
}

fn at_place_of(prober: &mut Prober, first: &Page, trial: Trial, second: Page, key: Option<&LastKey>) -> Found {
    let brought = match second.count {
        0 => "no record, as past the end".to_owned(),
        count => counted(count, "other record"),
    };
    let evidence = format!("{} brought {brought}.", trial.shown());
    let found = |scheme, evidence, doubt: Option<&str>| Found {
        scheme,
        evidence,
        doubt: doubt.map(str::to_owned),
        second: Some(second.clone()),
        next_url: None,
    };
    match trial.kind {
        Kind::Page => {
            let (start, shown, doubt) = first_number(prober, first, &trial.param);
            let scheme = match start {
                1 => json!({"type": "page", "param": trial.param}),
                start => json!({"type": "page", "param": trial.param, "start": start}),
            };
            found(scheme, format!("{evidence} {shown}"), doubt)
        }
        Kind::Keyset => {
            let column = key.map_or_else(String::new, |key| key.column.clone());
            let scheme = json!({"type": "keyset", "param": trial.param, "column": column});
            found(
                scheme,
                evidence,
                Some("The order by the key was seen on two pages only."),
            )
        }
        _ => found(json!({"type": "offset", "param": trial.param}), evidence, None),
    }
}

/// The number of the first page. What the answer itself calls it may be another count.
fn first_number(prober: &mut Prober, first: &Page, param: &str) -> (u64, String, Option<&'static str>) {
    let outcome = prober.with(&[(param, 1.into())]);
    match outcome.page().map(|page| page.beside(first)) {
        Some(Beside::Same) => (1, format!("{param}=1 is the first page."), None),
        Some(Beside::Others) => (0, format!("{param}=1 is not the first page."), None),
        _ => (
            1,
            String::new(),
            Some("Whether pages are counted from 1 or from 0 was not seen."),
        ),
    }
}
