//! The truth: which products exist, and at which revision each is.
//!
//! Invariants: entries are sorted by id; an id is never given twice before a reset; every mutation takes the next
//! revision, so a record changed later has a later `updated_at`; readers hold a snapshot that no mutation touches.

use std::sync::Arc;

use crate::record::{Entry, mix};

pub(crate) struct Catalogue {
    live: Arc<Vec<Entry>>,
    removed: Arc<Vec<Entry>>,
    products: u64,
    last_id: u64,
    revision: u32,
    mutations: u64,
}

/// The products as they were at one moment.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// Sorted by id.
    pub(crate) entries: Arc<Vec<Entry>>,
    /// What was removed since the start, sorted by id.
    pub(crate) removed: Arc<Vec<Entry>>,
    /// Grows with every mutation, a reset included.
    pub(crate) mutations: u64,
}

impl Catalogue {
    pub(crate) fn new(products: u64) -> Catalogue {
        let of = |id| Entry {
            id,
            revision: 0,
            gone: false,
        };
        Catalogue {
            live: Arc::new((1..=products).map(of).collect()),
            removed: Arc::default(),
            products,
            last_id: products,
            revision: 0,
            mutations: 0,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            entries: Arc::clone(&self.live),
            removed: Arc::clone(&self.removed),
            mutations: self.mutations,
        }
    }

    /// Changes that share (in percent) of the products, the same ones for the same seed; returns their ids, sorted.
    pub(crate) fn change(&mut self, percent: f64, seed: u64) -> Vec<u64> {
        let chosen = self.choose(percent, seed);
        self.change_at(&chosen)
    }

    /// Changes those of the given products that exist; returns their ids, sorted.
    pub(crate) fn change_ids(&mut self, ids: &[u64]) -> Vec<u64> {
        let chosen = self.find(ids);
        self.change_at(&chosen)
    }

    /// Removes that share (in percent) of the products; returns their ids, sorted.
    pub(crate) fn remove(&mut self, percent: f64, seed: u64) -> Vec<u64> {
        let chosen = self.choose(percent, seed);
        self.remove_at(&chosen)
    }

    /// Removes those of the given products that exist; returns their ids, sorted.
    pub(crate) fn remove_ids(&mut self, ids: &[u64]) -> Vec<u64> {
        let chosen = self.find(ids);
        self.remove_at(&chosen)
    }

    /// Adds products with new ids; returns them.
    pub(crate) fn add(&mut self, count: u64) -> Vec<u64> {
        let revision = self.begin();
        let ids: Vec<u64> = (self.last_id + 1..=self.last_id + count).collect();
        let gone = false;
        Arc::make_mut(&mut self.live).extend(ids.iter().map(|&id| Entry { id, revision, gone }));
        self.last_id += count;
        ids
    }

    /// Back to the products of the start, or to that many others.
    pub(crate) fn reset(&mut self, products: Option<u64>) {
        let mutations = self.mutations + 1;
        *self = Catalogue {
            mutations,
            ..Catalogue::new(products.unwrap_or(self.products))
        };
    }

    fn begin(&mut self) -> u32 {
        self.mutations += 1;
        self.revision += 1;
        self.revision
    }

    fn change_at(&mut self, chosen: &[usize]) -> Vec<u64> {
        let revision = self.begin();
        let live = Arc::make_mut(&mut self.live);
        chosen.iter().for_each(|&at| live[at].revision = revision);
        chosen.iter().map(|&at| live[at].id).collect()
    }

    fn remove_at(&mut self, chosen: &[usize]) -> Vec<u64> {
        let revision = self.begin();
        let ids: Vec<u64> = chosen.iter().map(|&at| self.live[at].id).collect();
        let removed = Arc::make_mut(&mut self.removed);
        let gone = true;
        removed.extend(ids.iter().map(|&id| Entry { id, revision, gone }));
        removed.sort_unstable_by_key(|entry| entry.id);
        let mut gone = chosen.iter().copied().peekable();
        let mut at = 0;
        Arc::make_mut(&mut self.live).retain(|_| {
            let keep = gone.next_if_eq(&at).is_none();
            at += 1;
            keep
        });
        ids
    }

    /// Positions of the given ids, sorted, each once.
    fn find(&self, ids: &[u64]) -> Vec<usize> {
        let mut found: Vec<usize> = ids
            .iter()
            .filter_map(|id| self.live.binary_search_by_key(id, |entry| entry.id).ok())
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Positions of exactly that share of the products, rounded, but at least one where any share is asked for.
    fn choose(&self, percent: f64, seed: u64) -> Vec<usize> {
        let all = self.live.len();
        let share = (all as f64 * percent.clamp(0.0, 100.0) / 100.0).round() as usize;
        let count = if percent > 0.0 { share.max(1).min(all) } else { 0 };
        let salt = mix(seed);
        let mut ranked: Vec<(u64, usize)> = self
            .live
            .iter()
            .enumerate()
            .map(|(at, entry)| (mix(entry.id ^ salt), at))
            .collect();
        if count < all {
            ranked.select_nth_unstable(count);
        }
        let mut chosen: Vec<usize> = ranked[..count].iter().map(|&(_, at)| at).collect();
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_hits_exactly_its_share_and_the_same_ones_for_the_same_seed() {
        let (mut one, mut other) = (Catalogue::new(10_000), Catalogue::new(10_000));
        let changed = one.change(1.0, 7);
        assert_eq!(changed.len(), 100);
        assert_eq!(other.change(1.0, 7), changed);
        assert_ne!(one.change(1.0, 8), changed);
        assert_eq!(one.change(0.0, 1), Vec::<u64>::new());
        assert_eq!(one.change(100.0, 1).len(), 10_000);
    }

    #[test]
    fn removed_ids_are_not_given_again() {
        let mut catalogue = Catalogue::new(10);
        assert_eq!(catalogue.remove_ids(&[10, 3, 3, 99]), [3, 10]);
        assert_eq!(catalogue.add(2), [11, 12]);
        let ids: Vec<u64> = catalogue.snapshot().entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [1, 2, 4, 5, 6, 7, 8, 9, 11, 12]);
    }

    #[test]
    fn a_snapshot_is_untouched_by_later_changes() {
        let mut catalogue = Catalogue::new(10);
        let before = catalogue.snapshot();
        catalogue.change(50.0, 1);
        assert!(before.entries.iter().all(|entry| entry.revision == 0));
        catalogue.reset(None);
        assert_eq!(*catalogue.snapshot().entries, *before.entries);
        assert_ne!(catalogue.snapshot().mutations, before.mutations);
    }
}
