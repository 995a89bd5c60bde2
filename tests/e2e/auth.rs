//! Credentials: sent where they belong, once, and nowhere else.

use crate::shop::{PAGES, Shop};
use sample_api::{Auth, SampleApi};

/// A shop whose API asks for this, with a connection `shop` that app may use.
fn guarded(auth: Auth, options: &str) -> Shop {
    let mut shop = Shop::open(300);
    shop.api.set(|settings| settings.auth = auth);
    let server = format!("ALTER SERVER shop OPTIONS ({options})");
    // A server may name its owner's secrets.
    shop.db.exec(&format!(
        "GRANT USAGE ON FOREIGN DATA WRAPPER pg_sluice TO app; ALTER SERVER shop OWNER TO app; {server}"
    ));
    shop
}

/// Gives app the secret `token`, and loads.
fn load(shop: &mut Shop, value: &str) {
    shop.app.exec(&format!("SELECT sluice.set_secret('token', '{value}')"));
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_bearer_token_is_sent_with_each_request() {
    let mut shop = guarded(Auth::Bearer("s3cret".into()), "ADD auth 'bearer', ADD secret 'token'");
    load(&mut shop, "s3cret");
    let all = shop
        .api
        .requests()
        .iter()
        .all(|request| request.authorization() == Some("Bearer s3cret"));
    assert!(all, "{:?}", shop.api.requests());
}

#[test]
fn a_user_name_and_a_password_are_sent_as_basic() {
    let auth = Auth::Basic {
        username: "ann".into(),
        password: "pass:wörd".into(),
    };
    let mut shop = guarded(auth, "ADD auth 'basic', ADD username 'ann', ADD secret 'token'");
    load(&mut shop, "pass:wörd");
}

#[test]
fn a_key_is_sent_in_a_header() {
    let auth = Auth::HeaderKey {
        name: "X-Api-Key".into(),
        value: "k3y".into(),
    };
    let options = "ADD auth 'api_key', ADD api_key_name 'X-Api-Key', ADD api_key_in 'header', ADD secret 'token'";
    let mut shop = guarded(auth, options);
    load(&mut shop, "k3y");
}

#[test]
fn a_key_is_sent_in_the_query_and_appears_nowhere() {
    let auth = Auth::QueryKey {
        name: "key".into(),
        value: "k3y-canary".into(),
    };
    let options = "ADD auth 'api_key', ADD api_key_name 'key', ADD api_key_in 'query', ADD secret 'token'";
    let mut shop = guarded(auth, options);
    load(&mut shop, "k3y-canary");
    let fault = sample_api::Fault::status(400, &[]);
    shop.api.misbehave(fault);
    let error = shop.failing_sync();
    assert!(!error.to_string().contains("canary"), "{error}");
    for table in ["_run", "_page", "_job", "_secret", "_job_state", "_failure"] {
        let found = format!("SELECT count(*) FROM sluice.{table} AS t WHERE t::text LIKE '%canary%'");
        assert_eq!(shop.db.number(&found), 0, "in {table}");
    }
    assert!(!shop.cluster.log().contains("canary"), "in the log");
}

#[test]
fn a_wrong_secret_costs_one_request_and_is_mended_by_setting_it() {
    let mut shop = guarded(Auth::Bearer("right".into()), "ADD auth 'bearer', ADD secret 'token'");
    let state = "SELECT coalesce(state, 'not known') FROM sluice.sync_connections";
    assert_eq!(shop.db.text(state), "not known");
    load(&mut shop, "right");
    assert_eq!(shop.db.text(state), "connected");
    shop.app.exec("SELECT sluice.set_secret('token', 'wrong')");
    shop.api.clear_log();
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "28000", "{error}");
    assert!(error.hint.is_some(), "{error}");
    assert_eq!(shop.api.requests().len(), 1);
    assert_eq!(shop.run("concat_ws(' ', status, error_class)"), "failed auth");
    assert_eq!(shop.health("status"), "unhealthy");
    assert!(shop.status("action").starts_with("you: "), "{}", shop.status("action"));
    assert_eq!(shop.db.text(state), "reauth_required");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);

    shop.app.exec("SELECT sluice.set_secret('token', 'right')");
    shop.sync();
    assert_eq!(shop.db.text(state), "connected");
}

#[test]
fn a_look_at_a_connection_costs_one_request_and_none_without_its_secret() {
    let mut shop = guarded(Auth::Bearer("right".into()), "ADD auth 'bearer', ADD secret 'token'");
    let look = "SELECT string_agg(check_name || ' ' || coalesce(ok::text, '-'), ', ') \
                FROM sluice.test_connection('shop', '/page/products', '{\"records\": \"$.data\"}')";
    let untried = "resolve -, address -, connect -, tls -, auth false, response -, records -, rate limit -";
    assert_eq!(shop.app.text(look), untried);
    assert_eq!(shop.api.requests().len(), 0);
    shop.app.exec("SELECT sluice.set_secret('token', 'wrong')");
    let refused = "resolve true, address true, connect true, tls -, auth false, response -, records -, rate limit -";
    assert_eq!(shop.app.text(look), refused);
    shop.app.exec("SELECT sluice.set_secret('token', 'right')");
    shop.api.clear_log();
    let passed =
        "resolve true, address true, connect true, tls -, auth true, response true, records true, rate limit true";
    assert_eq!(shop.app.text(look), passed);
    assert_eq!(shop.api.requests().len(), 1);
}

#[test]
fn a_missing_secret_is_told_before_any_request() {
    let mut shop = guarded(Auth::Bearer("x".into()), "ADD auth 'bearer', ADD secret 'token'");
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text)");
    shop.create_job("products", "/page/products", PAGES);
    let error = shop.failing_sync();
    assert!(error.to_string().contains("\"token\""), "{error}");
    assert_eq!(shop.api.requests().len(), 0);
}

#[test]
fn a_secret_is_not_sent_to_another_origin_than_its_own() {
    let mut shop = guarded(Auth::Bearer("s3cret".into()), "ADD auth 'bearer', ADD secret 'token'");
    load(&mut shop, "s3cret");
    let other = SampleApi::start(sample_api::Options {
        products: 300,
        ..Default::default()
    });
    shop.db
        .exec(&format!("ALTER SERVER shop OPTIONS (SET base_url '{}')", other.url()));
    let error = shop.failing_sync();
    assert!(error.to_string().contains("\"token\""), "{error}");
    assert!(
        ["config", "auth"].contains(&shop.run("error_class").as_str()),
        "{error}"
    );
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn an_unbound_secret_serves_the_first_origin_that_names_it_and_no_second_one() {
    let mut shop = guarded(Auth::Bearer("s3cret".into()), "ADD auth 'bearer', ADD secret 'token'");
    let other = SampleApi::start(sample_api::Options {
        products: 300,
        ..Default::default()
    });
    shop.db.exec(&format!(
        "CREATE SERVER second FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{}', auth 'bearer', secret 'token');
         ALTER SERVER second OWNER TO app",
        other.url()
    ));
    load(&mut shop, "s3cret");
    assert_eq!(shop.db.text("SELECT origin FROM sluice.sync_secrets"), shop.api.url());
    shop.app.exec("CREATE TABLE copies (id bigint PRIMARY KEY, name text)");
    let settings = PAGES;
    shop.app.exec(&format!(
        "SELECT sluice.create_job('copies', 'second', '/page/products', schedule => 'manual', settings => '{settings}')"
    ));
    let error = shop.app.error("CALL sluice.sync('copies')");
    assert_eq!(other.requests().len(), 0, "{error}");
    let class = shop
        .db
        .text("SELECT error_class FROM sluice.sync_runs WHERE data_type = 'copies'");
    assert!(["config", "auth"].contains(&class.as_str()), "{error}");
}

#[test]
fn a_secret_that_names_its_origin_is_refused_elsewhere_from_the_start() {
    let mut shop = guarded(Auth::Bearer("s3cret".into()), "ADD auth 'bearer', ADD secret 'token'");
    shop.app
        .exec("SELECT sluice.set_secret('token', 's3cret', 'https://api.example.com')");
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text)");
    shop.create_job("products", "/page/products", PAGES);
    let error = shop.failing_sync();
    assert_eq!(shop.api.requests().len(), 0, "{error}");
}
