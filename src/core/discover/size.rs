//! How large pages may be: smaller ones where everything came at once, larger ones where it did not.

use super::answer::Page;
use super::hints::{self, Total};
use super::prober::Prober;
use super::trial::{Kind, Trial, Tried, obeyed};
use crate::counted::counted;
use serde_json::Value;
use url::Url;

/// A size of pages that the remote obeys.
#[derive(Debug, Clone)]
pub(super) struct Size {
    pub param: String,
    pub size: u64,
    pub evidence: String,
    pub doubt: Option<String>,
}

/// Records of a page that is asked for: many, but not more than this many bytes.
const LARGE_PAGE: u64 = 1000;
const LARGE_BYTES: u64 = 8 << 20;
const USUAL_PAGE: u64 = 100;

/// A size, the page that proved it, and what is doubtful where there is none.
type Sized = (Option<Size>, Option<Page>, Option<String>);

/// Where everything came at once, a smaller page shows how a larger collection would come.
pub(super) fn shrink(prober: &mut Prober, whole: &Page, tried: &mut Tried) -> Option<(Page, Trial)> {
    if whole.count < 2 || !hints::says_it_is_whole(whole) {
        return None;
    }
    let half = whole.count / 2;
    let trials: Vec<Trial> = own_first(prober, hints::size_params(whole))
        .iter()
        .map(|param| Trial::new(Kind::Size, param, half))
        .collect();
    let is_half = |page: &Page| page.count == half;
    let (trial, page) = obeyed(prober, &trials, 0, &is_half, tried)?;
    prober.keep(trial.pair());
    Some((page, trial))
}

/// The size by a smaller page, of which the collection is too small to have two of the usual.
pub(super) fn size_of(trial: &Trial, first: &Page, whole: u64) -> Size {
    Size {
        param: trial.param.clone(),
        size: whole.max(USUAL_PAGE),
        evidence: format!("{} brought {}.", trial.shown(), counted(first.count, "record")),
        doubt: Some("Larger pages could not be tried: the collection fits on one.".into()),
    }
}

/// Larger pages: fewer requests for the same records.
pub(super) fn larger_pages(
    prober: &mut Prober,
    first: &Page,
    scheme: &Value,
    next_url: Option<&Url>,
    total: Option<&Total>,
) -> Sized {
    let average = (first.text.len() as u64 / first.count.max(1)).max(1);
    let wanted = (LARGE_BYTES / average).min(LARGE_PAGE);
    if wanted <= first.count {
        return (
            None,
            None,
            Some(format!(
                "A page has {}; larger ones were not tried.",
                counted(first.count, "record")
            )),
        );
    }
    let mut params = hints::size_params(first);
    if scheme["type"] == "page" || scheme["type"] == "link_header" {
        params.sort_by_key(|param| param != "per_page");
    } else {
        params.sort_by_key(|param| param != "limit");
    }
    if let Some(own) = size_in_url(next_url, first.count) {
        params.retain(|param| *param != own);
        params.insert(0, own);
    }
    let trials: Vec<Trial> = own_first(prober, params)
        .iter()
        .map(|param| Trial::new(Kind::Size, param, wanted))
        .collect();
    let mut tried = Tried::default();
    let is_larger = |page: &Page| page.count > first.count;
    match obeyed(prober, &trials, 1, &is_larger, &mut tried) {
        Some((trial, page)) => {
            let size = sized(&trial, wanted, first, &page, total);
            let larger = Some(page).filter(|page| page.begins_as(first));
            (Some(size), larger, None)
        }
        None => {
            let stopped = prober.stopped.clone().unwrap_or_default();
            let doubt = format!("No parameter for the size was found. {} {stopped}", tried.shown());
            (None, None, Some(doubt.trim_end().replace("  ", " ")))
        }
    }
}

/// The parameters, those first that the job's own body has.
fn own_first(prober: &Prober, mut params: Vec<String>) -> Vec<String> {
    const WORDS: [&str; 8] = [
        "perpage",
        "limit",
        "pagesize",
        "size",
        "first",
        "top",
        "maxresults",
        "count",
    ];
    let mut own = prober.own_params(&WORDS);
    params.retain(|param| !own.contains(param));
    own.extend(params);
    own
}

/// A parameter of the next page's address whose value is the size of this page.
fn size_in_url(url: Option<&Url>, count: u64) -> Option<String> {
    let mut pairs = url?.query_pairs().filter(|(_, value)| value.parse() == Ok(count));
    let is_place = |name: &str| matches!(name, "page" | "offset" | "skip" | "start" | "cursor" | "after");
    pairs
        .find(|(name, _)| !is_place(name))
        .map(|(name, _)| name.into_owned())
}

fn sized(trial: &Trial, wanted: u64, first: &Page, page: &Page, total: Option<&Total>) -> Size {
    let is_everything = total.is_some_and(|total| page.count >= total.value);
    let is_cut = page.count < wanted && !is_everything;
    let (size, doubt) = match (is_cut, total) {
        (false, _) => (wanted, None),
        (true, Some(_)) => (page.count, Some(format!("The remote cuts pages to {}.", page.count))),
        (true, None) => (
            wanted,
            Some(format!("{} may be all records, or the largest page.", page.count)),
        ),
    };
    Size {
        param: trial.param.clone(),
        size,
        evidence: format!(
            "{}={wanted} brought {} instead of {}.",
            trial.param,
            counted(page.count, "record"),
            first.count
        ),
        doubt,
    }
}
