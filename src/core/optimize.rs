//! What `optimize_sync` proposes for a job, from how its last runs went.
//!
//! Nothing is guessed: a page size is compared only with others that were tried, concurrency follows what the budget of
//! the host had learned, and the schedule is what an adaptive one would choose.

use std::collections::BTreeMap;

use crate::page_size::Bounds;
use crate::schedule::{Adaptive, Observed, Schedule, format_interval};

/// How many runs it takes.
pub const NEEDED: usize = 5;
/// How many of the last runs are looked at.
pub const LOOKED_AT: i64 = 50;
/// How many runs with a page size it takes to judge it.
const TRIED: usize = 2;
/// By how much a measured time may be more than another without being more.
const NOISE: f64 = 1.05;
/// From this share of changed records on a collection changes much, as adaptive schedules have it.
const MUCH: u64 = 20;

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ran {
    pub page_size: Option<u64>,
    pub pages: u64,
    pub records: u64,
    pub requests: u64,
    /// What all but a twentieth of the answers took at most.
    pub p95_ms: Option<f64>,
    /// Where concurrency had settled.
    pub concurrency: u32,
    /// Rows that were inserted, updated or deleted.
    pub changed: u64,
}

/// How the job is set.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    pub page_size: Option<u64>,
    /// Where the size adapts by itself.
    pub page_bounds: Option<Bounds>,
    pub concurrency: u32,
    pub schedule: &'a Schedule,
    pub lengths: Adaptive,
    /// Rows that the target holds of the job.
    pub rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    PageSize,
    Concurrency,
    Schedule,
}

impl What {
    pub fn as_str(self) -> &'static str {
        match self {
            What::PageSize => "page_size",
            What::Concurrency => "concurrency",
            What::Schedule => "schedule",
        }
    }
}

/// One thing that was judged. Without `proposed` it stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub what: What,
    pub current: Option<String>,
    pub proposed: Option<String>,
    pub reason: String,
}

/// What follows from at least [`NEEDED`] runs, the latest first.
pub fn propose(present: &Present, runs: &[Ran]) -> Vec<Proposal> {
    let page_size = match present.page_bounds {
        Some(bounds) => adapting_size(bounds, runs),
        None => page_size(present, runs),
    };
    vec![page_size, concurrency(present, runs), schedule(present, runs)]
}

/// The largest size whose time per record is not more than that of the next smaller one that was tried.
fn page_size(present: &Present, runs: &[Ran]) -> Proposal {
    let current = present.page_size.map(|size| size.to_string());
    let told = |proposed: Option<u64>, reason: String| Proposal {
        what: What::PageSize,
        current: current.clone(),
        proposed: proposed
            .filter(|size| present.page_size != Some(*size))
            .map(|size| size.to_string()),
        reason,
    };
    let tried = times_by_size(runs);
    let Some((mut best, mut best_time)) = tried.first().copied().filter(|_| tried.len() > 1) else {
        let reason = "there is nothing to compare: it takes two runs of each of two page sizes";
        return told(None, reason.into());
    };
    for (size, time) in tried.iter().copied().skip(1) {
        if time > best_time * NOISE {
            let reason = format!(
                "95 % of the answers took at most {time:.2} ms a record with pages of {size}, and {best_time:.2} ms with pages of {best}"
            );
            return told(Some(best), reason);
        }
        (best, best_time) = (size, time);
    }
    let reason = format!("the largest that was tried: 95 % of the answers took at most {best_time:.2} ms a record");
    told(Some(best), reason)
}

/// A size with bounds adapts by itself and is left alone: only which of them holds it back is said.
fn adapting_size(bounds: Bounds, runs: &[Ran]) -> Proposal {
    let Bounds { least, most } = bounds;
    let tried = times_by_size(runs);
    let latest: Vec<&Ran> = runs.iter().take(NEEDED).collect();
    let stays_at = |size: u64| latest.iter().all(|run| run.page_size == Some(size));
    let time_of = |size: u64| tried.iter().find(|(other, _)| *other == size).map(|(_, time)| *time);
    let next_smaller = tried.iter().rev().find(|(size, _)| *size < most);
    let grew_well = time_of(most).is_some_and(|time| next_smaller.is_none_or(|(_, other)| time <= other * NOISE));
    let reason = if least < most && stays_at(least) {
        format!("it adapts by itself; min may hold it back: the last {NEEDED} runs asked for {least}, the least")
    } else if stays_at(most) && grew_well && latest.iter().all(|run| run.pages > 1) {
        format!(
            "it adapts by itself; max holds it back: the last {NEEDED} runs asked for {most}, in which a record takes no longer"
        )
    } else {
        let sizes = latest.iter().filter_map(|run| run.page_size);
        let (low, high) = (sizes.clone().min().unwrap_or(least), sizes.max().unwrap_or(most));
        format!("it adapts by itself: the last {NEEDED} runs asked for {low} to {high}")
    };
    Proposal {
        what: What::PageSize,
        current: Some(format!("{least} to {most}")),
        proposed: None,
        reason,
    }
}

/// Page sizes that were tried, the smallest first, with the median of their times per record in milliseconds.
fn times_by_size(runs: &[Ran]) -> Vec<(u64, f64)> {
    let mut times: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in runs {
        if let (Some(size), Some(p95)) = (run.page_size, run.p95_ms)
            && run.records > 0
            && run.pages > 0
        {
            let records_a_page = run.records as f64 / run.pages as f64;
            times.entry(size).or_default().push(p95 / records_a_page);
        }
    }
    let judged = times.into_iter().filter(|(_, times)| times.len() >= TRIED);
    judged.map(|(size, times)| (size, median(times))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Where it had settled in each of the last runs that sent enough requests to tell.
fn concurrency(present: &Present, runs: &[Ran]) -> Proposal {
    let now = present.concurrency;
    let told = |proposed: Option<u32>, reason: String| Proposal {
        what: What::Concurrency,
        current: Some(now.to_string()),
        proposed: proposed.map(|n| n.to_string()),
        reason,
    };
    let telling = runs.iter().filter(|run| run.requests >= u64::from(now));
    let mut settled: Vec<u32> = telling.take(NEEDED).map(|run| run.concurrency.max(1)).collect();
    if settled.len() < NEEDED {
        return told(None, format!("fewer than {NEEDED} runs sent {now} requests or more"));
    }
    settled.sort_unstable();
    let (least, middle, most) = (settled[0], settled[NEEDED / 2], settled[NEEDED - 1]);
    match (most < now, least > now) {
        (true, _) => told(
            Some(middle),
            format!(
                "the host had {least} to {most} requests at a time in the last {NEEDED} runs: it does not take more"
            ),
        ),
        (_, true) => told(
            Some(middle),
            format!("the host took {least} to {most} requests at a time in the last {NEEDED} runs"),
        ),
        _ => told(
            None,
            format!("the host took {least} to {most} requests at a time in the last {NEEDED} runs"),
        ),
    }
}

/// What an adaptive schedule would choose after the run that lies in the middle by what it changed.
fn schedule(present: &Present, runs: &[Ran]) -> Proposal {
    let told = |proposed: Option<String>, reason: String| Proposal {
        what: What::Schedule,
        current: Some(present.schedule.to_string()),
        proposed,
        reason,
    };
    let Schedule::Every(length) = present.schedule else {
        return told(None, "only the length of an interval is judged".into());
    };
    let mut shares: Vec<(u64, u64)> = runs
        .iter()
        .take(NEEDED)
        .map(|run| (run.changed, run.records.max(present.rows).max(1)))
        .collect();
    shares.sort_by(|one, other| (one.0 * other.1).cmp(&(other.0 * one.1)));
    let (changed, rows) = shares[shares.len() / 2];
    let seen = Observed {
        changed,
        rows,
        reads: None,
        first: false,
    };
    let chosen = present.lengths.choose(seen, Some(*length));
    let share = changed as f64 / rows as f64 * 100.0;
    let reason = format!("in the middle one of the last {NEEDED} runs {share:.1} % of the rows changed");
    let is_better = match changed {
        // Much change makes no schedule slower, and none makes it no faster.
        0 => chosen.every > *length,
        changed if changed.saturating_mul(MUCH) >= rows => chosen.every < *length,
        _ => chosen.every != *length,
    };
    told(is_better.then(|| format_interval(chosen.every)), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOUR: Schedule = Schedule::Every(Duration::from_secs(3600));

    fn ran(page_size: u64, p95_ms: f64) -> Ran {
        Ran {
            page_size: Some(page_size),
            pages: 10,
            records: page_size * 10,
            requests: 10,
            p95_ms: Some(p95_ms),
            concurrency: 8,
            changed: 10,
        }
    }

    fn present(schedule: &Schedule) -> Present<'_> {
        Present {
            page_size: Some(100),
            page_bounds: None,
            concurrency: 8,
            schedule,
            lengths: Adaptive::default(),
            rows: 1000,
        }
    }

    fn proposed(present: &Present, runs: &[Ran]) -> [Option<String>; 3] {
        let all = propose(present, runs).into_iter().map(|proposal| proposal.proposed);
        all.collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn the_page_size_is_the_largest_whose_time_per_record_does_not_rise() {
        let sizes = |times: &[(u64, f64)]| {
            let runs: Vec<Ran> = times.iter().flat_map(|(size, time)| [ran(*size, *time); 2]).collect();
            proposed(&present(&HOUR), &runs[..])[0].clone()
        };
        // 1 ms a record each: the larger one.
        assert_eq!(sizes(&[(50, 50.0), (100, 100.0), (200, 200.0)]).as_deref(), Some("200"));
        // 1, 1 and 2 ms: the one in use, and nothing to propose.
        assert_eq!(sizes(&[(50, 50.0), (100, 100.0), (200, 400.0)]), None);
        // It rises already with the one in use.
        assert_eq!(sizes(&[(50, 50.0), (100, 200.0), (200, 200.0)]).as_deref(), Some("50"));
        // Nothing to compare with.
        assert_eq!(sizes(&[(100, 100.0), (100, 100.0), (100, 100.0)]), None);
    }

    #[test]
    fn a_size_with_bounds_is_left_alone_and_it_is_said_which_of_them_holds_it_back() {
        let told = |runs: &[Ran]| {
            let bounded = Present {
                page_bounds: Some(Bounds { least: 50, most: 200 }),
                page_size: Some(200),
                ..present(&HOUR)
            };
            let told = propose(&bounded, runs).swap_remove(0);
            assert_eq!((told.current.as_deref(), told.proposed), (Some("50 to 200"), None));
            told.reason
        };
        let at = |sizes: &[u64], time: f64| {
            let runs = sizes.iter().map(|size| ran(*size, time * *size as f64));
            runs.collect::<Vec<Ran>>()
        };
        assert_eq!(
            told(&at(&[100, 50, 100, 200, 100], 1.0)),
            "it adapts by itself: the last 5 runs asked for 50 to 200"
        );
        let max =
            "it adapts by itself; max holds it back: the last 5 runs asked for 200, in which a record takes no longer";
        assert_eq!(told(&at(&[200; 5], 1.0)), max);
        let with_smaller = |time: f64| [at(&[200; 5], 1.0), at(&[100; 2], time)].concat();
        assert_eq!(told(&with_smaller(2.0)), max);
        // It was faster with a smaller one.
        let not_held = "it adapts by itself: the last 5 runs asked for 200 to 200";
        assert_eq!(told(&with_smaller(0.5)), not_held);
        // The whole collection fits into one page.
        let single = at(&[200; 5], 1.0).into_iter().map(|run| Ran { pages: 1, ..run });
        assert_eq!(told(&single.collect::<Vec<Ran>>()), not_held);
        assert_eq!(
            told(&at(&[50; 5], 1.0)),
            "it adapts by itself; min may hold it back: the last 5 runs asked for 50, the least"
        );
    }

    #[test]
    fn a_size_of_a_single_run_is_not_judged() {
        let mut runs = vec![ran(100, 100.0); 5];
        runs.push(ran(1000, 10.0));
        assert_eq!(proposed(&present(&HOUR), &runs)[0], None);
    }

    #[test]
    fn concurrency_moves_to_where_all_of_the_last_runs_settled() {
        let settled = |all: [u32; 5]| {
            let runs = all.map(|concurrency| Ran {
                concurrency,
                ..ran(100, 1.0)
            });
            proposed(&present(&HOUR), &runs)[1].clone()
        };
        assert_eq!(settled([2, 3, 2, 4, 3]).as_deref(), Some("3"));
        assert_eq!(settled([12, 16, 16, 10, 9]).as_deref(), Some("12"));
        assert_eq!(settled([2, 3, 8, 4, 3]), None);
        // Runs of a few requests say nothing.
        let few = [Ran {
            requests: 3,
            concurrency: 2,
            ..ran(100, 1.0)
        }; 5];
        assert_eq!(proposed(&present(&HOUR), &few)[1], None);
    }

    #[test]
    fn the_schedule_follows_the_changed_share_and_only_where_it_is_an_interval() {
        let changed = |rows: u64, schedule: &Schedule| {
            let runs = [Ran {
                changed: rows,
                ..ran(100, 1.0)
            }; 5];
            proposed(&present(schedule), &runs)[2].clone()
        };
        assert_eq!(changed(0, &HOUR).as_deref(), Some("6 hours"));
        assert_eq!(changed(10, &HOUR).as_deref(), Some("30 minutes"));
        assert_eq!(changed(500, &HOUR).as_deref(), Some("5 minutes"));
        // Slow enough, fast enough.
        assert_eq!(changed(0, &Schedule::Every(Duration::from_secs(86_400))), None);
        assert_eq!(changed(500, &Schedule::Every(Duration::from_secs(60))), None);
        assert_eq!(changed(500, &Schedule::Manual), None);
        assert_eq!(changed(500, &Schedule::Adaptive), None);
    }

    #[test]
    fn a_first_load_among_the_runs_does_not_count_as_much_change() {
        let mut runs = [Ran {
            changed: 0,
            ..ran(100, 1.0)
        }; 5];
        runs[4].changed = 1000;
        assert_eq!(proposed(&present(&HOUR), &runs)[2].as_deref(), Some("6 hours"));
    }
}
