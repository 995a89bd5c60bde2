//! Reading below one parent.

use crate::pipeline::batch::signed;
use crate::pipeline::decode::Arrived;
use crate::pipeline::failures;
use crate::pipeline::pages::{Fetched, lost_token};
use crate::pipeline::plan::Plan;
use crate::store::parent::{Mark, Totals};
use sluice_core::cursor::Cursor;
use sluice_core::error::Error;
use sluice_core::foreach::{Absent, Parent, ParentState, Unusable};
use sluice_core::http::HttpError;
use sluice_fetch::{Failure, FetchedPage, Poll, Read};

/// A parent whose pages are being asked for, or that cannot be asked for.
pub struct Below {
    pub ordinal: i64,
    pub parent: Parent,
    pub remote: Result<Read<Arrived>, Unusable>,
    /// The number of its first page, once it has one.
    pub first_page: Option<i64>,
    pub pages: i64,
    pub records: i64,
    /// How far its records reach, as the remote wrote it.
    pub reach: Option<String>,
    pub totals: Totals,
}

/// What a parent has to give.
pub enum Step {
    Page(Box<FetchedPage<Arrived>>),
    End,
    Failed(String),
    Error(Error),
    Nothing,
}

impl Below {
    pub fn mark(&self, state: ParentState) -> Mark {
        Mark {
            ordinal: self.ordinal,
            state,
            first_page: self.first_page.unwrap_or(0),
            pages: self.pages,
            records: self.records,
            reach: self.reach.clone(),
            totals: self.totals,
            kept: false,
            error: None,
        }
    }

    /// Takes a page, by its number in the whole read, into what is said of the parent.
    pub fn see(&mut self, page: &FetchedPage<Arrived>, cursor: Option<&Cursor>) {
        self.first_page.get_or_insert(signed(page.number));
        self.pages += 1;
        self.records += signed(page.records);
        let total = page.total.map(signed);
        if self.pages == 1 {
            self.totals.first = total;
        }
        self.totals.last = total.or(self.totals.last);
        let fresh = page.page.as_ref().and_then(|arrived| arrived.fresh.as_ref());
        if let (Some(cursor), Some(fresh)) = (cursor, fresh) {
            let highest = fresh.sifted.page.reach.highest.clone();
            self.reach = cursor.format.later(self.reach.take(), highest);
        }
    }

    /// `number`: that of the next page of the whole read.
    pub fn step(&self, plan: &Plan, absent: Absent, number: i64) -> Step {
        let remote = match &self.remote {
            Ok(remote) => remote,
            Err(unusable) => return Step::Failed(unusable.to_string()),
        };
        match remote.poll() {
            Poll::Page(page) => Step::Page(Box::new(page)),
            Poll::Finished => Step::End,
            Poll::Pending => Step::Nothing,
            Poll::Failed(failure) => match absent {
                Absent::Skip if self.is_absent(&failure) => Step::Failed(failure.error.to_string()),
                Absent::Empty if self.is_absent(&failure) => Step::End,
                _ => {
                    failures::note_place(plan, number, failure.attempts);
                    Step::Error(of_the_run(plan, failure))
                }
            },
        }
    }

    /// Whether the remote says that there is no such parent.
    fn is_absent(&self, failure: &Failure) -> bool {
        let is_unknown = matches!(&failure.error, Error::Http(HttpError::Status { status: 404 | 410, .. }));
        self.pages == 0 && is_unknown
    }
}

/// A lost token ends the run; the next one begins anew.
fn of_the_run(plan: &Plan, failure: Failure) -> Error {
    match lost_token(plan, &failure) {
        Some(Fetched::TokenLost { page, remote, status }) => {
            let restarts = 0;
            HttpError::TokenLost {
                remote,
                page,
                status,
                restarts,
            }
            .into()
        }
        _ => failure.error,
    }
}
