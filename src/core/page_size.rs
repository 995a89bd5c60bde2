//! How many records to ask for in a page, within the bounds that a job sets.
//!
//! A read begins at the largest size that nothing speaks against. What a remote cannot bring in time, or refuses as too
//! much, halves the size. From read to read it grows again as long as a record takes no longer in a larger page, and
//! stays below a size that has failed lately.

use std::time::Duration;

/// The least and the most that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub least: u64,
    pub most: u64,
}

/// How the answers of a read went that asked for pages of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub size: u64,
    /// What all but a twentieth of its answers took at most.
    pub took: Duration,
}

/// How much longer a record may take in a larger page: what is measured is right to a fifth.
const NO_WORSE: f64 = 1.2;

impl Sample {
    fn of_a_record(&self) -> f64 {
        self.took.as_secs_f64() / self.size.max(1) as f64
    }

    fn is_no_worse_than(&self, other: &Sample) -> bool {
        self.of_a_record() <= other.of_a_record() * NO_WORSE
    }
}

impl Bounds {
    fn within(self, size: u64) -> u64 {
        size.clamp(self.least, self.most)
    }

    /// The size after one that failed: the half, or more where that has worked. None: there is no smaller one.
    pub fn smaller(self, failed: u64, worked: Option<u64>) -> Option<u64> {
        let half = self.within(failed / 2);
        let worked = worked.filter(|size| (half..failed).contains(size));
        (failed > self.least).then(|| worked.unwrap_or(half))
    }

    /// The size of the next read. `present`: that of the one before; `went`: how that went, where it was a good one;
    /// `other`: the latest good one of another size; `failed`: the smallest size that failed lately.
    pub fn next(self, present: Option<u64>, went: Option<Sample>, other: Option<Sample>, failed: Option<u64>) -> u64 {
        let size = self.within(present.unwrap_or(self.most));
        let wanted = match (went.filter(|sample| sample.size == size), other) {
            (None, _) => size,
            // Growing has made it worse: back.
            (Some(went), Some(other)) if other.size < size && !went.is_no_worse_than(&other) => other.size,
            // It shrank for that reason, and the larger one would be no better now: it stays.
            (Some(went), Some(other)) if other.size > size && !other.is_no_worse_than(&went) => size,
            _ => size.saturating_mul(2),
        };
        let Some(failed) = failed.filter(|failed| wanted >= *failed) else {
            return self.within(wanted);
        };
        // Half of the way to what has failed, as long as that is worth it.
        let step = failed.saturating_sub(size) / 2;
        match size < failed {
            true if step > size / 8 => self.within(size + step),
            true => size,
            false => self.within(failed.saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { least: 10, most: 1000 };

    fn sample(size: u64, ms: u64) -> Option<Sample> {
        let took = Duration::from_millis(ms);
        Some(Sample { size, took })
    }

    #[test]
    fn a_size_grows_while_a_record_takes_no_longer() {
        for (present, went, other, failed, next) in [
            (None, None, None, None, 1000),
            (None, None, None, Some(500), 499),
            (Some(100), None, None, None, 100),
            (Some(100), sample(100, 100), None, None, 200),
            (Some(200), sample(200, 150), sample(100, 100), None, 400),
            (Some(200), sample(200, 300), sample(100, 100), None, 100),
            (Some(100), sample(100, 100), sample(200, 300), None, 100),
            (Some(100), sample(100, 100), sample(200, 150), None, 200),
            (Some(100), sample(100, 100), None, Some(200), 150),
            (Some(100), sample(100, 100), None, Some(120), 100),
            (Some(800), sample(800, 100), None, None, 1000),
            // Of another size than the present one: it says nothing of it.
            (Some(100), sample(400, 1), None, None, 100),
        ] {
            assert_eq!(
                BOUNDS.next(present, went, other, failed),
                next,
                "{present:?} {went:?} {other:?} {failed:?}"
            );
        }
    }

    #[test]
    fn a_size_that_failed_is_halved_or_goes_back_to_what_worked() {
        assert_eq!(BOUNDS.smaller(1000, None), Some(500));
        assert_eq!(BOUNDS.smaller(150, Some(100)), Some(100));
        assert_eq!(BOUNDS.smaller(1000, Some(100)), Some(500));
        assert_eq!(BOUNDS.smaller(15, None), Some(10));
        assert_eq!(BOUNDS.smaller(10, None), None);
    }

    proptest! {
        /// A remote that takes pages up to a size, and whose answers take a time for each and one for each record.
        #[test]
        fn a_size_stays_within_its_bounds_and_settles_near_what_the_remote_takes(
            least in 1u64..100, more in 0u64..10_000, limit in 1u64..12_000, fixed in 0u64..1000, each in 0u64..50,
        ) {
            let bounds = Bounds { least, most: least + more };
            let (mut size, mut failed, mut worked) = (None, None, None);
            let (mut went, mut other): (Option<Sample>, Option<Sample>) = (None, None);
            let mut refused_late = 0;
            for read in 0..60 {
                let mut now = bounds.next(size, went, other, failed);
                prop_assert!((least..=least + more).contains(&now));
                while now > limit {
                    refused_late += u32::from(read >= 40);
                    failed = Some(failed.map_or(now, |failed: u64| failed.min(now)));
                    match bounds.smaller(now, worked) {
                        Some(smaller) => {
                            prop_assert!(smaller < now && smaller >= least);
                            now = smaller;
                        }
                        None => return Ok(()),
                    }
                }
                let took = sample(now, fixed + each * now + 1);
                if went.is_some_and(|went| went.size != now) {
                    other = went;
                }
                (went, worked, size) = (took, Some(now), Some(now));
            }
            prop_assert_eq!(refused_late, 0);
            let most = limit.min(bounds.most);
            prop_assert!(size >= Some(most / 2), "{:?} of {}", size, most);
        }
    }
}
