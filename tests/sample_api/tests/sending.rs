//! Faults that change how an answer is sent.

use std::time::{Duration, Instant};

use sample_api::{Fault, Rule};

use crate::client::{Client, Ending, get};
use crate::serve;

/// The same page, undisturbed and under the fault.
fn under(fault: Fault) -> (Vec<u8>, crate::client::Reply) {
    let api = serve(100);
    let whole = get(&api, "/page/products").body;
    api.misbehave(fault);
    (whole, get(&api, "/page/products"))
}

#[test]
fn a_connection_is_kept_until_the_client_wants_it_closed() {
    let api = serve(10);
    let mut client = Client::connect(api.address());
    for _ in 0..3 {
        assert_eq!(client.get("/page/products").ids().len(), 10);
    }
    client.send("GET /page/products HTTP/1.1\r\nConnection: close\r\n\r\n");
    let last = client.read(true);
    assert_eq!((last.header("connection"), last.ending), (Some("close"), Ending::Whole));
    assert_eq!(client.read(true).ending, Ending::Closed);
    let connections: Vec<u64> = api.requests().iter().map(|line| line.connection).collect();
    assert_eq!(connections, [1, 1, 1, 1]);
}

#[test]
fn head_has_the_same_head_and_no_body() {
    let api = serve(10);
    let whole = get(&api, "/page/products");
    let mut client = Client::connect(api.address());
    client.send("HEAD /page/products HTTP/1.1\r\n\r\n");
    let head = client.read(false);
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    assert_eq!(client.get("/page/products").ids().len(), 10);
}

#[test]
fn requests_that_cannot_be_read_are_refused_and_closed() {
    let api = serve(10);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    for (text, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", 413),
        (long.as_str(), 431),
        ("PUT /page/products HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 405),
        ("POST /page/products HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 200),
    ] {
        let mut client = Client::connect(api.address());
        client.send(text);
        assert_eq!(client.read(true).status, status, "{}", text.get(..30).unwrap_or(text));
    }
    assert_eq!(api.requests().last().unwrap().body, b"{}");
}

#[test]
fn a_delay_comes_before_the_head() {
    let api = serve(10);
    api.misbehave(Fault::DelayHeaders(Duration::from_millis(60)));
    let started = Instant::now();
    assert_eq!(get(&api, "/page/products").ids().len(), 10);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_slow_body_arrives_byte_by_byte() {
    let api = serve(10);
    api.misbehave(Rule::new(Fault::body("[1,2,3]")));
    api.misbehave(Fault::DelayPerByte(Duration::from_millis(10)));
    let started = Instant::now();
    assert_eq!(get(&api, "/page/products").body, b"[1,2,3]");
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_hanging_request_is_released_when_the_server_stops() {
    let api = serve(10);
    api.misbehave(Fault::Hang);
    let mut client = Client::connect(api.address());
    client.wait_at_most(Duration::from_millis(50));
    assert_eq!(client.get("/page/products").ending, Ending::Silent);
    assert_eq!(api.requests()[0].status, None);
    let started = Instant::now();
    drop(api);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_ne!(client.read(true).ending, Ending::Silent);
}

#[test]
fn a_connection_is_closed_before_or_after_an_answer() {
    assert_eq!(under(Fault::Close).1.ending, Ending::Closed);
    let api = serve(10);
    api.misbehave(Rule::new(Fault::CloseAfter).times(1));
    let mut client = Client::connect(api.address());
    let reply = client.get("/page/products");
    assert_eq!((reply.ids().len(), reply.header("connection")), (10, None));
    assert_eq!(client.read(true).ending, Ending::Closed);
}

#[test]
fn a_reset_in_mid_body_is_a_reset() {
    let (whole, reply) = under(Fault::Reset);
    assert_eq!((reply.status, reply.ending), (200, Ending::Reset));
    assert!(reply.body.len() < whole.len());
}

#[test]
fn a_short_body_ends_with_a_close() {
    let (whole, reply) = under(Fault::ShortBody);
    assert_eq!((reply.body.len(), reply.ending), (whole.len() / 2, Ending::Closed));
    assert_eq!(reply.header("content-length"), Some(whole.len().to_string().as_str()));
}

#[test]
fn an_unmarked_half_looks_whole_to_http() {
    let (whole, reply) = under(Fault::UnmarkedHalf);
    assert_eq!(
        (reply.body.len(), reply.header("content-length")),
        (whole.len() / 2, None)
    );
}

#[test]
fn chunks_come_whole_cut_off_and_with_a_bad_size() {
    let (whole, reply) = under(Fault::Chunked);
    assert_eq!((reply.body.len(), reply.ending), (whole.len(), Ending::Whole));
    let (whole, reply) = under(Fault::TruncatedChunks);
    assert_eq!((reply.body.len(), reply.ending), (whole.len() / 2, Ending::Closed));
    assert_eq!(under(Fault::BadChunkSize).1.ending, Ending::BadChunk);
}

#[test]
fn endless_chunks_go_on_until_the_client_has_enough() {
    let (_, reply) = under(Fault::EndlessChunks);
    assert!(reply.body.len() >= 1 << 20);
}

#[test]
fn a_header_bomb_has_as_many_headers_as_asked_for() {
    let (_, reply) = under(Fault::HeaderBomb {
        headers: 5_000,
        bytes: 10,
    });
    assert!(reply.headers.len() > 5_000);
}

#[test]
fn raw_bytes_are_sent_as_they_are() {
    let contradiction = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (_, reply) = under(Fault::Raw(contradiction.into()));
    assert_eq!(
        (reply.header("content-length"), reply.header("transfer-encoding")),
        (Some("5"), Some("chunked"))
    );
    assert_eq!(under(Fault::Raw(b"SSH-2.0-sample\r\n".to_vec())).1.status, 0);
}
