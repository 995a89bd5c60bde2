//! One request against servers that misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use sluice_core::Class;
use sluice_core::error::Explain;
use sluice_core::http::status::{Meaning, judge};
use sluice_core::http::{Auth, Breakage, HttpError, Method, Phase, Request, Response, SizeLimit};
use sluice_fetch::{Transport, UreqTransport};
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

/// F-N14.
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

/// F-N4.
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

/// F-N5.
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
        // S-26: what listens there is not told; a closed port and another service differ in class only.
        let told = format!("{error} {:?} {:?}", error.detail(), error.hint());
        assert!(!told.contains("OpenSSH") && !told.contains("[1,2]"), "{told}");
    }
}

/// F-N5.
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

/// F-R2.
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

/// F-R1.
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

/// F-R2.
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

/// F-N13.
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
    let transport = Arc::new(server.transport());
    let hanging = {
        let (transport, request) = (Arc::clone(&transport), request(&server));
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
