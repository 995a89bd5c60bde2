use std::time::Duration;

use url::Url;

use super::*;
use crate::data::SingularQuery;
use crate::error::Explain;
use crate::http::{Headers, Request, Response, Secret};

fn options(grant: Grant) -> OAuthOptions {
    let url = |path: &str| Url::parse(&format!("https://auth.example/{path}")).unwrap();
    OAuthOptions {
        grant,
        token_url: url("token"),
        authorization_url: Some(url("authorize?prompt=consent")),
        device_url: Some(url("device")),
        client_id: "slu:ice".into(),
        client_secret: Some("name".into()),
        client_auth: ClientAuth::Basic,
        client_key_id: None,
        scope: Some("read write".into()),
        audience: None,
        token_body: TokenBody::Form,
        token_path: None,
    }
}

fn secret() -> Secret {
    Secret::new("p&ss")
}

fn body(request: &Request) -> String {
    String::from_utf8(request.body.clone().unwrap()).unwrap()
}

fn header(request: &Request, name: &str) -> Option<String> {
    let found = request.headers.iter().find(|(given, _)| given == name);
    found.map(|(_, value)| value.expose().to_owned())
}

/// RFC 7636, appendix B.
#[test]
fn the_challenge_is_the_hash_of_the_verifier() {
    let verifier = Verifier(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
    assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert_eq!(Verifier::new(&[7; 32]).0.expose().len(), 43);
}

/// S-40, S-42: PKCE always, and no secret in a URL.
#[test]
fn the_address_to_consent_at_has_state_and_challenge_and_no_secret() {
    let verifier = Verifier::new(&[7; 32]);
    let url = authorization_url(
        &options(Grant::AuthorizationCode),
        "https://app.example/cb",
        "st",
        &verifier,
    )
    .unwrap();
    let pair = |name: &str| {
        url.query_pairs()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(pair("prompt").as_deref(), Some("consent"));
    assert_eq!(pair("code_challenge"), Some(verifier.challenge()));
    assert_eq!(pair("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(
        (pair("state").as_deref(), pair("scope").as_deref()),
        (Some("st"), Some("read write"))
    );
    assert_eq!(pair("redirect_uri").as_deref(), Some("https://app.example/cb"));
    assert!(!url.as_str().contains(verifier.0.expose()));
}

#[test]
fn the_client_proves_itself_in_the_header_or_in_the_body() {
    let mut options = options(Grant::ClientCredentials);
    let basic = token_request(&options, Some(&secret()), &Asked::ClientCredentials);
    // "slu%3Aice:p%26ss"
    assert_eq!(
        header(&basic, "authorization").unwrap(),
        "Basic c2x1JTNBaWNlOnAlMjZzcw=="
    );
    assert_eq!(body(&basic), "grant_type=client_credentials&scope=read+write");
    options.client_auth = ClientAuth::Post;
    let post = token_request(&options, Some(&secret()), &Asked::ClientCredentials);
    assert_eq!(header(&post, "authorization"), None);
    assert!(
        body(&post).ends_with("&client_id=slu%3Aice&client_secret=p%26ss"),
        "{}",
        body(&post)
    );
    options.token_body = TokenBody::Json;
    let json = token_request(&options, Some(&secret()), &Asked::ClientCredentials);
    assert_eq!(header(&json, "content-type").unwrap(), "application/json");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body(&json)).unwrap()["client_secret"],
        "p&ss"
    );
    let public = token_request(
        &options,
        None,
        &Asked::Refresh {
            token: &Secret::new("r"),
        },
    );
    assert!(body(&public).contains("\"client_id\":\"slu:ice\""));
    assert!(!format!("{json:?}").contains("p&ss"));
}

/// The secret belongs to the token endpoint.
#[test]
fn the_secret_is_not_sent_to_a_device_endpoint_elsewhere() {
    let mut options = options(Grant::Device);
    assert!(header(&device_request(&options, Some(&secret())).unwrap(), "authorization").is_some());
    options.device_url = Some(Url::parse("https://other.example/device").unwrap());
    let request = device_request(&options, Some(&secret())).unwrap();
    assert_eq!(header(&request, "authorization"), None);
    assert!(!body(&request).contains("p%26ss"));
}

fn answered(options: &OAuthOptions, status: u16, text: &str) -> Result<Answer, OAuthFault> {
    let request = token_request(options, None, &Asked::ClientCredentials);
    let response = Response {
        status,
        headers: Headers::new(),
        body: text.as_bytes().to_vec(),
        wire_bytes: 0,
    };
    read_answer(options, &request, &response, &[Secret::new("r3fresh/token")])
}

fn tokens(text: &str) -> Result<Tokens, OAuthFault> {
    answered(&options(Grant::AuthorizationCode), 200, text).map(|answer| match answer {
        Answer::Tokens(tokens) => tokens,
        other => panic!("{other:?}"),
    })
}

/// F-A4.
#[test]
fn a_lifetime_that_makes_no_sense_is_none() {
    let of = |expires: &str| {
        tokens(&format!("{{\"access_token\":\"a\"{expires}}}"))
            .unwrap()
            .lifetime
    };
    assert_eq!(of(",\"expires_in\":3600"), Some(Duration::from_secs(3600)));
    assert_eq!(of(",\"expires_in\":\"3600\""), Some(Duration::from_secs(3600)));
    assert_eq!(of(",\"expires_in\":59.9"), Some(Duration::from_secs(59)));
    for none in [
        "",
        ",\"expires_in\":0",
        ",\"expires_in\":-5",
        ",\"expires_in\":\"soon\"",
        ",\"expires_in\":null",
        ",\"expires_in\":{}",
    ] {
        assert_eq!(of(none), None, "{none}");
    }
    assert_eq!(of(",\"expires_in\":1e300"), Some(Duration::from_secs(366 * 86_400)));
}

/// F-A4: header injection is impossible.
#[test]
fn a_token_that_cannot_stand_in_a_header_is_refused() {
    for token in ["", "a\\nb", "a\\r\\nX-Evil: 1", "a b", "a\\u0000", "ü"] {
        let error = tokens(&format!("{{\"access_token\":\"{token}\"}}")).unwrap_err();
        assert!(matches!(error, OAuthFault::Unreadable { .. }), "{token}: {error:?}");
    }
    assert!(tokens("{\"access_token\":\"a\",\"refresh_token\":\"b\\nc\"}").is_err());
    assert!(tokens("{\"access_token\":\"a\",\"token_type\":\"DPoP\"}").is_err());
    assert_eq!(
        tokens("{\"access_token\":\"a.b-c_~+/=\"}").unwrap().access.expose(),
        "a.b-c_~+/="
    );
}

/// F-A4: HTML, envelopes, errors with and without a status.
#[test]
fn an_answer_without_a_token_says_why() {
    let plain = options(Grant::AuthorizationCode);
    let html = answered(&plain, 200, "<html>r3fresh/token</html>").unwrap_err();
    assert_eq!((html.class(), html.sqlstate()), (crate::Class::Server, "22032"));
    let gone = answered(
        &plain,
        400,
        "{\"error\":\"invalid_grant\",\"error_description\":\"r3fresh/token\\nis old: r3fresh%2Ftoken\"}",
    )
    .unwrap_err();
    assert!(gone.ends_grant());
    assert_eq!(gone.detail().unwrap(), "It says: *** is old: ***");
    let slack = answered(&plain, 200, "{\"ok\":false,\"error\":\"invalid_client\"}").unwrap_err();
    assert!(!slack.ends_grant() && slack.class() == crate::Class::Auth);
    assert_eq!(
        answered(&plain, 400, "{\"error\":\"authorization_pending\"}"),
        Ok(Answer::Pending)
    );
    assert_eq!(answered(&plain, 400, "{\"error\":\"slow_down\"}"), Ok(Answer::SlowDown));
    assert!(answered(&plain, 500, "{\"access_token\":\"a\"}").is_err());
    let enveloped = OAuthOptions {
        token_path: Some(SingularQuery::parse("$.data[0]").unwrap()),
        ..plain
    };
    assert!(matches!(
        answered(&enveloped, 200, "{\"data\":[{\"access_token\":\"a\"}]}"),
        Ok(Answer::Tokens(_))
    ));
    assert!(
        answered(&enveloped, 400, "{\"error\":\"invalid_grant\"}")
            .unwrap_err()
            .ends_grant()
    );
    assert!(answered(&enveloped, 200, "{\"access_token\":\"a\"}").is_err());
}

fn callback(text: &str) -> Result<Callback, OAuthFault> {
    read_callback(
        &options(Grant::AuthorizationCode),
        text,
        "https://app.example/cb?tenant=1",
    )
}

/// S-41: the exact redirect URI, and `iss` where it is given.
#[test]
fn a_callback_is_of_the_address_and_the_server_that_were_named() {
    let good = callback("https://app.example/cb?tenant=1&code=c%2F1&state=s&iss=https%3A%2F%2Fauth.example").unwrap();
    assert_eq!(good.code.expose(), "c/1");
    for bad in [
        "https://app.example/cb?code=c&state=s",
        "https://app.example/other?tenant=1&code=c&state=s",
        "https://evil.example/cb?tenant=1&code=c&state=s",
        "http://app.example/cb?tenant=1&code=c&state=s",
        "https://app.example/cb?tenant=1&code=c&state=s&iss=https://evil.example",
        "https://app.example/cb?tenant=1&code=c&state=s&iss=nonsense",
        "https://app.example/cb?tenant=1&code=c&code=d&state=s",
        "https://app.example/cb?tenant=1&state=s",
        "code=c&state=s",
    ] {
        assert!(matches!(callback(bad), Err(OAuthFault::Callback { .. })), "{bad}");
    }
    let denied = callback("https://app.example/cb?tenant=1&error=access_denied&state=s").unwrap_err();
    assert_eq!(
        denied,
        OAuthFault::Denied {
            code: "access_denied".into()
        }
    );
    assert_eq!(state_of("https://x.example/?state=abc").unwrap(), "abc");
    assert!(state_of("https://x.example/?code=abc").is_err());
}

#[test]
fn a_redirect_uri_is_absolute_and_has_no_fragment() {
    for good in [
        "https://app.example/cb",
        "http://127.0.0.1:8000/cb",
        "com.example.app:/cb",
        "urn:ietf:wg:oauth:2.0:oob",
    ] {
        assert!(read_redirect_uri(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "/cb",
        "javascript:alert(1)",
        "https://app.example/cb#x",
        "https://app.example/a b",
    ] {
        assert!(read_redirect_uri(bad).is_err(), "{bad}");
    }
}

fn device(text: &str) -> Result<DeviceCode, OAuthFault> {
    let request = device_request(&options(Grant::Device), None).unwrap();
    let response = Response {
        status: 200,
        headers: Headers::new(),
        body: text.as_bytes().to_vec(),
        wire_bytes: 0,
    };
    read_device_code(&request, &response, &[])
}

#[test]
fn a_device_code_is_shown_as_one_sentence_and_polled_within_bounds() {
    let code = device("{\"device_code\":\"d\",\"user_code\":\"WDJB-MJHT\",\"verification_uri\":\"https://auth.example/go\",\"interval\":0,\"expires_in\":9999999}").unwrap();
    assert_eq!(
        code.instruction(),
        "Open https://auth.example/go and enter the code WDJB-MJHT"
    );
    assert_eq!(
        (code.interval, code.lifetime),
        (Duration::from_secs(1), Duration::from_secs(3600))
    );
    for bad in [
        "{}",
        "[]",
        "{\"device_code\":\"d\",\"user_code\":\"u\",\"verification_uri\":\"javascript:x\"}",
        "{\"device_code\":\"d\",\"user_code\":\"a\\nb\",\"verification_uri\":\"https://a.example\"}",
        "{\"error\":\"invalid_client\"}",
    ] {
        assert!(device(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_token_is_renewed_before_it_ends_and_a_grant_before_it_lapses() {
    let hour = Duration::from_secs(3600);
    for random in [0.0, 0.5, 0.999] {
        let life = Lifetime::of(hour, random);
        assert!(life.renew_after >= hour.mul_f64(0.75) && life.renew_after < hour.mul_f64(0.86));
        assert!(keep_alive(None, random) <= Duration::from_secs(86_400));
        assert!(keep_alive(Some(hour), random) <= hour.mul_f64(0.8));
    }
    let delays: Vec<u64> = (1..=9)
        .map(|failures| delay_after_failure(failures, 0.5).as_secs())
        .collect();
    assert_eq!(delays, [10, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert!(!failures_are_too_many(2) && failures_are_too_many(3));
}

#[test]
fn scopes_are_lost_only_where_the_remote_says_so() {
    assert_eq!(
        lost_scopes(Some("read write"), Some("write,read")),
        Vec::<String>::new()
    );
    assert_eq!(lost_scopes(Some("read write"), None), Vec::<String>::new());
    assert_eq!(lost_scopes(None, Some("read")), Vec::<String>::new());
    assert_eq!(lost_scopes(Some("read write"), Some("read")), ["write"]);
}

#[test]
fn a_grant_belongs_to_its_client_its_server_and_its_api() {
    let code = options(Grant::AuthorizationCode);
    let here = code.definition("https://api.example");
    assert_ne!(here, code.definition("https://evil.example"));
    let mut other = code.clone();
    other.scope = None;
    assert_eq!(
        here,
        other.definition("https://api.example"),
        "consent is not asked for again"
    );
    other.client_id = "another".into();
    assert_ne!(here, other.definition("https://api.example"));
    let (mut client, wider) = (options(Grant::ClientCredentials), options(Grant::ClientCredentials));
    client.scope = Some("read".into());
    assert_ne!(
        client.definition("https://api.example"),
        wider.definition("https://api.example")
    );
}

#[test]
fn every_fault_has_a_next_step() {
    let name = || "My 'shop'".to_owned();
    let faults = [
        OAuthFault::NotConnected {
            connection: name(),
            reason: "Nobody has consented yet.".into(),
            awaited: Awaited::Code,
        },
        OAuthFault::NotConnected {
            connection: name(),
            reason: "x.".into(),
            awaited: Awaited::Device,
        },
        OAuthFault::NotConnected {
            connection: name(),
            reason: "x.".into(),
            awaited: Awaited::Options,
        },
        OAuthFault::Refused {
            remote: "h:443".into(),
            code: "invalid_client".into(),
            description: None,
        },
        OAuthFault::Refused {
            remote: "h:443".into(),
            code: "server_error".into(),
            description: Some("x".into()),
        },
        OAuthFault::Unreadable {
            remote: "h:443".into(),
            status: 200,
            what: "It is not JSON.",
        },
        OAuthFault::NotRenewed {
            connection: name(),
            reason: "x.".into(),
        },
        OAuthFault::ClientKey { secret: name() },
        OAuthFault::Damaged {
            connection: name(),
            awaited: Awaited::Options,
        },
        OAuthFault::NoConsent {
            connection: name(),
            auth: "bearer",
        },
        OAuthFault::NoCallback { connection: name() },
        OAuthFault::RedirectUri,
        OAuthFault::Callback {
            what: "It is not an address.",
        },
        OAuthFault::UnknownState,
        OAuthFault::Denied {
            code: "access_denied".into(),
        },
    ];
    for fault in faults {
        let told = fault.to_string();
        assert!(!told.ends_with('.') && !told.contains('\n'), "{told}");
        assert_eq!(fault.sqlstate().len(), 5);
        assert!(
            fault.detail().is_some_and(|detail| detail.ends_with(['.', ':', 'x'])),
            "{told}"
        );
        assert!(fault.hint().is_some_and(|hint| !hint.is_empty()), "{told}");
    }
}

/// P9: some servers say which Authorization header they did not like.
#[test]
fn a_refusal_does_not_repeat_the_header_that_was_sent() {
    let options = options(Grant::ClientCredentials);
    let request = token_request(&options, Some(&secret()), &Asked::ClientCredentials);
    let sent = header(&request, "authorization").unwrap();
    let told = sent.replace("=", "\\u003d");
    let body = format!("{{\"error\": \"invalid_client\", \"error_description\": \"{told} {sent} p%26ss p\\u0026ss\"}}");
    let response = Response {
        status: 401,
        headers: Headers::new(),
        body: body.into_bytes(),
        wire_bytes: 0,
    };
    let refused = read_answer(&options, &request, &response, &[secret()]).unwrap_err();
    let OAuthFault::Refused { description, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(description.as_deref(), Some("Basic *** Basic *** *** ***"));
}

/// RFC 9110, 10.2.3.
#[test]
fn a_wait_is_what_the_remote_asks_for_and_no_answer_of_another_kind_is_one() {
    let now = std::time::SystemTime::UNIX_EPOCH;
    for (status, field, wait) in [
        (429, Some("7"), Some(7)),
        (429, None, Some(4)),
        (429, Some("99999999"), Some(3600)),
        (503, Some("30"), Some(30)),
        (503, Some("0"), None),
        (503, None, None),
        (400, Some("30"), None),
        (200, Some("30"), None),
    ] {
        let response = Response {
            status,
            headers: field
                .into_iter()
                .map(|value| ("Retry-After", value))
                .collect::<Headers>(),
            body: Vec::new(),
            wire_bytes: 0,
        };
        assert_eq!(
            asked_to_wait(&response, now),
            wait.map(Duration::from_secs),
            "{status} {field:?}"
        );
    }
}

#[test]
fn the_budget_of_a_token_endpoint_is_of_its_host_and_client() {
    let one = options(Grant::ClientCredentials);
    let other_path = OAuthOptions {
        token_url: Url::parse("https://auth.example/other").unwrap(),
        scope: None,
        ..one.clone()
    };
    let other_client = OAuthOptions {
        client_id: "another".into(),
        ..one.clone()
    };
    assert_eq!(one.budget(), other_path.budget());
    assert_ne!(one.budget(), other_client.budget());
    assert_ne!(one.budget(), 0);
}
