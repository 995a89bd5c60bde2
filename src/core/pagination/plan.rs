//! The plan of one read: which page may be asked for now, and what an answer means.
//!
//! Invariants:
//! - Answers are taken in page order, so that what a page means never depends on pages after it.
//! - The first page of a read is asked for alone. Pages ahead are asked for only while the pages that came were full.
//! - Asks ahead rest on a guess of where a page begins. Where the guess was wrong, the epoch moves on, everything
//!   asked ahead is void and is asked for again at the right place.
//! - Past a declared total, or past the first end page, nothing is asked for.

use std::collections::{HashSet, VecDeque};

use super::places::{Pace, Places};
use super::{Answer, Ask, PageToken, Pagination, Position, Stop, Verdict};
use crate::http::{HttpError, status};

/// Pages without records that may follow each other, each with a new name for the next one. Some remotes filter a page after
/// they have cut it; none does so for ever.
const MOST_EMPTY: usize = 1000;

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
    total_pages: Option<u64>,
    /// Hashes, so that a read of a hundred thousand links stays small.
    seen_tokens: HashSet<[u8; 32]>,
    seen_pages: HashSet<[u8; 32]>,
    /// Pages without records in a row, up to here.
    empty: usize,
    finished: bool,
}

impl ReadPlan {
    /// # Errors
    /// `BadToken` where the position's token is of another scheme.
    pub fn new(pagination: &Pagination, page_size: Option<u64>, start: Position) -> Result<ReadPlan, HttpError> {
        let expected = start.number.max(1);
        let places = Places::new(pagination, start.token.as_ref());
        Ok(ReadPlan {
            places: places.ok_or(HttpError::BadToken { page: expected })?,
            stop: pagination.stop(),
            page_size,
            expected,
            asked: VecDeque::new(),
            epoch: 0,
            pace: Pace::new(page_size),
            records: start.records,
            total: start.total_seen,
            total_pages: start.pages_seen,
            // Only a page with records is a repeated one: empty pages all look the same.
            seen_pages: start
                .before
                .iter()
                .filter(|p| p.records > 0)
                .map(|p| p.digest)
                .collect(),
            seen_tokens: start.before.iter().map(|p| token_hash(&p.token)).collect(),
            empty: start.before.iter().rev().take_while(|p| p.records == 0).count(),
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
        let last_page = self.total_pages.filter(|_| matches!(self.places, Places::Page(_)));
        let is_listed = last_page.is_none_or(|last| self.expected.saturating_add(ahead) <= last);
        self.pace.is_full && is_listed && self.total.is_none_or(|total| begins_at < total)
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

    /// Takes the answer for the expected page and says what it means. A status that says that there is no such page is
    /// taken as the end; whether it is one, or a failure that has no place here, says [`ReadPlan::is_end_when_absent`].
    ///
    /// # Errors
    /// The read cannot go on: `PaginationLoop`, `MissingTotal`.
    pub fn answered(&mut self, answer: Answer) -> Result<Verdict, HttpError> {
        if self.finished || answer.epoch != self.epoch || answer.number != self.expected || self.asked.is_empty() {
            return Ok(Verdict::Stale);
        }
        if status::says_absent(answer.status) {
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

    /// Whether a status of [`status::says_absent`] for this page is the end of the read and not a failure. Nothing is asked
    /// for past a declared end, so where one is declared a doubtful status is none.
    pub fn is_end_when_absent(&self, number: u64, status: u16) -> bool {
        let is_declared =
            self.total.is_some() || (matches!(self.places, Places::Page(_)) && self.total_pages.is_some());
        self.stop == Some(Stop::NotFound) && number > 1 && (status::is_surely_absent(status) || !is_declared)
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

    /// An error where a page with records, or the page that it names next, came before in this read, and where page after
    /// page without records names another one.
    fn check_loop(&mut self, answer: &Answer) -> Result<(), HttpError> {
        if let (Places::Link(_), Some(own)) = (&self.places, self.asked.front()) {
            self.seen_tokens.insert(token_hash(own));
        }
        if answer.records == 0 {
            self.empty += 1;
            return match &self.places {
                Places::Link(_) if self.empty >= MOST_EMPTY && answer.next.is_some() => self.looped(answer),
                _ => Ok(()),
            };
        }
        self.empty = 0;
        let token_repeats = self.repeats_token(answer);
        let page_repeats = answer.digest.is_some_and(|digest| !self.seen_pages.insert(digest));
        match token_repeats || page_repeats {
            true => self.looped(answer),
            false => Ok(()),
        }
    }

    fn looped(&mut self, answer: &Answer) -> Result<(), HttpError> {
        self.finished = true;
        Err(HttpError::PaginationLoop { page: answer.number })
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
        self.total_pages = answer.total_pages.or(self.total_pages);
        if self.stop == Some(Stop::Total) && self.total.is_none() && self.total_pages.is_none() {
            self.finished = true;
            return Err(HttpError::MissingTotal { page: answer.number });
        }
        Ok(())
    }

    /// Moves to the next page. Asks ahead that do not begin where it begins are void.
    fn advance(&mut self, answer: &Answer) {
        self.places.advance(answer, self.pace.step);
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
        if self.total.is_some_and(|total| self.records >= total) || self.has_all_pages(answer.number) {
            return true;
        }
        match self.stop {
            Some(Stop::Total) => answer.records == 0 && self.is_past_total(answer.number),
            Some(Stop::Short) => answer.records == 0 || full.is_some_and(|full| answer.records < full),
            _ => answer.records == 0,
        }
    }

    /// Whether the declared number of numbered pages has come. Offsets move by what came: where pages were short, more
    /// are needed than were declared.
    fn has_all_pages(&self, number: u64) -> bool {
        matches!(self.places, Places::Page(_)) && self.total_pages.is_some_and(|pages| number >= pages)
    }

    /// Whether the page just taken lies at or past the place where the declared total should have been reached. Totals
    /// that count hidden records are never reached by counting.
    fn is_past_total(&self, number: u64) -> bool {
        let by_pages = self.total_pages.map(|pages| pages.saturating_mul(self.pace.step));
        let total = self.total.or(by_pages).unwrap_or(0);
        match &self.places {
            Places::Offset(offsets) => {
                self.pace.step == 0 || offsets.token(0, 0).0.parse().is_ok_and(|at: u64| at >= total)
            }
            _ => self.pace.step == 0 || number.saturating_mul(self.pace.step) >= total,
        }
    }
}

fn token_hash(token: &PageToken) -> [u8; 32] {
    blake3::hash(token.0.as_bytes()).into()
}
