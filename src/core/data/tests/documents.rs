//! Random JSON documents, and picking from them against serde_json's own tree.

use crate::data::{SingularQuery, Step, pick};
use proptest::prelude::*;
use serde_json::Value;

/// Documents with few distinct names, so that queries meet them; blanks and duplicate members included.
pub(super) fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?",
        string(),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        let members = prop::collection::vec((name(), blank(), inner.clone()), 0..5);
        let elements = prop::collection::vec((inner, blank()), 0..5);
        prop_oneof![
            members.prop_map(|members| object(&members)),
            elements.prop_map(|elements| array(&elements))
        ]
    })
}

pub(super) fn string() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|content| serde_json::to_string(&content).unwrap())
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "é", "a\\u0062", "x.y"])
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", " ", "\n", "\t \r\n"])
}

fn object(members: &[(&str, &str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, blank, value)| format!("\"{name}\"{blank}:{blank}{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn array(elements: &[(String, &str)]) -> String {
    let elements: Vec<String> = elements
        .iter()
        .map(|(value, blank)| format!("{blank}{value}{blank}"))
        .collect();
    format!("[{}]", elements.join(","))
}

fn some_query() -> impl Strategy<Value = SingularQuery> {
    let member = prop::sample::select(vec!["a", "b", "c", "é", "ab", "x.y"]).prop_map(|name| Step::Member(name.into()));
    let step = prop_oneof![3 => member, 1 => (-3i64..3).prop_map(Step::Element)];
    prop::collection::vec(step, 0..4).prop_map(|steps| SingularQuery { steps })
}

/// What a query selects from a tree of values.
fn select<'v>(document: &'v Value, query: &SingularQuery) -> Option<&'v Value> {
    query.steps.iter().try_fold(document, |value, step| match step {
        Step::Member(name) => value.as_object()?.get(name),
        Step::Element(index) => {
            let array = value.as_array()?;
            let index = if *index < 0 { index + array.len() as i64 } else { *index };
            array.get(usize::try_from(index).ok()?)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn picking_selects_what_a_tree_of_values_has(text in document(), queries in prop::collection::vec(some_query(), 1..6)) {
        let tree: Value = serde_json::from_str(&text).unwrap();
        let picked = pick(&text, &queries.iter().collect::<Vec<_>>()).unwrap();
        for (query, raw) in queries.iter().zip(picked) {
            let value = raw.map(|raw| serde_json::from_str::<Value>(raw).unwrap());
            prop_assert_eq!(value.as_ref(), select(&tree, query), "{} in {}", query, text);
        }
    }

    #[test]
    fn a_picked_value_is_a_piece_of_the_text(text in document(), query in some_query()) {
        if let Some(raw) = pick(&text, &[&query]).unwrap()[0] {
            prop_assert!(text.contains(raw));
            prop_assert_eq!(raw.trim(), raw);
        }
    }
}

/// F-R9
#[test]
fn the_last_of_equal_members_counts_with_all_below_it() {
    let query = super::query("$.a.b");
    assert_eq!(pick(r#"{"a":{"b":1},"a":{"b":2}}"#, &[&query]), Ok(vec![Some("2")]));
    assert_eq!(pick(r#"{"a":{"b":1},"a":{}}"#, &[&query]), Ok(vec![None]));
    assert_eq!(pick(r#"{"a":{"b":1},"a":7}"#, &[&query]), Ok(vec![None]));
}

#[test]
fn one_query_may_end_where_another_goes_on() {
    let (whole, part) = (super::query("$.a"), super::query("$.a.b[-1]"));
    let body = r#"{"a": {"b": [1, 2.50]}}"#;
    assert_eq!(
        pick(body, &[&whole, &part]),
        Ok(vec![Some(r#"{"b": [1, 2.50]}"#), Some("2.50")])
    );
}

#[test]
fn numbers_keep_their_text() {
    let query = super::query("$.n");
    assert_eq!(pick(r#"{"n":1e400, "m": 1.0}"#, &[&query]), Ok(vec![Some("1e400")]));
}
