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

/// Runs in a process of its own, because the environment belongs to the whole process (S-24, F-N12).
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

/// What an attacker writes for a machine that only the server can reach: literals and encodings of loopback, private,
/// link-local and metadata addresses, and names that lead there. Each with the word of its refusal.
const HOSTILE_HOSTS: [(&str, &str); 72] = [
    // Loopback.
    ("127.0.0.1", "loopback"),
    ("127.0.0.2", "loopback"),
    ("127.1", "loopback"),
    ("127.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("0x7f000001", "loopback"),
    ("0x7f.0.0.1", "loopback"),
    ("0x7F.1", "loopback"),
    ("0177.0.0.1", "loopback"),
    ("0177.1", "loopback"),
    ("017700000001", "loopback"),
    ("2130706433", "loopback"),
    ("127.0.0.1.", "loopback"),
    ("127.000.000.001", "loopback"),
    ("%31%32%37.0.0.1", "loopback"),
    ("１２７.0.0.1", "loopback"),
    ("①②⑦.⓪.⓪.①", "loopback"),
    ("127。0。0。1", "loopback"),
    ("localhost", "loopback"),
    ("LOCALHOST", "loopback"),
    ("[::1]", "loopback"),
    ("[0:0:0:0:0:0:0:1]", "loopback"),
    ("[::ffff:127.0.0.1]", "loopback"),
    ("[::ffff:7f00:1]", "loopback"),
    ("[0:0:0:0:0:ffff:7f00:0001]", "loopback"),
    // No address, which is this host to many systems.
    ("0.0.0.0", "unspecified"),
    ("0", "unspecified"),
    ("0x0", "unspecified"),
    ("00", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("[::]", "unspecified"),
    ("[::ffff:0.0.0.0]", "unspecified"),
    // Private networks.
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),
    ("0xa000001", "private"),
    ("012.0.0.1", "private"),
    ("167772161", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.254", "private"),
    ("192.168.1.1", "private"),
    ("0xc0a80101", "private"),
    ("3232235777", "private"),
    ("[fc00::1]", "private"),
    ("[fd12:3456:789a::1]", "private"),
    ("[::ffff:10.0.0.1]", "private"),
    ("[::ffff:c0a8:101]", "private"),
    // Of one link, of one site, of nobody.
    ("169.254.0.1", "link-local"),
    ("[fe80::1]", "link-local"),
    ("[::ffff:169.254.1.1]", "link-local"),
    ("[fec0::1]", "site-local"),
    ("100.64.0.1", "shared (carrier-grade NAT)"),
    ("192.0.0.8", "special-purpose"),
    ("192.0.2.1", "documentation"),
    ("198.18.0.1", "benchmarking"),
    ("224.0.0.1", "multicast"),
    ("255.255.255.255", "reserved"),
    ("4294967295", "reserved"),
    ("[ff02::1]", "multicast"),
    ("[100::1]", "reserved"),
    // IPv4 in disguise.
    ("[64:ff9b::7f00:1]", "NAT64"),
    ("[64:ff9b::a00:1]", "NAT64"),
    ("[2002:7f00:1::]", "6to4"),
    ("[::127.0.0.1]", "reserved"),
    ("[2001:db8::1]", "documentation"),
    // What hands out the machine's credentials.
    ("169.254.169.254", "metadata"),
    ("0xa9fea9fe", "metadata"),
    ("2852039166", "metadata"),
    ("0251.0376.0251.0376", "metadata"),
    ("[::ffff:a9fe:a9fe]", "metadata"),
    ("[fd00:ec2::254]", "metadata"),
    ("168.63.129.16", "metadata"),
    ("100.100.100.200", "metadata"),
];

fn refused(policy: &AddressPolicy, scheme: &str, host: &str, port: u16) -> (HttpError, &'static str) {
    let base = Url::parse(&format!("{scheme}://{host}:{port}/v1")).unwrap_or_else(|e| panic!("{host}: {e}"));
    let mut spec = ReadSpec::new(base, "/x");
    spec.policy = policy.clone();
    spec.timeouts.connect = Duration::from_secs(5);
    let request = Request::get(spec.first_url().unwrap());
    let error = UreqTransport::new(spec.agent_settings()).send(&request).unwrap_err();
    let word = match &error {
        HttpError::BlockedAddress { refusal, .. } => match refusal {
            Refusal::NotPublic(word) => word,
            Refusal::Metadata => "metadata",
        },
        _ => "connected",
    };
    (error, word)
}

/// S-22, S-23: as a client meets them, from the URL to the socket.
#[test]
fn no_encoding_of_a_refused_address_is_ever_connected_to() {
    let server = Scripted::saying(response("200 OK", "", b"[]"));
    let open = AddressPolicy {
        plain_http: true,
        ..AddressPolicy::default()
    };
    for (host, expected) in HOSTILE_HOSTS {
        for scheme in ["http", "https"] {
            let (error, word) = refused(&open, scheme, host, server.port);
            assert_eq!(word, expected, "{scheme}://{host}: {error:?}");
            assert_eq!((error.class(), error.sqlstate()), (Class::Config, "SY007"), "{host}");
        }
    }
    // Whoever allows every network has not allowed these.
    let everything = AddressPolicy {
        allowed_networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        ..open
    };
    for (host, _) in HOSTILE_HOSTS.iter().filter(|(_, word)| *word == "metadata") {
        assert_eq!(refused(&everything, "http", host, server.port).1, "metadata", "{host}");
    }
    assert_eq!(server.connections(), 0);
}

/// S-20: what a job's path, a link or a redirect may name is below the base URL, however it is written.
#[test]
fn no_path_of_a_job_leads_away_from_the_base_url() {
    let base = Url::parse("https://api.example.com/v1").unwrap();
    for path in [
        "https://evil.example/x",
        "//evil.example/x",
        "/\\evil.example/x",
        "\\\\evil.example\\x",
        "@evil.example/x",
        "user:pass@evil.example",
        ":8443/x",
        "/../x",
        "/a/../../x",
        "/a/..",
        "/./x",
        "/%2e%2e/x",
        "/%2E%2E%2fx",
        "/..%2fx",
        "/%252e%252e/x",
        "/a%2fb",
        "/a%5cb",
        "/a//b",
        "/a\tb",
        "/a\nb",
        "/a\r\nHost: evil.example",
        "/a\0b",
        "/a%00b",
        "/a%0d%0ab",
        "/x?api_key=1",
        "/x#fragment",
        "javascript://evil",
        "file:///etc/passwd",
    ] {
        let spec = ReadSpec::new(base.clone(), path);
        assert!(spec.first_url().is_err(), "{path:?}: {:?}", spec.first_url());
    }
    for (path, url) in [
        ("/products", "https://api.example.com/v1/products"),
        ("größe", "https://api.example.com/v1/gr%C3%B6%C3%9Fe"),
        ("/a:b@c", "https://api.example.com/v1/a:b@c"),
        ("", "https://api.example.com/v1"),
    ] {
        let joined = ReadSpec::new(base.clone(), path).first_url();
        assert_eq!(joined.map(|u| u.to_string()).ok().as_deref(), Some(url), "{path}");
    }
}
