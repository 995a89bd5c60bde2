//! How long answers took, in little memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Quarters of a power of two, from a millisecond to a minute and more.
const BUCKETS: usize = 68;

/// Counts by how long something took; what it says is right to a fifth.
pub(crate) struct Latencies([AtomicU64; BUCKETS]);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Latencies {
    pub fn add(&self, took: Duration) {
        let ms = (took.as_secs_f64() * 1000.0).max(1.0);
        let at = (ms.log2() * 4.0) as usize;
        self.0[at.min(BUCKETS - 1)].fetch_add(1, Relaxed);
    }

    /// What that share of all took at most; None where nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let counts: Vec<u64> = self.0.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let wanted = ((all as f64 * share).ceil() as u64).max(1);
        let mut so_far = 0;
        let at = counts.iter().position(|count| {
            so_far += count;
            so_far >= wanted
        })?;
        Some(Duration::from_secs_f64(((at as f64 + 0.5) / 4.0).exp2() / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_fifth() {
        let latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for ms in 1..=1000 {
            latencies.add(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.5, 500.0), (0.95, 950.0), (0.01, 10.0)] {
            let found = latencies
                .quantile(share)
                .map_or(0.0, |took| took.as_secs_f64() * 1000.0);
            assert!((found / ms - 1.0).abs() < 0.2, "{share}: {found}");
        }
        latencies.add(Duration::from_secs(86_400));
        assert!(latencies.quantile(1.0) > Some(Duration::from_secs(60)));
    }
}
