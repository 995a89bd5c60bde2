//! The stored form of a page's records: zstd (RFC 8878), at its fastest level.

use super::error::{DataError, StoredPageFault};
use std::io::Read;

/// Level 1 gains nearly all there is on JSON, at the lowest cost.
const LEVEL: i32 = 1;

pub fn compress(records_text: &str) -> Vec<u8> {
    zstd::bulk::compress(records_text.as_bytes(), LEVEL).expect("memory is the only thing compression can lack")
}

/// Undoes [`compress`]. Stops with an error as soon as the text is larger than `max` bytes.
pub fn decompress(stored: &[u8], max: usize) -> Result<String, DataError> {
    let damaged = |_| DataError::BadStoredPage {
        fault: StoredPageFault::Compression,
    };
    let decoder = zstd::Decoder::with_buffer(stored).map_err(damaged)?;
    let mut text = Vec::new();
    decoder.take(max as u64 + 1).read_to_end(&mut text).map_err(damaged)?;
    if text.len() > max {
        return Err(DataError::TooLarge {
            what: "a stored page",
            limit: max,
        });
    }
    String::from_utf8(text).map_err(|_| DataError::BadStoredPage {
        fault: StoredPageFault::Encoding,
    })
}
