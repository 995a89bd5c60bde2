//! gzip (RFC 1952), honest and as a bomb.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

const BLOCK: usize = 1 << 20;

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

/// One gzip member that unpacks to at least that many bytes: `[`, blanks, `]`. A full flush makes blocks independent
/// of each other, so one block of blanks is compressed once and repeated: a bomb of many gigabytes costs nothing.
pub(crate) fn gzip_bomb(bytes: u64) -> Vec<u8> {
    let blocks = bytes.div_ceil(BLOCK as u64);
    let mut deflate = Compress::new(Compression::best(), false);
    let mut out = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
    let mut checksum = Crc::new();

    compress(&mut deflate, b"[", FlushCompress::Full, &mut out);
    checksum.update(b"[");
    let blanks = vec![b' '; BLOCK];
    let mut block = Vec::new();
    compress(&mut deflate, &blanks, FlushCompress::Full, &mut block);
    let mut block_checksum = Crc::new();
    block_checksum.update(&blanks);
    for _ in 0..blocks {
        out.extend_from_slice(&block);
        checksum.combine(&block_checksum);
    }
    compress(&mut deflate, b"]", FlushCompress::Finish, &mut out);
    checksum.update(b"]");

    out.extend_from_slice(&checksum.sum().to_le_bytes());
    out.extend_from_slice(&checksum.amount().to_le_bytes());
    out
}

fn compress(deflate: &mut Compress, input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    let mut compressed = Vec::with_capacity(BLOCK);
    deflate
        .compress_vec(input, &mut compressed, flush)
        .expect("a fresh stream takes any input");
    out.extend_from_slice(&compressed);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_bomb_is_small_and_unpacks_to_valid_json() {
        let bomb = gzip_bomb(5 * BLOCK as u64);
        assert!(bomb.len() < BLOCK / 50, "{} bytes", bomb.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bomb[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text.len(), 5 * BLOCK + 2);
        assert_eq!(text.replace(' ', ""), "[]");
    }
}
