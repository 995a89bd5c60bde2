//! Who may ask, and what the log keeps of it.

use sample_api::{Auth, SampleApi};

use crate::client::{Client, Reply};
use crate::serve;

fn ask(api: &SampleApi, target: &str, header: &str) -> Reply {
    let mut client = Client::connect(api.address());
    client.send(&format!("GET {target} HTTP/1.1\r\n{header}\r\n"));
    client.read(true)
}

fn assert_only(api: &SampleApi, right: (&str, &str), wrong: &[(&str, &str)]) {
    assert_eq!(ask(api, right.0, right.1).status, 200);
    for (target, header) in wrong {
        let refusal = ask(api, target, header);
        assert_eq!(refusal.status, 401, "{target} {header}");
        assert!(
            refusal
                .header("www-authenticate")
                .unwrap()
                .ends_with("realm=\"sample\"")
        );
    }
}

const PATH: &str = "/page/products";

#[test]
fn a_bearer_token_is_asked_for() {
    let api = serve(10);
    api.set(|settings| settings.auth = Auth::Bearer("t0ken".into()));
    let wrong = [
        (PATH, ""),
        (PATH, "Authorization: Bearer other\r\n"),
        (PATH, "Authorization: t0ken\r\n"),
    ];
    assert_only(&api, (PATH, "Authorization: Bearer t0ken\r\n"), &wrong);
    assert_eq!(api.requests()[0].authorization(), Some("Bearer t0ken"));
    assert_eq!(ask(&api, "/_control/status", "").status, 200);
}

#[test]
fn basic_credentials_are_asked_for() {
    let api = serve(10);
    api.set(|settings| {
        settings.auth = Auth::Basic {
            username: "Aladdin".into(),
            password: "open sesame".into(),
        }
    });
    let right = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    assert_only(
        &api,
        (PATH, right),
        &[(PATH, ""), (PATH, "Authorization: Basic QWxhZGRpbjo=\r\n")],
    );
}

#[test]
fn a_key_is_asked_for_in_a_header_or_in_the_query() {
    let api = serve(10);
    api.set(|settings| {
        settings.auth = Auth::HeaderKey {
            name: "X-Api-Key".into(),
            value: "k3y".into(),
        }
    });
    assert_only(
        &api,
        (PATH, "x-api-key: k3y\r\n"),
        &[(PATH, "x-api-key: K3Y\r\n"), ("/page/products?key=k3y", "")],
    );
    api.set(|settings| {
        settings.auth = Auth::QueryKey {
            name: "key".into(),
            value: "k3y".into(),
        }
    });
    assert_only(
        &api,
        ("/page/products?key=k3y", ""),
        &[(PATH, ""), (PATH, "key: k3y\r\n")],
    );
}

#[test]
fn keys_and_tokens_are_not_shown_by_control_paths() {
    let api = serve(10);
    api.set(|settings| {
        settings.auth = Auth::QueryKey {
            name: "key".into(),
            value: "k3y".into(),
        }
    });
    ask(&api, "/page/products?page=1&key=k3y", "Authorization: Bearer t0ken\r\n");
    for path in ["/_control/log", "/_control/status"] {
        let shown = String::from_utf8(ask(&api, path, "").body).unwrap();
        assert!(!shown.contains("k3y") && !shown.contains("t0ken"), "{shown}");
    }
    assert_eq!(ask(&api, "/_control/log", "").json()[0]["authorization"], true);
}
