//! What goes in and out of a [`super::ReadPlan`].

use super::PageToken;

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
    /// The declared total of records in this answer.
    pub total: Option<u64>,
    /// The declared number of pages in this answer.
    pub total_pages: Option<u64>,
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
    /// The same of pages.
    pub pages_seen: Option<u64>,
    /// Records of the pages before.
    pub records: u64,
    /// Those pages: one of them must not come again.
    pub before: Vec<Seen>,
}

/// A page of the last published read, which a 304 makes a page of this read too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPage {
    pub token: PageToken,
    /// What it is asked for with (RFC 9110, 13.1); one of them is there.
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub next: Option<PageToken>,
    pub records: u64,
    pub total: Option<u64>,
    pub total_pages: Option<u64>,
    pub digest: [u8; 32],
}

/// A page that came earlier in the generation, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub token: PageToken,
    pub records: u64,
    pub digest: [u8; 32],
}
