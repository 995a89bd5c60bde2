//! The master key: 32 bytes that wrap the data keys of all secrets.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::fault::SecretFault;
use super::reference::without_line_end;
use super::{SecretLabel, sealed_with};

/// A master key. It is wiped from memory when it is dropped, and is never shown. It stays at one place: what moves leaves
/// copies behind.
pub struct MasterKey(Box<Zeroizing<[u8; 32]>>);

impl MasterKey {
    /// The check value of this key.
    pub fn id(&self) -> KeyId {
        let mut digest = blake3::derive_key("pg_sluice 1 check value of a master key", self.0.as_slice());
        let id = KeyId::from_slice(&digest[..8]);
        digest.zeroize();
        id
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id())
    }
}

/// Tells master keys apart without telling anything of them: eight bytes of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// `bytes` are eight.
    pub(super) fn from_slice(bytes: &[u8]) -> KeyId {
        let mut id = [0; 8];
        id.copy_from_slice(bytes);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads a key file's content: 32 raw bytes, or 64 hexadecimal digits, with or without a line end. With a line end, 32
/// hexadecimal digits are half a key, and not a raw one.
///
/// A key of 32 equal bytes is refused: it is a placeholder, not a key.
pub fn parse_key(content: &[u8]) -> Result<MasterKey, SecretFault> {
    let mut key = Box::new(Zeroizing::new([0u8; 32]));
    match raw(content) {
        Some(raw) => key.copy_from_slice(raw),
        None => decode_hex(content, &mut key)?,
    }
    match key.iter().all(|byte| *byte == key[0]) {
        true => Err(SecretFault::KeyIsConstant),
        false => Ok(MasterKey(key)),
    }
}

/// The keys that are there: the first one seals, all of them open.
///
/// A rotation puts a new key before the old one, has every data key wrapped again, and then takes the old one away.
pub struct KeyRing(Vec<MasterKey>);

impl KeyRing {
    /// The one that seals.
    pub fn current(&self) -> &MasterKey {
        &self.0[0]
    }

    /// The one that a value was sealed with; the current one where that is not there, which then tells so.
    pub fn key_of(&self, label: &SecretLabel<'_>, sealed: &[u8]) -> Result<&MasterKey, SecretFault> {
        let id = sealed_with(label, sealed)?;
        let found = self.0.iter().find(|key| key.id() == id);
        Ok(found.unwrap_or(self.current()))
    }
}

/// Reads what a key file holds or a key command prints: a key as [`parse_key`] takes it, or several of 64 hexadecimal
/// digits, one a line, the newest first.
pub fn parse_keys(content: &[u8]) -> Result<KeyRing, SecretFault> {
    let text = without_line_end(content);
    if raw(content).is_some() || !text.contains(&b'\n') {
        return Ok(KeyRing(vec![parse_key(content)?]));
    }
    let keys: Result<Vec<_>, _> = text.split(|byte| *byte == b'\n').map(parse_key).collect();
    Ok(KeyRing(keys?))
}

/// The bytes of a raw key.
fn raw(content: &[u8]) -> Option<&[u8]> {
    let text = without_line_end(content);
    let is_hex = text.iter().all(u8::is_ascii_hexdigit);
    match content.len() {
        32 => Some(content),
        _ => (text.len() == 32 && !is_hex).then_some(text),
    }
}

fn decode_hex(content: &[u8], key: &mut [u8; 32]) -> Result<(), SecretFault> {
    let digits = without_line_end(content);
    if digits.len() != 64 {
        return Err(SecretFault::KeyLength { bytes: content.len() });
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16).ok_or(SecretFault::KeyNotHex);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Ok(())
}
