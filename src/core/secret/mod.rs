//! Sealing of secrets: what is stored can be read only with the master key, and only as what it was stored as.
//!
//! Each version of a secret has a data key of its own, which the master key wraps; both steps are XChaCha20-Poly1305.
//! The associated data binds a sealed value to its secret, kind, version and origin, so that rows cannot be swapped, and
//! a secret cannot be sent to another origin than the one that it was set for (S-30, S-31).
//!
//! ```text
//! format (1) | key id (8) | nonce (24), data key wrapped by the master key (48) | nonce (24), sealed value (n + 16)
//! ```
//!
//! The key id is a check value of the master key: with another key one learns that it is another key, not that the value
//! was tampered with. Random bytes are arguments.

mod fault;
mod key;
mod reference;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use crate::connection::is_secret_name;

pub use fault::{KeyFileFault, SecretFault};
pub use key::{KeyId, KeyRing, MasterKey, parse_key, parse_keys};
pub use reference::{ReferenceFault, Source, parse_reference, without_line_end, words};

pub const LONGEST_VALUE: usize = 8192;
const FORMAT: u8 = 1;
const TAG: usize = 16;
const NONCE: usize = 24;
const KEY: usize = 32;
const KEY_ID: usize = 8;
const SHORTEST: usize = 1 + KEY_ID + NONCE + KEY + TAG + NONCE + TAG;

/// What a sealed value is; everything but the name is bound to it.
#[derive(Debug, Clone, Copy)]
pub struct SecretLabel<'a> {
    /// For messages only, since a secret can be renamed.
    pub name: &'a str,
    /// Stays the same over dump and restore.
    pub uuid: [u8; 16],
    /// What the value is for: `api`, `oauth_refresh` …
    pub kind: &'a str,
    pub version: u32,
    /// The one origin that the value may be sent to.
    pub origin: &'a str,
}

impl SecretLabel<'_> {
    /// `pg_sluice` ‖ uuid ‖ kind ‖ version ‖ origin; texts are preceded by their length, so that no two labels are alike.
    fn associated_data(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.kind.len() + self.origin.len());
        bytes.extend_from_slice(b"pg_sluice");
        bytes.extend_from_slice(&self.uuid);
        for text in [self.kind, self.origin] {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes
    }
}

/// The random bytes of one sealing, from the operating system's source. Never used twice.
pub struct SealRandom {
    pub data_key: [u8; KEY],
    pub key_nonce: [u8; NONCE],
    pub value_nonce: [u8; NONCE],
}

impl SealRandom {
    /// How many random bytes [`SealRandom::from_bytes`] takes.
    pub const BYTES: usize = KEY + NONCE + NONCE;

    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> SealRandom {
        let mut random = SealRandom {
            data_key: [0; KEY],
            key_nonce: [0; NONCE],
            value_nonce: [0; NONCE],
        };
        random.data_key.copy_from_slice(&bytes[..KEY]);
        random.key_nonce.copy_from_slice(&bytes[KEY..KEY + NONCE]);
        random.value_nonce.copy_from_slice(&bytes[KEY + NONCE..]);
        random
    }
}

impl Drop for SealRandom {
    fn drop(&mut self) {
        self.data_key.zeroize();
    }
}

/// Checks a name as `set_secret` is given it.
pub fn check_secret_name(name: &str) -> Result<(), SecretFault> {
    if is_secret_name(name) {
        Ok(())
    } else {
        Err(SecretFault::WrongName)
    }
}

/// Checks a value as `set_secret` is given it: 1 to 8192 bytes that can stand in a header, on one line; a private key in
/// PEM form has many.
pub fn check_secret_value(name: &str, value: &str) -> Result<(), SecretFault> {
    match value.is_empty() || value.len() > LONGEST_VALUE || !has_expected_lines(value) {
        true => Err(SecretFault::WrongSecretValue { name: name.to_owned() }),
        false => Ok(()),
    }
}

fn has_expected_lines(value: &str) -> bool {
    let is_pem = value.starts_with("-----BEGIN ");
    value
        .chars()
        .all(|c| !c.is_control() || is_pem && matches!(c, '\n' | '\r'))
}

/// Seals `value` as the version of the secret that `label` says.
pub fn seal(key: &MasterKey, label: &SecretLabel<'_>, value: &[u8], random: SealRandom) -> Vec<u8> {
    let bound = label.associated_data();
    let mut sealed = Vec::with_capacity(SHORTEST + value.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(key.id().as_bytes());
    sealed.extend_from_slice(&random.key_nonce);
    sealed.extend_from_slice(&encrypt(key.bytes(), &random.key_nonce, &bound, &random.data_key));
    sealed.extend_from_slice(&random.value_nonce);
    sealed.extend_from_slice(&encrypt(&random.data_key, &random.value_nonce, &bound, value));
    sealed
}

/// Opens what [`seal`] made, as the same version of the same secret.
pub fn open(key: &MasterKey, label: &SecretLabel<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let parts = Parts::of(label, sealed)?;
    let data_key = parts.unwrap_data_key(key, label)?;
    let bound = label.associated_data();
    decrypt(&data_key, parts.value_nonce, &bound, parts.value).ok_or_else(|| damaged(label))
}

/// Wraps the data key again, with another master key; the sealed value itself stays as it is. For key rotation.
pub fn rewrap(
    old: &MasterKey,
    new: &MasterKey,
    label: &SecretLabel<'_>,
    sealed: &[u8],
    key_nonce: [u8; NONCE],
) -> Result<Vec<u8>, SecretFault> {
    let parts = Parts::of(label, sealed)?;
    let data_key = parts.unwrap_data_key(old, label)?;
    let wrapped = encrypt(new.bytes(), &key_nonce, &label.associated_data(), data_key.as_slice());
    let mut again = Vec::with_capacity(sealed.len());
    again.push(FORMAT);
    again.extend_from_slice(new.id().as_bytes());
    again.extend_from_slice(&key_nonce);
    again.extend_from_slice(&wrapped);
    again.extend_from_slice(parts.value_nonce);
    again.extend_from_slice(parts.value);
    Ok(again)
}

/// Which master key a value was sealed with.
pub fn sealed_with(label: &SecretLabel<'_>, sealed: &[u8]) -> Result<KeyId, SecretFault> {
    Ok(Parts::of(label, sealed)?.key_id)
}

/// A sealed value, taken apart.
struct Parts<'a> {
    key_id: KeyId,
    key_nonce: &'a [u8],
    wrapped_key: &'a [u8],
    value_nonce: &'a [u8],
    value: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(label: &SecretLabel<'_>, sealed: &'a [u8]) -> Result<Parts<'a>, SecretFault> {
        let name = label.name.to_owned();
        match sealed.first() {
            Some(&FORMAT) if sealed.len() >= SHORTEST => {}
            Some(&FORMAT) | None => return Err(damaged(label)),
            Some(&format) => return Err(SecretFault::UnknownFormat { name, format }),
        }
        let (key_id, rest) = sealed[1..].split_at(KEY_ID);
        let (key_nonce, rest) = rest.split_at(NONCE);
        let (wrapped_key, rest) = rest.split_at(KEY + TAG);
        let (value_nonce, value) = rest.split_at(NONCE);
        Ok(Parts {
            key_id: KeyId::from_slice(key_id),
            key_nonce,
            wrapped_key,
            value_nonce,
            value,
        })
    }

    fn unwrap_data_key(&self, key: &MasterKey, label: &SecretLabel<'_>) -> Result<Zeroizing<[u8; KEY]>, SecretFault> {
        if self.key_id != key.id() {
            let name = label.name.to_owned();
            return Err(SecretFault::AnotherKey {
                name,
                sealed_with: self.key_id,
                present: key.id(),
            });
        }
        let bytes = decrypt(key.bytes(), self.key_nonce, &label.associated_data(), self.wrapped_key)
            .ok_or_else(|| damaged(label))?;
        let mut data_key = Zeroizing::new([0; KEY]);
        data_key.copy_from_slice(&bytes);
        Ok(data_key)
    }
}

fn damaged(label: &SecretLabel<'_>) -> SecretFault {
    SecretFault::Damaged {
        name: label.name.to_owned(),
    }
}

fn encrypt(key: &[u8; KEY], nonce: &[u8; NONCE], bound: &[u8], text: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
    cipher
        .encrypt(XNonce::from_slice(nonce), Payload { msg: text, aad: bound })
        .expect("XChaCha20-Poly1305 fails only beyond 256 GB")
}

fn decrypt(key: &[u8; KEY], nonce: &[u8], bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
    cipher
        .decrypt(
            XNonce::from_slice(nonce),
            Payload {
                msg: sealed,
                aad: bound,
            },
        )
        .ok()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
