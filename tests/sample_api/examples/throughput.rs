//! How fast pages of 1000 records are served over one kept connection, client included:
//! `taskset -c 0 cargo run --release -p sample-api --example throughput`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sample_api::{Options, SampleApi};

fn main() -> std::io::Result<()> {
    let api = SampleApi::start(Options {
        products: 1_000_000,
        ..Options::default()
    });
    let mut stream = TcpStream::connect(api.address())?;
    let mut buffer = vec![0; 1 << 20];
    let (started, mut bytes, mut pages) = (Instant::now(), 0_u64, 0_u64);
    while started.elapsed() < Duration::from_secs(3) {
        let page = pages % 1_000 + 1;
        stream.write_all(format!("GET /page/products?per_page=1000&page={page} HTTP/1.1\r\n\r\n").as_bytes())?;
        bytes += read_answer(&mut stream, &mut buffer)?;
        pages += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{:.0} MB/s, {:.0} records/s",
        bytes as f64 / 1e6 / seconds,
        pages as f64 * 1e3 / seconds
    );
    Ok(())
}

/// Reads one answer to its end and returns its size.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<u64> {
    let mut got = stream.read(buffer)?;
    let head = String::from_utf8_lossy(&buffer[..got.min(2_000)]).into_owned();
    let length = head
        .split("Content-Length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let whole = head.find("\r\n\r\n").map_or(0, |at| at + 4) + length.unwrap_or(0);
    while got < whole {
        got += stream.read(buffer)?;
    }
    Ok(whole as u64)
}
