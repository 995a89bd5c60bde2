//! An API behind TLS: authorities that issue certificates of every kind, and a server that shows them and passes on.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Who issues certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM form.
pub struct Issued {
    pub pem: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for a name, valid now.
    pub fn issue(&self, name: &str) -> Issued {
        self.sign(CertificateParams::new([name.to_string()]).expect("a name"))
    }

    /// One that was valid in the year 2020 only.
    pub fn issue_expired(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new([name.to_string()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let pem = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Issued {
            pem,
            key: key.serialize_pem(),
        }
    }
}

/// A server in front of an API; it ends with the test's process.
pub struct Front {
    port: u16,
}

impl Front {
    /// Shows `certificate`, and asks clients for one of `clients` where that is given. Answers come from 127.0.0.1:`api`.
    pub fn start(api: u16, certificate: &Issued, clients: Option<&Authority>) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let config = Arc::new(config(certificate, clients));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                std::thread::spawn(move || pass_on(stream, config, api));
            }
        });
        Front { port }
    }

    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

fn config(certificate: &Issued, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(der(&authority.pem)).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
    builder
        .with_single_cert(vec![der(&certificate.pem)], key)
        .expect("they belong together")
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

fn body_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

/// One request of one connection. What goes wrong on the way is the client's to see.
fn pass_on(stream: TcpStream, config: Arc<ServerConfig>, api: u16) {
    let mut tls = StreamOwned::new(ServerConnection::new(config).expect("a configuration"), stream);
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match tls.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let mut body = vec![0; body_length(&head)];
    if tls.read_exact(&mut body).is_err() {
        return;
    }
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    let mut answer = Vec::new();
    let mut remote = TcpStream::connect(("127.0.0.1", api)).expect("the API runs");
    head.extend_from_slice(&body);
    let passed = remote.write_all(&head).and_then(|()| remote.read_to_end(&mut answer));
    if passed.is_ok() && tls.write_all(&answer).is_ok() {
        tls.conn.send_close_notify();
        let _ = tls.flush();
    }
}
