use super::*;
use proptest::prelude::*;
use url::Url;

fn parent(value: &str) -> Parent {
    Parent::parse(&serde_json::json!({ "id": value, "number": 7, "none": null }).to_string()).unwrap()
}

fn path(template: &str, value: &str) -> Result<String, Unusable> {
    Template::parse(template).unwrap().path(&parent(value))
}

#[test]
fn values_stand_where_their_names_stood() {
    assert_eq!(path("/orders/{id}/items", "a b"), Ok("/orders/a%20b/items".into()));
    assert_eq!(path("/o/{number}-{id}", "x"), Ok("/o/7-x".into()));
    assert_eq!(
        path("/o/{id}", "größe?#%&"),
        Ok("/o/gr%C3%B6%C3%9Fe%3F%23%25%26".into())
    );
    let number = Template::parse("{number}").unwrap();
    assert_eq!(number.value(&parent("")), Ok("7".into()));
    assert_eq!(
        Template::parse("/a/{id}/{b}").unwrap().names().collect::<Vec<_>>(),
        ["id", "b"]
    );
}

#[test]
fn what_would_be_more_or_less_than_a_segment_is_unusable() {
    for value in [
        "..", ".", "a/b", "../..", "a\\b", "%2f", "%2e%2e", "\n", "\u{0}", "%5C", "/",
    ] {
        assert!(path("/orders/{id}/items", value).is_err(), "{value:?}");
    }
    assert_eq!(path("/{id}", ""), Err(Unusable::Empty { name: "id".into() }));
    assert_eq!(path("/{none}", ""), Err(Unusable::Null { name: "none".into() }));
    assert_eq!(path("/.{id}", "."), Err(Unusable::Dots));
    assert_eq!(path("/{other}", ""), Err(Unusable::Null { name: "other".into() }));
}

#[test]
fn a_brace_without_its_partner_is_no_template() {
    for text in ["{", "}", "a{b", "a}b", "{}", "{a{b}}", "{a/b}"] {
        assert!(Template::parse(text).is_none(), "{text}");
    }
    assert!(Template::parse("plain").unwrap().names().next().is_none());
}

#[test]
fn a_parents_values_are_put_last_into_each_record() {
    let parent = Parent::parse(r#"{"id": 5}"#).unwrap();
    let put = |text: &str| parent.put_into(text).unwrap();
    assert_eq!(put("[]"), "[]");
    assert_eq!(
        put(r#"[{"a": 1}, { }, 7]"#),
        r#"[{"a": 1,"sluice:parent":{"id": 5}},{ "sluice:parent":{"id": 5}},7]"#
    );
    let hostile = put(r#"[{"sluice:parent": {"id": 6}, "a": "}"}]"#);
    let query = parent_query("id");
    let record = &hostile[1..hostile.len() - 1];
    assert_eq!(crate::data::pick(record, &[&query]).unwrap(), [Some("5")]);
    assert_eq!(parent_column(&query), Some("id"));
    assert!(parent.put_into("{").is_err());
}

proptest! {
    /// The crate `url` is the judge: one value is one segment, and the remote reads it as it was.
    #[test]
    fn a_value_is_one_segment_or_unusable(value in "\\PC{0,12}|[./%2fFeE\\\\?#&;:@ \\n]{0,8}") {
        if let Ok(path) = path("/orders/{id}/items", &value) {
            let base = Url::parse("https://api.example/v1").unwrap();
            let url = crate::url_policy::join::join(&base, &path).unwrap();
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 4);
            let read = percent_decoded(segments[2]);
            prop_assert_eq!(read, value);
            prop_assert_eq!(url.query(), None);
            prop_assert_eq!(url.fragment(), None);
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after.get(..2)) {
            (b'%', Some(code)) => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(code).unwrap(), 16).unwrap());
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn places(path: &str, body: serde_json::Value) -> Places {
    Places::of(path, &[("of".into(), "n{number}".into())], Some(&body)).unwrap()
}

#[test]
fn a_members_value_in_a_body_is_the_parents_with_its_kind() {
    let body = serde_json::json!({ "id": "{id}", "in": [{ "n": "{number}" }, "{number} of", 7, null, true] });
    let filled = places("/search", body).fill(&parent("a\"b\\")).unwrap();
    assert_eq!(
        (filled.path.as_str(), filled.params),
        ("/search", vec![("of".into(), "n7".into())])
    );
    let expected = serde_json::json!({ "id": "a\"b\\", "in": [{ "n": 7 }, "{number} of", 7, null, true] });
    assert_eq!(filled.body, Some(expected));
    let null = places("/search", serde_json::json!({ "id": "{none}" })).fill(&parent(""));
    assert_eq!(null, Err(Unusable::Null { name: "none".into() }));
}

#[test]
fn other_braces_in_a_body_are_the_remotes() {
    let body =
        serde_json::json!({ "query": "query { items { id } }", "{id}": "{}", "more": ["{ id }", "{a{b}", "{id"] });
    let wanted = wanted("/search", &[], Some(&body), std::iter::empty());
    assert_eq!(wanted, Err(JobFault::NoPlace));
    let kept = places("/search", body.clone()).fill(&parent("")).unwrap();
    assert_eq!(kept.body, Some(body));
}

#[test]
fn digits_of_a_parents_number_reach_the_body_as_they_are() {
    let parent = Parent::parse(r#"{"id": 12345678901234567890123.45600}"#).unwrap();
    let filled = places("/search", serde_json::json!({ "id": "{id}" }));
    let filled = Places {
        params: Vec::new(),
        ..filled
    }
    .fill(&parent)
    .unwrap();
    assert_eq!(
        filled.body.unwrap().to_string(),
        r#"{"id":12345678901234567890123.45600}"#
    );
}

/// P11: a short page must not become as much as the remote likes.
#[test]
fn a_page_that_becomes_too_long_with_its_parents_values_is_an_error() {
    let parent = Parent::parse(&format!("{{\"id\": \"{}\"}}", "x".repeat(1000))).unwrap();
    let page = |records: usize| format!("[{}]", vec!["{}"; records].join(","));
    assert!(parent.put_into(&page(500)).is_ok());
    let error = parent.put_into(&page(5000)).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { .. }), "{error:?}");
}
