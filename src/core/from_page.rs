//! `start_sync(job, from_page)`: from which page on a read in progress is read again.
//!
//! The pages before it stay as the ledger has them, so it is never one beyond what the ledger proves, and never one whose
//! rows are in the table already.

use crate::Class;
use crate::counted::counted;
use crate::error::Explain;
use crate::sql_text::literal;

/// The read in progress of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The page that comes next; all before it are in the ledger.
    pub next: i64,
    /// Its rows are in the table already: a first load, or a mode that merges or appends as pages come.
    pub in_table: bool,
    pub appends: bool,
    /// It counts something over all of its pages: parents, a watermark, tombstones.
    pub counts: bool,
}

/// What a run that was asked for does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It goes on at the checkpoint, or begins where there is none.
    Checkpoint,
    /// It begins the read anew.
    Anew,
    /// It reads this page and all after it again.
    Page(i64),
}

/// A page that a run cannot start at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FromPageFault {
    #[error("argument \"from_page\" must be at least 1")]
    TooSmall { found: i64 },
    #[error("job \"{job}\" has an open run")]
    OpenRun { job: String },
    #[error("job \"{job}\" cannot start at page {page}")]
    Unproven { job: String, page: i64, next: Option<i64> },
    #[error("job \"{job}\" cannot read page {page} again")]
    InTable { job: String, page: i64 },
    #[error("job \"{job}\" cannot read page {page} again by itself")]
    Counts { job: String, page: i64 },
    #[error("job \"{job}\" cannot begin its read anew")]
    Appends { job: String },
}

/// Where a run starts that is to start at `page`; `read` is none where nothing is being read.
///
/// # Errors
/// All but `OpenRun`.
pub fn start(job: &str, page: i64, read: Option<Progress>) -> Result<Start, FromPageFault> {
    let job = || job.to_owned();
    if page < 1 {
        return Err(FromPageFault::TooSmall { found: page });
    }
    let unproven = |next| FromPageFault::Unproven { job: job(), page, next };
    let Some(read) = read else {
        return if page == 1 {
            Ok(Start::Checkpoint)
        } else {
            Err(unproven(None))
        };
    };
    match page {
        page if page > read.next => Err(unproven(Some(read.next))),
        page if page == read.next => Ok(Start::Checkpoint),
        _ if read.appends => Err(FromPageFault::Appends { job: job() }),
        1 => Ok(Start::Anew),
        page if read.in_table => Err(FromPageFault::InTable { job: job(), page }),
        page if read.counts => Err(FromPageFault::Counts { job: job(), page }),
        page => Ok(Start::Page(page)),
    }
}

impl Explain for FromPageFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            FromPageFault::TooSmall { .. } => "22023",
            _ => "55000",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            FromPageFault::TooSmall { found } => format!("It is {found}."),
            FromPageFault::OpenRun { .. } => "A run that is under way goes on where it is.".into(),
            FromPageFault::Unproven { next: None, .. } => {
                "No read is in progress: the next one begins at page 1.".into()
            }
            FromPageFault::Unproven { next: Some(next), .. } => format!(
                "The ledger has {} of the read in progress; what lies between would never be read.",
                counted(next - 1, "page")
            ),
            FromPageFault::InTable { .. } => {
                "The rows of the pages that were read are in the table already; only the whole read shows which of them are gone."
                    .into()
            }
            FromPageFault::Counts { .. } => {
                "Parents, a cursor and deleted_when are settled over all pages of a read together.".into()
            }
            FromPageFault::Appends { .. } => "Its rows are in the table already, and would be appended again.".into(),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            FromPageFault::TooSmall { .. }
            | FromPageFault::Unproven { next: None, .. }
            | FromPageFault::Appends { .. } => "Leave from_page out: the run goes on at its checkpoint.".into(),
            FromPageFault::OpenRun { job } => {
                format!(
                    "End it at its checkpoint first: SELECT sluice.stop_sync({}).",
                    literal(job)
                )
            }
            FromPageFault::Unproven { next: Some(next), .. } => {
                format!("Start at page {next} or before it, or leave from_page out.")
            }
            FromPageFault::InTable { job, .. } | FromPageFault::Counts { job, .. } => format!(
                "Begin the read anew: SELECT sluice.start_sync({}, from_page => 1); or leave from_page out.",
                literal(job)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGED: Progress = Progress {
        next: 6,
        in_table: false,
        appends: false,
        counts: false,
    };

    fn at(page: i64, read: Progress) -> Result<Start, FromPageFault> {
        start("j", page, Some(read))
    }

    #[test]
    fn a_run_starts_only_within_what_the_ledger_proves() {
        assert_eq!(at(1, STAGED), Ok(Start::Anew));
        assert_eq!(at(2, STAGED), Ok(Start::Page(2)));
        assert_eq!(at(5, STAGED), Ok(Start::Page(5)));
        assert_eq!(at(6, STAGED), Ok(Start::Checkpoint));
        assert!(matches!(
            at(7, STAGED),
            Err(FromPageFault::Unproven { next: Some(6), .. })
        ));
        assert!(matches!(at(0, STAGED), Err(FromPageFault::TooSmall { found: 0 })));
        assert!(matches!(at(i64::MIN, STAGED), Err(FromPageFault::TooSmall { .. })));
        assert_eq!(start("j", 1, None), Ok(Start::Checkpoint));
        assert!(matches!(
            start("j", 2, None),
            Err(FromPageFault::Unproven { next: None, .. })
        ));
    }

    #[test]
    fn pages_whose_rows_are_in_the_table_are_read_again_from_the_first_or_not_at_all() {
        let merged = Progress {
            in_table: true,
            ..STAGED
        };
        assert_eq!(at(1, merged), Ok(Start::Anew));
        assert_eq!(at(6, merged), Ok(Start::Checkpoint));
        assert!(matches!(at(3, merged), Err(FromPageFault::InTable { page: 3, .. })));
        let log = Progress {
            appends: true,
            ..merged
        };
        assert!(matches!(at(1, log), Err(FromPageFault::Appends { .. })));
        assert!(matches!(at(3, log), Err(FromPageFault::Appends { .. })));
        assert_eq!(at(6, log), Ok(Start::Checkpoint));
        let counting = Progress { counts: true, ..STAGED };
        assert_eq!(at(1, counting), Ok(Start::Anew));
        assert!(matches!(at(3, counting), Err(FromPageFault::Counts { page: 3, .. })));
    }
}
