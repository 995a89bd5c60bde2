//! Whom a connection trusts, and with what it proves itself in TLS: the options `ca`, `client_cert` and `client_key`.
//!
//! Certificates are public, and stand in the options as PEM text (RFC 7468): a dump holds them, and no file of the server
//! is read through a connection. A private key is a secret, and named by its name. What was given is never shown: a key
//! is easily pasted in the wrong place.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::error::ConfigError;
use super::fault::ConnectionFault;
use super::names::is_secret_name;
use super::options::Given;

/// A bundle of authorities is smaller than this.
const LONGEST: usize = 1024 * 1024;

/// The TLS options of a connection, checked. Certificates are in DER form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The only authorities whose certificates are trusted; empty: the bundled ones.
    pub ca: Vec<Vec<u8>>,
    pub client: Option<ClientCertificate>,
}

/// What a remote that wants it is shown (mutual TLS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its own certificate first, then those that lead to the authority.
    pub chain: Vec<Vec<u8>>,
    /// The name of the secret that holds the private key.
    pub key: String,
}

impl Given<'_> {
    pub(super) fn tls(&self, scheme: &str) -> Result<TlsOptions, ConfigError> {
        for option in ["ca", "client_cert", "client_key"] {
            if self.get(option).is_some() && scheme != "https" {
                let because = "base_url begins with http://".to_owned();
                let uses = Vec::new();
                return Err(ConnectionFault::UselessOption { option, because, uses }.into());
            }
        }
        let ca = match self.get("ca") {
            Some(text) => certificates("ca", text)?,
            None => Vec::new(),
        };
        if let Some(place) = ca.iter().position(|der| !is_authority(der)) {
            return Err(ConnectionFault::NotACertificate {
                option: "ca",
                place: place + 1,
            }
            .into());
        }
        Ok(TlsOptions {
            ca,
            client: self.client()?,
        })
    }

    fn client(&self) -> Result<Option<ClientCertificate>, ConfigError> {
        if self.get("client_cert").is_none() && self.get("client_key").is_none() {
            return Ok(None);
        }
        let chain = certificates("client_cert", self.required("client_cert", "client_key is given")?)?;
        if let Some(place) = chain.iter().position(|der| !is_end_entity(der)) {
            return Err(ConnectionFault::NotACertificate {
                option: "client_cert",
                place: place + 1,
            }
            .into());
        }
        let key = self.required("client_key", "client_cert is given")?;
        match is_secret_name(key) {
            true => Ok(Some(ClientCertificate {
                chain,
                key: key.to_owned(),
            })),
            false => Err(ConnectionFault::NotASecretName { option: "client_key" }.into()),
        }
    }
}

fn certificates(option: &'static str, text: &str) -> Result<Vec<Vec<u8>>, ConfigError> {
    if text.contains("PRIVATE KEY") {
        return Err(ConnectionFault::PrivateKey { option }.into());
    }
    let none = || ConnectionFault::NoCertificate { option };
    if text.len() > LONGEST {
        return Err(none().into());
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|_| none())?;
    match found.is_empty() {
        true => Err(none().into()),
        false => Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect()),
    }
}

fn is_authority(der: &[u8]) -> bool {
    webpki::anchor_from_trusted_cert(&CertificateDer::from(der)).is_ok()
}

fn is_end_entity(der: &[u8]) -> bool {
    webpki::EndEntityCert::try_from(&CertificateDer::from(der)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionOptions;
    use crate::error::Explain;

    const PEM: &str = include_str!("../../fetch/tests/fetch/tls/certificate.pem");

    fn parse(options: &[(&str, &str)]) -> Result<TlsOptions, ConfigError> {
        let url = [("base_url", "https://api.example.com")];
        let url = if options.iter().any(|(name, _)| *name == "base_url") {
            &url[..0]
        } else {
            &url[..]
        };
        let all: Vec<(String, String)> = url
            .iter()
            .chain(options)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ConnectionOptions::parse(&all).map(|options| options.tls)
    }

    fn fault(options: &[(&str, &str)]) -> ConnectionFault {
        match parse(options) {
            Err(ConfigError::Connection(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn certificates_are_read_from_pem_text_with_what_stands_around_them() {
        assert_eq!(parse(&[]).unwrap(), TlsOptions::default());
        let two = format!("# our own\nsubject=CN = x\n{PEM}\n{PEM}");
        let read = parse(&[("ca", &two), ("client_cert", PEM), ("client_key", "shop_key")]).unwrap();
        assert_eq!(read.ca.len(), 2);
        let client = read.client.unwrap();
        assert_eq!(
            (client.chain, client.key.as_str()),
            (vec![read.ca[0].clone()], "shop_key")
        );
    }

    #[test]
    fn what_is_no_certificate_is_refused_when_it_is_given() {
        let broken = PEM.replacen("-----\nM", "-----\n*", 1);
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "/etc/ssl/ca.pem", "MIIB", broken.as_str()] {
            assert_eq!(
                fault(&[("ca", text)]),
                ConnectionFault::NoCertificate { option: "ca" },
                "{text}"
            );
        }
        assert_eq!(
            fault(&[("ca", other)]),
            ConnectionFault::NotACertificate { option: "ca", place: 1 }
        );
        let second = format!("{PEM}{other}");
        assert_eq!(
            fault(&[("client_cert", &second), ("client_key", "k")]),
            ConnectionFault::NotACertificate {
                option: "client_cert",
                place: 2
            }
        );
    }

    #[test]
    fn a_private_key_is_refused_and_not_repeated() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----\n";
        for options in [vec![("ca", key)], vec![("client_cert", key), ("client_key", "k")]] {
            let fault = fault(&options);
            assert_eq!(fault.sqlstate(), "HV00D");
            assert!(!format!("{fault} {:?} {:?} {fault:?}", fault.detail(), fault.hint()).contains("hunter2"));
        }
        assert_eq!(
            fault(&[("client_cert", PEM), ("client_key", key)]),
            ConnectionFault::NotASecretName { option: "client_key" }
        );
    }

    #[test]
    fn a_certificate_and_its_key_come_together_and_need_https() {
        for (options, missing) in [
            (("client_cert", PEM), "client_key"),
            (("client_key", "k"), "client_cert"),
        ] {
            let ConnectionFault::MissingOption { option, .. } = fault(&[options]) else {
                panic!()
            };
            assert_eq!(option, missing);
        }
        let plain = fault(&[("base_url", "http://api.example.com"), ("ca", PEM)]);
        assert!(
            matches!(plain, ConnectionFault::UselessOption { option: "ca", .. }),
            "{plain:?}"
        );
    }
}
