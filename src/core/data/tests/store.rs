//! What the page store relies on: hashes, and the compressed form.

use super::mapping;
use crate::data::ColumnType::Int8;
use crate::data::{
    DataError, StoredPageFault, compress, content_hash, content_hash_bytes, decompress, decompress_text, hash,
};
use proptest::prelude::*;

#[test]
fn a_hash_tells_text_and_mapping_apart() {
    let (one, two) = (mapping(&[("a", Int8)], &[]), mapping(&[("b", Int8)], &[]));
    assert_eq!(hash("[1]", one.version()), hash("[1]", one.version()));
    assert_ne!(hash("[1]", one.version()), hash("[1] ", one.version()));
    assert_ne!(hash("[1]", one.version()), hash("[1]", two.version()));
}

#[test]
fn a_content_hash_is_the_same_in_both_forms() {
    let digits: String = content_hash_bytes(b"x")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(content_hash(b"x"), digits);
}

#[test]
fn a_small_stored_page_cannot_grow_without_bound() {
    let bomb = compress(&vec![0; 10_000_000]);
    assert!(bomb.len() < 10_000);
    assert_eq!(
        decompress(&bomb, 1_000_000),
        Err(DataError::TooLarge {
            what: "a stored page",
            limit: 1_000_000
        })
    );
    assert!(decompress(&bomb, 10_000_000).is_ok());
}

#[test]
fn damage_to_a_stored_page_is_told() {
    let damaged = |stored: &[u8]| {
        decompress(stored, 1000)
            == Err(DataError::BadStoredPage {
                fault: StoredPageFault::Compression,
            })
    };
    let stored = compress(b"[1,2,3,4,5,6,7,8,9]");
    assert!(damaged(b"no zstd") && damaged(&stored[..stored.len() - 1]) && damaged(b""));
    let encoding = DataError::BadStoredPage {
        fault: StoredPageFault::Encoding,
    };
    assert_eq!(decompress_text(&compress(b"\xff"), 1000), Err(encoding));
}

proptest! {
    #[test]
    fn what_was_stored_comes_back(text in any::<String>()) {
        prop_assert_eq!(decompress_text(&compress(text.as_bytes()), text.len()), Ok(text));
    }
}
