//! `start_sync(job, from_page)`: a read in progress goes on at a former page, and never behind a gap.

use crate::shop::{PAGES, Shop};

/// A loaded shop whose refresh was stopped with five pages committed.
fn stopped_at_page_6() -> Shop {
    let mut shop = Shop::loaded(1_000, PAGES);
    shop.api.change(50.0, 1);
    stop_at_page_6(&mut shop);
    shop
}

fn stop_at_page_6(shop: &mut Shop) {
    shop.start_and_hold_at(6);
    let error = shop.app.error("SELECT sluice.start_sync('products', from_page => 3)");
    assert_eq!(
        (error.sqlstate.as_str(), error.message.as_str()),
        ("55000", "job \"products\" has an open run")
    );
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    shop.api.release();
    shop.api.clear_log();
}

fn start_at(shop: &mut Shop, page: u64) {
    shop.app
        .exec(&format!("SELECT sluice.start_sync('products', from_page => {page})"));
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}

#[test]
fn pages_from_the_given_one_on_are_read_again_and_those_before_it_are_not() {
    let mut shop = stopped_at_page_6();
    // Pages 4 to 10 say something else by now.
    shop.api.change(100.0, 2);
    shop.api.remove_ids(&[450]);
    shop.app.exec("SELECT sluice.start_sync('products', from_page => 3)");
    shop.wait_for_run("succeeded");
    let asked = shop.api.pages_asked();
    assert!(!asked.contains(&1) && !asked.contains(&2), "{asked:?}");
    assert!((3..=9).all(|page| asked.contains(&page)), "{asked:?}");
    // The first two pages are what they were; the next read brings them.
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id <= 200"), 200);
    shop.sync();
    shop.sync();
    shop.assert_equal();
}

#[test]
fn the_next_page_goes_on_and_the_first_begins_anew() {
    let mut shop = stopped_at_page_6();
    let refused = shop.app.error("SELECT sluice.start_sync('products', from_page => 7)");
    assert_eq!(
        (refused.sqlstate.as_str(), refused.message.as_str()),
        ("55000", "job \"products\" cannot start at page 7")
    );
    assert!(
        shop.runs().iter().all(|run| run != "manual scheduled"),
        "no run is left"
    );
    start_at(&mut shop, 6);
    assert_eq!(shop.api.pages_asked().iter().min(), Some(&6));
    shop.api.change(50.0, 3);
    stop_at_page_6(&mut shop);
    start_at(&mut shop, 1);
    assert_eq!(shop.api.pages_asked().iter().min(), Some(&1));
}

#[test]
fn a_first_load_is_read_again_as_a_whole_or_not_at_all() {
    let mut shop = Shop::with_job(1_000, PAGES);
    stop_at_page_6(&mut shop);
    let refused = shop.app.error("SELECT sluice.start_sync('products', from_page => 3)");
    assert_eq!(refused.sqlstate, "55000", "{refused}");
    // Gone before it was seen a second time: the rows that the first pass wrote are the job's own.
    shop.api.remove_ids(&[7]);
    start_at(&mut shop, 1);
    assert_eq!(shop.api.pages_asked().iter().min(), Some(&1));
}

#[test]
fn a_crash_before_the_page_is_read_again_forgets_nothing() {
    let mut shop = stopped_at_page_6();
    shop.api.hold_page(3);
    shop.app.exec("SELECT sluice.start_sync('products', from_page => 3)");
    assert!(shop.api.wait_until_held(3, crate::shop::SOON));
    sluice_e2e::kill9(shop.worker());
    shop.recover();
    shop.api.release();
    shop.wait_for_run("succeeded");
    shop.assert_equal();
    assert_eq!(shop.api.pages_asked().iter().min(), Some(&3));
}
