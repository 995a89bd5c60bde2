//! Comparing the keys of two reads in bounded memory.
//!
//! A key is known by 128 bits of a hash, which two spellings of one key share ([`KeyId`]). Where a read has more keys than
//! fit, the work is done in passes: each looks at the keys whose hash falls into its share, so that memory does not grow
//! with the collection.

use std::collections::HashSet;

/// Keys that one pass holds: some 40 bytes each.
pub const KEYS_PER_PASS: u64 = 1_000_000;

/// The passes that this many keys need.
pub fn passes(keys: u64) -> u64 {
    keys.div_ceil(KEYS_PER_PASS).max(1)
}

/// What a key is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u128);

impl KeyId {
    /// Of bytes that are the same for every spelling of the key.
    pub fn of(bytes: &[u8]) -> KeyId {
        let hash = blake3::hash(bytes);
        KeyId(u128::from_le_bytes(
            hash.as_bytes()[..16].try_into().expect("a blake3 hash has 32 bytes"),
        ))
    }

    fn is_of(self, (number, of): (u64, u64)) -> bool {
        self.0 % u128::from(of) == u128::from(number)
    }
}

/// One pass over the keys of a read and of what was there before it.
pub struct Pass {
    number: u64,
    of: u64,
    seen: HashSet<KeyId>,
    buried: HashSet<KeyId>,
    /// Keys that this pass saw twice.
    pub duplicates: u64,
}

impl Pass {
    pub fn new(number: u64, of: u64) -> Pass {
        Pass {
            number,
            of,
            seen: HashSet::new(),
            buried: HashSet::new(),
            duplicates: 0,
        }
    }

    /// Takes the key of a tombstone of the new read.
    pub fn bury(&mut self, key: KeyId) {
        if self.is_mine(key) {
            self.buried.insert(key);
        }
    }

    /// Whether the new read has a tombstone for a key.
    pub fn is_buried(&self, key: KeyId) -> bool {
        self.buried.contains(&key)
    }

    /// Takes a key of the new read.
    pub fn see(&mut self, key: KeyId) {
        if self.is_mine(key) && !self.seen.insert(key) {
            self.duplicates += 1;
        }
    }

    /// Different keys that this pass saw.
    pub fn distinct(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Whether a key of before belongs to this pass and the new read does not have it. It is told once: afterwards it
    /// counts as seen.
    pub fn is_gone(&mut self, key: KeyId) -> bool {
        self.is_mine(key) && self.seen.insert(key)
    }

    fn is_mine(&self, key: KeyId) -> bool {
        key.is_of((self.number, self.of))
    }
}

/// The keys of one pass that are a job's own: those that came and have not gone since.
pub struct Own {
    number: u64,
    of: u64,
    present: HashSet<KeyId>,
}

impl Own {
    pub fn new(number: u64, of: u64) -> Own {
        Own {
            number,
            of,
            present: HashSet::new(),
        }
    }

    pub fn comes(&mut self, key: KeyId) {
        if key.is_of((self.number, self.of)) {
            self.present.insert(key);
        }
    }

    pub fn goes(&mut self, key: KeyId) {
        self.present.remove(&key);
    }

    pub fn has(&self, key: KeyId) -> bool {
        self.present.contains(&key)
    }

    pub fn count(&self) -> u64 {
        self.present.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn all_passes_together_find_what_sets_find(
            new in prop::collection::vec(0u32..200, 0..300),
            old in prop::collection::vec(0u32..200, 0..300),
            of in 1u64..6,
        ) {
            let (mut gone, mut distinct, mut duplicates) = (BTreeSet::new(), 0, 0);
            for number in 0..of {
                let mut pass = Pass::new(number, of);
                new.iter().for_each(|k| pass.see(KeyId::of(&k.to_be_bytes())));
                distinct += pass.distinct();
                duplicates += pass.duplicates;
                for key in &old {
                    if pass.is_gone(KeyId::of(&key.to_be_bytes())) {
                        prop_assert!(gone.insert(*key), "told once");
                    }
                }
            }
            let new_set: BTreeSet<u32> = new.iter().copied().collect();
            let old_set: BTreeSet<u32> = old.iter().copied().collect();
            prop_assert_eq!(distinct, new_set.len() as u64);
            prop_assert_eq!(duplicates, (new.len() - new_set.len()) as u64);
            prop_assert_eq!(gone, old_set.difference(&new_set).copied().collect::<BTreeSet<u32>>());
        }
    }

    #[test]
    fn a_collection_that_fits_needs_one_pass() {
        assert_eq!(passes(0), 1);
        assert_eq!(passes(KEYS_PER_PASS), 1);
        assert_eq!(passes(KEYS_PER_PASS + 1), 2);
    }
}
