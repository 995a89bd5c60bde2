//! What processes hold in memory of the secrets, as a core file or whoever reads their memory would show it.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::Auth;
use sluice_e2e::{is_dumpable, memory_holds, wait_until};

const TOKEN: &str = "c4n4ry-in-memory-5d1e";
/// No pattern that anything else would have.
const KEY: &str = "8f3b61d20c9ae47715be60fd83a2c94e5d7716f0a3b8e2c14907d6fb52ea3c98";

fn raw_key() -> Vec<u8> {
    let digits = KEY.as_bytes().chunks_exact(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal"))
        .collect()
}

/// How often a process holds the key, in both of its forms, and the token; None where that cannot be looked at.
fn held(pid: u32) -> Option<(usize, usize, usize)> {
    Some((
        memory_holds(pid, &raw_key())?,
        memory_holds(pid, KEY.as_bytes())?,
        memory_holds(pid, TOKEN.as_bytes())?,
    ))
}

/// S-33: only who needs a secret has it, for as long as it does; the key goes as soon as it has opened something.
#[test]
fn a_core_file_shows_no_key_and_of_workers_there_is_none() {
    let mut shop = Shop::open(500);
    let path = shop.db.text("SELECT current_setting('sluice.key_file')");
    std::fs::write(&path, KEY).expect("the test may write it");
    shop.api.set(|settings| settings.auth = Auth::Bearer(TOKEN.into()));
    let url = shop.api.url();
    shop.db.exec(&format!(
        "SELECT sluice.allow_origin('{url}', 'app');
         ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'token'); ALTER SERVER shop OWNER TO app"
    ));
    shop.app.exec(&format!("SELECT sluice.set_secret('token', '{TOKEN}')"));
    shop.create_job("products", "/page/products", PAGES);
    let who_set_it = pid_of(&mut shop);
    shop.start_and_hold_at(3);
    let worker = shop.db.pids("sluice worker")[0];
    if held(worker).is_none() {
        eprintln!("not tested: this user may not read the memory of the server's processes");
        return;
    }
    let postmaster = shop.cluster.postmaster_pid();
    let launcher = shop.db.pids("sluice launcher")[0];
    let other = shop.db.number("SELECT pg_backend_pid()") as u32;
    for (who, pid) in [
        ("postmaster", postmaster),
        ("launcher", launcher),
        ("another session", other),
    ] {
        assert_eq!(held(pid), Some((0, 0, 0)), "{who}");
    }
    let (raw, digits, token) = held(worker).expect("it is there");
    assert_eq!(
        (raw, digits),
        (0, 0),
        "a worker has the key no more when it has opened what it needs"
    );
    assert!(token > 0, "the search finds what is there");
    assert!(!is_dumpable(worker), "a worker leaves no core file");
    assert!(is_dumpable(other), "other processes are as the DBA wants them");
    let (raw, digits, _) = held(who_set_it).expect("it is there");
    assert_eq!((raw, digits), (0, 0), "nor has the session that sealed a secret");
    shop.api.release();
    wait_until(&mut shop.db, "the worker is gone", SOON, |db| {
        db.pids("sluice worker").is_empty()
    });
    shop.assert_equal();
}

fn pid_of(shop: &mut Shop) -> u32 {
    shop.app.number("SELECT pg_backend_pid()") as u32
}
