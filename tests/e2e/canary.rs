//! The canary search: secrets that are known are looked for in everything that somebody might read.

use crate::oauth::{CODE, REDIRECT, begin, connect, protect};
use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Auth, Fault, OAuthServer};
use sluice_e2e::eventually;
use std::path::Path;

const CANARY: &str = "c4n4ry";

/// Everything that a server has written down: its logs, what its views and tables show, a dump.
fn look_everywhere(shop: &mut Shop) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |place: &str, text: &str| {
        for line in text.lines().filter(|line| line.contains(CANARY)) {
            let line: String = line.chars().take(300).collect();
            found.push(format!("{place}: {line}"));
        }
    };
    for file in files(shop.cluster.folder())
        .into_iter()
        .chain(files(&shop.cluster.data().join("log")))
    {
        look(
            &file.display().to_string(),
            &String::from_utf8_lossy(&std::fs::read(&file).unwrap_or_default()),
        );
    }
    // Tables and views of every kind, ours and the server's, as a superuser sees them.
    let relations = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname IN ('sluice', 'app', 'public') AND c.relkind IN ('r', 'v', 'm') \
                     UNION ALL VALUES ('pg_foreign_server'), ('pg_settings'), ('pg_stat_activity')";
    let names: Vec<String> = shop.db.rows(relations).rows.into_iter().flatten().flatten().collect();
    for name in names {
        let rows = shop.db.rows(&format!("SELECT t::text FROM {name} AS t"));
        let text: Vec<String> = rows.rows.into_iter().flatten().flatten().collect();
        look(&name, &text.join("\n"));
    }
    let mut dump = shop.cluster.client_program("pg_dump");
    dump.args(["-U", "postgres", "postgres"]);
    let dumped = dump.output().expect("pg_dump is part of PostgreSQL");
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    look("pg_dump", &String::from_utf8_lossy(&dumped.stdout));
    found
}

/// What the collector has written.
fn logs(shop: &Shop) -> String {
    let texts = files(&shop.cluster.data().join("log")).into_iter();
    texts
        .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned())
        .collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect()
}

/// A server that writes down as much as a careful DBA would let it.
fn talkative(products: u64) -> Shop {
    let settings = [
        ("shared_preload_libraries", "pg_sluice,pg_stat_statements"),
        ("logging_collector", "on"),
        ("log_destination", "stderr,csvlog"),
        ("log_statement", "mod"),
        ("log_min_messages", "debug1"),
        ("log_error_verbosity", "verbose"),
        ("pg_stat_statements.track", "all"),
    ];
    let mut shop = Shop::with(products, &settings);
    shop.db.exec("CREATE EXTENSION pg_stat_statements");
    shop
}

/// What the remote says back: in a body, an error's body, a header, a redirect, a link.
fn echoes(token: &str) -> Vec<Fault> {
    vec![
        Fault::status(401, &[("WWW-Authenticate", token)]),
        Fault::Answer {
            status: 409,
            headers: vec![
                ("Content-Type".into(), "application/json".into()),
                ("X-Echo".into(), token.into()),
            ],
            body: format!("{{\"error\": \"token {token} is bad\"}}").into_bytes(),
        },
        Fault::Answer {
            status: 500,
            headers: vec![("Content-Type".into(), "text/html".into())],
            body: format!("<html>{token}</html>").into_bytes(),
        },
        Fault::redirect(302, &format!("http://127.0.0.1:1/?access_token={token}")),
        // A good status, and a text that is no JSON; one that is cut within the token; one that begins within it.
        content(&format!("your token is {token}")),
        content(&format!("<html>{}{token}</html>", "x".repeat(80))),
        content(&format!("[{{\"id\": {token}}}]")),
        content(&format!(
            "{{\"error\": \"token {} is bad\"}}",
            spelled(token, |byte| format!("\\u{byte:04x}"))
        )),
        Fault::Answer {
            status: 409,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: format!(
                "{{\"error\": \"token {}\"}}",
                spelled(token, |byte| format!("%{byte:02x}"))
            )
            .into_bytes(),
        },
    ]
}

fn content(body: &str) -> Fault {
    Fault::Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: body.as_bytes().to_vec(),
    }
}

/// The token with every character that is no letter spelled in another way. What begins with the canary's own letters would
/// be seen, so the whole is one spelling of it.
fn spelled(token: &str, other: impl Fn(u8) -> String) -> String {
    let plain = |byte: u8| char::from(byte).to_string();
    token
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                plain(byte)
            } else {
                other(byte)
            }
        })
        .collect()
}

/// S-36, S-37, P9: in the query, which is the most talkative place for a credential.
#[test]
fn a_key_in_the_query_is_written_down_nowhere() {
    let token = format!("{CANARY}-query&key/+=");
    let mut shop = talkative(100);
    let auth = Auth::QueryKey {
        name: "key".into(),
        value: token.clone(),
    };
    shop.api.set(|settings| settings.auth = auth);
    let url = shop.api.url();
    shop.db.exec(&format!(
        "SELECT sluice.allow_origin('{url}', 'app'); ALTER SERVER shop OWNER TO app;
         ALTER SERVER shop OPTIONS (ADD auth 'api_key', ADD api_key_name 'key', ADD api_key_in 'query', ADD secret 'token')"
    ));
    shop.app.exec(&format!("SELECT sluice.set_secret('token', '{token}')"));
    // An error inside does not log the statement.
    let error = shop
        .app
        .error(&format!("SELECT sluice.set_secret('to ken', '{token}')"));
    assert!(!error.to_string().contains(CANARY), "{error}");
    let retry = PAGES.replacen('{', r#"{"retry": {"request_attempts": 1, "attempts": 0}, "#, 1);
    shop.create_job("products", "/page/products", &retry);
    shop.sync();
    for fault in echoes(&token) {
        shop.api.misbehave(fault);
        let error = shop.failing_sync();
        let told = format!("{error} {:?} {:?}", error.detail, error.hint);
        assert!(!told.contains(CANARY), "{told}");
    }
    assert_eq!(look_everywhere(&mut shop), Vec::<String>::new());
}

/// The same for what an authorization server gives and repeats.
#[test]
fn tokens_codes_and_client_secrets_are_written_down_nowhere() {
    let mut shop = talkative(100);
    let secret = format!("{CANARY}-client");
    shop.api.oauth(|oauth: &mut OAuthServer| {
        oauth.prefix = format!("{CANARY}-");
        oauth.client_secret = Some(secret.clone());
    });
    protect(&mut shop, "oauth2_authorization_code", CODE);
    shop.app
        .exec(&format!("SELECT sluice.set_secret('client', '{secret}')"));
    connect(&mut shop);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    // A wrong callback, with a code in it.
    begin(&mut shop);
    let error = shop.app.error(&format!(
        "SELECT sluice.finish_oauth('shop', '{REDIRECT}?code={CANARY}-code&state=x')"
    ));
    assert!(!error.to_string().contains(CANARY), "{error}");
    // The token endpoint repeats what it was sent.
    let echo = format!("{{\"error\": \"invalid_request\", \"error_description\": \"{secret} is wrong\"}}");
    shop.api.oauth(|oauth| {
        oauth.answer_next(400, "application/json", &echo);
        oauth.answer_next(500, "text/html", &format!("<html>{secret}</html>"));
        oauth.expire_access();
    });
    for _ in 0..2 {
        let error = shop.failing_sync();
        assert!(!format!("{error} {:?}", error.detail).contains(CANARY), "{error}");
    }
    assert_eq!(look_everywhere(&mut shop), Vec::<String>::new());
}

/// S-37, F-P2: a panic says where it was, and no more.
#[test]
fn a_panic_with_a_secret_in_hand_writes_none_down() {
    let mut shop = talkative(100);
    let secret = format!("{CANARY}-client");
    shop.api.oauth(|oauth: &mut OAuthServer| {
        oauth.prefix = format!("{CANARY}-");
        oauth.client_secret = Some(secret.clone());
    });
    protect(&mut shop, "oauth2_authorization_code", CODE);
    shop.app
        .exec(&format!("SELECT sluice.set_secret('client', '{secret}')"));
    connect(&mut shop);
    shop.create_job("products", "/page/products", PAGES);
    for point in [
        "token.before_send",
        "token.response_received",
        "token.before_commit",
        "batch.applied",
    ] {
        shop.api.change(100.0, 1);
        shop.api.oauth(|oauth| oauth.expire_access());
        shop.db
            .exec("UPDATE sluice._oauth SET renew_at = now() - interval '1 minute', expires_at = now()");
        shop.db.failpoint(point, "panic");
        // The run fails, or goes on in another worker.
        if let Err(error) = shop.app.try_rows("CALL sluice.sync('products')") {
            let told = format!("{error} {:?} {:?}", error.detail, error.hint);
            assert!(!told.contains(CANARY), "{point}: {told}");
        }
        let is_logged = eventually(SOON, || logs(&shop).contains(&format!("failpoint {point}")));
        assert!(is_logged, "nothing panicked at {point}");
        shop.db.failpoint(point, "off");
    }
    assert_eq!(look_everywhere(&mut shop), Vec::<String>::new());
    shop.sync();
    shop.assert_equal();
}

/// The search itself: what the server writes down is found, in both logs.
#[test]
fn the_search_finds_what_was_written_down() {
    let mut shop = talkative(10);
    shop.db.error(&format!("SELECT '{CANARY}'::integer"));
    // The collector of the logs writes when it gets to it.
    for log in [".csv: ", ".log: "] {
        let found = eventually(SOON, || {
            look_everywhere(&mut shop).iter().any(|line| line.contains(log))
        });
        assert!(found, "nothing in {log}");
    }
}
