//! The key that seals secrets: another one, two of them, one that a command prints, and none.

use crate::oauth::{CODE, asked, connect, protect, state};
use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{eventually, wait_until};
use std::path::PathBuf;

fn key_file(shop: &mut Shop) -> PathBuf {
    shop.db.text("SELECT current_setting('sluice.key_file')").into()
}

/// Sixty-four digits, others for each seed.
fn key(seed: u8) -> String {
    (0..32u8).map(|n| format!("{:02x}", n ^ seed)).collect()
}

/// Writes what the key file holds; its owner and its mode stay.
fn write(shop: &mut Shop, keys: &[&str]) {
    let path = key_file(shop);
    std::fs::write(path, keys.concat()).expect("the test may write the key file");
}

/// A connected shop whose job has run, and the key that it was connected with.
fn connected() -> (Shop, String) {
    let mut shop = Shop::open(100);
    let path = key_file(&mut shop);
    let old = format!("{}\n", key(1));
    std::fs::write(path, &old).expect("the test may write the key file");
    protect(&mut shop, "oauth2_authorization_code", CODE);
    connect(&mut shop);
    shop.app.exec("SELECT sluice.set_secret('unbound', 'another')");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    (shop, old)
}

fn rotate(shop: &mut Shop, most: &str) -> String {
    shop.db.text(&format!(
        "SELECT rewrapped || ' ' || remaining FROM sluice.rotate_key({most})"
    ))
}

/// S-31: the old key is needed until no value is sealed with it, and no longer.
#[test]
fn a_new_key_takes_the_place_of_the_old_one_while_jobs_run() {
    let (mut shop, old) = connected();
    let new = format!("{}\n", key(2));
    write(&mut shop, &[&new, &old]);
    shop.sync();
    // Two secrets, an access token and a refresh token; in steps.
    assert_eq!(rotate(&mut shop, "1"), "1 3");
    shop.sync();
    assert_eq!(rotate(&mut shop, ""), "3 0");
    assert_eq!(rotate(&mut shop, ""), "0 0");
    write(&mut shop, &[&new]);
    shop.db
        .exec("UPDATE sluice._oauth SET expires_at = now(), renew_at = now()");
    shop.api.oauth(|oauth| oauth.expire_access());
    shop.sync();
    assert_eq!(asked(&shop), ["authorization_code", "refresh_token"]);
    assert_eq!(state(&mut shop), "connected");
}

/// F-A5: a crash half way has changed nothing, and the call is repeated.
#[test]
fn a_rotation_that_is_killed_half_way_is_simply_repeated() {
    let (mut shop, old) = connected();
    let new = format!("{}\n", key(2));
    write(&mut shop, &[&new, &old]);
    shop.db
        .exec("SELECT sluice._failpoint('rotation.rewrapped', 'kill9', 1)");
    assert!(shop.db.try_rows("SELECT * FROM sluice.rotate_key()").is_err());
    shop.recover();
    shop.sync();
    assert_eq!(rotate(&mut shop, ""), "4 0");
    write(&mut shop, &[&new]);
    shop.sync();
}

/// F-A5: another key is told from a wrong password, and the connection says so.
#[test]
fn without_the_key_a_connection_is_locked_until_it_is_back() {
    let (mut shop, old) = connected();
    let new = format!("{}\n", key(2));
    write(&mut shop, &[&new]);
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "SY008", "{error}");
    assert_eq!(state(&mut shop), "locked");
    assert_eq!(rotate(&mut shop, ""), "0 4");
    write(&mut shop, &[&old]);
    shop.sync();
    wait_until(&mut shop.db, "the connection is unlocked", SOON, |db| {
        db.value("SELECT state FROM sluice.sync_connections WHERE name = 'shop'")
            .as_deref()
            == Some("connected")
    });
}

#[test]
fn a_command_can_print_the_key() {
    let (mut shop, old) = connected();
    let set = |shop: &mut Shop, command: &str| {
        shop.db
            .exec(&format!("ALTER SYSTEM SET sluice.key_command = '{command}'"));
        shop.db.exec("SELECT pg_reload_conf()");
        let shown = eventually(SOON, || {
            shop.db.text("SELECT current_setting('sluice.key_command')") == command
        });
        assert!(shown, "{command}");
    };
    let path = key_file(&mut shop);
    std::fs::remove_file(&path).expect("the test may remove the key file");
    set(&mut shop, &format!("printf %s {}", old.trim()));
    shop.sync();
    for (command, why) in [("exit 3", "ended with a failure"), ("sleep 60", "did not end within")] {
        set(&mut shop, command);
        let error = shop.app.error("SELECT sluice.set_secret('x', 'canary')");
        assert_eq!(error.sqlstate, "F0000", "{error}");
        assert!(error.detail.clone().unwrap_or_default().contains(why), "{error}");
    }
}

/// S-38: a copy that is given away has no secrets, and nothing of them.
#[test]
fn a_copy_can_be_given_away_without_its_secrets() {
    let (mut shop, _) = connected();
    assert_eq!(shop.db.number("SELECT sluice.forget_secrets()"), 3);
    for table in ["_secret", "_secret_grant", "_oauth", "_oauth_flow"] {
        assert_eq!(
            shop.db.number(&format!("SELECT count(*) FROM sluice.{table}")),
            0,
            "{table}"
        );
    }
    assert_eq!(shop.failing_sync().sqlstate, "SY010");
}
