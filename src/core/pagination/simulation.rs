//! A remote and a reader in memory, for the properties in `plan_tests`.

use std::collections::BTreeMap;

use super::{Answer, Ask, PageToken, Pagination, Position, ReadPlan, Seen, Source, Stop, Totals, Verdict};
use crate::data::path::SingularQuery;
use crate::http::HttpError;
use crate::retry::SplitMix64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    None,
    Page,
    Offset,
    LinkHeader,
    /// The records are their own keys.
    Keyset,
}

/// A remote collection of the records 0, 1, 2 … `size - 1`.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub scheme: Scheme,
    pub stop: Stop,
    pub size: u64,
    /// Longest page that the remote gives.
    pub clamp: u64,
    pub declares_total: bool,
    pub declares_pages: bool,
    /// Pages of an offset read come shorter than they could, here and there.
    pub is_ragged: bool,
}

impl Remote {
    pub fn pagination(&self) -> Pagination {
        let header = |is_declared: bool, name: &str| is_declared.then(|| Source::Header(name.into()));
        let totals = Totals {
            records: header(self.declares_total, "x-total"),
            pages: header(self.declares_pages, "x-pages"),
        };
        let (size_param, stop) = (Some("size".into()), self.stop);
        match self.scheme {
            Scheme::None => Pagination::None,
            Scheme::Page => Pagination::Page {
                param: "page".into(),
                start: 1,
                size_param,
                totals,
                stop,
            },
            Scheme::Offset => Pagination::Offset {
                param: "offset".into(),
                limit_param: size_param,
                totals,
                stop,
            },
            Scheme::LinkHeader => Pagination::LinkHeader,
            Scheme::Keyset => Pagination::Keyset {
                param: "after".into(),
                column: "last".into(),
                last: Source::Body(SingularQuery::member("last")),
            },
        }
    }

    /// Where the asked page begins, and how many records it has at most.
    pub fn place(&self, ask: &Ask, page_size: Option<u64>) -> (u64, u64) {
        let length = page_size.unwrap_or(20).min(self.clamp);
        match self.scheme {
            Scheme::None => (0, self.size),
            Scheme::Page => ((ask.token.0.parse::<u64>().unwrap() - 1) * length, length),
            Scheme::Offset => (ask.token.0.parse().unwrap(), length),
            Scheme::LinkHeader => (ask.token.0.rsplit('=').next().unwrap().parse().unwrap_or(0), length),
            Scheme::Keyset => (ask.token.0.parse().map_or(0, |last: u64| last + 1), length),
        }
    }

    /// The answer, and the records in it.
    pub fn answer(&self, ask: &Ask, page_size: Option<u64>) -> (Answer, Vec<u64>) {
        let (from, mut length) = self.place(ask, page_size);
        let longest = length.max(1);
        if self.is_ragged && self.scheme == Scheme::Offset && from % 3 == 1 {
            length = length.div_ceil(2);
        }
        let records: Vec<u64> = (from.min(self.size)..(from + length).min(self.size)).collect();
        let has_end = !matches!(self.scheme, Scheme::Keyset);
        let is_gone = has_end && self.stop == Stop::NotFound && from > 0 && records.is_empty();
        let goes_on = self.scheme == Scheme::LinkHeader && from + length < self.size;
        let answer = Answer {
            number: ask.number,
            epoch: ask.epoch,
            status: if is_gone { 404 } else { 200 },
            records: records.len() as u64,
            total: (self.declares_total && has_end && !is_gone).then_some(self.size),
            total_pages: (self.declares_pages && has_end && !is_gone).then_some(self.size.div_ceil(longest)),
            next: match self.scheme {
                Scheme::Keyset => records.last().map(|last| PageToken(last.to_string())),
                _ => goes_on.then(|| PageToken(format!("https://h.example/v1/x?from={}", from + length))),
            },
            digest: Some(blake3::hash(format!("{records:?}").as_bytes()).into()),
        };
        (answer, records)
    }
}

/// Reads a [`Remote`] with a plan, completing requests in an order drawn from a seed.
pub(super) struct Reader<'a> {
    pub remote: &'a Remote,
    pub page_size: Option<u64>,
    pub window: u64,
    pub random: SplitMix64,
    pub delivered: Vec<u64>,
    /// Most wanted requests that were under way at a time.
    pub widest: usize,
    /// Where to go on, after each page that was given out.
    pub position: Position,
}

impl<'a> Reader<'a> {
    pub fn new(remote: &'a Remote, page_size: Option<u64>, window: u64, seed: u64) -> Reader<'a> {
        Reader {
            remote,
            page_size,
            window,
            random: SplitMix64::new(seed),
            delivered: Vec::new(),
            widest: 0,
            position: Position::default(),
        }
    }

    /// Reads on from the position, until the end or until `pages` pages were given out. True: it was the end.
    pub fn read(&mut self, pages: u64) -> Result<bool, HttpError> {
        let mut plan = ReadPlan::new(&self.remote.pagination(), self.page_size, self.position.clone())?;
        let mut out: Vec<Ask> = Vec::new();
        let mut came: BTreeMap<u64, Ask> = BTreeMap::new();
        let (mut given, first) = (0, self.position.number.max(1));
        while !plan.is_finished() && given < pages {
            assert!(plan.expected() < 5000, "the read does not end");
            let through = first - 1 + given + self.window;
            while let Some(ask) = plan.next_ask(through) {
                self.check_ask(&ask);
                out.push(ask);
                let wanted = out.iter().filter(|ask| plan.wants(ask.number, ask.epoch)).count();
                self.widest = self.widest.max(wanted);
                if self.random.next_f64() < 0.3 {
                    break;
                }
            }
            if !out.is_empty() {
                let ask = out.swap_remove((self.random.next_u64() % out.len() as u64) as usize);
                if plan.wants(ask.number, ask.epoch) {
                    came.insert(ask.number, ask);
                }
            }
            while let Some(ask) = came.remove(&plan.expected()) {
                let epoch = plan.epoch();
                given += self.take(&mut plan, ask)?;
                if plan.epoch() != epoch {
                    came.clear();
                }
                if plan.is_finished() || given >= pages {
                    break;
                }
            }
        }
        Ok(plan.is_finished())
    }

    fn check_ask(&self, ask: &Ask) {
        let (from, _) = self.remote.place(ask, self.page_size);
        if let Some(total) = self.position.total_seen {
            assert!(from < total.max(1), "asked for {from} of {total}");
        }
    }

    fn take(&mut self, plan: &mut ReadPlan, ask: Ask) -> Result<u64, HttpError> {
        let (answer, records) = self.remote.answer(&ask, self.page_size);
        let (total, answer_pages) = (answer.total, answer.total_pages);
        let seen = Seen {
            token: ask.token.clone(),
            records: answer.records,
            digest: answer.digest.unwrap_or_default(),
        };
        match plan.answered(answer)? {
            Verdict::Stale => Ok(0),
            Verdict::End => Ok(1),
            Verdict::Page { last, next } => {
                assert_eq!(last, next.is_none());
                self.delivered.extend(&records);
                let mut before = std::mem::take(&mut self.position.before);
                before.push(seen);
                self.position = Position {
                    number: ask.number + 1,
                    token: next,
                    total_seen: total.or(self.position.total_seen),
                    pages_seen: answer_pages.or(self.position.pages_seen),
                    records: self.delivered.len() as u64,
                    before,
                };
                Ok(1)
            }
        }
    }
}
