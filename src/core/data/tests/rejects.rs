//! Records that are passed over, and what is left of their page.

use super::documents::string;
use super::mapping;
use crate::data::ColumnType::*;
use crate::data::{DataError, JsonKind, Mapping, Misfit, decode, sift, split_keys, split_rows};
use crate::error::Explain;
use proptest::prelude::*;

/// Key `id`, a number; `stock`, a small number; `name`, a text.
fn goods() -> Mapping {
    mapping(&[("id", Int8), ("stock", Int2), ("name", Text)], &[0])
}

fn reasons(text: &str) -> Vec<(u64, Option<Vec<u8>>, String)> {
    let sifted = sift(text, &goods()).expect("a page");
    let rejects = sifted.rejects.into_iter();
    rejects.map(|r| (r.record, r.key, r.error.to_string())).collect()
}

fn key(id: i64) -> Option<Vec<u8>> {
    Some([8i32.to_be_bytes().as_slice(), &id.to_be_bytes()].concat())
}

proptest! {
    #[test]
    fn what_is_left_is_what_the_page_without_the_bad_records_gives(
        records in prop::collection::vec((any::<i64>(), any::<i32>(), string()), 0..30),
    ) {
        let text = |(id, stock, name): &(i64, i32, String)| format!("{{\"id\": {id}, \"name\": {name}, \"stock\": {stock}}}");
        let is_good = |(_, stock, name): &&(i64, i32, String)| i16::try_from(*stock).is_ok() && !name.contains("\\u0000");
        let all: Vec<String> = records.iter().map(text).collect();
        let good: Vec<String> = records.iter().filter(is_good).map(text).collect();
        let places: Vec<u64> = (1..).zip(&records).filter(|(_, record)| is_good(record)).map(|(place, _)| place).collect();
        let sifted = sift(&format!("[{}]", all.join(",")), &goods()).expect("a page");
        prop_assert_eq!(sifted.places().collect::<Vec<_>>(), places);
        prop_assert_eq!(&sifted.page, &decode(&format!("[{}]", good.join(",")), &goods()).expect("good ones"));
        prop_assert_eq!(split_rows(&sifted.page.rows, 3).count(), good.len());
        // Every key is known, that of a rejected record too.
        prop_assert_eq!(split_keys(&sifted.all_keys(), 1).count(), records.len());
        prop_assert_eq!(sifted.rejects.len(), all.len() - good.len());
    }
}

/// F-R10: a record without a key is passed over, and so is one whose key is of another type.
#[test]
fn a_record_whose_key_cannot_be_read_has_none() {
    let text = r#"[{"id": 1}, {"id": null}, {"stock": 2}, {"id": "x"}, {"id": ""}, {"id": [4]}, {"id": " 5 "}]"#;
    let rejects = reasons(text);
    assert_eq!(rejects.iter().map(|r| r.0).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(rejects.iter().all(|(_, key, _)| key.is_none()), "{rejects:?}");
    assert_eq!(rejects[0].2, "record 2 has no value for key column \"id\"");
}

/// F-R6: a NUL in a value is about its record only; in a member's name it hurts nobody.
#[test]
fn a_nul_in_a_value_rejects_its_record_and_keeps_its_key() {
    let text =
        r#"[{"id": 7, "name": "a\u0000b"}, {"id": 8, "na\u0000me": "x", "name": "y"}, {"id": 9, "name": "\ud800"}]"#;
    let rejects = reasons(text);
    assert_eq!(
        rejects.iter().map(|r| (r.0, r.1.clone())).collect::<Vec<_>>(),
        [(1, key(7)), (3, key(9))]
    );
}

#[test]
fn a_record_that_is_no_object_or_has_a_name_that_is_no_text_is_passed_over() {
    let text = r#"[{"id": 1}, null, 5, "x", [], {"\ud800": 1, "id": 2}, {"id": 3}]"#;
    let sifted = sift(text, &goods()).expect("a page");
    assert_eq!(sifted.page.records, 2);
    let errors: Vec<DataError> = sifted.rejects.into_iter().map(|reject| reject.error).collect();
    assert_eq!(
        errors[..4],
        [JsonKind::Null, JsonKind::Number, JsonKind::String, JsonKind::Array]
            .into_iter()
            .zip(2..)
            .map(|(found, record)| DataError::NotAnObject { record, found })
            .collect::<Vec<_>>()
    );
    assert!(matches!(errors[4], DataError::UnreadableRecord { record: 6, .. }));
}

/// F-R12: a number that its column cannot hold is passed over, never rounded to fit.
#[test]
fn numbers_out_of_range_reject_their_records() {
    let text = r#"[{"id": 1, "stock": 40000}, {"id": 9223372036854775808}, {"id": 3, "stock": 1e400}, {"id": 4, "stock": -0}]"#;
    let rejects = reasons(text);
    assert_eq!(
        rejects.iter().map(|r| (r.0, r.1.clone())).collect::<Vec<_>>(),
        [(1, key(1)), (2, None), (3, key(3))]
    );
}

/// F-R10: however a number is written, it is one key: of a row, of a rejected record and of a tombstone.
#[test]
fn a_numeric_key_is_the_same_in_every_spelling() {
    let mapping = mapping(&[("id", Numeric), ("stock", Int2)], &[0]);
    let keys = |text: &str| sift(text, &mapping).expect("a page").all_keys().into_owned();
    for (plain, others) in [
        ("1", ["1.0", "1.000000", "10e-1", "\"1.00\""]),
        ("120.5", ["120.50", "1205e-1", "1.205e2", "120.50000000"]),
        ("0", ["0.0", "-0", "0e5", "0.00000"]),
    ] {
        let expected = keys(&format!("[{{\"id\": {plain}}}]"));
        for other in others {
            assert_eq!(keys(&format!("[{{\"id\": {other}}}]")), expected, "{other}");
            assert_eq!(
                keys(&format!("[{{\"id\": {other}, \"stock\": \"many\"}}]")),
                expected,
                "{other}, rejected"
            );
        }
    }
    assert_ne!(keys(r#"[{"id": 1.5}]"#), keys(r#"[{"id": 1.05}]"#));
}

/// A hint names a type that takes the value.
#[test]
fn what_no_text_can_hold_is_sent_to_a_column_that_can() {
    for value in ["a\\u0000b", "a\\ud800b"] {
        let text = format!("[{{\"id\": 1, \"name\": \"{value}\"}}]");
        let hint = sift(&text, &goods()).expect("a page").rejects[0]
            .error
            .hint()
            .expect("a hint");
        assert!(hint.contains("type json") && !hint.contains("text takes any"), "{hint}");
        assert!(
            sift(&text, &mapping(&[("id", Int8), ("name", Json)], &[0]))
                .expect("a page")
                .rejects
                .is_empty()
        );
    }
}

#[test]
fn a_page_that_is_not_json_is_no_page_whatever_its_records_are() {
    for text in [
        r#"[{"id": null}, {"id": 1]"#,
        r#"[{"id": null}"#,
        r#"[{"id": NaN}]"#,
        r#"{"id": 1}"#,
    ] {
        assert!(sift(text, &goods()).is_err(), "{text}");
    }
}

#[test]
fn of_several_bad_records_the_first_is_the_error_of_a_page_that_must_be_whole() {
    let refused = decode(
        r#"[{"id": 1}, {"id": 2, "stock": true}, {"id": 3, "stock": "x"}, 7]"#,
        &goods(),
    );
    assert!(
        matches!(
            refused,
            Err(DataError::DoesNotFit {
                record: 2,
                reason: Misfit::Syntax,
                ..
            })
        ),
        "{refused:?}"
    );
}
