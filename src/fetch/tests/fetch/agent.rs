//! One request against servers that misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use sluice_core::Class;
use sluice_core::error::Explain;
use sluice_core::http::status::{Meaning, judge};
use sluice_core::http::{
    Auth, Breakage, HeaderValue, HttpError, KeyPlace, Method, Phase, Request, Response, Secret, SizeLimit,
};
use sluice_core::url_policy::address::{AddressPolicy, Refusal};
use sluice_fetch::{ReadSpec, Transport, UreqTransport};
use url::Url;

use crate::scripted::{Scripted, response};

fn get(server: &Scripted) -> Result<Response, HttpError> {
    server.transport().send(&request(server))
}

fn request(server: &Scripted) -> Request {
    Request::get(server.base().join("v1/x?api_key=hunter2").unwrap())
}

fn remote(server: &Scripted) -> String {
    format!("127.0.0.1:{}", server.port)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_response_comes_with_its_fields_and_body() {
    let server = Scripted::saying(response("200 OK", "X-Total: 3\r\nETag: \"a\"\r\n", b"[1,2,3]"));
    let answer = get(&server).unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.wire_bytes),
        (200, &b"[1,2,3]"[..], 7)
    );
    assert_eq!(
        (answer.headers.get("x-total"), answer.headers.get("etag")),
        (Some("3"), Some("\"a\""))
    );
    let sent = server.requests()[0].to_ascii_lowercase();
    assert!(sent.starts_with("get /v1/x?api_key=hunter2 http/1.1\r\n"), "{sent}");
    assert!(
        sent.contains("user-agent: pg_sluice/") && sent.contains("accept-encoding: gzip\r\n"),
        "{sent}"
    );
    assert!(!sent.contains("cookie"), "{sent}");
}

#[test]
fn a_failure_status_is_a_response_and_cookies_are_not_kept() {
    let server = Scripted::saying(response("503 Busy", "Set-Cookie: a=b\r\n", b"{}"));
    let transport = server.transport();
    for _ in 0..2 {
        assert_eq!(transport.send(&request(&server)).unwrap().status, 503);
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|head| !head.to_ascii_lowercase().contains("cookie"))
    );
}

#[test]
fn a_server_that_says_nothing_is_a_timeout() {
    let server = Scripted::new(|_, stream| drop(stream.read(&mut [0; 1])));
    let mut spec = server.spec();
    spec.timeouts.request = Duration::from_millis(300);
    let start = Instant::now();
    let error = UreqTransport::new(spec.agent_settings())
        .send(&request(&server))
        .unwrap_err();
    assert_eq!(
        error,
        HttpError::Timeout {
            remote: remote(&server),
            phase: Phase::Response
        }
    );
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_body_that_drips_ends_at_the_time_limit_of_the_request() {
    let server = Scripted::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut spec = server.spec();
    spec.timeouts.request = Duration::from_millis(500);
    let start = Instant::now();
    let error = UreqTransport::new(spec.agent_settings())
        .send(&request(&server))
        .unwrap_err();
    assert_eq!(error.class(), Class::Timeout, "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_closed_port_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/x")).unwrap();
    let settings = Scripted::saying("").spec().agent_settings();
    let error = UreqTransport::new(settings).send(&Request::get(url)).unwrap_err();
    assert_eq!(
        error,
        HttpError::Refused {
            remote: format!("127.0.0.1:{port}")
        }
    );
}

#[test]
fn a_transfer_that_breaks_off_is_an_error_and_never_a_short_page() {
    let broken = |answer: &str| get(&Scripted::saying(answer.as_bytes())).unwrap_err();
    let table = [
        ("", Breakage::Truncated),
        ("HTTP/1.1 200 OK\r\ncontent-le", Breakage::Truncated),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1,2]",
            Breakage::Truncated,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1,2]\r\n",
            Breakage::Truncated,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1,",
            Breakage::Truncated,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n[1,2]\r\n0\r\n\r\n",
            Breakage::Garbled,
        ),
        ("SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n", Breakage::Garbled),
    ];
    for (answer, expected) in table {
        let error = broken(answer);
        assert!(
            matches!(&error, HttpError::Broken { how, .. } if *how == expected),
            "{answer:?}: {error:?}"
        );
        assert_eq!((error.class(), error.sqlstate()), (Class::Network, "08006"));
    }
}

#[test]
fn a_reset_is_an_error_even_where_the_bodys_end_is_the_connections_end() {
    // A socket that is closed with unread input resets its peer; the pause lets the peer read the answer before.
    let server = Scripted::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[1,2");
        thread::sleep(Duration::from_millis(100));
    });
    let request = Request {
        body: Some(vec![b'x'; 30_000]),
        method: Method::Post,
        ..request(&server)
    };
    let error = server.transport().send(&request).unwrap_err();
    assert_eq!(
        error,
        HttpError::Broken {
            remote: remote(&server),
            how: Breakage::Reset
        }
    );
}

#[test]
fn a_gzip_bomb_is_stopped_by_its_decoded_size() {
    // 200 kB on the wire, 200 MB decoded: a member of 1 MiB, 200 times.
    let bomb = gzip(&vec![b' '; 1024 * 1024]).repeat(200);
    assert!(bomb.len() < 220_000, "{}", bomb.len());
    let server = Scripted::saying(response("200 OK", "content-encoding: gzip\r\n", &bomb));
    let error = get(&server).unwrap_err();
    assert_eq!(
        error,
        HttpError::TooLarge {
            remote: remote(&server),
            limit: SizeLimit::Ratio(100)
        }
    );
    let mut spec = server.spec();
    spec.limits.max_ratio = u32::MAX;
    spec.limits.max_body = 2 * 1024 * 1024;
    let error = UreqTransport::new(spec.agent_settings())
        .send(&request(&server))
        .unwrap_err();
    assert_eq!(
        error,
        HttpError::TooLarge {
            remote: remote(&server),
            limit: SizeLimit::Body(2 * 1024 * 1024)
        }
    );
    assert_eq!((error.class(), error.sqlstate()), (Class::Data, "54000"));
}

#[test]
fn a_body_without_an_end_stops_at_the_cap() {
    let server = Scripted::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        while stream.write_all(&chunk).is_ok() {}
    });
    let mut spec = server.spec();
    spec.limits.max_body = 1024 * 1024;
    let error = UreqTransport::new(spec.agent_settings())
        .send(&request(&server))
        .unwrap_err();
    assert_eq!(
        error,
        HttpError::TooLarge {
            remote: remote(&server),
            limit: SizeLimit::Body(1024 * 1024)
        }
    );
}

#[test]
fn gzip_is_undone_once_and_other_encodings_are_refused() {
    let encoded = |encoding: &str, body: &[u8]| {
        get(&Scripted::saying(response(
            "200 OK",
            &format!("content-encoding: {encoding}\r\n"),
            body,
        )))
    };
    let page = encoded("gzip", &gzip(b"[1,2,3]")).unwrap();
    assert_eq!(
        (page.body.as_slice(), page.wire_bytes),
        (&b"[1,2,3]"[..], gzip(b"[1,2,3]").len() as u64)
    );
    for (encoding, body) in [
        ("br", b"x".to_vec()),
        ("gzip, gzip", gzip(&gzip(b"[]"))),
        ("gzip", b"[1,2,3], plain".to_vec()),
    ] {
        let error = encoded(encoding, &body).unwrap_err();
        assert!(matches!(error, HttpError::BadEncoding { .. }), "{encoding}: {error:?}");
        assert_eq!((error.class(), error.sqlstate()), (Class::Data, "22032"));
    }
    let cut = gzip(&[b'a'; 500]);
    let error = encoded("gzip", &cut[..cut.len() - 5]).unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::Broken {
                how: Breakage::Truncated,
                ..
            }
        ),
        "{error:?}"
    );
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
    child.args(["--exact", "agent::proxies_of_the_environment_are_ignored"]);
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

#[test]
fn a_head_that_is_too_large_is_refused_with_bounded_memory() {
    let many = (0..100_000).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = format!("x-long: {}\r\n", "y".repeat(200_000));
    for fields in [many, long] {
        let error = get(&Scripted::saying(format!("HTTP/1.1 200 OK\r\n{fields}\r\n[]"))).unwrap_err();
        assert!(
            matches!(
                error,
                HttpError::TooLarge {
                    limit: SizeLimit::Head,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn a_name_that_does_not_exist_does_not_resolve() {
    let spec = ReadSpec::new(Url::parse("https://does-not-exist.invalid/v1").unwrap(), "/x");
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

#[test]
fn tls_with_something_that_is_not_tls_is_an_error_of_the_handshake() {
    let server = Scripted::saying("HTTP/1.1 400 Bad Request\r\n\r\nplain");
    let url = Url::parse(&format!("https://127.0.0.1:{}/v1", server.port)).unwrap();
    let error = server.transport().send(&Request::get(url)).unwrap_err();
    assert!(
        matches!(error, HttpError::Tls { .. } | HttpError::Broken { .. }),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Network);
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

#[test]
fn a_long_explanation_of_a_failure_is_read_only_in_part() {
    let server = Scripted::saying(response("500 Oops", "", &vec![b'x'; 3_000_000]));
    let answer = get(&server).unwrap();
    assert_eq!((answer.status, answer.body.len()), (500, 16 * 1024));
    let empty = Scripted::saying(response("204 No Content", "", b""));
    let answer = get(&empty).unwrap();
    let meaning = judge(
        &request(&empty),
        &answer,
        &Auth::None,
        std::time::SystemTime::UNIX_EPOCH,
    );
    assert_eq!(meaning, Ok(Meaning::NoContent));
}

#[test]
fn closing_the_transport_breaks_off_a_request_that_hangs() {
    let server = Scripted::new(|_, stream| drop(stream.read(&mut [0; 1])));
    let transport = std::sync::Arc::new(server.transport());
    let hanging = {
        let (transport, request) = (std::sync::Arc::clone(&transport), request(&server));
        thread::spawn(move || transport.send(&request))
    };
    while server.requests().is_empty() {
        thread::yield_now();
    }
    let start = Instant::now();
    transport.close();
    let error = hanging.join().unwrap().unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(error.class(), Class::Network, "{error:?}");
    assert!(transport.send(&request(&server)).is_err());
}

#[test]
fn a_slow_close_after_a_whole_body_is_no_failure() {
    let server = Scripted::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[1,2,3]");
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0; 1]);
    });
    assert_eq!(get(&server).unwrap().body, b"[1,2,3]");
}
