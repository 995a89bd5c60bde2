//! Secrets that are kept elsewhere, and read when they are needed (S-34).

use crate::shop::{PAGES, SOON, Shop};
use sample_api::Auth;
use sluice_e2e::{eventually, give_to_server_user};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A shop whose API takes this token, and whose connection belongs to app, with secret `token`.
fn guarded(token: &str) -> Shop {
    let mut shop = Shop::open(300);
    accept(&shop, token);
    shop.db.exec(
        "GRANT USAGE ON FOREIGN DATA WRAPPER pg_sluice TO app; ALTER SERVER shop OWNER TO app;
         ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'token')",
    );
    shop
}

fn accept(shop: &Shop, token: &str) {
    shop.api.set(|settings| settings.auth = Auth::Bearer(token.into()));
}

/// The directory that secrets may lie in.
fn directory(shop: &mut Shop) -> PathBuf {
    let directory = shop.cluster.folder().join("secrets");
    fs::create_dir_all(directory.join("app")).expect("our own folder");
    give_to_server_user(&directory);
    let wanted = directory.display().to_string();
    let set = format!("ALTER SYSTEM SET sluice.secret_directories = '{wanted}'");
    shop.db.exec(&set);
    shop.db.exec("SELECT pg_reload_conf()");
    let shown = eventually(SOON, || {
        shop.db.text("SELECT current_setting('sluice.secret_directories')") == wanted
    });
    assert!(shown);
    shop.reconnect();
    directory
}

fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).expect("our own folder");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
    give_to_server_user(path);
}

fn refer(shop: &mut Shop, reference: &str) {
    shop.app
        .exec(&format!("SELECT sluice.set_secret_source('token', '{reference}')"));
}

/// Why the reference is refused: SQLSTATE and detail.
fn refusal(shop: &mut Shop, reference: &str) -> (String, String) {
    let error = shop
        .app
        .error(&format!("SELECT sluice.set_secret_source('token', '{reference}')"));
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    (error.sqlstate.clone(), error.detail.unwrap_or_default())
}

#[test]
fn a_file_is_read_by_each_run() {
    let mut shop = guarded("canary-1");
    let file = directory(&mut shop).join("app/token");
    write(&file, "canary-1\n", 0o600);
    refer(&mut shop, &format!("file:{}", file.display()));
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    // Another value is taken by the next run.
    shop.api.change(100.0, 1);
    write(&file, "canary-2\n", 0o400);
    accept(&shop, "canary-2");
    shop.sync();
    shop.assert_equal();
    fs::remove_file(&file).expect("our own file");
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "F0000", "{error}");
    let seen = "SELECT state FROM sluice.sync_connections WHERE name = 'shop'";
    assert_eq!(shop.db.text(seen), "locked");
    // Nothing of it is kept.
    assert_eq!(
        shop.db.text("SELECT source || ' ' || version FROM sluice.sync_secrets"),
        "file 2"
    );
    assert!(
        !shop
            .db
            .is_true("SELECT encode(sealed, 'escape') LIKE '%secrets%' FROM sluice._secret")
    );
    assert!(!shop.cluster.log().contains("canary"));
}

/// What others could read or replace, and what lies elsewhere, is not read.
#[test]
fn a_file_of_anybody_elses_is_refused() {
    let mut shop = guarded("canary");
    let secrets = directory(&mut shop);
    let own = secrets.join("app/token");
    let refuse = |shop: &mut Shop, path: &Path, state: &str, why: &str| {
        let (sqlstate, detail) = refusal(shop, &format!("file:{}", path.display()));
        assert_eq!(sqlstate, state, "{detail}");
        assert!(detail.contains(why), "{why}: {detail}");
    };
    refuse(&mut shop, &own, "F0000", "no such file");
    for mode in [0o604, 0o640, 0o620] {
        write(&own, "canary", mode);
        refuse(&mut shop, &own, "F0000", "Its mode is");
    }
    write(&own, &"c".repeat(9000), 0o600);
    refuse(&mut shop, &own, "F0000", "too large");
    write(&own, "", 0o600);
    refuse(&mut shop, &own, "22023", "It is empty");
    write(&own, "canary", 0o600);
    refuse(&mut shop, &secrets.join("app"), "42501", "no directory");
    // Another role's, and a link to it or to anything else.
    fs::create_dir(secrets.join("other")).expect("our own folder");
    write(&secrets.join("other/token"), "canary", 0o600);
    write(&secrets.join("shared"), "canary", 0o600);
    give_to_server_user(&secrets);
    for path in ["other/token", "shared", "other/missing", "apparent/token"] {
        refuse(&mut shop, &secrets.join(path), "42501", "in the folder of its name");
    }
    for (n, to) in [
        secrets.join("other/token"),
        "/etc/hostname".into(),
        shop.cluster.folder().join("pg_sluice.key"),
    ]
    .iter()
    .enumerate()
    {
        let link = secrets.join(format!("app/link{n}"));
        symlink(to, &link).expect("our own folder");
        refuse(&mut shop, &link, "42501", "in the folder of its name");
    }
    refuse(&mut shop, Path::new("/etc/hostname"), "42501", "no directory");
    // A link that stays in the folder is how secrets are mounted.
    symlink(&own, secrets.join("app/current")).expect("our own folder");
    refer(&mut shop, &format!("file:{}/app/current", secrets.display()));
    // In a folder that others write, none is read.
    fs::set_permissions(secrets.join("app"), fs::Permissions::from_mode(0o777)).expect("our own folder");
    refuse(&mut shop, &own, "F0000", "can be written by other users");
}

/// An admin's file may lie anywhere below; the right ends with the role's.
#[test]
fn what_an_admin_names_is_read_while_it_is_an_admin() {
    let mut shop = guarded("canary");
    let file = directory(&mut shop).join("shared");
    write(&file, "canary", 0o600);
    shop.db.exec("SELECT sluice.grant_access('app', 'admin')");
    refer(&mut shop, &format!("file:{}", file.display()));
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.db
        .exec("SELECT sluice.revoke_access('app'); SELECT sluice.grant_access('app', 'writer')");
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "42501", "{error}");
}

#[test]
fn a_program_prints_a_secret_and_no_shell_reads_its_words() {
    let mut shop = guarded("a;b $HOME");
    assert_eq!(refusal(&mut shop, "command:/bin/echo x").0, "42501");
    shop.db.exec("GRANT pg_execute_server_program TO app");
    refer(&mut shop, "command:/bin/echo a;b $HOME");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    for (program, why) in [
        ("/bin/false", "ended with a failure"),
        ("/nowhere/read", "could not be started"),
        ("/bin/sleep 60", "did not end within"),
    ] {
        refer(&mut shop, &format!("command:{program}"));
        let error = shop.failing_sync();
        assert_eq!(error.sqlstate, "F0000", "{error}");
        assert!(error.detail.clone().unwrap_or_default().contains(why), "{error}");
    }
    refer(&mut shop, "command:/bin/echo a;b $HOME");
    shop.db.exec("REVOKE pg_execute_server_program FROM app");
    assert_eq!(shop.failing_sync().sqlstate, "42501");
}

/// Supabase Vault's shape: a view of a superuser's that its readers need rights to.
#[test]
fn the_vault_is_read_with_the_rights_of_the_secrets_owner() {
    let mut shop = guarded("canary");
    assert!(
        refusal(&mut shop, "vault:shop token")
            .1
            .contains("no view vault.decrypted_secrets")
    );
    // One that an ordinary role has made is not asked: its view would run with the reader's rights.
    shop.db.exec(
        "CREATE ROLE mallory; CREATE SCHEMA vault AUTHORIZATION mallory;
         CREATE TABLE vault.secrets (name text UNIQUE, secret text);
         INSERT INTO vault.secrets VALUES ('shop token', 'canary');
         CREATE VIEW vault.decrypted_secrets AS SELECT name, secret AS decrypted_secret FROM vault.secrets;
         GRANT USAGE ON SCHEMA vault TO app",
    );
    assert!(
        refusal(&mut shop, "vault:shop token")
            .1
            .contains("no view vault.decrypted_secrets")
    );
    shop.db.exec("ALTER SCHEMA vault OWNER TO postgres");
    let (sqlstate, detail) = refusal(&mut shop, "vault:shop token");
    assert_eq!(sqlstate, "F0000");
    assert!(
        detail.contains("permission denied for view decrypted_secrets"),
        "{detail}"
    );
    shop.db
        .exec("GRANT SELECT ON vault.decrypted_secrets TO app; GRANT USAGE ON SCHEMA vault TO app");
    assert!(
        refusal(&mut shop, "vault:nothing")
            .1
            .contains("sees no secret of this name")
    );
    refer(&mut shop, "vault:shop token");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    // It is bound to one origin as others, and sealed again with them.
    assert!(
        shop.db
            .is_true("SELECT origin IS NOT NULL AND source = 'vault' FROM sluice.sync_secrets")
    );
    let noted = "SELECT after ->> 'source' FROM sluice.sync_audit_log WHERE object_type = 'secret' ORDER BY id LIMIT 1";
    assert_eq!(shop.db.text(noted), "vault");
    assert!(!shop.cluster.log().contains("canary"));
    shop.db.exec("REVOKE SELECT ON vault.decrypted_secrets FROM app");
    assert_eq!(shop.failing_sync().sqlstate, "F0000");
}

/// A program that prints a secret at once where a file `quick` lies beside it, and otherwise writes down the number of its
/// process and of one that it starts, and waits.
fn slow_program(shop: &Shop) -> PathBuf {
    let folder = shop.cluster.folder().join("program");
    fs::create_dir_all(&folder).expect("our own folder");
    let beside = folder.display();
    let script = format!(
        "#!/bin/sh\n[ -e {beside}/quick ] && exec echo canary\nsleep 1000 &\necho $$ $! > {beside}/new && mv {beside}/new {beside}/pids\nwait\n"
    );
    write(&folder.join("print"), &script, 0o700);
    give_to_server_user(&folder);
    folder
}

/// Waits until it has written them down; the processes.
fn its_processes(folder: &Path) -> Vec<String> {
    let pids = folder.join("pids");
    assert!(eventually(SOON, || pids.exists()), "the program was not started");
    let written = fs::read_to_string(&pids).expect("it may be read");
    fs::remove_file(&pids).expect("our own folder");
    written.split_whitespace().map(str::to_owned).collect()
}

fn is_gone(pid: &String) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
}

/// Nothing is locked while a program runs, and it ends with who waits for it, with all that it has started.
#[test]
fn a_program_that_is_not_waited_for_is_killed_and_keeps_nobody_waiting() {
    let mut shop = guarded("canary");
    let folder = slow_program(&shop);
    write(&folder.join("quick"), "", 0o600);
    shop.db.exec("GRANT pg_execute_server_program TO app");
    refer(&mut shop, &format!("command:{}/print", folder.display()));
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    fs::remove_file(folder.join("quick")).expect("our own file");
    // A run writes the new name into the job's row before it asks for the secret.
    shop.app.exec("ALTER TABLE products RENAME TO goods");
    shop.start();
    let processes = its_processes(&folder);
    assert_eq!(processes.len(), 2);
    shop.db.exec("SELECT id FROM sluice._job FOR UPDATE NOWAIT");
    assert_eq!(shop.db.text("SELECT target_table FROM sluice._job"), "goods");
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("stopped");
    assert!(eventually(SOON, || processes.iter().all(is_gone)), "{processes:?}");

    let session = shop.cluster.db_as("app", "postgres");
    let call = session.call("SELECT * FROM sluice.test_connection('shop')");
    let processes = its_processes(&folder);
    call.cancel();
    let (outcome, _) = call.finish();
    assert_eq!(outcome.map(drop).expect_err("it was cancelled").sqlstate, "57014");
    assert!(eventually(SOON, || processes.iter().all(is_gone)), "{processes:?}");
}

/// A secret that a worker binds to its origin is sealed again: a value that was set meanwhile is the one that counts.
#[test]
fn a_value_that_is_set_while_a_worker_binds_the_former_one_is_kept() {
    let mut shop = guarded("second");
    shop.app.exec("SELECT sluice.set_secret('token', 'first')");
    // With a table that is there nothing is asked now.
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric)");
    shop.create_job("products", "/page/products", PAGES);
    shop.db.failpoint("secret.binding", "pause");
    shop.start();
    let reached = eventually(SOON, || {
        shop.db.number("SELECT sluice._failpoint_hits('secret.binding')") > 0
    });
    assert!(reached);
    shop.app.exec("SELECT sluice.set_secret('token', 'second')");
    shop.db.failpoint("secret.binding", "off");
    shop.wait_for_run("succeeded");
    shop.assert_equal();
}

#[test]
fn two_sessions_that_set_the_first_value_of_a_secret_leave_one_that_opens() {
    let mut shop = guarded("second");
    let database = shop.db.text("SELECT current_database()");
    shop.app.exec("BEGIN; SELECT sluice.set_secret('token', 'first')");
    let other = shop
        .cluster
        .db_as("app", &database)
        .call("SELECT sluice.set_secret('token', 'second')");
    let waits = eventually(SOON, || {
        shop.db.is_true(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%set_secret%')",
        )
    });
    assert!(waits);
    shop.app.exec("COMMIT");
    let (ended, _other) = other.finish();
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(shop.app.text("SELECT version FROM sluice.sync_secrets"), "2");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
}
