//! A page of products as an answer: body, total, and the names of the next page, as the request and the content faults
//! want them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::catalogue::Snapshot;
use crate::fault::{Fault, Total};
use crate::format;
use crate::paging::{BadParam, Position, Scheme, chosen};
use crate::record::{Entry, push_number};
use crate::request::Request;
use crate::settings::{PastEnd, Settings};

/// The number of the page that a request asks for; 1 where it cannot be read.
pub(crate) fn page_asked(request: &Request, scheme: Scheme, snapshot: &Snapshot, settings: &Settings) -> u64 {
    Position::read(scheme, &request.query, &snapshot.entries, settings).map_or(1, |position| position.page)
}

/// What a request for products is answered from.
pub(crate) struct Listing<'a> {
    pub(crate) request: &'a Request,
    pub(crate) scheme: Scheme,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) settings: &'a Settings,
    pub(crate) faults: &'a [Fault],
}

/// One page, decided but not yet written.
struct Page<'a> {
    position: Position,
    entries: &'a [Entry],
    total: Option<u64>,
    next: Option<String>,
}

impl Listing<'_> {
    /// The answer, with its body in `body`'s memory.
    pub(crate) fn answer(&self, body: Vec<u8>) -> Answer {
        match self.try_answer(body) {
            Ok(answer) => answer,
            Err(BadParam(name)) => Answer::error(400, Some(&format!("bad parameter {name}"))),
        }
    }

    fn try_answer(&self, mut body: Vec<u8>) -> Result<Answer, BadParam> {
        body.clear();
        let chosen = chosen(&self.request.path, &self.request.query, self.snapshot)?;
        let list = chosen.as_deref().unwrap_or(&self.snapshot.entries);
        let page = self.page(list)?;
        if page.entries.is_empty() && page.position.start > 0 {
            match self.settings.past_end {
                PastEnd::Empty => {}
                PastEnd::NotFound => return Ok(Answer::error(404, None)),
                PastEnd::BadRequest => return Ok(Answer::error(400, None)),
            }
        }
        let mut answer = Answer::json(200, body);
        self.add_headers(&page, &mut answer);
        if self
            .request
            .header("if-none-match")
            .is_some_and(|known| known == self.validator(&page))
            && self.faults.is_empty()
        {
            answer.status = 304;
            return Ok(answer);
        }
        self.write_body(&page, &mut answer.body);
        if let Some(content_type) = format::rewrite(self.request.query.get("format"), &mut answer.body) {
            answer.set_header("Content-Type", content_type);
        }
        Ok(answer)
    }

    fn page<'l>(&self, all: &'l [Entry]) -> Result<Page<'l>, BadParam> {
        let (mut list, mut total) = (all, all.len());
        for fault in self.faults {
            if let Fault::HalfRows { total: told } = fault {
                list = &all[..all.len() / 2];
                total = if *told == Total::Matching { list.len() } else { total };
            }
        }
        let mut position = Position::read(self.scheme, &self.request.query, list, self.settings)?;
        for fault in self.faults {
            if let Fault::RepeatPage(page) = fault {
                position = position.at_page(*page);
            }
        }
        let mut entries = position.slice(list);
        if self.faults.contains(&Fault::HalfPage) {
            entries = &entries[..entries.len() / 2];
        }
        let total = (self.request.query.get("total") != Some("0")).then_some(total as u64);
        Ok(Page {
            position,
            entries,
            total,
            next: position.next(list, self.settings),
        })
    }

    fn add_headers(&self, page: &Page<'_>, answer: &mut Answer) {
        answer.set_header("ETag", &self.validator(page));
        if let Some(total) = page.total {
            answer.set_header("X-Total-Count", &total.to_string());
        }
        let Some(next) = &page.next else { return };
        match self.scheme {
            Scheme::Cursor => answer.set_header("X-Next", next),
            Scheme::NextUrl => answer.set_header("X-Next", &self.url(next)),
            Scheme::Link => {
                let first = self.url(&self.settings.first_page.to_string());
                answer.set_header(
                    "Link",
                    &format!("<{first}>; rel=\"first\", <{}>; rel=\"next\"", self.url(next)),
                );
            }
            _ => {}
        }
    }

    fn validator(&self, page: &Page<'_>) -> String {
        // Another content is another version, also where it is so by a fault.
        let faults = match self.faults {
            [] => String::new(),
            faults => format!("-{faults:?}").replace(['"', '\\'], "'"),
        };
        let (start, length) = (page.position.start, page.entries.len());
        format!("\"{}-{start}-{length}{faults}\"", self.snapshot.mutations)
    }

    /// The request's own URL with another place; `?next=relative` makes it a path.
    fn url(&self, place: &str) -> String {
        let query = self.request.query.with(self.scheme.place_param(), place);
        match (self.request.query.get("next"), self.request.header("host")) {
            (Some("relative"), _) | (_, None) => format!("{}?{query}", self.request.path),
            (_, Some(host)) => format!("http://{host}{}?{query}", self.request.path),
        }
    }

    fn write_body(&self, page: &Page<'_>, body: &mut Vec<u8>) {
        let bare = self.request.query.get("bare") == Some("1") || self.request.query.get("format").is_some();
        body.extend_from_slice(if bare { b"[" } else { b"{\"data\":[" });
        for (at, entry) in page.entries.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            self.write_record(*entry, body);
        }
        body.push(b']');
        if !bare {
            self.write_meta(page, body);
        }
    }

    fn write_record(&self, entry: Entry, body: &mut Vec<u8>) {
        let from = body.len();
        entry.push_json(body);
        for fault in self.faults {
            if let Fault::AlterRecord { id, member, value } = fault
                && *id == entry.id
            {
                let altered = alter(&body[from..], member, value.as_deref());
                body.truncate(from);
                body.extend_from_slice(&altered);
            }
        }
    }

    fn write_meta(&self, page: &Page<'_>, body: &mut Vec<u8>) {
        let size = page.position.size.max(1);
        body.extend_from_slice(b",\"meta\":{\"page\":");
        push_number(body, page.position.page);
        body.extend_from_slice(b",\"size\":");
        push_number(body, size);
        if let Some(total) = page.total {
            body.extend_from_slice(b",\"total\":");
            push_number(body, total);
            body.extend_from_slice(b",\"total_pages\":");
            push_number(body, total.div_ceil(size));
        }
        if matches!(self.scheme, Scheme::Cursor | Scheme::NextUrl) {
            body.extend_from_slice(b",\"next\":");
            body.extend_from_slice(self.next_in_body(page).to_string().as_bytes());
        }
        body.extend_from_slice(b"}}");
    }

    /// The next page as the body names it: `?next=number` a bare number, `?next=object` the parameters to merge.
    fn next_in_body(&self, page: &Page<'_>) -> serde_json::Value {
        let Some(next) = &page.next else {
            return serde_json::Value::Null;
        };
        if self.scheme == Scheme::NextUrl {
            return self.url(next).into();
        }
        match self.request.query.get("next") {
            Some("number") => page.entries.last().map(|entry| entry.id).into(),
            Some("object") => serde_json::json!({ "cursor": next, "limit": page.position.size }),
            _ => next.as_str().into(),
        }
    }
}

/// The record with one member's raw text replaced, added, or (`None`) left out. Members end up sorted by name.
fn alter(record: &[u8], member: &str, value: Option<&str>) -> Vec<u8> {
    let mut members: BTreeMap<&str, &RawValue> =
        serde_json::from_slice(record).expect("we write records as valid JSON");
    members.remove(member);
    let kept = members.iter().map(|(name, value)| (*name, value.get()));
    let mut out = b"{".to_vec();
    for (at, (name, value)) in kept.chain(value.map(|value| (member, value))).enumerate() {
        let separator = if at == 0 { "" } else { "," };
        out.extend_from_slice(format!("{separator}\"{name}\":{value}").as_bytes());
    }
    out.push(b'}');
    out
}
