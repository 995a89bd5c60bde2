use crate::data::path::MAX_STEPS;
use crate::data::{PathError, SingularQuery, Step};
use proptest::prelude::*;

fn steps(text: &str) -> Vec<Step> {
    SingularQuery::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .steps
}

fn member(name: &str) -> Step {
    Step::Member(name.into())
}

#[test]
fn names_and_positions_are_read_in_each_spelling() {
    assert_eq!(steps("$"), []);
    assert_eq!(steps("$.data.items"), [member("data"), member("items")]);
    assert_eq!(steps("$['odd name'][\"it's\"]"), [member("odd name"), member("it's")]);
    assert_eq!(
        steps("$.rows[0][-1]"),
        [member("rows"), Step::Element(0), Step::Element(-1)]
    );
    assert_eq!(steps(r"$['\u00e9\n\'']"), [member("é\n'")]);
    assert_eq!(steps("$.größe"), [member("größe")]);
}

#[test]
fn bare_words_are_members() {
    assert_eq!(steps("name"), [member("name")]);
    assert_eq!(steps(" address.zip-code "), [member("address"), member("zip-code")]);
    assert_eq!(steps("2nd"), [member("2nd")]);
}

#[test]
fn a_trailing_wildcard_means_the_array_of_records_itself() {
    for text in ["$.data.items[*]", "$.data.items", "data.items"] {
        assert_eq!(
            SingularQuery::parse_records(text).unwrap(),
            super::query("$.data.items"),
            "{text}"
        );
    }
    assert_eq!(SingularQuery::parse_records("$[*]").unwrap(), SingularQuery::root());
}

#[test]
fn queries_for_several_values_are_refused() {
    for text in ["$[*]", "$..a", "$.a[0,1]", "$.a[1:2]", "$.a[?@.b]", "$.*"] {
        assert_eq!(
            SingularQuery::parse(text),
            Err(PathError::NotSingular { query: text.into() }),
            "{text}"
        );
    }
    let inner = SingularQuery::parse_records("$.a[*].b[*]");
    assert_eq!(
        inner,
        Err(PathError::NotSingular {
            query: "$.a[*].b[*]".into()
        })
    );
}

#[test]
fn what_is_no_query_is_refused() {
    assert_eq!(SingularQuery::parse("  "), Err(PathError::Empty));
    for text in [
        "$.", "$a", "a..b", ".a", "@.a", "a[0]", "$.a b", "$['a", "$[01]", "a b", "$.a.", "a\"b", "$[1e9]",
    ] {
        assert_eq!(
            SingularQuery::parse(text),
            Err(PathError::Syntax { query: text.into() }),
            "{text}"
        );
    }
}

#[test]
fn a_path_with_too_many_steps_is_refused() {
    let text = format!("${}", ".a".repeat(MAX_STEPS + 1));
    assert_eq!(
        SingularQuery::parse(&text),
        Err(PathError::TooLong { limit: MAX_STEPS })
    );
    assert_eq!(steps(&format!("${}", ".a".repeat(MAX_STEPS))).len(), MAX_STEPS);
}

proptest! {
    #[test]
    fn the_normalised_form_parses_back(
        names in prop::collection::vec(any::<String>(), 0..4),
        position in prop::option::of(-9_007_199_254_740_991i64..9_007_199_254_740_991),
    ) {
        let members = names.iter().map(|name| member(name));
        let query = SingularQuery { steps: members.chain(position.map(Step::Element)).collect() };
        prop_assert_eq!(SingularQuery::parse(&query.to_string()), Ok(query));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = SingularQuery::parse(&text);
        let _ = SingularQuery::parse_records(&format!("${text}"));
    }
}
