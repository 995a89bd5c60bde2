//! Signatures of a client that proves itself with a private key: by the library that TLS is made with.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::Signer;
use sluice_core::http::Secret;
use sluice_core::oauth::joined_signature;

/// The algorithms as JSON names them (RFC 7518, 3.1, RFC 8037), and the bytes of each number of an ECDSA signature.
const ALGORITHMS: [(SignatureScheme, &str, Option<usize>); 4] = [
    (SignatureScheme::RSA_PKCS1_SHA256, "RS256", None),
    (SignatureScheme::ECDSA_NISTP256_SHA256, "ES256", Some(32)),
    (SignatureScheme::ECDSA_NISTP384_SHA384, "ES384", Some(48)),
    (SignatureScheme::ED25519, "EdDSA", None),
];

/// A private key that signs.
pub struct SigningKey {
    signer: Arc<dyn Signer>,
    pub algorithm: &'static str,
    of_number: Option<usize>,
}

impl SigningKey {
    /// Reads a key in PEM form; None: it is none, or of a kind that cannot sign.
    pub fn read(pem: &Secret) -> Option<SigningKey> {
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).ok()?;
        let key = any_supported_type(&der).ok()?;
        ALGORITHMS.into_iter().find_map(|(scheme, algorithm, of_number)| {
            let signer = key.choose_scheme(&[scheme])?;
            Some(SigningKey {
                signer: Arc::from(signer),
                algorithm,
                of_number,
            })
        })
    }

    /// The signature of a text; None where the key cannot make it.
    pub fn sign(&self, text: &str) -> Option<Vec<u8>> {
        let signature = self.signer.sign(text.as_bytes()).ok()?;
        match self.of_number {
            Some(bytes) => joined_signature(&signature, bytes),
            None => Some(signature),
        }
    }
}
