//! Numbered pages: the token is the page's number as the remote counts, and does not depend on the pages' lengths.

use super::PageToken;

/// Stands before the page that is expected next.
#[derive(Debug, Clone)]
pub(super) struct PageNumbers {
    next: u64,
}

impl PageNumbers {
    /// `start` is the remote's number of the first page; a resumed read has a token. None for a token of another kind.
    pub(super) fn new(start: u64, token: Option<&PageToken>) -> Option<PageNumbers> {
        let next = token.map_or(Some(start), |token| token.0.parse().ok())?;
        Some(PageNumbers { next })
    }

    pub(super) fn token(&self, ahead: u64) -> PageToken {
        PageToken(self.next.saturating_add(ahead).to_string())
    }

    pub(super) fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
    }
}
