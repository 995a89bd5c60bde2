//! Pagination by the names of parameters and of the members beside the records.

use super::Param;
use super::listing::{Beside, Listing};
use crate::discover::{Member, word};
use serde_json::{Value, json};

/// How a list is paged, as far as names tell.
#[derive(Debug, Default)]
pub(super) struct Paging {
    /// The setting `pagination`; empty: one request.
    pub setting: Vec<Member>,
    pub size: Option<u64>,
    /// Parameters that each request carries.
    pub extra: Vec<Member>,
    /// The names of all parameters that paging takes.
    pub params: Vec<String>,
    pub evidence: String,
    pub doubt: Option<String>,
}

const PAGE: [&str; 5] = ["page", "pagenumber", "pageno", "pageindex", "p"];
const OFFSET: [&str; 5] = ["offset", "skip", "start", "startat", "pageoffset"];
const TOKEN: [&str; 9] = [
    "cursor",
    "pagetoken",
    "nexttoken",
    "continuationtoken",
    "pagecursor",
    "token",
    "nextpagetoken",
    "marker",
    "after",
];
const BEHIND: [&str; 4] = ["startingafter", "afterid", "sinceid", "after"];
const SIZE: [&str; 9] = [
    "perpage",
    "limit",
    "pagesize",
    "pagelimit",
    "size",
    "maxresults",
    "count",
    "top",
    "itemsperpage",
];
const NEXT_ADDRESS: [&str; 7] = [
    "nexturl",
    "nexturi",
    "nextpageurl",
    "nextlink",
    "odatanextlink",
    "nexthref",
    "nextpageuri",
];
const NEXT_TOKEN: [&str; 8] = [
    "nextcursor",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "nextpagecursor",
    "nextmarker",
    "endcursor",
    "cursor",
];
const TOTAL: [&str; 8] = [
    "total",
    "totalcount",
    "totalresults",
    "totalitems",
    "totalelements",
    "totalrecords",
    "totalsize",
    "numfound",
];
const USUAL_SIZE: u64 = 100;
const LARGEST_SIZE: u64 = 1000;

pub(super) fn find(params: &[Param<'_>], listing: &Listing) -> Paging {
    let query = |words: &[&str]| {
        let named = |wanted: &&str| {
            let is_it = |param: &&Param<'_>| param.place == "query" && word(param.name) == **wanted;
            params.iter().find(is_it).copied()
        };
        words.iter().find_map(named)
    };
    let size = query(&SIZE);
    let total = listing
        .beside
        .iter()
        .find(|beside| beside.is_integer && TOTAL.contains(&beside.word.as_str()));
    let next = |words: &[&str]| {
        let found = words
            .iter()
            .find_map(|wanted| listing.beside.iter().find(|b| b.word == *wanted));
        found.filter(|_| listing.format.is_none())
    };
    let address = next(&NEXT_ADDRESS).or_else(|| listing.beside.iter().find(|beside| names_address(beside)));
    let build = Build { size, total };
    if let Some(next) = address {
        return build.named(
            "next_url",
            &next.path,
            None,
            format!("{} names the next page.", next.path),
        );
    }
    if let (Some(token), Some(param)) = (next(&NEXT_TOKEN).or_else(|| next(&["next"])), query(&TOKEN)) {
        let evidence = format!("{} is sent as {}.", token.path, param.name);
        return build.named("cursor", &token.path, Some(param.name), evidence);
    }
    if let Some(param) = query(&PAGE) {
        return build.placed("page", "size_param", &param);
    }
    if let Some(param) = query(&OFFSET) {
        return build.placed("offset", "limit_param", &param);
    }
    if let (Some(param), [key]) = (query(&BEHIND), listing.key.as_slice()) {
        return build.behind(param.name, key);
    }
    if listing.has_link_header {
        return build.with(
            "link_header",
            Vec::new(),
            "The answer has a Link header.".to_owned(),
            None,
        );
    }
    if let Some(next) = next(&["next"]) {
        let doubt = "Whether it is an address is not said.";
        let mut paging = build.named(
            "next_url",
            &next.path,
            None,
            format!("{} names the next page.", next.path),
        );
        paging.doubt = Some(doubt.to_owned());
        return paging;
    }
    let doubt = match size {
        Some(size) => format!(
            "{} suggests pages, and nothing says how the next is asked for.",
            size.name
        ),
        None => "No pages are described: it may all come at once.".to_owned(),
    };
    Paging {
        doubt: Some(doubt),
        ..Paging::default()
    }
}

/// `links.next`, `_links.next.href`, or a `next` that is said to be an address.
fn names_address(beside: &Beside) -> bool {
    let is_link = beside.word == "next" && matches!(beside.parent.as_str(), "links" | "link");
    let is_href = matches!(beside.word.as_str(), "href" | "url") && beside.parent == "next";
    is_href || is_link && beside.name == "next" && beside.is_address || beside.word == "next" && beside.is_address
}

struct Build<'p> {
    size: Option<Param<'p>>,
    total: Option<&'p Beside>,
}

impl Build<'_> {
    fn named(&self, kind: &str, next: &str, param: Option<&str>, evidence: String) -> Paging {
        let mut setting: Vec<Member> = Vec::new();
        setting.extend(param.map(|param| ("param".to_owned(), json!(param).to_string())));
        setting.push(("next".into(), json!(next).to_string()));
        setting.extend(self.total_member());
        self.with(kind, setting, evidence, param)
    }

    fn placed(&self, kind: &str, size_key: &str, param: &Param<'_>) -> Paging {
        let mut setting: Vec<Member> = vec![("param".into(), json!(param.name).to_string())];
        let first = ["default", "minimum"]
            .into_iter()
            .find_map(|key| param.schema.get(key)?.as_u64());
        if kind == "page" && first == Some(0) {
            setting.push(("start".into(), "0".into()));
        }
        let mut paging = self.with(
            kind,
            setting,
            format!("The parameter {} says which page.", param.name),
            Some(param.name),
        );
        paging.extra.clear();
        if let Some(size) = &self.size {
            paging.size = Some(size_of(size.schema));
            paging.setting.push((size_key.into(), json!(size.name).to_string()));
        }
        paging.setting.extend(self.total_member());
        paging
    }

    fn behind(&self, param: &str, key: &str) -> Paging {
        let setting = vec![
            ("param".to_owned(), json!(param).to_string()),
            ("column".to_owned(), json!(key).to_string()),
        ];
        let mut paging = self.with(
            "keyset",
            setting,
            format!("{param} takes the last record's {key}."),
            Some(param),
        );
        paging.doubt = Some("Whether records come in the order of the key is not said.".to_owned());
        paging
    }

    fn with(&self, kind: &str, rest: Vec<Member>, evidence: String, param: Option<&str>) -> Paging {
        let mut setting: Vec<Member> = vec![("type".into(), json!(kind).to_string())];
        setting.extend(rest);
        let size = self.size.as_ref();
        let own = |size: &Param<'_>| {
            (
                size.name.to_owned(),
                json!(size_of(size.schema).to_string()).to_string(),
            )
        };
        let names = param.into_iter().chain(size.map(|size| size.name));
        Paging {
            setting,
            size: None,
            extra: size.map(own).into_iter().collect(),
            params: names.map(str::to_owned).collect(),
            evidence,
            doubt: None,
        }
    }

    fn total_member(&self) -> Option<Member> {
        self.total
            .map(|total| ("total".to_owned(), json!(total.path).to_string()))
    }
}

/// The largest page that the parameter's schema allows, within reason.
fn size_of(schema: &Value) -> u64 {
    let most = schema.get("maximum").and_then(Value::as_u64);
    let usual = schema.get("default").and_then(Value::as_u64).unwrap_or(USUAL_SIZE);
    most.unwrap_or(usual.max(USUAL_SIZE)).clamp(1, LARGEST_SIZE)
}
