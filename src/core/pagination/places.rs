//! Where the pages of a read are, and how long they are: what the plan knows of the remote so far.

use super::link_header::Links;
use super::offset::Offsets;
use super::page::PageNumbers;
use super::{Answer, PageToken, Pagination, single};

/// Where the expected page and those after it are.
#[derive(Debug, Clone)]
pub(super) enum Places {
    Single,
    Page(PageNumbers),
    Offset(Offsets),
    Link(Links),
}

impl Places {
    /// At the read's start, or where `token` says. None for a token of another scheme.
    pub(super) fn new(pagination: &Pagination, token: Option<&PageToken>) -> Option<Places> {
        match pagination {
            Pagination::None => Some(Places::Single),
            Pagination::Page { start, .. } => PageNumbers::new(*start, token).map(Places::Page),
            Pagination::Offset { .. } => Offsets::new(token).map(Places::Offset),
            Pagination::LinkHeader
            | Pagination::Cursor { .. }
            | Pagination::NextUrl { .. }
            | Pagination::Keyset { .. } => Some(Places::Link(Links::new(token))),
        }
    }

    /// Moves past the expected page.
    pub(super) fn advance(&mut self, answer: &Answer, step: u64) {
        match self {
            Places::Single => {}
            Places::Page(pages) => pages.advance(),
            Places::Offset(offsets) => offsets.advance(answer.records, step),
            Places::Link(links) => links.advance(answer.next.as_ref()),
        }
    }

    pub(super) fn token(&self, ahead: u64, step: u64) -> Option<PageToken> {
        match self {
            Places::Single => single::token(ahead),
            Places::Page(pages) => Some(pages.token(ahead)),
            Places::Offset(offsets) => Some(offsets.token(ahead, step)),
            Places::Link(links) => links.token(ahead),
        }
    }
}

/// How long pages are, and so whether pages ahead may be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) answers: u64,
    /// Records of a full page: what came, where that differs from what was asked for.
    pub(super) step: u64,
    pub(super) is_full: bool,
}

impl Pace {
    pub(super) fn new(page_size: Option<u64>) -> Pace {
        Pace {
            answers: 0,
            step: page_size.unwrap_or(0),
            is_full: false,
        }
    }

    /// A page as long as a full one lets the read run ahead; a shorter one, or the first one when it is shorter than
    /// asked for, makes it go on one by one until a full page comes.
    pub(super) fn take(&mut self, records: u64, page_size: Option<u64>) {
        let is_first = self.answers == 0;
        self.answers += 1;
        let as_asked = !is_first || page_size.is_none_or(|size| records >= size);
        if records > 0 && (is_first || records > self.step) {
            self.step = records;
        }
        self.is_full = records > 0 && records >= self.step && as_asked;
    }
}
