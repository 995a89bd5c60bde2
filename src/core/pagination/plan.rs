//! The plan of one read: which page may be asked for now, and what an answer means.
//!
//! Invariants:
//! - Answers are taken in page order, so that what a page means never depends on pages after it.
//! - The first page of a read is asked for alone. Pages ahead are asked for only while the pages that came were full.
//! - Asks ahead rest on a guess of where a page begins. Where the guess was wrong, the epoch moves on, everything
//!   asked ahead is void and is asked for again at the right place.
//! - Past a declared total, or past the first end page, nothing is asked for.

use std::collections::{HashSet, VecDeque};

use super::link_header::Links;
use super::offset::Offsets;
use super::page::PageNumbers;
use super::{PageToken, Pagination, Stop, single};
use crate::http::HttpError;

/// A page to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Ordinal within the generation, from 1 on.
    pub number: u64,
    pub token: PageToken,
    /// Which guess of the pages' places it rests on.
    pub epoch: u32,
}

/// What came for an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub number: u64,
    pub epoch: u32,
    /// A status that `http::status::judge` does not refuse.
    pub status: u16,
    pub records: u64,
    /// The declared total in this answer.
    pub total: Option<u64>,
    /// The next page, for schemes in which the remote names it.
    pub next: Option<PageToken>,
    /// Identifies the records; the same one twice in a read, with records, is a loop.
    pub digest: Option<[u8; 32]>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A page. `next` is where a later read would go on; None on the last page.
    Page { last: bool, next: Option<PageToken> },
    /// The end of the read, which carries no page (404 past the end).
    End,
    /// Asked for with a guess that turned out wrong; the page will be asked for again.
    Stale,
}

/// Where a read begins: at the first page by default, or where an earlier read of the generation stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// Number of the next page; 0 counts as 1.
    pub number: u64,
    /// Its token; None: the first page's.
    pub token: Option<PageToken>,
    /// The declared total that was last seen in this generation.
    pub total_seen: Option<u64>,
    /// Records of the pages before.
    pub records: u64,
}

/// Where the expected page and those after it are.
#[derive(Debug, Clone)]
enum Places {
    Single,
    Page(PageNumbers),
    Offset(Offsets),
    Link(Links),
}

impl Places {
    fn token(&self, ahead: u64, step: u64) -> Option<PageToken> {
        match self {
            Places::Single => single::token(ahead),
            Places::Page(pages) => Some(pages.token(ahead)),
            Places::Offset(offsets) => Some(offsets.token(ahead, step)),
            Places::Link(links) => links.token(ahead),
        }
    }
}

/// One read in progress.
#[derive(Debug)]
pub struct ReadPlan {
    places: Places,
    stop: Option<Stop>,
    page_size: Option<u64>,
    /// Number of the page whose answer is taken next.
    expected: u64,
    /// Tokens of the asks that are out, from `expected` on.
    asked: VecDeque<PageToken>,
    epoch: u32,
    pace: Pace,
    /// Records of all pages before `expected`, and the total that was declared for all of them.
    records: u64,
    total: Option<u64>,
    /// Hashes, so that a read of a hundred thousand links stays small.
    seen_tokens: HashSet<[u8; 32]>,
    seen_pages: HashSet<[u8; 32]>,
    finished: bool,
}

/// How long pages are, and so whether pages ahead may be asked for.
#[derive(Debug, Clone, Copy)]
struct Pace {
    answers: u64,
    /// Records of a full page: what came, where that differs from what was asked for.
    step: u64,
    is_full: bool,
}

impl ReadPlan {
    /// # Errors
    /// `BadToken` where the position's token is of another scheme.
    pub fn new(pagination: &Pagination, page_size: Option<u64>, start: Position) -> Result<ReadPlan, HttpError> {
        let expected = start.number.max(1);
        let token = start.token.as_ref();
        let places = match pagination {
            Pagination::None => Some(Places::Single),
            Pagination::Page { start, .. } => PageNumbers::new(*start, token).map(Places::Page),
            Pagination::Offset { .. } => Offsets::new(token).map(Places::Offset),
            Pagination::LinkHeader => Some(Places::Link(Links::new(token))),
        };
        Ok(ReadPlan {
            places: places.ok_or(HttpError::BadToken { page: expected })?,
            stop: pagination.stop(),
            page_size,
            expected,
            asked: VecDeque::new(),
            epoch: 0,
            pace: Pace {
                answers: 0,
                step: page_size.unwrap_or(0),
                is_full: false,
            },
            records: start.records,
            total: start.total_seen,
            seen_tokens: HashSet::new(),
            seen_pages: HashSet::new(),
            finished: false,
        })
    }

    /// The next page that may be fetched now, no page after number `through`; None: wait for answers.
    pub fn next_ask(&mut self, through: u64) -> Option<Ask> {
        let ahead = self.asked.len() as u64;
        let number = self.expected + ahead;
        if self.finished || number > through || (ahead > 0 && !self.may_run_ahead(ahead)) {
            return None;
        }
        let token = self.places.token(ahead, self.pace.step)?;
        self.asked.push_back(token.clone());
        Some(Ask {
            number,
            token,
            epoch: self.epoch,
        })
    }

    fn may_run_ahead(&self, ahead: u64) -> bool {
        if let Places::Link(_) = self.places {
            return self.pace.answers > 0;
        }
        let begins_at = self.records.saturating_add(ahead.saturating_mul(self.pace.step));
        self.pace.is_full && self.total.is_none_or(|total| begins_at < total)
    }

    /// The headers of an asked page have come: where the remote names the next page, that one can be fetched while
    /// this one's records are still being decoded.
    pub fn foresee(&mut self, number: u64, epoch: u32, next: Option<&PageToken>) {
        let (Places::Link(links), Some(next)) = (&mut self.places, next) else {
            return;
        };
        if epoch == self.epoch && number >= self.expected {
            links.foresee(number - self.expected, next);
        }
    }

    /// Takes the answer for the expected page and says what it means.
    ///
    /// # Errors
    /// The read cannot go on: a loop, a missing total, or status 404 where it is not an end.
    pub fn answered(&mut self, answer: Answer) -> Result<Verdict, HttpError> {
        if self.finished || answer.epoch != self.epoch || answer.number != self.expected || self.asked.is_empty() {
            return Ok(Verdict::Stale);
        }
        if is_absent(answer.status) {
            self.finished = true;
            return Ok(Verdict::End);
        }
        self.check_loop(&answer)?;
        self.count(&answer)?;
        let step_before = self.pace.step;
        let is_first = self.pace.answers == 0;
        self.pace.take(answer.records, self.page_size);
        self.advance(&answer);
        let last = self.is_last(&answer, if is_first { None } else { Some(step_before) });
        self.finished = last;
        let next = if last {
            None
        } else {
            self.places.token(0, self.pace.step)
        };
        Ok(Verdict::Page { last, next })
    }

    /// Whether a 404 for this page is the end of the read and not a failure.
    pub fn is_end_when_absent(&self, number: u64) -> bool {
        self.stop == Some(Stop::NotFound) && number > 1
    }

    /// Whether an ask is still wanted: not made void by a wrong guess or by the end of the read.
    pub fn wants(&self, number: u64, epoch: u32) -> bool {
        !self.finished && epoch == self.epoch && number >= self.expected
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number of the page whose answer is taken next.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Records that the asked page's token or content show to have come before in this read.
    fn check_loop(&mut self, answer: &Answer) -> Result<(), HttpError> {
        if let (Places::Link(_), Some(own)) = (&self.places, self.asked.front()) {
            self.seen_tokens.insert(token_hash(own));
        }
        if answer.records == 0 {
            return Ok(());
        }
        let token_repeats = self.repeats_token(answer);
        let page_repeats = answer.digest.is_some_and(|digest| !self.seen_pages.insert(digest));
        if token_repeats || page_repeats {
            self.finished = true;
            return Err(HttpError::PaginationLoop { page: answer.number });
        }
        Ok(())
    }

    fn repeats_token(&self, answer: &Answer) -> bool {
        answer
            .next
            .as_ref()
            .is_some_and(|next| self.seen_tokens.contains(&token_hash(next)))
    }

    fn count(&mut self, answer: &Answer) -> Result<(), HttpError> {
        self.records = self.records.saturating_add(answer.records);
        self.total = answer.total.or(self.total);
        if self.stop == Some(Stop::Total) && self.total.is_none() {
            self.finished = true;
            return Err(HttpError::MissingTotal { page: answer.number });
        }
        Ok(())
    }

    /// Moves to the next page. Asks ahead that do not begin where it begins are void.
    fn advance(&mut self, answer: &Answer) {
        match &mut self.places {
            Places::Single => {}
            Places::Page(pages) => pages.advance(),
            Places::Offset(offsets) => offsets.advance(answer.records, self.pace.step),
            Places::Link(links) => links.advance(answer.next.as_ref()),
        }
        self.expected += 1;
        self.asked.pop_front();
        let real = self.places.token(0, self.pace.step);
        if self.asked.front().is_some_and(|guess| Some(guess) != real.as_ref()) {
            self.epoch += 1;
            self.asked.clear();
        }
    }

    /// `full`: records of a full page as known before this answer; None for the first answer of a read, which shows
    /// what a full page is and so cannot be short.
    fn is_last(&self, answer: &Answer, full: Option<u64>) -> bool {
        match &self.places {
            Places::Single => return true,
            // An empty page may repeat a token; it then is the end.
            Places::Link(_) => return answer.next.is_none() || self.repeats_token(answer),
            Places::Page(_) | Places::Offset(_) => {}
        }
        if self.total.is_some_and(|total| self.records >= total) {
            return true;
        }
        match self.stop {
            Some(Stop::Total) => answer.records == 0 && self.is_past_total(answer.number),
            Some(Stop::Short) => answer.records == 0 || full.is_some_and(|full| answer.records < full),
            _ => answer.records == 0,
        }
    }

    /// Whether the page just taken lies at or past the place where the declared total should have been reached. Totals
    /// that count hidden records are never reached by counting.
    fn is_past_total(&self, number: u64) -> bool {
        let total = self.total.unwrap_or(0);
        match &self.places {
            Places::Offset(offsets) => {
                self.pace.step == 0 || offsets.token(0, 0).0.parse().is_ok_and(|at: u64| at >= total)
            }
            _ => self.pace.step == 0 || number.saturating_mul(self.pace.step) >= total,
        }
    }
}

impl Pace {
    /// A page as long as a full one lets the read run ahead; a shorter one, or the first one when it is shorter than
    /// asked for, makes it go on one by one until a full page comes.
    fn take(&mut self, records: u64, page_size: Option<u64>) {
        let is_first = self.answers == 0;
        self.answers += 1;
        let as_asked = !is_first || page_size.is_none_or(|size| records >= size);
        if records > 0 && (is_first || records > self.step) {
            self.step = records;
        }
        self.is_full = records > 0 && records >= self.step && as_asked;
    }
}

fn token_hash(token: &PageToken) -> [u8; 32] {
    blake3::hash(token.0.as_bytes()).into()
}

fn is_absent(status: u16) -> bool {
    matches!(status, 404 | 410)
}
