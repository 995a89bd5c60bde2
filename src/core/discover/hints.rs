//! What the names in an answer suggest about paging: next pages, totals, sizes, places. Suggestions are tried, not believed.

use super::answer::{Leaf, Page, word};
use crate::data::JsonKind;
use crate::pagination::Source;

/// A value that seems to name the next page.
#[derive(Debug, Clone)]
pub(super) struct NextNamed {
    pub source: Source,
    /// Where it stands, as the settings say it.
    pub place: String,
    /// JSON text.
    pub raw: String,
    pub word: String,
}

/// What kind of a name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    Address,
    /// Parameters to merge.
    Parameters,
    /// A page's number.
    PageNumber,
    Token,
    /// Nothing now: null, false, an empty text.
    Nothing,
}

const NEXT_WORDS: [&str; 24] = [
    "next",
    "nexturl",
    "nexturi",
    "nexthref",
    "nextlink",
    "nextpage",
    "nextpageurl",
    "nextpageuri",
    "nextpagelink",
    "nextcursor",
    "nextpagecursor",
    "nextpagetoken",
    "nexttoken",
    "nextmarker",
    "nextid",
    "odatanextlink",
    "continuation",
    "continuationtoken",
    "continuetoken",
    "endcursor",
    "aftercursor",
    "nextcursorid",
    "nextstart",
    "nextkey",
];
const NEXT_HEADERS: [&str; 9] = [
    "x-next",
    "x-next-page",
    "next-page",
    "x-next-cursor",
    "next-cursor",
    "x-next-token",
    "x-next-page-token",
    "x-continuation-token",
    "x-next-url",
];

/// Every value that seems to name a next page; those that name one now come first, addresses before tokens.
pub(super) fn next_named(page: &Page) -> Vec<NextNamed> {
    let in_headers = NEXT_HEADERS.iter().filter_map(|name| {
        let (shown, value) = page
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(NextNamed {
            source: Source::Header(shown.to_owned()),
            place: format!("header:{shown}"),
            raw: crate::pagination::next::json_of_header(value),
            word: word(name.trim_start_matches("x-")),
        })
    });
    let in_body = page.leaves.iter().filter(|leaf| is_next(leaf)).map(|leaf| NextNamed {
        source: Source::Body(leaf.path.clone()),
        place: leaf.path.to_string(),
        raw: leaf.raw.clone(),
        word: match leaf.word().as_str() {
            "href" | "url" => leaf.parent(),
            own => own.to_owned(),
        },
    });
    let mut found: Vec<NextNamed> = in_body.chain(in_headers).collect();
    found.sort_by_key(|named| match named.kind() {
        NameKind::Address => 0,
        NameKind::Token => 1,
        NameKind::PageNumber | NameKind::Parameters => 2,
        NameKind::Nothing => 3,
    });
    found
}

fn is_next(leaf: &Leaf) -> bool {
    let (own, parent) = (leaf.word(), leaf.parent());
    let is_inner = matches!(own.as_str(), "href" | "url") && parent == "next";
    let is_after =
        matches!(own.as_str(), "after" | "cursor") && matches!(parent.as_str(), "cursors" | "paging" | "next");
    // An object may name the next page by an address in it, which is a leaf of its own.
    let is_holder = leaf.kind() == JsonKind::Object && (leaf.raw.contains("href") || leaf.raw.contains("\"url\""));
    (NEXT_WORDS.contains(&own.as_str()) && !is_holder) || is_inner || is_after && parent != "next"
}

impl NextNamed {
    pub fn kind(&self) -> NameKind {
        let text = self.raw.trim_matches('"').trim();
        let is_page = self.word.contains("page") && !self.word.contains("token") && !self.word.contains("cursor");
        match JsonKind::of(&self.raw) {
            JsonKind::Null | JsonKind::Boolean | JsonKind::Array => NameKind::Nothing,
            JsonKind::Object if text == "{}" => NameKind::Nothing,
            JsonKind::Object => NameKind::Parameters,
            _ if text.is_empty() => NameKind::Nothing,
            _ if text.contains("://") || text.starts_with(['/', '?', '.']) => NameKind::Address,
            _ if is_page && text.bytes().all(|b| b.is_ascii_digit()) => NameKind::PageNumber,
            _ => NameKind::Token,
        }
    }

    /// The parameters that may take the token, the likeliest first.
    pub fn params(&self) -> Vec<String> {
        let own = self.place.rsplit('.').next().unwrap_or_default();
        let own = own.strip_prefix("header:").unwrap_or(own);
        // nextPageToken is sent as pageToken, next_cursor as cursor.
        let stripped = own
            .trim_start_matches("X-")
            .trim_start_matches("x-")
            .trim_start_matches("next")
            .trim_start_matches("Next")
            .trim_start_matches("end")
            .trim_start_matches(['_', '-']);
        let lowered: String = stripped
            .char_indices()
            .map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c })
            .collect();
        let known = [
            "cursor",
            "after",
            "page_token",
            "pageToken",
            "next_token",
            "starting_after",
            "token",
            "next",
        ];
        let mut params: Vec<String> = Vec::new();
        let all = [lowered.replace('-', "_")].into_iter().chain(known.map(str::to_owned));
        for param in all.filter(|param| !param.is_empty()) {
            if !params.contains(&param) {
                params.push(param);
            }
        }
        params
    }
}

/// A total that an answer declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Total {
    pub source: Source,
    pub place: String,
    pub value: u64,
    /// Whether the name may as well mean the records of the page.
    pub is_ambiguous: bool,
}

const TOTAL_WORDS: [&str; 14] = [
    "total",
    "totalcount",
    "totalresults",
    "totalitems",
    "totalelements",
    "totalrecords",
    "totalrows",
    "totalsize",
    "recordstotal",
    "numfound",
    "totalnumber",
    "itemcount",
    "count",
    "odatacount",
];
const TOTAL_HEADERS: [&str; 7] = [
    "x-total-count",
    "x-total",
    "total-count",
    "x-totalcount",
    "x-wp-total",
    "x-pagination-total-count",
    "total-records",
];

/// The totals that an answer declares, the likeliest first.
pub(super) fn totals(page: &Page) -> Vec<Total> {
    let mut found: Vec<Total> = page
        .leaves
        .iter()
        .filter_map(|leaf| {
            let own = leaf.word();
            let is_total = TOTAL_WORDS.contains(&own.as_str()) || own == "value" && leaf.parent() == "total";
            let value = leaf.number().filter(|_| is_total)?;
            Some(Total {
                source: Source::Body(leaf.path.clone()),
                place: leaf.path.to_string(),
                value,
                is_ambiguous: own == "count" || own == "itemcount",
            })
        })
        .collect();
    found.extend(TOTAL_HEADERS.iter().filter_map(|name| {
        let (shown, value) = page
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Total {
            source: Source::Header(shown.to_owned()),
            place: format!("header:{shown}"),
            value: value.trim().parse().ok()?,
            is_ambiguous: false,
        })
    }));
    found.sort_by_key(|total| total.is_ambiguous);
    found
}

/// The total as another answer declares it.
pub(super) fn same_total(total: &Total, page: &Page) -> Option<u64> {
    totals(page)
        .into_iter()
        .find(|other| other.place == total.place)
        .map(|other| other.value)
}

/// Names of parameters for the size of a page, those first that the answer itself has with this many records.
pub(super) fn size_params(page: &Page) -> Vec<String> {
    const KNOWN: [&str; 7] = [
        "per_page",
        "limit",
        "page_size",
        "pageSize",
        "size",
        "count",
        "max_results",
    ];
    let echoed = page.leaves.iter().filter(|leaf| leaf.number() == Some(page.count));
    let own = echoed.filter_map(|leaf| {
        let is_size = matches!(
            leaf.word().as_str(),
            "perpage" | "limit" | "pagesize" | "itemsperpage" | "pagelimit" | "maxresults" | "top"
        );
        leaf.name(0).filter(|_| is_size).map(str::to_owned)
    });
    let mut params: Vec<String> = Vec::new();
    for param in own.chain(KNOWN.map(str::to_owned)) {
        if !params.contains(&param) {
            params.push(param);
        }
    }
    params
}

/// Whether the answer says that nothing follows: a value that names no next page, or `has_more: false`.
pub(super) fn says_it_is_whole(page: &Page) -> bool {
    let named = next_named(page);
    let names_nothing = !named.is_empty() && named.iter().all(|named| named.kind() == NameKind::Nothing);
    let no_more = page.leaves.iter().any(|leaf| {
        matches!(leaf.word().as_str(), "hasmore" | "hasnext" | "hasnextpage" | "more") && leaf.raw == "false"
    });
    let is_total = totals(page)
        .iter()
        .any(|total| total.value == page.count && !total.is_ambiguous);
    names_nothing || no_more || is_total
}

/// Whether the answer has a member of one of these words.
pub(super) fn has(page: &Page, words: &[&str]) -> bool {
    page.leaves.iter().any(|leaf| words.contains(&leaf.word().as_str()))
}
