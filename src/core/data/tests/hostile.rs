//! Bodies that are broken or meant to break something: an error each, never a panic.

use super::documents::document;
use super::{mapping, query};
use crate::class::Class;
use crate::data::ColumnType::*;
use crate::data::MAX_DEPTH;
use crate::data::{
    DataError, Format, Formats, JsonKind, SingularQuery, decode, excerpt, infer, locate, locate_with, members, pick,
    sift, unique_members,
};
use crate::error::Explain;
use proptest::prelude::*;

/// Bytes; far less than recursion into so many levels would take.
const SMALL_STACK: usize = 256 * 1024;

fn refusal(body: impl AsRef<[u8]>, path: &str) -> DataError {
    locate(body.as_ref(), &query(path)).expect_err("the body is refused")
}

/// Everything that takes a text, none of which may panic.
fn read_in_every_way(text: &str) {
    let mapping = mapping(&[("a", Int8), ("b", Jsonb), ("c", Text)], &[0]);
    let _ = (
        decode(text, &mapping),
        infer(text, 100),
        members(text),
        unique_members(text),
    );
    let _ = (
        pick(text, &[&query("$.a.b"), &query("$[0].c")]),
        locate(text.as_bytes(), &query("$.a")),
    );
}

#[test]
fn the_records_are_found_as_they_were_sent() {
    let body = "\u{feff} {\"total\": 2, \"data\": {\"items\": [ {\"id\": 1.0} ,{}]}} \n";
    let found = locate_with(
        body.as_bytes(),
        &query("$.data.items"),
        &[&query("$.total"), &query("$.next")],
    )
    .unwrap();
    assert_eq!(found.text, "[ {\"id\": 1.0} ,{}]");
    assert_eq!(found.picked, [Some("2"), None]);
    assert_eq!(locate(b"[1]", &SingularQuery::root()).unwrap().text, "[1]");
}

#[test]
fn a_wrong_place_and_a_wrong_kind_are_different_errors() {
    let body = r#"{"data":null,"items":{"a":1},"n":3}"#;
    assert_eq!(
        refusal(body, "$.rows"),
        DataError::PathMissing { path: "$.rows".into() }
    );
    for (path, found) in [
        ("$.data", JsonKind::Null),
        ("$.items", JsonKind::Object),
        ("$.n", JsonKind::Number),
    ] {
        assert_eq!(
            refusal(body, path),
            DataError::NotAnArray {
                path: path.into(),
                found
            }
        );
    }
    assert_eq!(
        refusal("[]", "$.rows"),
        DataError::PathMissing { path: "$.rows".into() }
    );
}

#[test]
fn a_page_for_people_is_told_apart_from_broken_json() {
    let page = refusal("\n <!DOCTYPE html><html>", "$");
    assert_eq!(
        page,
        DataError::Html {
            excerpt: "<!DOCTYPE html><html>".into()
        }
    );
}

#[test]
fn an_empty_body_is_its_own_error() {
    for body in ["", " \n\t", "\u{feff}", "\u{feff} "] {
        assert_eq!(refusal(body, "$"), DataError::EmptyBody);
    }
}

/// F-R4.
#[test]
fn a_body_cut_off_anywhere_is_refused() {
    let body = r#"{"data":[{"id":1,"name":"é\u00e9\"","tags":[true,null,15]}],"total":1}"#;
    for end in (1..body.len()).filter(|end| body.is_char_boundary(*end)) {
        assert_eq!(
            refusal(&body[..end], "$.data"),
            DataError::Truncated { length: end },
            "{}",
            &body[..end]
        );
    }
}

#[test]
fn a_body_cut_off_in_a_number_is_refused() {
    for body in ["[-", "[1.", "[1e", "[1e+"] {
        let refused = refusal(body, "$");
        assert!(
            matches!(refused, DataError::NotJson { .. } | DataError::Truncated { .. }),
            "{body}"
        );
    }
}

/// F-R4.
#[test]
fn anything_after_the_document_is_refused() {
    for garbage in ["x", "{}", "]", ",", "\u{feff}", "\0", "//", "\u{a0}"] {
        let body = format!("[]{garbage}");
        assert!(
            matches!(refusal(&body, "$"), DataError::NotJson { at: 2, .. }),
            "{body}"
        );
    }
}

#[test]
fn what_only_looks_like_json_is_refused() {
    let odd = [
        "[NaN]",
        "[Infinity]",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "['a']",
        "{a:1}",
        "[1,]",
        "[\"\t\"]",
        "[\"\\x\"]",
        "[tru]",
        "[\"\\ud8\"]",
        "hello",
    ];
    for body in odd {
        assert!(matches!(refusal(body, "$"), DataError::NotJson { .. }), "{body}");
    }
}

#[test]
fn the_place_of_an_error_is_told_in_bytes() {
    let refused = refusal("{\n\"é\": [1,\n2 3]}", "$");
    assert_eq!(
        refused,
        DataError::NotJson {
            at: 14,
            excerpt: "3]}".into()
        }
    );
    assert_eq!(refused.detail().unwrap(), "At byte 14: 3]}");
}

/// F-R4: one byte order mark is skipped in every format, and a second one is no data.
#[test]
fn a_second_byte_order_mark_is_refused() {
    let formats = |format| Formats {
        given: Some(format),
        ..Formats::default()
    };
    for (format, body) in [
        (Format::Json, r#"[{"id":1}]"#),
        (Format::Ndjson, "{\"id\":1}\n"),
        (Format::Csv, "id\n1\n"),
    ] {
        let read = |marks: &str| {
            let body = format!("{marks}{body}");
            let opened = formats(format).open(body.as_bytes(), None)?;
            Ok(opened.locate(&SingularQuery::root(), &[])?.text.to_owned())
        };
        assert_eq!(read("\u{feff}"), read(""), "{format:?}");
        let refused: DataError = read("\u{feff}\u{feff}").unwrap_err();
        assert_eq!((refused.class(), refused.sqlstate()), (Class::Data, "22032"));
        assert_eq!(refused, DataError::SecondMark, "{format:?}");
    }
    assert_eq!(refusal("\u{feff} \u{feff}[]", "$").class(), Class::Data);
}

/// F-R5: a charset in `Content-Type` changes nothing. JSON is UTF-8 (RFC 8259, section 8.1), and CSV is what the settings say.
#[test]
fn a_header_that_says_latin_1_converts_nothing() {
    for (kind, utf8, latin) in [
        (
            "application/json",
            "[{\"a\":\"é\"}]".as_bytes(),
            &b"[{\"a\":\"\xe9\"}]"[..],
        ),
        ("application/x-ndjson", "{\"a\":\"é\"}".as_bytes(), b"{\"a\":\"\xe9\"}"),
        ("text/csv", "a\né\n".as_bytes(), b"a\n\xe9\n"),
    ] {
        let header = format!("{kind}; charset=ISO-8859-1");
        let formats = Formats::default();
        let opened = formats.open(utf8, Some(&header)).unwrap();
        let found = opened.locate(&SingularQuery::root(), &[]).unwrap().text;
        assert_eq!(found, "[{\"a\":\"é\"}]", "{kind}");
        let refused = match formats.open(latin, Some(&header)) {
            Ok(opened) => opened.locate(&SingularQuery::root(), &[]).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((refused.class(), refused.sqlstate()), (Class::Data, "22021"), "{kind}");
    }
}

/// F-R5.
#[test]
fn other_encodings_are_refused() {
    assert_eq!(refusal(b"[\"caf\xe9\"]", "$"), DataError::NotUtf8 { at: 5 });
    assert_eq!(refusal(b"\xff\xfe[\0]\0", "$"), DataError::NotUtf8 { at: 0 });
    assert_eq!(refusal(b"[\"\xc0\x80\"]", "$"), DataError::NotUtf8 { at: 2 });
    assert_eq!(refusal(b"[\"\xed\xa0\x80\"]", "$"), DataError::NotUtf8 { at: 2 });
}

/// F-R3.
#[test]
fn a_million_levels_are_refused_on_a_small_stack() {
    let nested = |open: &str, close: &str, levels: usize| open.repeat(levels) + &close.repeat(levels);
    let check = move || {
        for (open, close) in [("[", ""), ("[", "]"), ("{\"a\":", ""), ("{\"a\":", "}")] {
            let refused = refusal(nested(open, close, 1_000_000), "$.a");
            assert_eq!(refused, DataError::TooDeep { limit: MAX_DEPTH });
            let value = nested(open, close, 50_000);
            read_in_every_way(&format!("[{{\"a\":1,\"z\":{value},\"b\":{value}}}]"));
        }
    };
    std::thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(check)
        .unwrap()
        .join()
        .unwrap();
}

/// F-R3.
#[test]
fn very_many_empty_arrays_are_just_an_array() {
    let body = format!("[{}[]]", "[],".repeat(30_000));
    let text = locate(body.as_bytes(), &SingularQuery::root()).unwrap().text;
    assert_eq!(
        decode(text, &mapping(&[("a", Int8)], &[])),
        Err(DataError::NotAnObject {
            record: 1,
            found: JsonKind::Array
        })
    );
}

#[test]
fn brackets_in_strings_do_not_nest() {
    let body = format!(r#"["{}\"{}"]"#, "[".repeat(100), "{".repeat(100));
    assert!(locate(body.as_bytes(), &SingularQuery::root()).is_ok());
}

#[test]
fn a_member_name_that_is_no_text_is_refused() {
    let mapping = mapping(&[("a", Int8)], &[]);
    for text in [r#"[{"\ud800":1}]"#, r#"[{"a":1,"\udc00\ud800":2}]"#] {
        assert!(
            matches!(
                decode(text, &mapping),
                Err(DataError::UnreadableRecord { record: 1, .. })
            ),
            "{text}"
        );
    }
    assert!(decode(r#"[{"\u0000":1,"a":2}]"#, &mapping).is_ok());
}

#[test]
fn remote_text_in_a_message_stays_on_one_line_and_short() {
    assert_eq!(excerpt("a\n\u{1b}[31mb\u{202e}"), "a\\n\\u{1b}[31mb\\u{202e}");
    let long = excerpt(&"é\n".repeat(200));
    assert!(long.chars().count() <= 100 && long.ends_with('…'), "{long}");
    assert_eq!(excerpt(""), "");
}

#[test]
fn every_error_says_what_it_is_and_what_to_do() {
    let mapping = mapping(&[("a", Int8)], &[0]);
    let errors = [
        refusal("", "$"),
        refusal("<", "$"),
        refusal("[", "$"),
        refusal("x", "$"),
        refusal("{}", "$"),
        refusal("{}", "$.a"),
        refusal(b"\xff", "$"),
        decode("[{}]", &mapping).unwrap_err(),
        decode(r#"[{"a":"x"}]"#, &mapping).unwrap_err(),
        decode("[1]", &mapping).unwrap_err(),
    ];
    for error in errors {
        let message = error.to_string();
        assert!(
            !message.ends_with('.') && !message.contains('\n') && message.starts_with(char::is_lowercase),
            "{message}"
        );
        assert_eq!((error.class(), error.sqlstate().len()), (Class::Data, 5), "{message}");
        assert!(error.hint().unwrap().ends_with('.'), "{message}");
        assert!(error.detail().is_none_or(|detail| !detail.contains('\n')), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_damaged_document_never_panics(text in document(), at in any::<prop::sample::Index>(), piece in "[\\[\\]{}\",:\\\\u0-9a-c\u{0}é]{0,3}") {
        let mut damaged: Vec<char> = text.chars().collect();
        let at = at.index(damaged.len());
        damaged.splice(at..(at + 1).min(damaged.len()), piece.chars());
        read_in_every_way(&damaged.into_iter().collect::<String>());
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = locate(&bytes, &query("$.a"));
    }

    #[test]
    fn a_document_is_refused_exactly_when_serde_json_refuses_it(text in "[\\[\\]{}\",:\\\\ut0-9a.e -]{0,12}") {
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(pick(&text, &[&SingularQuery::root()]).is_ok(), is_json, "{}", text);
    }
}

/// P11: a short text may hold very many records, and each of them may become a long row, or a reject.
#[test]
fn a_page_that_becomes_too_large_is_an_error() {
    let names: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), Text)).collect();
    let (wide, keyed) = (mapping(&columns, &[]), mapping(&[("id", Int8)], &[0]));
    let page = |record: &str| format!("[{}]", vec![record; 60_000].join(","));
    for (record, mapping) in [("1", &keyed), ("{}", &keyed), (r#"{"id":"x"}"#, &keyed), ("{}", &wide)] {
        let error = sift(&page(record), mapping).map(|sifted| sifted.records()).unwrap_err();
        let is_too_large = matches!(
            error,
            DataError::TooLarge {
                what: "the page as rows",
                ..
            }
        );
        assert!(is_too_large, "{record}: {error:?}");
    }
    assert_eq!(sift(&page(r#"{"id":1}"#), &keyed).unwrap().records(), 60_000);
}

/// P11: work on a page grows with its length, not with its square.
#[test]
fn very_many_members_and_fields_are_no_great_work() {
    let record = |of: &str| -> String {
        let each = (0..200_000).map(|number| format!("\"{of}{number}\":{number}"));
        format!("{{{}}}", each.collect::<Vec<_>>().join(","))
    };
    let text = format!("[{},{}]", record("a"), record("a"));
    assert_eq!(infer(&text, u64::MAX).unwrap().columns.len(), 10_000);
    assert_eq!(members(&text).unwrap().len(), 100_000);
    assert_eq!(unique_members(&text).unwrap(), Vec::<String>::new());
    // Names that differ in nothing that a column's name keeps.
    let alike: Vec<String> = (0..9_000u32)
        .map(|n| format!("\"{}\":1", control_characters(n)))
        .collect();
    assert_eq!(
        infer(&format!("[{{{}}}]", alike.join(",")), 1).unwrap().columns.len(),
        9_000
    );
    let csv = Formats {
        given: Some(Format::Csv),
        ..Formats::default()
    };
    let wide = |fields: usize| (0..fields).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",") + "\n";
    assert!(csv.open(wide(10_000).as_bytes(), None).is_ok());
    let error = csv.open(wide(200_000).as_bytes(), None).map(drop).unwrap_err();
    assert!(matches!(error, DataError::BadHeader { field: 10_001, .. }), "{error:?}");
}

/// A text of control characters for each number, as JSON writes it.
fn control_characters(number: u32) -> String {
    (0..4)
        .map(|at| format!("\\u00{:02x}", 1 + (number >> (4 * at)) % 16))
        .collect()
}
