//! Holding requests, so that a test can put a change exactly between two pages.

use std::thread;
use std::time::Duration;

use crate::client::get;
use crate::serve;

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_held_page_shows_what_is_true_at_its_release() {
    let api = serve(30);
    api.hold_page(2);
    assert_eq!(get(&api, "/page/products?per_page=10").ids().len(), 10);
    thread::scope(|scope| {
        let second = scope.spawn(|| get(&api, "/page/products?per_page=10&page=2").ids());
        assert!(api.wait_until_held(2, PATIENCE));
        assert_eq!(api.requests()[1].status, None);
        api.remove_ids(&[1, 12]);
        api.release();
        assert_eq!(second.join().unwrap(), (13..=22).collect::<Vec<u64>>());
    });
    assert!(!api.wait_until_held(2, Duration::ZERO));
}

#[test]
fn a_page_can_be_held_again_after_its_release() {
    let api = serve(30);
    for _ in 0..3 {
        api.hold_page(1);
        thread::scope(|scope| {
            let held: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| get(&api, "/offset/products").status))
                .collect();
            assert!(api.wait_until_held(1, PATIENCE));
            assert!(api.wait_for_requests(2, PATIENCE));
            api.release();
            held.into_iter()
                .for_each(|reply| assert_eq!(reply.join().unwrap(), 200));
        });
        assert_eq!(api.most_at_once(), 2);
        api.clear_log();
    }
}

#[test]
fn stopping_lets_held_requests_go() {
    let api = serve(30);
    api.hold_page(1);
    let address = api.address();
    let waiting = thread::spawn(move || crate::client::Client::connect(address).get("/page/products").ending);
    assert!(api.wait_until_held(1, PATIENCE));
    drop(api);
    assert_ne!(waiting.join().unwrap(), crate::client::Ending::Silent);
}

#[test]
fn several_servers_live_side_by_side() {
    let (one, other) = (serve(10), serve(20));
    one.change(100.0, 1);
    assert_eq!(get(&one, "/none/products").ids().len(), 10);
    assert_eq!(get(&other, "/none/products").ids().len(), 20);
    assert_eq!((one.pages_asked(), other.requests().len()), (vec![1], 1));
}
