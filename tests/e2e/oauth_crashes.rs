//! Processes that die, or fail, with a new token in their hands.

use crate::oauth::{CODE, asked, begin, connect, protect, state, wait_for_state, with_code};
use crate::oauth_renewal::{connected, expire, wait_until_asked, wake};
use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{Db, wait_until};

/// The run of the crash goes on by itself; what the connection is then.
fn crash_at(point: &str, rotates: bool) -> (Shop, Vec<String>) {
    crash(connected(300), point, rotates)
}

/// The same where answers cannot be kept: their folder's name is taken.
fn crash_without_a_place(point: &str, rotates: bool) -> (Shop, Vec<String>) {
    let shop = connected(300);
    let folder = shop.cluster.data().join("pg_sluice_answers");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::write(&folder, "").expect("the data directory can be written");
    crash(shop, point, rotates)
}

fn crash(mut shop: Shop, point: &str, rotates: bool) -> (Shop, Vec<String>) {
    shop.api.oauth(|oauth| oauth.rotates = rotates);
    expire(&mut shop);
    shop.db.failpoint(point, "kill9");
    shop.start();
    shop.recover();
    wait_until(&mut shop.db, "the run that went on is over", SOON, settled);
    let asked = asked(&shop);
    (shop, asked)
}

/// How many answers are kept for a commit that has not come.
fn kept_answers(shop: &Shop) -> usize {
    std::fs::read_dir(shop.cluster.data().join("pg_sluice_answers")).map_or(0, Iterator::count)
}

fn settled(db: &mut Db) -> bool {
    let last = db.value("SELECT status FROM sluice.sync_runs ORDER BY id DESC LIMIT 1");
    matches!(last.as_deref(), Some("succeeded" | "failed"))
}

#[test]
fn a_crash_before_the_request_loses_nothing() {
    let (mut shop, asked) = crash_at("token.before_send", true);
    assert_eq!((state(&mut shop).as_str(), asked.len()), ("connected", 1));
    shop.assert_equal();
}

#[test]
fn a_crash_after_the_commit_loses_nothing() {
    let (mut shop, asked) = crash_at("token.after_commit", true);
    assert_eq!((state(&mut shop).as_str(), asked.len()), ("connected", 1));
    shop.assert_equal();
}

/// F-A2, S-45: the answer is kept from its arrival, whether the server takes a token twice or not.
#[test]
fn a_crash_between_answer_and_commit_loses_nothing() {
    for (point, rotates) in [
        ("token.response_received", true),
        ("token.before_commit", true),
        ("token.before_commit", false),
    ] {
        let (mut shop, asked) = crash_at(point, rotates);
        assert_eq!((state(&mut shop).as_str(), asked.len()), ("connected", 1), "{point}");
        shop.assert_equal();
        assert_eq!(kept_answers(&shop), 0, "{point}");
    }
}

/// A transaction that fails has the tokens that it was to store.
#[test]
fn an_error_between_answer_and_commit_loses_nothing() {
    let mut shop = connected(300);
    expire(&mut shop);
    shop.db.failpoint("token.before_commit", "error");
    shop.failing_sync();
    assert_eq!(kept_answers(&shop), 1);
    shop.db.failpoint("token.before_commit", "off");
    shop.sync();
    assert_eq!((state(&mut shop).as_str(), asked(&shop).len()), ("connected", 1));
    assert_eq!(kept_answers(&shop), 0);
    // The next one is asked for.
    expire(&mut shop);
    shop.sync();
    assert_eq!(asked(&shop).len(), 2);
}

/// An admin ends the process that has the answer.
#[test]
fn a_worker_that_is_ended_with_the_answer_in_its_hands_leaves_it_to_the_next() {
    let mut shop = connected(300);
    expire(&mut shop);
    shop.db.failpoint("token.response_received", "pause");
    shop.start();
    wait_until_asked(&mut shop, 1);
    shop.db
        .exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'sluice worker'");
    wait_until(&mut shop.db, "the worker is gone", SOON, |db| {
        db.pids("sluice worker").is_empty()
    });
    shop.db.failpoint("token.response_received", "off");
    wake(&mut shop);
    wait_until(&mut shop.db, "the run that went on is over", SOON, settled);
    if shop.run("status") != "succeeded" {
        shop.sync();
    }
    assert_eq!((state(&mut shop).as_str(), asked(&shop).len()), ("connected", 1));
}

/// The code of a callback serves once, too.
#[test]
fn a_crash_while_a_code_is_exchanged_loses_no_consent() {
    for point in ["token.response_received", "token.before_commit"] {
        let mut shop = with_code(10);
        let address = begin(&mut shop);
        let callback = shop.api.consent(&address);
        shop.db.failpoint(point, "kill9");
        shop.app
            .exec(&format!("SELECT sluice.finish_oauth('shop', '{callback}')"));
        shop.recover();
        wait_for_state(&mut shop, "connected");
        assert_eq!(asked(&shop), ["authorization_code"], "{point}");
    }
}

/// F-A2: an answer that was lost on its way. Where the server takes the former token again, nothing is lost.
#[test]
fn an_answer_that_was_lost_is_asked_for_again_with_the_former_token() {
    let (mut shop, asked) = crash_without_a_place("token.response_received", false);
    assert_eq!((state(&mut shop).as_str(), asked.len()), ("connected", 2));
    shop.assert_equal();
}

/// F-A2: a strict one takes it for a theft. Somebody is told, and nothing is asked again.
#[test]
fn an_answer_that_was_lost_is_told_where_the_server_is_strict() {
    let (mut shop, asked) = crash_without_a_place("token.response_received", true);
    assert_eq!((state(&mut shop).as_str(), asked.len()), ("reauth_required", 2));
    assert_eq!(shop.status("action"), "you: begin_oauth()");
    // It is mended by consenting again, and the run goes on.
    connect(&mut shop);
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}

/// Finding 20: the commit that stores a token waits for the disk, whatever the role's own setting is. A crash right
/// after it loses what was not written.
#[test]
fn a_new_token_is_on_disk_before_it_is_used() {
    let mut shop = Shop::with(300, &[("wal_writer_delay", "10s")]);
    protect(&mut shop, "oauth2_authorization_code", CODE);
    connect(&mut shop);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.api.oauth(|oauth| oauth.clear_log());
    shop.db.exec("ALTER ROLE app SET synchronous_commit = off");
    expire(&mut shop);
    shop.db.failpoint("token.after_commit", "kill9");
    shop.start();
    shop.recover();
    wait_until(&mut shop.db, "the run that went on is over", SOON, settled);
    assert_eq!((state(&mut shop).as_str(), asked(&shop).len()), ("connected", 1));
}
