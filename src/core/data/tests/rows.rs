//! Pages into rows and keys, and back into fields.

use super::documents::{document, string};
use super::{mapping, query};
use crate::data::ColumnType::{self, *};
use crate::data::{Column, DataError, JsonKind, Mapping, Misfit, SingularQuery};
use crate::data::{decode, fields, key_fields, split_keys, split_rows};
use proptest::prelude::*;

type Fields = Vec<Option<Vec<u8>>>;

fn owned<'a>(fields: impl Iterator<Item = Option<&'a [u8]>>) -> Fields {
    fields.map(|field| field.map(<[u8]>::to_vec)).collect()
}

/// The fields of every row, after a look at the field counts.
fn rows(text: &str, mapping: &Mapping) -> Vec<Fields> {
    let page = decode(text, mapping).unwrap();
    let columns = mapping.columns.len();
    let rows: Vec<&[u8]> = split_rows(&page.rows, columns).collect();
    assert_eq!(rows.concat(), page.rows);
    assert_eq!(rows.len(), page.records as usize);
    rows.iter()
        .map(|row| {
            assert_eq!(row[..2], (columns as i16).to_be_bytes());
            owned(fields(row))
        })
        .collect()
}

fn some(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_split_back_into_the_fields_that_went_in(
        records in prop::collection::vec((any::<i64>(), prop::option::of(string()), document()), 0..20),
    ) {
        let texts = records.iter().map(|(id, name, rest)| {
            let name = name.as_ref().map_or(String::new(), |name| format!(", \"name\" : {name}"));
            format!("{{\"other\":{rest},\"id\":{id}{name},\"doc\":{rest}}}")
        });
        let text = format!("[{}]", texts.collect::<Vec<_>>().join(" , "));
        let has_nul = text.contains("\\u0000");
        let mapping = mapping(&[("id", Int8), ("name", Text), ("doc", Json)], &[0]);
        prop_assume!(!has_nul);
        let expected: Vec<Fields> = records.iter().map(|(id, name, doc)| vec![
            Some(id.to_be_bytes().to_vec()),
            name.as_ref().map(|name| serde_json::from_str::<String>(name).unwrap().into_bytes()),
            some(doc).filter(|doc| doc != b"null"),
        ]).collect();
        prop_assert_eq!(rows(&text, &mapping), expected);
    }

    #[test]
    fn keys_split_back_into_one_key_for_each_record(ids in prop::collection::vec((any::<i64>(), "[a-z]{0,9}"), 0..20)) {
        let texts: Vec<String> = ids.iter().map(|(id, code)| format!(r#"{{"id":{id},"note":"x","code":"{code}"}}"#)).collect();
        let mapping = mapping(&[("id", Int8), ("note", Text), ("code", Text)], &[2, 0]);
        let page = decode(&format!("[{}]", texts.join(",")), &mapping).unwrap();
        let keys: Vec<Fields> = split_keys(&page.keys, 2).map(|key| owned(key_fields(key))).collect();
        let expected: Vec<Fields> = ids.iter().map(|(id, code)| vec![some(code), Some(id.to_be_bytes().to_vec())]).collect();
        prop_assert_eq!(keys, expected);
    }

    #[test]
    fn splitting_any_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..64), columns in 0usize..4) {
        prop_assert!(split_rows(&bytes, columns).flat_map(fields).count() <= bytes.len());
        prop_assert!(split_keys(&bytes, columns).flat_map(key_fields).count() <= bytes.len());
    }
}

#[test]
fn a_page_without_records_is_a_page() {
    let page = decode(" [ ] ", &mapping(&[("id", Int8)], &[0])).unwrap();
    assert_eq!((page.records, page.rows.len(), page.keys.len()), (0, 0, 0));
}

/// F-R9, in a key as well.
#[test]
fn members_come_in_any_order_and_the_last_of_equal_names_counts() {
    let mapping = mapping(&[("a", Text), ("b", Text), ("c", Text)], &[]);
    let text = r#"[{"c":"3","a":"1","x":{"a":"no"},"b":"2"}, {"a":"old","b":null,"\u0061":"new"}]"#;
    assert_eq!(
        rows(text, &mapping),
        [[some("1"), some("2"), some("3")], [some("new"), None, None]]
    );
    let keyed = super::mapping(&[("id", Int8), ("doc", Jsonb)], &[0]);
    let page = decode(r#"[{"id":1,"doc":{},"id":2,"doc":{"x":1,"x":2}}]"#, &keyed).expect("a page");
    assert_eq!(page.keys, [8i32.to_be_bytes().as_slice(), &2i64.to_be_bytes()].concat());
    // Within a value PostgreSQL decides: its jsonb keeps the last as well.
    assert!(page.rows.ends_with(br#"{"x":1,"x":2}"#));
}

#[test]
fn a_default_stands_in_for_a_missing_member_but_not_for_null() {
    let mut mapping = mapping(&[("id", Int8), ("state", Text)], &[0]);
    mapping.columns[1].default = Some(r#""new""#.into());
    let states: Vec<_> = rows(r#"[{"id":1},{"id":2,"state":null},{"id":3,"state":"old"}]"#, &mapping);
    assert_eq!(
        states.into_iter().map(|mut row| row.remove(1)).collect::<Vec<_>>(),
        [some("new"), None, some("old")]
    );
}

#[test]
fn columns_may_take_parts_of_members_and_the_whole_record() {
    let column = |name: &str, path: &str, ty| Column {
        name: name.into(),
        query: query(path),
        ty,
        default: None,
    };
    let columns = vec![
        column("city", "$.address.city", Text),
        column("address", "$.address", Json),
        column("first", "$.tags[0]", Text),
    ];
    let text = r#"[{"tags":["x","y"],"address":{"city":"Ulm"}},{"address":"Ulm"}]"#;
    let parts = Mapping::new(SingularQuery::root(), columns.clone(), vec![], "");
    let expected = [
        [some("Ulm"), some(r#"{"city":"Ulm"}"#), some("x")],
        [None, some("\"Ulm\""), None],
    ];
    assert_eq!(rows(text, &parts), expected);

    let whole = Mapping::new(
        SingularQuery::root(),
        [columns, vec![column("all", "$", Json)]].concat(),
        vec![],
        "",
    );
    let all: Vec<_> = rows(text, &whole).into_iter().map(|mut row| row.remove(3)).collect();
    assert_eq!(
        all,
        [
            some(r#"{"tags":["x","y"],"address":{"city":"Ulm"}}"#),
            some(r#"{"address":"Ulm"}"#)
        ]
    );
    assert_eq!(
        decode("[{}, 1]", &whole),
        Err(DataError::NotAnObject {
            record: 2,
            found: JsonKind::Number
        })
    );
}

#[test]
fn a_key_that_is_null_or_missing_is_told_with_its_record() {
    let mapping = mapping(&[("id", Int8), ("code", Text)], &[0, 1]);
    for text in [
        r#"[{"id":1,"code":"a"},{"id":2,"code":null}]"#,
        r#"[{"id":1,"code":"a"},{"id":2}]"#,
    ] {
        assert_eq!(
            decode(text, &mapping),
            Err(DataError::KeyMissing {
                record: 2,
                column: "code".into()
            })
        );
    }
    assert!(decode(r#"[{"id":1,"code":""}]"#, &mapping).is_ok());
}

#[test]
fn a_value_that_does_not_fit_is_told_with_its_record_and_column() {
    let mapping = mapping(&[("id", Int8), ("price", Numeric)], &[0]);
    let refused = decode(r#"[{"id":1,"price":1},{"id":2,"price":"1,5"}]"#, &mapping);
    let expected = DataError::DoesNotFit {
        record: 2,
        column: "price".into(),
        type_name: "numeric",
        excerpt: "\"1,5\"".into(),
        reason: Misfit::Syntax,
    };
    assert_eq!(refused, Err(expected));
}

#[test]
fn a_record_that_is_no_object_is_told_with_its_kind() {
    let mapping = mapping(&[("id", Int8)], &[]);
    for (text, record, found) in [
        ("[null]", 1, JsonKind::Null),
        (r#"[{"id":1},[]]"#, 2, JsonKind::Array),
        (r#"[{},{},"x"]"#, 3, JsonKind::String),
    ] {
        assert_eq!(
            decode(text, &mapping),
            Err(DataError::NotAnObject { record, found }),
            "{text}"
        );
    }
    assert!(matches!(
        decode(r#"{"id":1}"#, &mapping),
        Err(DataError::NotAnArray {
            found: JsonKind::Object,
            ..
        })
    ));
}

#[test]
fn only_other_types_need_the_input_function() {
    assert!(mapping(&[("a", Int8), ("b", Float8), ("c", Text)], &[]).all_binary());
    assert!(!mapping(&[("a", Int8), ("b", Other)], &[]).all_binary());
}

#[test]
fn whatever_changes_the_rows_changes_the_mapping_version() {
    let of = |columns: &[(&str, ColumnType)], key: &[usize]| *mapping(columns, key).version();
    let base = of(&[("a", Text), ("b", Text)], &[0]);
    assert_eq!(base, of(&[("a", Text), ("b", Text)], &[0]));
    let mut other = mapping(&[("a", Text), ("b", Text)], &[0]);
    other.columns[0].default = Some("1".into());
    let with_default = *Mapping::new(other.records.clone(), other.columns.clone(), vec![0], "target 1").version();
    let other_target = *Mapping::new(
        SingularQuery::root(),
        mapping(&[("a", Text), ("b", Text)], &[]).columns,
        vec![0],
        "target 2",
    )
    .version();
    let versions = [
        of(&[("a", Text), ("b", Int8)], &[0]),
        of(&[("b", Text), ("a", Text)], &[0]),
        of(&[("a", Text), ("b", Text)], &[1]),
        of(&[("a", Text), ("b", Text)], &[]),
        of(&[("a", Text)], &[0]),
        with_default,
        other_target,
    ];
    assert!(versions.iter().all(|version| *version != base));
    assert_eq!(base.to_string().len(), 64);
}

#[test]
fn a_tombstone_needs_a_key_and_is_no_row() {
    use crate::cursor::{Cursor, CursorFormat, Watch};
    use crate::data::{Aside, DeletedWhen};
    let column = |name: &str, ty| Column {
        name: name.into(),
        query: SingularQuery::member(name),
        ty,
        default: None,
    };
    let cursor = Cursor {
        query: SingularQuery::member("at"),
        param: "since".into(),
        template: None,
        format: CursorFormat::EpochS,
        lookback: std::time::Duration::ZERO,
    };
    let columns = vec![column("n", ColumnType::Int4), column("id", ColumnType::Int8)];
    let plain = Mapping::new(SingularQuery::root(), columns, vec![1], "t");
    let aside = |deleted_when| Aside {
        watch: Some(Watch::new(&cursor, 0)),
        deleted_when,
    };
    let mapping = plain.clone().with_aside(aside(DeletedWhen::parse("@.gone == true")));
    assert_ne!(mapping.version(), plain.version(), "other records become rows");
    assert_eq!(plain.clone().with_aside(aside(None)).version(), plain.version());
    let text = r#"[{"id": 1, "n": 1, "at": 5}, {"gone": true, "id": 2, "n": "x", "at": 9}, {"id": 3, "n": 3, "at": 7},
                   {"at": 8, "id": 4, "gone": true}]"#;
    let page = decode(text, &mapping).expect("a page");
    assert_eq!((page.records, page.gone_after.as_slice()), (2, &[1, 2][..]));
    let ids = |keys: &[u8]| crate::data::split_keys(keys, 1).map(|key| key[11]).collect::<Vec<_>>();
    assert_eq!((ids(&page.keys), ids(&page.gone)), (vec![1, 3], vec![2, 4]));
    assert_eq!(
        page.reach.highest.as_deref(),
        Some("9"),
        "a tombstone tells how far the read reaches, too"
    );
    let error = decode(r#"[{"id": 1, "n": 1}, {"gone": true}]"#, &mapping).unwrap_err();
    assert!(matches!(error, DataError::KeyMissing { record: 2, .. }), "{error:?}");
}
