//! What a person is told when a guard keeps a read back.

use super::{Live, ReadState};
use crate::class::Class;
use crate::counted::{agreed, counted};
use crate::error::Explain;

/// Why a read was held or rolled back, with the counts it was judged by.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", primary(*.state))]
pub struct KeptBack {
    pub state: ReadState,
    pub live: Live,
    pub max_shrink: f64,
}

impl KeptBack {
    /// Message and facts in one line, for the run's row.
    pub fn reason(&self) -> String {
        let facts = self.detail().unwrap_or_default();
        format!("{self}. {facts}")
    }
}

fn primary(state: ReadState) -> &'static str {
    match state {
        ReadState::EmptyUnconfirmed | ReadState::EmptyConfirmed => "the remote sent no records",
        ReadState::Shrunk => "too many rows would vanish",
        ReadState::PathMissing => "the answer has no records where they are expected",
        ReadState::Records | ReadState::Unchanged => "the read was kept back",
    }
}

impl Explain for KeptBack {
    fn class(&self) -> Class {
        match self.state {
            ReadState::PathMissing => Class::Data,
            _ => Class::Empty,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self.state {
            ReadState::PathMissing => "22032",
            _ => "SY003",
        }
    }

    fn detail(&self) -> Option<String> {
        let Live {
            rows_before,
            candidates_gone,
            gone_confirmed,
        } = self.live;
        let (rows, are) = (counted(rows_before, "row"), agreed(&candidates_gone, "is", "are"));
        Some(match self.state {
            ReadState::EmptyUnconfirmed => {
                format!("The target keeps its {rows}. Nothing but this one read says that they are gone.")
            }
            ReadState::EmptyConfirmed => {
                format!("The target keeps its {rows}, although the collection is confirmed to be empty.")
            }
            ReadState::Shrunk => format!(
                "Of {rows}, {candidates_gone} {are} missing from the read ({gone_confirmed} of them for the \
                 second time), and max_shrink is {}. The target is as it was.",
                self.max_shrink
            ),
            _ => format!("The target keeps its {rows}."),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self.state {
            ReadState::EmptyUnconfirmed | ReadState::EmptyConfirmed => {
                "If the collection is really empty, set \"on_empty\" to \"accept\" and run the job again; otherwise look \
                 at path, parameters and credentials."
            }
            ReadState::Shrunk => {
                "Look at sluice.sync_held, then CALL sluice.approve(run) to publish it, or SELECT sluice.discard(run)."
            }
            ReadState::PathMissing => "Look at the setting \"records\"; sluice.discover shows what the remote sends.",
            ReadState::Records | ReadState::Unchanged => "Look at sluice.sync_runs.",
        }
        .to_owned())
    }
}
