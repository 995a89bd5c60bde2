use super::*;
use crate::error::Explain;

fn fault(text: &str) -> UrlFault {
    match parse_base(text) {
        Err(ConfigError::Url { fault, .. }) => fault,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_base_url_has_scheme_host_port_and_path() {
    for (text, url, its_origin) in [
        (
            "https://api.example.com",
            "https://api.example.com/",
            "https://api.example.com",
        ),
        (
            "https://api.example.com/v1",
            "https://api.example.com/v1",
            "https://api.example.com",
        ),
        (
            "https://API.Example.com:443/v1/",
            "https://api.example.com/v1/",
            "https://api.example.com",
        ),
        (
            "http://127.0.0.1:8080/x",
            "http://127.0.0.1:8080/x",
            "http://127.0.0.1:8080",
        ),
        ("https://[::1]:8443/", "https://[::1]:8443/", "https://[::1]:8443"),
        (
            "HTTPS://bücher.example/",
            "https://xn--bcher-kva.example/",
            "https://xn--bcher-kva.example",
        ),
        ("https://h/a@b", "https://h/a@b", "https://h"),
    ] {
        let parsed = parse_base(text).unwrap();
        assert_eq!(parsed.as_str(), url);
        assert_eq!(origin(&parsed), its_origin);
    }
}

#[test]
fn a_base_url_that_could_mean_something_else_is_refused() {
    for (text, expected) in [
        ("", UrlFault::Scheme),
        ("api.example.com/v1", UrlFault::Scheme),
        ("ftp://example.com", UrlFault::Scheme),
        ("file:///etc/passwd", UrlFault::Scheme),
        ("alice:hunter2@example.com", UrlFault::Scheme),
        ("https:/example.com", UrlFault::Scheme),
        ("https://alice@example.com", UrlFault::Userinfo),
        ("https://alice:hunter2@example.com/v1", UrlFault::Userinfo),
        ("https://:hunter2@example.com/v1", UrlFault::Userinfo),
        ("https://@example.com/", UrlFault::Userinfo),
        ("https://example.com/?api_key=hunter2", UrlFault::Query),
        ("https://example.com?", UrlFault::Query),
        ("https://example.com/#top", UrlFault::Fragment),
        (" https://example.com", UrlFault::Characters),
        ("https://exa\tmple.com", UrlFault::Characters),
        ("https://example.com/a\nb", UrlFault::Characters),
        ("https://example.com\\@evil.example", UrlFault::Characters),
        ("https://", UrlFault::Unreadable),
        ("https:///example.com", UrlFault::Unreadable),
        ("https://example.com:0/", UrlFault::Unreadable),
        ("https://example.com:99999/", UrlFault::Unreadable),
        ("https://256.0.0.1/", UrlFault::Unreadable),
        ("https://example.com/a/../b", UrlFault::Ambiguous),
        ("https://example.com/./b", UrlFault::Ambiguous),
        ("https://example.com/a//b", UrlFault::Ambiguous),
        ("https://example.com/a%2F..%2fb", UrlFault::Ambiguous),
        ("https://example.com/%2e%2e/b", UrlFault::Ambiguous),
        ("https://example.com/a%5cb", UrlFault::Ambiguous),
        ("https://example.com/a%252fb", UrlFault::Ambiguous),
        ("https://example.com/a%0ab", UrlFault::Ambiguous),
        ("https://example.com/%1", UrlFault::Ambiguous),
        ("https://example.com/100%", UrlFault::Ambiguous),
    ] {
        assert_eq!(fault(text), expected, "{text:?}");
    }
    assert_eq!(
        fault(&format!("https://example.com/{}", "x".repeat(3000))),
        UrlFault::TooLong
    );
}

#[test]
fn no_refusal_repeats_what_may_be_a_password() {
    for text in [
        "https://alice:hunter2@example.com/v1",
        "alice:hunter2@example.com",
        "https://example.com/?key=hunter2",
        "https://example.com/ hunter2",
        "https://example.com#hunter2",
    ] {
        let error = parse_base(text).unwrap_err();
        let told = format!("{error} {:?} {:?} {error:?}", error.detail(), error.hint());
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn an_origin_has_no_path() {
    assert_eq!(
        parse_origin("https://API.example.com:443").unwrap(),
        "https://api.example.com"
    );
    assert_eq!(parse_origin("http://localhost:8080/").unwrap(), "http://localhost:8080");
    assert!(matches!(
        parse_origin("https://a.example/v1"),
        Err(ConfigError::Url {
            fault: UrlFault::Path,
            ..
        })
    ));
}
