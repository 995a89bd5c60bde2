//! TLS as one connection wants it: whom it trusts, and the certificate that it shows.
//!
//! Verification is always on; there is no way to say otherwise. Without authorities of its own a connection trusts
//! Mozilla's roots as bundled with the library: the same on every system, and nothing that a directory holds changes whom
//! the database trusts.

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sluice_core::connection::{ClientCertificate, ConnectionFault, TlsOptions};
use sluice_core::http::Secret;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// Ready for use: a key that does not belong to its certificate was refused.
#[derive(Clone)]
pub struct Tls {
    roots: RootCerts,
    client: Option<ClientCert>,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            roots: RootCerts::WebPki,
            client: None,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own_roots = matches!(self.roots, RootCerts::Specific(_));
        f.debug_struct("Tls")
            .field("own_roots", &own_roots)
            .field("client", &self.client.is_some())
            .finish()
    }
}

impl Tls {
    /// `key`: the private key in PEM form, where the options name one.
    ///
    /// # Errors
    /// `WrongClientKey`.
    pub fn new(options: &TlsOptions, key: Option<&Secret>) -> Result<Tls, ConnectionFault> {
        let client = match (&options.client, key) {
            (Some(certificate), Some(key)) => Some(client(certificate, key)?),
            _ => None,
        };
        let roots = match options.ca.is_empty() {
            true => RootCerts::WebPki,
            false => RootCerts::from(options.ca.iter().map(|der| Certificate::from_der(der).to_owned())),
        };
        Ok(Tls { roots, client })
    }

    pub(crate) fn config(&self) -> TlsConfig {
        TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .client_cert(self.client.clone())
            .root_certs(self.roots.clone())
            .use_sni(true)
            .disable_verification(false)
            .build()
    }
}

/// ureq takes a key for granted and panics where it does not fit, so it is tried here, as rustls tries it.
fn client(certificate: &ClientCertificate, key: &Secret) -> Result<ClientCert, ConnectionFault> {
    let wrong = || ConnectionFault::WrongClientKey {
        secret: certificate.key.clone(),
    };
    let text = key.expose().as_bytes();
    let der = PrivateKeyDer::from_pem_slice(text).map_err(|_| wrong())?;
    let chain: Vec<CertificateDer<'static>> = certificate.chain.iter().map(|der| der.clone().into()).collect();
    CertifiedKey::from_der(chain, der, &rustls::crypto::ring::default_provider()).map_err(|_| wrong())?;
    let chain: Vec<Certificate<'static>> = certificate
        .chain
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let key = PrivateKey::from_pem(text).map_err(|_| wrong())?;
    Ok(ClientCert::new_with_certs(&chain, key))
}
