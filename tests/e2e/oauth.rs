//! Connections whose remote wants a person's consent, or a client's: how they are connected.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::Auth;
use sluice_e2e::wait_until;

/// A shop whose API takes only tokens of its own authorization server; the connection belongs to app.
pub fn consenting(products: u64, kind: &str, options: &str) -> Shop {
    let mut shop = Shop::open(products);
    protect(&mut shop, kind, options);
    shop
}

pub fn protect(shop: &mut Shop, kind: &str, options: &str) {
    shop.api.set(|settings| settings.auth = Auth::Issued);
    let url = shop.api.url();
    let options = options.replace("URL", &url);
    shop.db.exec(&format!(
        "SELECT sluice.allow_origin('{url}', 'app');
         ALTER SERVER shop OWNER TO app;
         ALTER SERVER shop OPTIONS (ADD auth '{kind}', ADD token_url '{url}/oauth/token', ADD client_id 'sluice',
                                    ADD client_secret 'client' {options})"
    ));
    shop.app.exec("SELECT sluice.set_secret('client', 'client-s3cret')");
}

pub fn with_code(products: u64) -> Shop {
    consenting(products, "oauth2_authorization_code", CODE)
}

/// What a connection by authorization code needs besides.
pub const CODE: &str = ", ADD authorization_url 'URL/oauth/authorize'";

pub const REDIRECT: &str = "https://app.example/callback";

/// Begins; the address at which a person consents.
pub fn begin(shop: &mut Shop) -> String {
    shop.app
        .text(&format!("SELECT sluice.begin_oauth('shop', '{REDIRECT}')"))
}

pub fn state(shop: &mut Shop) -> String {
    shop.db
        .text("SELECT coalesce(state, 'not known') FROM sluice.sync_connections WHERE name = 'shop'")
}

pub fn wait_for_state(shop: &mut Shop, wanted: &str) {
    wait_until(&mut shop.db, &format!("the connection is {wanted}"), SOON, |db| {
        db.value("SELECT state FROM sluice.sync_connections WHERE name = 'shop'")
            .as_deref()
            == Some(wanted)
    });
}

/// A person consents, and the connection is connected.
pub fn connect(shop: &mut Shop) {
    let address = begin(shop);
    let callback = shop.api.consent(&address);
    shop.app
        .exec(&format!("SELECT sluice.finish_oauth('shop', '{callback}')"));
    wait_for_state(shop, "connected");
}

/// The grant types that tokens were asked for with.
pub fn asked(shop: &Shop) -> Vec<String> {
    let requests = shop.api.oauth(|oauth| oauth.requests());
    requests.into_iter().map(|request| request.grant_type).collect()
}

#[test]
fn client_credentials_are_enough_where_nobody_has_to_consent() {
    let mut shop = consenting(300, "oauth2_client_credentials", ", ADD scope 'read'");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    assert_eq!(state(&mut shop), "connected");
    let expires = "SELECT token_expires_at BETWEEN now() + interval '50 minutes' AND now() + interval '61 minutes' \
                   FROM sluice.sync_connections WHERE name = 'shop'";
    assert!(shop.db.is_true(expires));
    let requests = shop.api.oauth(|oauth| oauth.requests());
    assert!(
        requests
            .iter()
            .all(|request| request.grant_type == "client_credentials" && request.status == 200)
    );
    // The session's look at the first page asked by itself; the runs share one.
    shop.sync();
    assert_eq!(shop.api.oauth(|oauth| oauth.requests()).len(), requests.len());
    for request in requests {
        assert_eq!((request.target.as_str(), request.authorization), ("/oauth/token", true));
        assert_eq!(request.parameters, ["scope"]);
    }
}

#[test]
fn the_clients_secret_can_be_in_a_body_of_json_and_the_tokens_in_an_envelope() {
    let options = ", ADD client_auth 'post', ADD token_body 'json', ADD token_path '$.data'";
    let mut shop = consenting(300, "oauth2_client_credentials", options);
    shop.api.oauth(|oauth| oauth.envelope = Some("data".into()));
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    let request = shop.api.oauth(|oauth| oauth.requests()).remove(0);
    assert_eq!(
        (request.content_type.as_str(), request.authorization),
        ("application/json", false)
    );
    assert_eq!(request.parameters, ["client_id", "client_secret"]);
}

#[test]
fn a_person_consents_once_and_the_jobs_read() {
    let mut shop = with_code(300);
    let error = shop
        .app
        .error("SELECT sluice.create_job('products', 'shop', '/page/products', key => '{id}', schedule => 'manual')");
    assert_eq!(
        (error.sqlstate.as_str(), error.to_string().contains("is not connected")),
        ("SY010", true),
        "{error}"
    );
    assert!(
        error.hint.clone().unwrap_or_default().contains("begin_oauth('shop'"),
        "{error}"
    );
    connect(&mut shop);
    assert_eq!(asked(&shop), ["authorization_code"]);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    assert_eq!(asked(&shop), ["authorization_code"], "one token served all");
}

/// S-41: single use, bound to its role and connection, expiring.
#[test]
fn a_callback_serves_once_for_its_role_and_connection_and_for_ten_minutes() {
    let mut shop = with_code(10);
    let address = begin(&mut shop);
    let callback = shop.api.consent(&address);
    let finish = format!("SELECT sluice.finish_oauth('shop', '{callback}')");
    // Another role, although it may do everything.
    assert_eq!(shop.db.error(&finish).sqlstate, "28000");
    // Another connection of the same role.
    let url = shop.api.url();
    shop.db.exec(&format!(
        "CREATE SERVER other FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{url}', auth 'oauth2_authorization_code',
             token_url '{url}/oauth/token', authorization_url '{url}/oauth/authorize', client_id 'sluice',
             client_secret 'client');
         ALTER SERVER other OWNER TO app"
    ));
    assert_eq!(shop.app.error(&finish.replace("'shop'", "'other'")).sqlstate, "28000");
    shop.app.exec(&finish);
    wait_for_state(&mut shop, "connected");
    let again = shop.app.error(&finish);
    assert_eq!(again.sqlstate, "28000", "{again}");
    assert_eq!(asked(&shop), ["authorization_code"]);
}

#[test]
fn what_is_begun_lapses() {
    let mut shop = with_code(10);
    let address = begin(&mut shop);
    let callback = shop.api.consent(&address);
    shop.db
        .exec("UPDATE sluice._oauth_flow SET expires_at = now() - interval '1 second'");
    let late = shop
        .app
        .error(&format!("SELECT sluice.finish_oauth('shop', '{callback}')"));
    assert_eq!(late.sqlstate, "28000", "{late}");
    assert!(asked(&shop).is_empty());
}

#[test]
fn a_call_that_is_rolled_back_has_not_used_the_code() {
    let mut shop = with_code(10);
    let address = begin(&mut shop);
    let callback = shop.api.consent(&address);
    let finish = format!("SELECT sluice.finish_oauth('shop', '{callback}')");
    shop.app.exec(&format!("BEGIN; {finish}; ROLLBACK"));
    shop.app.exec(&finish);
    wait_for_state(&mut shop, "connected");
}

#[test]
fn only_its_owner_and_an_admin_connect_a_connection() {
    let mut shop = with_code(10);
    shop.db.exec(
        "CREATE ROLE reader LOGIN; SELECT sluice.grant_access('reader', 'writer');
         GRANT USAGE ON FOREIGN SERVER shop TO reader",
    );
    let mut reader = shop.cluster.db_as("reader", "postgres");
    let error = reader.error(&format!("SELECT sluice.begin_oauth('shop', '{REDIRECT}')"));
    assert_eq!(error.sqlstate, "42501", "{error}");
}

#[test]
fn a_code_that_the_remote_does_not_take_is_told_and_not_tried_again() {
    let mut shop = with_code(10);
    let address = begin(&mut shop);
    let callback = shop.api.consent(&address).replace("code=code-", "code=forged-");
    shop.app
        .exec(&format!("SELECT sluice.finish_oauth('shop', '{callback}')"));
    let told = "SELECT error_message FROM sluice.sync_connections WHERE name = 'shop'";
    wait_until(&mut shop.db, "the refusal is told", SOON, |db| {
        db.value(told)
            .is_some_and(|told| told.contains("gave no token (invalid_grant)"))
    });
    assert_eq!(state(&mut shop), "reauth_required");
    assert_eq!(asked(&shop), ["authorization_code"]);
    // Beginning again mends it.
    connect(&mut shop);
    assert_eq!(shop.db.value(told), None);
}

/// A device that waits, and the sentence that the person is shown.
fn device(products: u64) -> (Shop, String) {
    let mut shop = consenting(products, "oauth2_device", ", ADD device_url 'URL/oauth/device'");
    let shown = shop.app.text("SELECT sluice.begin_oauth('shop')");
    (shop, shown)
}

/// A worker asks until the person has consented.
#[test]
fn a_device_is_connected_without_a_browser() {
    let (mut shop, shown) = device(300);
    let begins = format!("Open {}/device and enter the code WDJB-", shop.api.url());
    assert!(shown.starts_with(&begins), "{shown}");
    let api = &shop.api;
    wait_until(&mut shop.db, "the remote was asked twice", SOON, |_| {
        api.oauth(|oauth| oauth.requests().len() >= 2)
    });
    assert_eq!(state(&mut shop), "reauth_required");
    shop.api.oauth(|oauth| oauth.decide_devices(true));
    wait_for_state(&mut shop, "connected");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    shop.assert_equal();
    let error = shop
        .app
        .error("SELECT sluice.finish_oauth('shop', 'https://app.example/?state=a&code=b')");
    assert_eq!(error.sqlstate, "55000", "{error}");
}

#[test]
fn a_device_whose_person_refuses_is_asked_about_no_more() {
    let (mut shop, _) = device(10);
    shop.api.oauth(|oauth| oauth.decide_devices(false));
    let told = "SELECT error_message FROM sluice.sync_connections WHERE name = 'shop'";
    wait_until(&mut shop.db, "the refusal is told", SOON, |db| {
        db.value(told).is_some_and(|told| told.contains("access_denied"))
    });
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._oauth_flow"), 0);
    assert_eq!(shop.db.value("SELECT due_at FROM sluice._oauth"), None);
}

/// The tokens of a connection are bound to where they were got for.
#[test]
fn tokens_are_not_sent_to_another_api() {
    let mut shop = with_code(300);
    connect(&mut shop);
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    let other = sample_api::SampleApi::start(sample_api::Options {
        products: 300,
        ..Default::default()
    });
    let url = other.url();
    shop.db.exec(&format!("SELECT sluice.allow_origin('{url}', 'app')"));
    shop.db
        .exec(&format!("ALTER SERVER shop OPTIONS (SET base_url '{}')", other.url()));
    let error = shop.failing_sync();
    assert_eq!(error.sqlstate, "SY010", "{error}");
    assert_eq!((other.requests().len(), asked(&shop).len()), (0, 1));
}

/// The secret of the client is bound to the origin of the token endpoint.
#[test]
fn the_clients_secret_is_not_sent_to_another_token_endpoint() {
    let mut shop = consenting(300, "oauth2_client_credentials", "");
    shop.create_job("products", "/page/products", PAGES);
    shop.sync();
    let other = sample_api::SampleApi::start(sample_api::Options::default());
    let url = other.url();
    shop.db.exec(&format!("SELECT sluice.allow_origin('{url}', 'app')"));
    shop.db.exec(&format!(
        "ALTER SERVER shop OPTIONS (SET token_url '{}/oauth/token')",
        other.url()
    ));
    let error = shop.failing_sync();
    assert!(error.to_string().contains("bound to another origin"), "{error}");
    assert_eq!(other.oauth(|oauth| oauth.requests().len()), 0);
}

/// A dropped connection leaves no token behind, and a new one of its name is not connected.
#[test]
fn a_grant_ends_with_its_connection() {
    let mut shop = with_code(10);
    connect(&mut shop);
    shop.app.exec("SELECT sluice.drop_connection('shop')");
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice._oauth"), 0);
}

/// An authorization server counts as much as the API: a role connects to neither unless an admin has allowed it.
#[test]
fn a_token_endpoint_elsewhere_has_to_be_allowed_too() {
    let mut shop = with_code(10);
    let other = sample_api::SampleApi::start(sample_api::Options::default());
    let url = other.url();
    shop.db.exec(&format!(
        "ALTER SERVER shop OPTIONS (SET token_url '{url}/oauth/token')"
    ));
    let error = shop
        .app
        .error(&format!("SELECT sluice.begin_oauth('shop', '{REDIRECT}')"));
    assert_eq!(error.sqlstate, "42501", "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    let wanted = format!("ALTER SERVER shop OPTIONS (SET token_url '{url}/token')");
    assert_eq!(shop.app.error(&wanted).sqlstate, "42501");
}
