//! What is sealed and what seals it: changed, moved, cut short, or open to others.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::Auth;
use sluice_e2e::{give_to_server_user, wait_until};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// F-A6: what was changed in the table is told from a wrong password, locks the connection, and is in the audit log.
#[test]
fn a_ciphertext_that_was_changed_moved_or_cut_short_opens_no_more() {
    let mut shop = Shop::open(100);
    shop.api.set(|settings| settings.auth = Auth::Bearer("s3cret".into()));
    shop.db.exec(
        "GRANT USAGE ON FOREIGN DATA WRAPPER pg_sluice TO app; ALTER SERVER shop OWNER TO app;
         ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'token')",
    );
    shop.app
        .exec("SELECT sluice.set_secret('token', 's3cret'), sluice.set_secret('other', 'an0ther')");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.db
        .exec("CREATE TABLE kept AS SELECT id, sealed, source FROM sluice._secret WHERE name = 'token'");
    let requests = shop.api.requests().len();
    let damages = [
        "sealed = (SELECT o.sealed FROM sluice._secret AS o WHERE o.name = 'other')",
        "sealed = substring(sealed for length(sealed) - 1)",
        "sealed = substring(sealed for 20)",
        "sealed = ''",
        "sealed = set_bit(sealed, 500, 1 - get_bit(sealed, 500))",
        "sealed = set_bit(sealed, 8 * length(sealed) - 1, 1 - get_bit(sealed, 8 * length(sealed) - 1))",
        "source = 'command'",
    ];
    for (n, damage) in damages.iter().enumerate() {
        shop.db
            .exec(&format!("UPDATE sluice._secret SET {damage} WHERE name = 'token'"));
        let error = shop.failing_sync();
        assert_eq!(error.sqlstate, "XX001", "{damage}: {error}");
        let state = "SELECT state FROM sluice.sync_connections WHERE name = 'shop'";
        assert_eq!(shop.db.text(state), "locked", "{damage}");
        let noted =
            "SELECT count(*) FROM sluice.sync_audit_log WHERE action = 'damaged_secret' AND object = 'products'";
        assert_eq!(shop.db.number(noted), n as i64 + 1, "{damage}");
        shop.db.exec(
            "UPDATE sluice._secret AS s SET sealed = k.sealed, source = k.source FROM kept AS k WHERE k.id = s.id",
        );
    }
    assert_eq!(shop.api.requests().len(), requests, "nothing was sent");
    shop.sync();
    shop.assert_equal();
}

/// S-35: of all our functions none gives a secret back, to a superuser either: each is called with the names that there are.
#[test]
fn no_function_returns_a_secret() {
    let token = "c4n4ry-of-functions";
    let mut shop = Shop::open(100);
    shop.api.set(|settings| settings.auth = Auth::Bearer(token.into()));
    let url = shop.api.url();
    shop.db.exec(&format!(
        "SELECT sluice.allow_origin('{url}', 'app'); ALTER SERVER shop OWNER TO app;
         ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'token')"
    ));
    shop.app.exec(&format!("SELECT sluice.set_secret('token', '{token}')"));
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    let functions = "SELECT p.oid::regproc::text, p.pronargs - p.pronargdefaults, p.prokind = 'p',
                            coalesce((SELECT bool_and(a = 'text'::regtype) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (a, n)
                                      WHERE n <= p.pronargs - p.pronargdefaults), true)
                     FROM pg_proc p WHERE p.pronamespace = 'sluice'::regnamespace AND p.prokind IN ('f', 'p')
                       AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND p.proname <> '_failpoint'
                     ORDER BY 1";
    let rows = shop.db.rows(functions).rows;
    assert!(rows.len() > 80, "{} functions", rows.len());
    let mut called = 0;
    for row in rows {
        let [Some(name), Some(needed), Some(is_procedure), Some(takes_texts)] = &row[..] else {
            panic!("{row:?}");
        };
        if takes_texts != "t" || is_procedure == "t" {
            continue;
        }
        for value in ["token", "shop", "products", "app"] {
            let needed: usize = needed.parse().expect("a number");
            let values = vec![format!("'{value}'"); needed].join(", ");
            shop.db.exec("BEGIN");
            let told = match shop.db.try_rows(&format!("SELECT * FROM {name}({values}) AS t")) {
                Ok(rows) => format!("{:?}", rows.rows),
                Err(error) => format!("{error:?}"),
            };
            shop.db.exec("ROLLBACK");
            called += 1;
            assert!(!told.contains(token), "{name}({values}): {told}");
            if needed == 0 {
                break;
            }
        }
    }
    assert!(called > 60, "{called} calls");
    // Nor is there one whose result could hold it in a form of its own.
    let in_bytes = "SELECT string_agg(p.oid::regproc::text, ' ') FROM pg_proc p
                    WHERE p.pronamespace = 'sluice'::regnamespace AND p.prorettype = 'bytea'::regtype";
    assert_eq!(shop.db.value(in_bytes), None);
}

fn key_file(shop: &mut Shop) -> PathBuf {
    shop.db.text("SELECT current_setting('sluice.key_file')").into()
}

/// Has the server look for its key there.
fn point_at(shop: &mut Shop, path: &Path) {
    let wanted = path.display().to_string();
    shop.db.exec(&format!("ALTER SYSTEM SET sluice.key_file = '{wanted}'"));
    shop.db.exec("SELECT pg_reload_conf()");
    wait_until(&mut shop.db, "the setting holds", SOON, |db| {
        db.text("SELECT current_setting('sluice.key_file')") == wanted
    });
    shop.reconnect();
}

fn refused(shop: &mut Shop, why: &str) {
    let error = shop.app.error("SELECT sluice.set_secret('x', 'canary')");
    assert_eq!(error.sqlstate, "F0000", "{error}");
    assert!(
        error.detail.clone().unwrap_or_default().contains(why),
        "{why}: {error:?}"
    );
    assert!(!format!("{error:?}").contains("canary"));
}

/// S-32, F-A5.
#[test]
fn a_key_that_others_could_read_or_replace_seals_nothing() {
    let mut shop = Shop::open(10);
    let key = key_file(&mut shop);
    let content = fs::read(&key).expect("the test may read it");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
    for open in [0o604, 0o640, 0o620, 0o601, 0o644] {
        mode(&key, open);
        refused(&mut shop, &format!("Its mode is {open:04o}"));
    }
    mode(&key, 0o600);
    for wrong in [&content[..content.len() - 1], &[7; 32], b"", b"zz"] {
        fs::write(&key, wrong).expect("our own file");
        let error = shop.app.error("SELECT sluice.set_secret('x', 'canary')");
        assert_eq!(error.sqlstate, "F0000", "{error}");
    }
    fs::write(&key, &content).expect("our own file");
    shop.app.exec("SELECT sluice.set_secret('x', 'canary')");

    let folder = shop.cluster.folder().to_path_buf();
    let in_data = shop.cluster.data().join("key");
    let open = folder.join("open");
    fs::create_dir(&open).expect("our own folder");
    let (inside, link) = (open.join("key"), open.join("link"));
    for copy in [&in_data, &inside] {
        fs::write(copy, &content).expect("our own folder");
        mode(copy, 0o600);
    }
    symlink(&key, &link).expect("our own folder");
    give_to_server_user(&in_data);
    give_to_server_user(&open);
    mode(&open, 0o777);
    let places = [
        (&in_data, "below the data directory"),
        (&inside, "can be written by other users"),
        (&link, "can be written by other users"),
        (&open, "not a regular file"),
        (&folder.join("nowhere"), "no such file"),
    ];
    for (place, why) in places {
        point_at(&mut shop, place);
        refused(&mut shop, why);
    }
    // One that belongs to somebody else, who could read it back or change it. Only root can give a file away.
    let theirs = folder.join("theirs");
    fs::write(&theirs, &content).expect("our own folder");
    mode(&theirs, 0o600);
    if chown(&theirs, Some(65_534), None).is_ok() {
        point_at(&mut shop, &theirs);
        refused(&mut shop, "does not belong to the user");
    }
    // A sticky directory, as /tmp is, lets nobody replace another's file.
    mode(&open, 0o1777);
    point_at(&mut shop, &inside);
    shop.app.exec("SELECT sluice.set_secret('x', 'canary')");
}
