//! Where a request may go, and what it may carry there: addresses, redirects, proxies, certificates, headers.

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sluice_core::Class;
use sluice_core::error::Explain;
use sluice_core::http::status::judge;
use sluice_core::http::{Auth, HeaderValue, HttpError, KeyPlace, Phase, Request, Secret, TlsProblem};
use sluice_core::url_policy::address::{AddressPolicy, Refusal};
use sluice_fetch::{ReadSpec, Transport, UreqTransport};
use url::Url;

use crate::scripted::{Scripted, response};

fn request(server: &Scripted) -> Request {
    Request::get(server.base().join("v1/x?api_key=hunter2").unwrap())
}

#[test]
fn a_redirect_is_not_followed_and_its_target_never_sees_the_credentials() {
    let elsewhere = Scripted::saying(response("200 OK", "", b"[]"));
    let location = format!("Location: http://127.0.0.1:{}/v1/x\r\n", elsewhere.port);
    let auths = [
        Auth::Bearer(Secret::new("hunter2")),
        Auth::ApiKey {
            name: "x-api-key".into(),
            place: KeyPlace::Header,
            value: Secret::new("hunter2"),
        },
        Auth::ApiKey {
            name: "key".into(),
            place: KeyPlace::Query,
            value: Secret::new("hunter2"),
        },
    ];
    for status in ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"] {
        let server = Scripted::saying(response(status, &location, b""));
        for auth in &auths {
            let mut request = Request::get(server.base());
            auth.apply(&mut request, &server.base());
            let answer = server.transport().send(&request).unwrap();
            let error = judge(&request, &answer, auth, std::time::SystemTime::UNIX_EPOCH).unwrap_err();
            assert!(
                matches!(&error, HttpError::Redirected { to_origin: Some(_), .. }),
                "{error:?}"
            );
            assert!(!format!("{error} {:?}", error.detail()).contains("hunter2"));
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_refused_address_is_never_connected_to() {
    let server = Scripted::saying(response("200 OK", "", b"[]"));
    for host in ["127.0.0.1", "127.1", "2130706433", "localhost", "[::ffff:127.0.0.1]"] {
        let mut spec = ReadSpec::new(Url::parse(&format!("http://{host}:{}/v1", server.port)).unwrap(), "/x");
        spec.policy = AddressPolicy {
            plain_http: true,
            ..AddressPolicy::default()
        };
        let request = Request::get(spec.first_url().unwrap());
        let error = UreqTransport::new(spec.agent_settings()).send(&request).unwrap_err();
        let refused = matches!(
            error,
            HttpError::BlockedAddress {
                refusal: Refusal::NotPublic("loopback"),
                ..
            }
        );
        assert!(refused, "{host}: {error:?}");
        assert_eq!((error.class(), error.sqlstate()), (Class::Config, "SY007"));
        assert!(
            error
                .hint()
                .unwrap()
                .contains("sluice.allowed_networks = '127.0.0.0/8'")
        );
    }
    let mut spec = server.spec();
    spec.policy.allowed_networks.push("169.254.0.0/16".parse().unwrap());
    let metadata = Request::get(Url::parse("http://169.254.169.254/latest/meta-data/").unwrap());
    let error = UreqTransport::new(spec.agent_settings()).send(&metadata).unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::BlockedAddress {
                refusal: Refusal::Metadata,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.connections(), 0);
}

#[test]
fn plain_http_to_an_address_that_is_not_allowed_is_refused() {
    let spec = ReadSpec::new(Url::parse("http://8.8.8.8/v1").unwrap(), "/x");
    let error = UreqTransport::new(spec.agent_settings())
        .send(&Request::get(spec.base))
        .unwrap_err();
    assert_eq!(error, HttpError::PlainHttp { host: "8.8.8.8".into() });
}

/// Runs in a process of its own, because the environment belongs to the whole process.
#[test]
fn proxies_of_the_environment_are_ignored() {
    const CHILD: &str = "SLUICE_TEST_PORT";
    if let Ok(port) = std::env::var(CHILD) {
        let mut spec = ReadSpec::new(Url::parse(&format!("http://127.0.0.1:{port}/v1")).unwrap(), "/x");
        spec.policy.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
        let request = Request::get(spec.first_url().unwrap());
        let answer = UreqTransport::new(spec.agent_settings()).send(&request).unwrap();
        assert_eq!(answer.body, b"[\"direct\"]");
        return;
    }
    let server = Scripted::saying(response("200 OK", "", b"[\"direct\"]"));
    let proxy = Scripted::saying(response("200 OK", "", b"[\"by proxy\"]"));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "policy::proxies_of_the_environment_are_ignored"]);
    child
        .env(CHILD, server.port.to_string())
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    assert!(child.output().unwrap().status.success());
    assert_eq!((server.connections(), proxy.connections()), (1, 0));
}

/// F-N1.
#[test]
fn a_name_that_does_not_exist_does_not_resolve() {
    let mut spec = ReadSpec::new(Url::parse("https://does-not-exist.invalid/v1").unwrap(), "/x");
    spec.timeouts.connect = std::time::Duration::from_secs(2);
    let error = UreqTransport::new(spec.agent_settings())
        .send(&Request::get(spec.base))
        .unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::Resolve { .. }
                | HttpError::Timeout {
                    phase: Phase::Resolve,
                    ..
                }
        ),
        "{error:?}"
    );
}

/// A server with a certificate that nobody issued. Its key protects nothing and is used here only.
fn self_signed() -> Scripted {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    Scripted::raw(move |stream| {
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, stream);
        let _ = stream.write_all(&response("200 OK", "", b"[]"));
    })
}

/// F-N3.
#[test]
fn a_certificate_that_nobody_issued_is_not_accepted() {
    let server = self_signed();
    for host in ["localhost", "127.0.0.1"] {
        let url = Url::parse(&format!("https://{host}:{}/v1", server.port)).unwrap();
        let error = server.transport().send(&Request::get(url)).unwrap_err();
        assert!(
            matches!(
                error,
                HttpError::Tls {
                    problem: TlsProblem::UnknownIssuer,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!((error.class(), error.sqlstate()), (Class::Config, "08001"));
    }
}

/// F-N3.
#[test]
fn tls_with_something_that_is_not_tls_is_an_error_of_the_handshake() {
    let answering = Scripted::raw(|stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nplain")));
    let closing = Scripted::raw(|_| {});
    let silent = Scripted::raw(|stream| drop(std::io::copy(stream, &mut std::io::sink())));
    // A server of TLS 1.0 answers with the alert protocol_version.
    let old = Scripted::raw(|stream| drop(stream.write_all(&[21, 3, 1, 0, 2, 2, 70])));
    for server in [answering, closing, silent, old] {
        let url = Url::parse(&format!("https://127.0.0.1:{}/v1", server.port)).unwrap();
        let mut spec = server.spec();
        spec.timeouts.connect = Duration::from_millis(300);
        let transport = UreqTransport::new(spec.agent_settings());
        let error = transport.send(&Request::get(url)).unwrap_err();
        let handshake = HttpError::Tls {
            remote: format!("127.0.0.1:{}", server.port),
            problem: TlsProblem::Handshake,
        };
        assert_eq!((error.class(), error), (Class::Network, handshake));
    }
}

#[test]
fn a_header_that_would_smuggle_another_is_refused_before_anything_is_sent() {
    let server = Scripted::saying(response("200 OK", "", b"[]"));
    for (name, value) in [("x-a", "b\r\nx-evil: 1"), ("x a", "b"), ("x-a", "b\0")] {
        let mut request = request(&server);
        request
            .headers
            .push((name.to_owned(), HeaderValue::Plain(value.to_owned())));
        let error = server.transport().send(&request).unwrap_err();
        assert_eq!(error, HttpError::BadHeader { name: name.to_owned() });
    }
    assert_eq!(server.connections(), 0);
}
