//! The stored form of a page's records and keys, and of undo sets: zstd (RFC 8878).

use super::error::{DataError, StoredPageFault};
use std::io::Read;

/// Level 1 gains nearly all there is on JSON, at the lowest cost.
const LEVEL: i32 = 1;

pub fn compress(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, LEVEL).expect("memory is the only thing compression can lack")
}

/// Undoes [`compress`]. Stops with an error as soon as the content is larger than `max` bytes.
pub fn decompress(stored: &[u8], max: usize) -> Result<Vec<u8>, DataError> {
    let damaged = |_| DataError::BadStoredPage {
        fault: StoredPageFault::Compression,
    };
    let decoder = zstd::Decoder::with_buffer(stored).map_err(damaged)?;
    let mut content = Vec::new();
    decoder
        .take(max as u64 + 1)
        .read_to_end(&mut content)
        .map_err(damaged)?;
    if content.len() > max {
        return Err(DataError::TooLarge {
            what: "a stored page",
            limit: max,
        });
    }
    Ok(content)
}

/// Undoes [`compress`] of a text.
pub fn decompress_text(stored: &[u8], max: usize) -> Result<String, DataError> {
    let content = decompress(stored, max)?;
    String::from_utf8(content).map_err(|_| DataError::BadStoredPage {
        fault: StoredPageFault::Encoding,
    })
}
