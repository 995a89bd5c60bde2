//! What a request's permit costs: `cargo run --release -p sluice-core --example rate_bench`.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant, SystemTime};

use sluice_core::http::{Headers, Response};
use sluice_core::rate::{Asker, Asks, Budget, Table, Terms, outcome};

const ROUNDS: u32 = 1_000_000;

fn main() {
    let maker = AtomicU64::new(0);
    let budgets: Vec<Budget> = (0..1024).map(|_| Budget::default()).collect();
    let table = Table {
        maker: &maker,
        budgets: &budgets,
    };
    let terms = Terms::new(None, 1, Duration::ZERO, 8);
    let asker = Asker {
        pid: 1,
        terms: &terms,
        asks: Asks::Ordinary,
    };
    let near = AtomicUsize::new(0);
    let response = Ok(Response {
        status: 200,
        headers: Headers::new(),
        body: Vec::new(),
        wire_bytes: 0,
    });
    let began = Instant::now();
    for round in 0..ROUNDS {
        let now = i64::from(round) * 1000;
        let granted = table.ask((77, &near), &asker, now, &|_| true);
        let (budget, granted) = granted.unwrap_or_else(|hold| panic!("{hold:?}"));
        budget.answered(granted, &outcome(&response, SystemTime::now()), now);
    }
    let each = began.elapsed() / ROUNDS;
    println!("a permit, asked for and given back: {each:?}");
}
