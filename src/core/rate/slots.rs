//! Places that processes hold: requests under way, and requests that wait.

use std::sync::atomic::{AtomicU32, Ordering};

/// As many as a connection may ever have under way.
pub(super) const PLACES: usize = 75;

/// Each place holds the id of the process that has it, or zero.
#[repr(transparent)]
pub(super) struct Slots([AtomicU32; PLACES]);

impl Default for Slots {
    fn default() -> Slots {
        Slots([const { AtomicU32::new(0) }; PLACES])
    }
}

impl Slots {
    /// Takes one of the first `most` places. Two that ask at once for the last one cannot both have it.
    pub fn take(&self, pid: u32, most: u32) -> Option<usize> {
        let places = self.0.iter().take(most as usize);
        let mut free = places
            .enumerate()
            .filter(|(_, place)| place.load(Ordering::Relaxed) == 0);
        free.find_map(|(at, place)| {
            let taken = place.compare_exchange(0, pid, Ordering::SeqCst, Ordering::Relaxed);
            taken.is_ok().then_some(at)
        })
    }

    pub fn free(&self, at: usize) {
        self.0[at].store(0, Ordering::SeqCst);
    }

    pub fn taken(&self) -> u32 {
        self.owners().count() as u32
    }

    pub fn taken_by(&self, pid: u32) -> u32 {
        self.owners().filter(|owner| *owner == pid).count() as u32
    }

    /// How many different processes hold a place.
    pub fn holders(&self) -> u32 {
        let mut owners: Vec<u32> = self.owners().collect();
        owners.sort_unstable();
        owners.dedup();
        owners.len() as u32
    }

    pub fn owners(&self) -> impl Iterator<Item = u32> {
        self.0
            .iter()
            .map(|place| place.load(Ordering::SeqCst))
            .filter(|owner| *owner != 0)
    }

    /// Frees the places of processes that are gone.
    pub fn free_where(&self, is_gone: impl Fn(u32) -> bool) {
        for place in &self.0 {
            let owner = place.load(Ordering::SeqCst);
            if owner != 0 && is_gone(owner) {
                // Lost only to somebody who has freed it too.
                let _ = place.compare_exchange(owner, 0, Ordering::SeqCst, Ordering::Relaxed);
            }
        }
    }
}
