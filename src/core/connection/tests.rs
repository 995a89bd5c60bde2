use super::*;
use crate::error::Explain;
use crate::http::Method;

const URL: (&str, &str) = ("base_url", "https://api.example.com/v1");

fn parse(options: &[(&str, &str)]) -> Result<ConnectionOptions, ConfigError> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    ConnectionOptions::parse(&options.iter().map(owned).collect::<Vec<_>>())
}

fn with(options: &[(&str, &str)]) -> Result<ConnectionOptions, ConfigError> {
    parse(&[&[URL], options].concat())
}

#[test]
fn a_base_url_is_all_that_a_connection_needs() {
    let options = with(&[]).unwrap();
    assert_eq!(options.origin(), "https://api.example.com");
    assert_eq!(options.auth, AuthKind::None);
    assert_eq!(
        (options.secret, options.username, options.api_key_name),
        (None, None, None)
    );
    assert_eq!((options.requests_per_second, options.max_concurrency), (None, None));
    assert!(!options.plain_http);
    assert_eq!(options.methods, [Method::Get, Method::Head]);
}

#[test]
fn every_supported_option_is_read() {
    let options = with(&[
        ("auth", "api_key"),
        ("secret", "shop_token"),
        ("api_key_name", "X-API-Key"),
        ("api_key_in", "query"),
        ("requests_per_second", "0.5"),
        ("max_concurrency", "75"),
        ("plain_http", "on"),
        ("methods", "get"),
        ("allow_push", "off"),
    ])
    .unwrap();
    assert_eq!(options.auth, AuthKind::ApiKey);
    assert_eq!(options.secret.as_deref(), Some("shop_token"));
    assert_eq!(options.api_key_name.as_deref(), Some("X-API-Key"));
    assert_eq!(options.api_key_in, ApiKeyIn::Query);
    assert_eq!(
        (options.requests_per_second, options.max_concurrency),
        (Some(0.5), Some(75))
    );
    assert!(options.plain_http);
    assert_eq!(options.methods, [Method::Get]);
    let basic = with(&[("auth", "basic"), ("username", "alice"), ("secret", "s")]).unwrap();
    assert_eq!(
        (basic.auth, basic.username.as_deref()),
        (AuthKind::Basic, Some("alice"))
    );
}

#[test]
fn each_auth_needs_its_options_and_no_others() {
    for (options, message) in [
        (vec![("auth", "bearer")], "option \"secret\" is missing"),
        (
            vec![("auth", "basic"), ("secret", "s")],
            "option \"username\" is missing",
        ),
        (
            vec![("auth", "api_key"), ("secret", "s")],
            "option \"api_key_name\" is missing",
        ),
        (vec![("secret", "s")], "option \"secret\" has no use here"),
        (
            vec![("auth", "none"), ("username", "u")],
            "option \"username\" has no use here",
        ),
        (
            vec![("auth", "bearer"), ("secret", "s"), ("username", "u")],
            "option \"username\" has no use here",
        ),
        (
            vec![("auth", "basic"), ("api_key_in", "query")],
            "option \"api_key_in\" has no use here",
        ),
    ] {
        assert_eq!(with(&options).unwrap_err().to_string(), message, "{options:?}");
    }
    assert_eq!(parse(&[]).unwrap_err().to_string(), "option \"base_url\" is missing");
}

#[test]
fn a_misspelt_option_names_the_nearest() {
    let error = with(&[("requests_per_secnd", "5")]).unwrap_err();
    assert_eq!(error.to_string(), "unknown option \"requests_per_secnd\"");
    assert_eq!(error.hint().unwrap(), "Did you mean \"requests_per_second\"?");
    assert_eq!(error.sqlstate(), "HV00D");
    let auth = with(&[("auth", "baerer")]).unwrap_err();
    assert_eq!(auth.hint().unwrap(), "Did you mean \"bearer\"?");
}

#[test]
fn push_is_known_and_not_supported_yet() {
    assert_eq!(with(&[("allow_push", "on")]).unwrap_err().sqlstate(), "0A000");
}

const CLIENT: [(&str, &str); 4] = [
    ("auth", "oauth2_client_credentials"),
    ("token_url", "https://auth.example/token"),
    ("client_id", "sluice"),
    ("client_secret", "shop_client"),
];

/// The options of a client, some of them in place of its own or added.
fn client(changes: &[(&'static str, &'static str)]) -> Result<ConnectionOptions, ConfigError> {
    let kept = CLIENT
        .iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let given: Vec<_> = kept
        .chain(changes)
        .filter(|(_, value)| *value != "-")
        .copied()
        .collect();
    with(&given)
}

#[test]
fn each_kind_of_oauth_takes_its_own_options() {
    use crate::oauth::Grant;
    let options = client(&[("scope", "read write"), ("token_path", "$.data")]).unwrap();
    let oauth = options.oauth.as_ref().unwrap();
    assert_eq!(
        (oauth.grant, options.secret.is_none()),
        (Grant::ClientCredentials, true)
    );
    assert_eq!(oauth.origin(), "https://auth.example");
    let code = [
        ("auth", "oauth2_authorization_code"),
        ("authorization_url", "https://auth.example/a?prompt=consent"),
    ];
    let code = client(&[code[0], code[1], ("client_secret", "-")]).unwrap();
    assert_eq!(
        code.oauth.unwrap().authorization_url.unwrap().query(),
        Some("prompt=consent")
    );
    let device = client(&[("auth", "oauth2_device"), ("device_url", "https://auth.example/device")]).unwrap();
    assert_eq!(
        device.endpoints().last().unwrap().as_str(),
        "https://auth.example/device"
    );
}

#[test]
fn what_oauth_cannot_do_with_is_refused() {
    for (change, sqlstate) in [
        (("client_secret", "-"), "22023"),
        (("token_url", "-"), "22023"),
        (("client_id", "-"), "22023"),
        (("client_secret", "sk-live/abc def"), "22023"),
        (("token_url", "https://user:pw@auth.example/token"), "22023"),
        (("token_url", "https://auth.example/token?key=1"), "22023"),
        (("token_url", "ftp://auth.example/token"), "22023"),
        (("authorization_url", "https://auth.example/a"), "22023"),
        (("device_url", "https://auth.example/a"), "22023"),
        (("client_auth", "jwt"), "22023"),
        (("token_body", "xml"), "22023"),
        (("token_path", "$..a"), "22023"),
        (("client_id", "a\nb"), "22023"),
        (("secret", "shop_token"), "22023"),
    ] {
        assert_eq!(client(&[change]).unwrap_err().sqlstate(), sqlstate, "{change:?}");
    }
    let code = [
        ("auth", "oauth2_authorization_code"),
        ("authorization_url", "https://auth.example/a?access_token=1"),
    ];
    assert!(client(&code).is_err(), "a credential in the query");
}

#[test]
fn wrong_values_are_refused_with_an_example() {
    for (name, value) in [
        ("requests_per_second", "0"),
        ("requests_per_second", "-1"),
        ("requests_per_second", "NaN"),
        ("requests_per_second", "inf"),
        ("requests_per_second", "fast"),
        ("max_concurrency", "0"),
        ("max_concurrency", "76"),
        ("max_concurrency", "1.5"),
        ("plain_http", "maybe"),
        ("allow_push", ""),
        ("methods", ""),
        ("methods", "DELETE"),
        ("auth", "kerberos"),
    ] {
        let error = with(&[(name, value)]).unwrap_err();
        assert_eq!(error.sqlstate(), "22023", "{name} {value}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_name_that_http_needs_cannot_carry_the_key() {
    let key = |name, place| {
        with(&[
            ("auth", "api_key"),
            ("secret", "s"),
            ("api_key_name", name),
            ("api_key_in", place),
        ])
        .is_ok()
    };
    assert!(key("X-API-Key", "header") && key("Authorization", "header") && key("key", "query"));
    for name in ["Host", "Cookie", "Content-Length", "X Key", "X:Key", ""] {
        assert!(!key(name, "header"), "{name}");
    }
    assert!(!key("", "query") && !key("a b", "query") && !key("key", "body"));
    assert!(with(&[("auth", "basic"), ("secret", "s"), ("username", "a:b")]).is_err());
}

#[test]
fn an_option_is_given_once() {
    assert_eq!(
        parse(&[URL, URL]).unwrap_err().to_string(),
        "option \"base_url\" is given twice"
    );
}

#[test]
fn no_error_repeats_what_may_be_a_credential() {
    for options in [
        vec![("password", "hunter2")],
        vec![("token", "hunter2")],
        vec![("api_key", "hunter2")],
        vec![("bearer_token", "hunter2")],
        vec![("unheard_of", "hunter2")],
        vec![("client_secret", "hunter2")],
        vec![("auth", "hunter2")],
        vec![("auth", "Bearer hunter2")],
        vec![("auth", "bearer"), ("secret", "hunter2 hunter2")],
        vec![("auth", "bearer"), ("secret", "Bearer+hunter2==")],
        vec![("auth", "basic"), ("secret", "s"), ("username", "alice:hunter2")],
        vec![("auth", "api_key"), ("secret", "s"), ("api_key_name", "hunter2 x")],
        vec![
            ("auth", "api_key"),
            ("secret", "s"),
            ("api_key_name", "x"),
            ("api_key_in", "hunter2"),
        ],
        vec![("secret", "hunter2")],
    ] {
        let error = with(&options).unwrap_err();
        let told = format!("{error} {:?} {:?} {error:?}", error.detail(), error.hint());
        assert!(!told.contains("hunter2"), "{options:?}: {told}");
    }
    let pasted = parse(&[("base_url", "https://u:hunter2@api.example.com")]).unwrap_err();
    assert!(!format!("{pasted} {pasted:?} {:?}", pasted.detail()).contains("hunter2"));
}

#[test]
fn an_option_that_looks_like_a_credential_says_where_credentials_go() {
    let error = with(&[("password", "x")]).unwrap_err();
    assert_eq!(error.to_string(), "option \"password\" looks like a credential");
    assert!(error.hint().unwrap().contains("sluice.set_secret"));
}

#[test]
fn a_method_that_is_not_listed_is_refused_with_the_statement_that_allows_it() {
    assert_eq!(with(&[]).unwrap().check_method("shop", Method::Get), Ok(()));
    let posts = with(&[("methods", "GET, post")]).unwrap();
    assert_eq!(posts.check_method("shop", Method::Post), Ok(()));
    let refused =
        |options: &[(&str, &str)], method| with(options).unwrap().check_method("My shop", method).unwrap_err();
    let error = refused(&[], Method::Post);
    assert_eq!(
        error.to_string(),
        "connection \"My shop\" does not allow POST for reading"
    );
    assert_eq!(error.sqlstate(), "42501");
    assert_eq!(
        error.hint().unwrap(),
        "Where it only reads: ALTER SERVER \"My shop\" OPTIONS (ADD methods 'GET, HEAD, POST');"
    );
    assert_eq!(
        refused(&[("methods", "POST")], Method::Get).hint().unwrap(),
        "Where it only reads: ALTER SERVER \"My shop\" OPTIONS (SET methods 'POST, GET');"
    );
}
