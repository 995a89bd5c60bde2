//! Which records of a page a former read had too, byte for byte, wherever in it they stood.
//!
//! A changed record changes its page, and a new one shifts all that follow. What the pages have in common needs no
//! decoding and no look into the target.

use super::error::DataError;
use super::records::split_records;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use twox_hash::XxHash3_128;

/// Records of a former read, the latest ones: each by the hash of its text (XXH3, 128 bits), some 40 bytes a record.
pub struct Former {
    older: Hashes,
    newer: Hashes,
    half: usize,
}

impl Former {
    /// Knows at least the last `half` records that were added, and at most twice as many (a page more at most).
    pub fn new(half: usize) -> Former {
        Former {
            older: Hashes::default(),
            newer: Hashes::default(),
            half,
        }
    }

    /// Adds the records of the former read's next page, but for those at the places `without` (counted from 1): they
    /// were rejected, and are to be looked at again.
    pub fn add(&mut self, records_text: &str, without: &[u64]) -> Result<(), DataError> {
        if self.newer.len() >= self.half {
            self.older = std::mem::take(&mut self.newer);
        }
        let records = (1..).zip(split_records(records_text)?);
        let known = records.filter(|(place, _)| !without.contains(place));
        self.newer.extend(known.map(|(_, record)| hash(record)));
        Ok(())
    }

    /// The records of a page that are not among them, in their order; None where all are.
    pub fn without(&self, records_text: &str) -> Result<Option<Unknown>, DataError> {
        let records = (1..).zip(split_records(records_text)?);
        let (places, new): (Vec<u64>, Vec<&str>) = records.filter(|(_, record)| !self.has(record)).unzip();
        let text = || format!("[{}]", new.join(","));
        Ok((!new.is_empty()).then(|| Unknown { text: text(), places }))
    }

    fn has(&self, record: &str) -> bool {
        let hash = hash(record);
        self.newer.contains(&hash) || self.older.contains(&hash)
    }
}

/// Records of a page that the former read had not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// An array of them.
    pub text: String,
    /// Their places in the page, counted from 1.
    pub places: Vec<u64>,
}

fn hash(record: &str) -> u128 {
    XxHash3_128::oneshot(record.as_bytes())
}

type Hashes = HashSet<u128, BuildHasherDefault<AlreadyHashed>>;

/// What is a hash needs no further hashing.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are put in");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Former, Unknown};
    use proptest::prelude::*;

    fn text(records: &[u8]) -> String {
        let each: Vec<String> = records.iter().map(|n| format!("{{\"n\": {n}}}")).collect();
        format!(" [{}\n]", each.join(" ,"))
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_the_former_read_had_not(
            before in prop::collection::vec(prop::collection::vec(0u8..60, 0..6), 0..6),
            now in prop::collection::vec(0u8..60, 0..30),
        ) {
            let mut former = Former::new(1000);
            for page in &before {
                former.add(&text(page), &[]).expect("valid");
            }
            let known: Vec<u8> = before.concat();
            let new: Vec<u8> = now.iter().copied().filter(|n| !known.contains(n)).collect();
            let expected = (!new.is_empty()).then(|| text(&new).split_whitespace().collect::<String>());
            let left = former.without(&text(&now)).expect("valid");
            prop_assert_eq!(left.map(|l| l.text.split_whitespace().collect::<String>()), expected);
        }
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_last_half_is_known() {
        let mut former = Former::new(10);
        for n in 0..100 {
            former.add(&text(&[n]), &[]).expect("valid");
            assert!(former.older.len() + former.newer.len() <= 20);
        }
        assert_eq!(former.without(&text(&[90, 95, 99])).expect("valid"), None);
        assert!(former.without(&text(&[1])).expect("valid").is_some());
    }

    #[test]
    fn what_was_rejected_is_not_known() {
        let mut former = Former::new(10);
        former.add(&text(&[1, 2, 3]), &[2]).expect("valid");
        let left = former.without(&text(&[0, 1, 2, 3])).expect("valid").expect("some");
        assert_eq!(left.places, [1, 3]);
    }

    #[test]
    fn a_record_in_another_spelling_is_another_record() {
        let mut former = Former::new(10);
        former.add(r#"[{"a":1}]"#, &[]).expect("valid");
        assert_eq!(
            former.without(r#"[{"a":1.0}]"#).expect("valid"),
            Some(Unknown {
                text: r#"[{"a":1.0}]"#.into(),
                places: vec![1]
            })
        );
    }
}
