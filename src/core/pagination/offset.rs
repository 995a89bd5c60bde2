//! Offsets: the token is the number of records before the page. Where a page really ends is known only when it came;
//! pages ahead are asked at the offset where they should begin if every page is full.

use super::PageToken;

/// Stands before the page that is expected next.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    next: u64,
}

impl Offsets {
    /// None for a token of another kind.
    pub(super) fn new(token: Option<&PageToken>) -> Option<Offsets> {
        let next = token.map_or(Some(0), |token| token.0.parse().ok())?;
        Some(Offsets { next })
    }

    pub(super) fn token(&self, ahead: u64, step: u64) -> PageToken {
        PageToken(self.next.saturating_add(ahead.saturating_mul(step)).to_string())
    }

    /// The next page begins after what came. An empty page that does not end the read is stepped over.
    pub(super) fn advance(&mut self, records: u64, step: u64) {
        self.next = self.next.saturating_add(if records > 0 { records } else { step });
    }
}
