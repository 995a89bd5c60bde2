//! How many requests are under way at a time: learned from what the remote takes.

use crate::rates::{budget, option};
use crate::shop::{PAGES, Shop};
use sample_api::{Fault, Rule};
use std::time::Duration;

/// A remote that says nothing of its limits shows them by what it refuses.
#[test]
fn the_number_of_requests_at_a_time_settles_where_the_remote_refuses_more() {
    let mut shop = Shop::open(4_000);
    option(&mut shop, "max_concurrency", "16");
    let settings = PAGES.replace("\"page_size\": 100", "\"page_size\": 20, \"concurrency\": 16");
    shop.create_job("products", "/page/products", &settings);
    shop.api.misbehave(Fault::DelayHeaders(Duration::from_millis(20)));
    shop.api
        .misbehave(Rule::new(Fault::status(429, &[("Retry-After", "1")])).above_at_once(4));
    shop.sync();
    shop.assert_equal();
    let settled: u32 = budget(&mut shop, "concurrency").parse().expect("a number");
    assert!(settled <= 6, "{settled}");
    let requests = shop.api.requests();
    let refused = requests.iter().filter(|line| line.status == Some(429)).count();
    assert!(refused > 0, "it was tried");
    assert!(refused * 4 < requests.len(), "{refused} of {}", requests.len());
    assert_eq!(shop.run("attempt"), "1");
}

#[test]
fn the_number_of_requests_at_a_time_grows_to_what_the_connection_allows() {
    let mut shop = Shop::open(5_000);
    option(&mut shop, "max_concurrency", "75");
    let settings = PAGES.replace("\"page_size\": 100", "\"page_size\": 10, \"concurrency\": 75");
    shop.create_job("products", "/page/products", &settings);
    // Long enough that a crowded machine keeps all of them under way.
    shop.api.misbehave(Fault::DelayHeaders(Duration::from_secs(1)));
    shop.sync();
    shop.assert_equal();
    assert_eq!(budget(&mut shop, "concurrency"), "75");
    let most = shop.api.most_at_once();
    assert!((38..=75).contains(&most), "{most}");
}
