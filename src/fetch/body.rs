//! Bodies, decoded under caps on what comes out of the decoder.
//!
//! A cap on the bytes of the wire does not bound memory: 200 kB of gzip can be 200 MB. Counted are therefore the
//! decoded bytes, and their ratio to the bytes that came.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use sluice_core::http::{Headers, HttpError, SizeLimit, remote};
use url::Url;

use crate::classify::classify_io;

/// Read at a time.
const CHUNK: usize = 64 * 1024;
/// Up to here a body may grow by any ratio: small bodies of one repeated record compress well.
const RATIO_FLOOR: u64 = 1024 * 1024;
/// What is read of a body that is only an explanation (an error's).
const HEAD_BYTES: u64 = 16 * 1024;

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    /// Decoded bytes.
    pub max_body: u64,
    /// Decoded bytes per byte on the wire.
    pub max_ratio: u32,
}

/// How a body is encoded for transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// From Content-Encoding (RFC 9110 section 8.4). Anything but one gzip is refused, and returned.
    pub fn of(headers: &Headers) -> Result<Encoding, String> {
        let codings = headers.get_all("content-encoding").flat_map(|field| field.split(','));
        let codings: Vec<String> = codings.map(|c| c.trim().to_ascii_lowercase()).collect();
        let named: Vec<&str> = codings
            .iter()
            .map(String::as_str)
            .filter(|c| !matches!(*c, "" | "identity"))
            .collect();
        match named.as_slice() {
            [] => Ok(Encoding::Identity),
            ["gzip" | "x-gzip"] => Ok(Encoding::Gzip),
            other => Err(other.join(", ").chars().take(40).filter(|c| !c.is_control()).collect()),
        }
    }
}

/// Why a body could not be had.
#[derive(Debug)]
pub(crate) enum BodyError {
    Limit(SizeLimit),
    /// What came is no gzip.
    Garbled,
    Transfer(io::Error),
}

impl BodyError {
    pub fn into_http(self, url: &Url) -> HttpError {
        match self {
            BodyError::Limit(limit) => HttpError::TooLarge {
                remote: remote(url),
                limit,
            },
            BodyError::Garbled => HttpError::BadEncoding {
                remote: remote(url),
                encoding: "gzip".to_owned(),
            },
            BodyError::Transfer(error) => classify_io(error, url),
        }
    }
}

/// The decoded body, and the bytes that it took on the wire.
pub(crate) fn read(source: impl Read, encoding: Encoding, caps: Caps) -> Result<(Vec<u8>, u64), BodyError> {
    let wire = Rc::new(Cell::new(0));
    let source = Counted {
        source,
        count: Rc::clone(&wire),
    };
    let body = match encoding {
        Encoding::Identity => collect(source, caps, None)?,
        Encoding::Gzip => collect(MultiGzDecoder::new(source), caps, Some(&wire))?,
    };
    Ok((body, wire.get()))
}

/// `wire`: the bytes that came so far, where the ratio to them is bounded.
fn collect(mut decoded: impl Read, caps: Caps, wire: Option<&Cell<u64>>) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match decoded.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if wire.is_some() && is_decoders(&error) => return Err(BodyError::Garbled),
            Err(error) => return Err(BodyError::Transfer(error)),
        };
        let length = body.len() as u64 + read as u64;
        if length > caps.max_body {
            return Err(BodyError::Limit(SizeLimit::Body(caps.max_body)));
        }
        let bound = |came: u64| RATIO_FLOOR.max(came.saturating_mul(u64::from(caps.max_ratio)));
        if wire.is_some_and(|wire| length > bound(wire.get())) {
            return Err(BodyError::Limit(SizeLimit::Ratio(caps.max_ratio)));
        }
        body.extend_from_slice(&chunk[..read]);
    }
}

/// Whether the gzip decoder itself complains. A stream that merely ends too early is a broken transfer.
fn is_decoders(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        && !error
            .get_ref()
            .is_some_and(|inner| inner.is::<ureq::Error>() || inner.is::<rustls::Error>())
}

/// The beginning of a body that only explains a failure; what cannot be read is left out.
pub(crate) fn read_head(source: impl Read, headers: &Headers) -> Vec<u8> {
    let mut body = Vec::new();
    let source = source.take(HEAD_BYTES);
    // An explanation that breaks off is still the best there is.
    let _ = match Encoding::of(headers) {
        Ok(Encoding::Identity) => source.take(HEAD_BYTES).read_to_end(&mut body),
        Ok(Encoding::Gzip) => MultiGzDecoder::new(source).take(HEAD_BYTES).read_to_end(&mut body),
        Err(_) => Ok(0),
    };
    body
}

/// Counts what passes.
struct Counted<R> {
    source: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const CAPS: Caps = Caps {
        max_body: 8 * 1024 * 1024,
        max_ratio: 100,
    };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_caps_count_decoded_bytes() {
        let bomb = gzip(&vec![b' '; 9 * 1024 * 1024]);
        assert!(bomb.len() < 16 * 1024);
        let by_ratio = read(&bomb[..], Encoding::Gzip, CAPS);
        assert!(
            matches!(by_ratio, Err(BodyError::Limit(SizeLimit::Ratio(100)))),
            "{by_ratio:?}"
        );
        let by_size = read(
            &bomb[..],
            Encoding::Gzip,
            Caps {
                max_ratio: u32::MAX,
                ..CAPS
            },
        );
        assert!(
            matches!(by_size, Err(BodyError::Limit(SizeLimit::Body(_)))),
            "{by_size:?}"
        );
        let plain = vec![b' '; 9 * 1024 * 1024];
        assert!(matches!(
            read(&plain[..], Encoding::Identity, CAPS),
            Err(BodyError::Limit(SizeLimit::Body(_)))
        ));
    }

    #[test]
    fn a_small_body_may_compress_well() {
        let text = vec![b'a'; 900_000];
        let (body, wire) = read(&gzip(&text)[..], Encoding::Gzip, CAPS).unwrap();
        assert_eq!(body, text);
        assert!(wire < 2000, "{wire}");
    }

    #[test]
    fn several_gzip_members_are_one_body() {
        let both = [gzip(b"[1,"), gzip(b"2]")].concat();
        assert_eq!(read(&both[..], Encoding::Gzip, CAPS).unwrap().0, b"[1,2]");
    }

    #[test]
    fn a_truncated_gzip_is_a_broken_transfer_and_no_gzip_is_a_wrong_encoding() {
        let whole = gzip(b"some text that is long enough");
        let cut = read(&whole[..whole.len() - 6], Encoding::Gzip, CAPS);
        assert!(
            matches!(&cut, Err(BodyError::Transfer(e)) if e.kind() == io::ErrorKind::UnexpectedEof),
            "{cut:?}"
        );
        let plain = read(
            &b"{\"plain\": true, \"and\": \"long enough\"}"[..],
            Encoding::Gzip,
            CAPS,
        );
        assert!(matches!(plain, Err(BodyError::Garbled)), "{plain:?}");
    }

    #[test]
    fn only_one_gzip_is_understood() {
        let of = |value: &str| Encoding::of(&[("Content-Encoding", value)].into_iter().collect());
        assert_eq!(of("gzip"), Ok(Encoding::Gzip));
        assert_eq!(of("X-GZIP"), Ok(Encoding::Gzip));
        assert_eq!(of("identity"), Ok(Encoding::Identity));
        assert_eq!(of(""), Ok(Encoding::Identity));
        assert_eq!(of("br"), Err("br".into()));
        assert_eq!(of("gzip, gzip"), Err("gzip, gzip".into()));
    }
}
