//! PKCE with S256 (RFC 7636), and the random texts that authorizations are told apart by.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::http::Secret;

/// The code verifier: 43 characters of 256 random bits.
pub struct Verifier(pub Secret);

impl Verifier {
    pub fn new(random: &[u8; 32]) -> Verifier {
        Verifier(Secret::new(random_text(random)))
    }

    /// What the authorization request shows of it.
    pub fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose().as_bytes()))
    }
}

/// Random bytes as a text that can stand in a URL.
pub fn random_text(random: &[u8; 32]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random)
}

/// What is kept of a state: enough to recognise it.
pub fn state_hash(state: &str) -> Vec<u8> {
    Sha256::digest(state.as_bytes()).to_vec()
}
