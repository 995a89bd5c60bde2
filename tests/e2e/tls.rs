//! Certificates: whom a connection trusts, and what it shows (F-N3, S-25).

use crate::scene::{PRODUCT, Scene, create_job};
use crate::tls_front::{Authority, Front, Issued};
use sluice_e2e::{Cluster, SqlError, assert_table_equals_source};

/// A scene whose job `product` reads through this front; nothing of its options is there but the base URL.
fn scene(cluster: &Cluster, certificate: &Issued, clients: Option<&Authority>, host: &str) -> (Scene, Front) {
    let mut scene = Scene::on(cluster);
    let port = scene
        .api
        .url()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let front = Front::start(port, certificate, clients);
    scene.admin.exec(&format!(
        "ALTER SERVER shop OPTIONS (SET base_url '{}')",
        front.url(host)
    ));
    scene.app.exec(&format!("CREATE TABLE IF NOT EXISTS product {PRODUCT}"));
    scene.app.exec(&create_job(
        "product",
        "{\"retry\": {\"request_attempts\": 1, \"attempts\": 0}}",
    ));
    (scene, front)
}

/// A run that must fail before any request reaches the API; its class is told beside the error.
fn fails(scene: &mut Scene) -> (SqlError, String) {
    scene.api.clear_log();
    let error = scene.app.error("CALL sluice.sync('product')");
    assert_eq!(scene.api.requests().len(), 0, "{error}");
    let class = scene
        .admin
        .text("SELECT error_class FROM sluice.sync_runs ORDER BY id DESC LIMIT 1");
    (error, class)
}

fn detail(error: &SqlError) -> &str {
    error.detail.as_deref().unwrap_or_default()
}

#[test]
fn a_private_authority_is_trusted_by_the_connection_that_names_it_and_replaces_all_others() {
    let cluster = Cluster::start();
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (mut scene, _front) = scene(&cluster, &ours.issue("localhost"), None, "localhost");
    let (error, class) = fails(&mut scene);
    assert_eq!(
        (error.sqlstate.as_str(), class.as_str()),
        ("08001", "config"),
        "{error}"
    );
    assert!(detail(&error).contains("authority that is not trusted"), "{error}");
    assert!(
        error.hint.as_deref().is_some_and(|hint| hint.contains("option ca")),
        "{error}"
    );

    scene
        .admin
        .exec(&format!("ALTER SERVER shop OPTIONS (ADD ca '{}')", other.pem));
    assert!(detail(&fails(&mut scene).0).contains("not trusted"));
    let step = "SELECT check_name FROM sluice.test_connection('shop', '/page/products') WHERE NOT ok";
    assert_eq!(scene.app.text(step), "tls");

    // A bundle holds several.
    scene.admin.exec(&format!(
        "ALTER SERVER shop OPTIONS (SET ca '{}{}')",
        other.pem, ours.pem
    ));
    scene.sync();
    assert_table_equals_source(&mut scene.admin, "app.product", &scene.api);
    let steps =
        "SELECT bool_and(ok) FROM sluice.test_connection('shop', '/page/products', '{\"records\": \"$.data\"}')";
    assert!(scene.app.is_true(steps));
}

#[test]
fn a_certificate_that_has_expired_or_is_for_another_name_is_refused_though_its_authority_is_trusted() {
    let cluster = Cluster::start();
    let ours = Authority::new("ours");
    for (certificate, host, told) in [
        (
            ours.issue_expired("localhost"),
            "localhost",
            "The certificate has expired or is not valid yet.",
        ),
        (
            ours.issue("other.example"),
            "localhost",
            "The certificate is for another name.",
        ),
        (
            ours.issue("localhost"),
            "127.0.0.1",
            "The certificate is for another name.",
        ),
    ] {
        let (mut scene, _front) = scene(&cluster, &certificate, None, host);
        scene
            .admin
            .exec(&format!("ALTER SERVER shop OPTIONS (ADD ca '{}')", ours.pem));
        let (error, class) = fails(&mut scene);
        assert_eq!(
            (error.sqlstate.as_str(), class.as_str()),
            ("08001", "config"),
            "{error}"
        );
        assert!(detail(&error).contains(told), "{error}");
        assert!(
            error
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("cannot be turned off")),
            "{error}"
        );
    }
}

#[test]
fn a_remote_that_asks_for_a_certificate_is_shown_the_connections_own() {
    let cluster = Cluster::start();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (mut scene, front) = scene(&cluster, &servers.issue("localhost"), Some(&clients), "localhost");
    scene
        .admin
        .exec(&format!("ALTER SERVER shop OPTIONS (ADD ca '{}')", servers.pem));
    let (error, class) = fails(&mut scene);
    assert_eq!(
        (error.sqlstate.as_str(), class.as_str()),
        ("08001", "config"),
        "{error}"
    );
    assert!(detail(&error).contains("asks for a client certificate"), "{error}");

    // One of another authority is refused, and a key of another certificate is not tried at all.
    let (stranger, ours) = (servers.issue("stranger"), clients.issue("pg_sluice"));
    let with = |certificate: &Issued, key: &str, verb: &str| {
        let set = match verb {
            "ADD" => "ADD client_key 'shop_key', ADD",
            _ => "SET",
        };
        format!(
            "SELECT sluice.set_secret('shop_key', '{key}', origin => '{}'); \
             ALTER SERVER shop OPTIONS ({set} client_cert '{}')",
            front.url("localhost"),
            certificate.pem
        )
    };
    scene.admin.exec(&with(&stranger, &stranger.key, "ADD"));
    let error = fails(&mut scene).0;
    assert!(detail(&error).contains("refuses the one that it got"), "{error}");
    scene.admin.exec(&with(&ours, &stranger.key, "SET"));
    let (error, class) = fails(&mut scene);
    assert!(
        detail(&error).contains("secret \"shop_key\" is not the key of the client certificate"),
        "{error}"
    );
    assert_eq!(
        (error.sqlstate.as_str(), class.as_str()),
        ("22023", "config"),
        "{error}"
    );

    scene.admin.exec(&with(&ours, &ours.key, "SET"));
    scene.sync();
    assert_table_equals_source(&mut scene.admin, "app.product", &scene.api);
    let line = ours.key.lines().nth(1).expect("the key's text");
    assert!(!cluster.log().contains(line), "the key is not in the log");
}

/// S-42, RFC 8705: the client proves itself at the token endpoint with its certificate, and has no secret.
#[test]
fn a_client_gets_its_tokens_by_its_certificate() {
    let cluster = Cluster::start();
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let (mut scene, front) = scene(&cluster, &ours.issue("localhost"), Some(&clients), "localhost");
    scene.api.set(|settings| settings.auth = sample_api::Auth::Issued);
    scene.api.oauth(|oauth| oauth.client_secret = None);
    let shown = clients.issue("sluice");
    let url = front.url("localhost");
    scene.admin.exec(&format!(
        "SELECT sluice.allow_origin('{url}', 'app');
         ALTER SERVER shop OPTIONS (ADD ca '{}', ADD client_cert '{}', ADD client_key 'key', ADD auth 'oauth2_client_credentials',
             ADD token_url '{url}/oauth/token', ADD client_id 'sluice', ADD client_auth 'tls');
         ALTER SERVER shop OWNER TO app",
        ours.pem, shown.pem
    ));
    scene
        .app
        .exec(&format!("SELECT sluice.set_secret('key', '{}')", shown.key));
    scene.sync();
    assert_table_equals_source(&mut scene.admin, "app.product", &scene.api);
    let asked = scene.api.oauth(|oauth| oauth.requests());
    assert!(
        asked
            .iter()
            .all(|request| !request.authorization && request.parameters == ["client_id"])
    );
    let error = scene
        .admin
        .error("ALTER SERVER shop OPTIONS (ADD client_secret 'token')");
    assert_eq!(error.sqlstate, "22023", "{error}");
}
