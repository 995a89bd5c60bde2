//! Schedules that follow what a collection and its readers do.
//!
//! Three lengths, and a rule that picks one after each read: much change that somebody reads is fetched often, what stands
//! still or is read by nobody seldom. The reason is kept as a sentence beside the choice.

use std::time::Duration;

use super::format_interval;

/// The lengths that an adaptive schedule moves between, the shortest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// Default 5 minutes.
    pub fastest: Duration,
    /// Default 30 minutes.
    pub usual: Duration,
    /// Default 6 hours.
    pub slowest: Duration,
}

impl Default for Adaptive {
    fn default() -> Adaptive {
        Adaptive {
            fastest: Duration::from_secs(300),
            usual: Duration::from_secs(1800),
            slowest: Duration::from_secs(6 * 3600),
        }
    }
}

/// What a read showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Rows that were inserted, updated or deleted.
    pub changed: u64,
    /// Rows that the target holds.
    pub rows: u64,
    /// How often others have scanned the table or an index of it since the read before; None where that is not known.
    pub reads: Option<u64>,
    /// The table held nothing of the job before.
    pub first: bool,
}

/// The length until the next read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub every: Duration,
    pub reason: String,
}

/// From this share of changed records on a collection changes much: one in twenty.
const MUCH: u64 = 20;

impl Adaptive {
    /// The length after a read; `present` is the one before it.
    pub fn choose(&self, seen: Observed, present: Option<Duration>) -> Chosen {
        let every = if seen.first {
            self.usual
        } else {
            self.by_rule(seen, present.unwrap_or(self.usual))
        };
        Chosen {
            every,
            reason: format!("{}: {}", format_interval(every), sentence(seen)),
        }
    }

    fn by_rule(&self, seen: Observed, present: Duration) -> Duration {
        let is_read = seen.reads != Some(0);
        let much = seen.changed.saturating_mul(MUCH) >= seen.rows.max(1);
        match (seen.changed, much, is_read) {
            (0, _, true) => self.slower(present),
            (0, _, false) => self.slowest,
            (_, true, true) => self.fastest,
            (_, true, false) | (_, false, true) => self.usual,
            (_, false, false) => self.slowest,
        }
    }

    fn slower(&self, present: Duration) -> Duration {
        match present < self.usual {
            true => self.usual,
            false => self.slowest,
        }
    }
}

fn sentence(seen: Observed) -> String {
    if seen.first {
        return "it was read for the first time".to_owned();
    }
    let change = match seen.changed {
        0 => "nothing changed".to_owned(),
        changed => format!(
            "{:.1} % of the rows changed",
            (changed as f64 / seen.rows.max(1) as f64 * 100.0).min(100.0)
        ),
    };
    match seen.reads {
        None => change,
        Some(0) => format!("{change}, and nobody has read the table since the run before"),
        Some(1) => format!("{change}, and the table was read once since the run before"),
        Some(reads) => format!("{change}, and the table was read {reads} times since the run before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: u64 = 60;

    fn seen(changed: u64, reads: u64) -> Observed {
        Observed {
            changed,
            rows: 1000,
            reads: Some(reads),
            first: false,
        }
    }

    #[test]
    fn change_and_use_decide_and_the_reason_says_so() {
        let table = [
            (
                seen(100, 40),
                30,
                5,
                "5 minutes: 10.0 % of the rows changed, and the table was read 40 times since the run before",
            ),
            (
                seen(50, 1),
                360,
                5,
                "5 minutes: 5.0 % of the rows changed, and the table was read once since the run before",
            ),
            (
                seen(49, 3),
                5,
                30,
                "30 minutes: 4.9 % of the rows changed, and the table was read 3 times since the run before",
            ),
            (
                seen(100, 0),
                5,
                30,
                "30 minutes: 10.0 % of the rows changed, and nobody has read the table since the run before",
            ),
            (
                seen(1, 0),
                5,
                360,
                "6 hours: 0.1 % of the rows changed, and nobody has read the table since the run before",
            ),
            (
                seen(0, 9),
                5,
                30,
                "30 minutes: nothing changed, and the table was read 9 times since the run before",
            ),
            (
                seen(0, 9),
                30,
                360,
                "6 hours: nothing changed, and the table was read 9 times since the run before",
            ),
            (
                seen(0, 0),
                5,
                360,
                "6 hours: nothing changed, and nobody has read the table since the run before",
            ),
        ];
        for (seen, present, minutes, reason) in table {
            let chosen = Adaptive::default().choose(seen, Some(Duration::from_secs(present * MINUTES)));
            assert_eq!(
                (chosen.every.as_secs() / MINUTES, chosen.reason.as_str()),
                (minutes, reason)
            );
        }
    }

    #[test]
    fn a_first_read_says_nothing_of_change() {
        let first = Observed {
            first: true,
            ..seen(1000, 0)
        };
        let chosen = Adaptive::default().choose(first, None);
        assert_eq!(chosen.reason, "30 minutes: it was read for the first time");
    }

    #[test]
    fn an_empty_table_that_is_not_known_to_be_read_is_a_table() {
        let empty = Observed {
            changed: 0,
            rows: 0,
            reads: None,
            first: false,
        };
        assert_eq!(
            Adaptive::default().choose(empty, None).reason,
            "6 hours: nothing changed"
        );
    }
}
