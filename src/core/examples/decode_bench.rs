//! How fast pages become rows: `cargo run --release -p sluice-core --example decode_bench [records] [rounds]`.
//!
//! Prints records per second of one thread for each step that a page goes through. A record has ten columns and about
//! 325 bytes, as in SPIKE.md.

use sluice_core::data::{Column, ColumnType, Mapping, SingularQuery, compress, decode, hash, locate};
use std::hint::black_box;
use std::time::Instant;

/// The records of one page.
const PAGE: usize = 1_000;

const COLUMNS: [(&str, ColumnType); 10] = [
    ("id", ColumnType::Int8),
    ("name", ColumnType::Text),
    ("email", ColumnType::Text),
    ("city", ColumnType::Text),
    ("note", ColumnType::Text),
    ("amount", ColumnType::Numeric),
    ("qty", ColumnType::Int4),
    ("active", ColumnType::Bool),
    ("updated_at", ColumnType::Timestamptz),
    ("attrs", ColumnType::Jsonb),
];

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse().expect("arguments are numbers"));
    let records: usize = arguments.next().unwrap_or(100_000);
    let rounds: usize = arguments.next().unwrap_or(10);
    let mapping = mapping();
    let bodies: Vec<String> = (0..records.div_ceil(PAGE)).map(body).collect();
    let texts: Vec<&str> = bodies
        .iter()
        .map(|body| locate(body.as_bytes(), &mapping.records).expect("a page").text)
        .collect();
    let bytes: usize = bodies.iter().map(String::len).sum();
    println!(
        "{} pages of {PAGE} records, {} bytes a record",
        bodies.len(),
        bytes / (bodies.len() * PAGE)
    );

    measure("locate", rounds, &bodies, |body| {
        locate(body.as_bytes(), &mapping.records).expect("a page").text.len()
    });
    measure("hash", rounds, &texts, |text| {
        usize::from(hash(text, mapping.version()).0[0])
    });
    measure("decode", rounds, &texts, |text| {
        decode(text, &mapping).expect("rows").rows.len()
    });
    measure("compress", rounds, &texts, |text| compress(text.as_bytes()).len());
}

/// The best of several rounds, page by page: other work on the machine can only make a page slower.
fn measure<T>(step: &str, rounds: usize, pages: &[T], work: impl Fn(&T) -> usize) {
    let mut best = vec![f64::INFINITY; pages.len()];
    for _ in 0..rounds {
        for (page, best) in pages.iter().zip(&mut best) {
            let start = Instant::now();
            black_box(work(page));
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    println!(
        "{step:9} {:10.0} records/s",
        (pages.len() * PAGE) as f64 / best.iter().sum::<f64>()
    );
}

fn mapping() -> Mapping {
    let column = |(name, ty): (&str, ColumnType)| Column {
        name: name.into(),
        query: SingularQuery::member(name),
        ty,
        default: None,
    };
    let records = SingularQuery::parse_records("$.data[*]").expect("a path");
    Mapping::new(records, COLUMNS.map(column).into(), vec![0], "bench")
}

fn body(page: usize) -> String {
    let records: Vec<String> = (page * PAGE..(page + 1) * PAGE).map(record).collect();
    format!(r#"{{"page":{page},"data":[{}]}}"#, records.join(","))
}

fn record(id: usize) -> String {
    format!(
        r#"{{"id":{id},"name":"Customer {id}","email":"customer{id}@example.com","city":"Sample City {city}","note":"A line of \"quoted\" text that is as long as such notes often are, or longer","amount":{id}.{cents:02},"qty":{qty},"active":{active},"updated_at":"2026-01-{day:02}T12:34:56.789Z","attrs":{{"tags":["a","b"],"rank":{qty},"source":"import"}}}}"#,
        city = id % 97,
        cents = id % 100,
        qty = id % 1000,
        active = id.is_multiple_of(2),
        day = 1 + id % 28,
    )
}
