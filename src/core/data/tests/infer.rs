use crate::data::{DataError, Inferred, InferredType, JsonKind, infer, members, unique_members};

fn types(records: &str) -> Vec<(String, &'static str, bool)> {
    let inferred = infer(records, 1000).unwrap();
    inferred
        .columns
        .into_iter()
        .map(|column| (column.name, column.ty.sql(), column.nullable))
        .collect()
}

/// The type that one member with these values gets.
fn type_of(values: &[&str]) -> &'static str {
    let records: Vec<String> = values.iter().map(|value| format!("{{\"m\":{value}}}")).collect();
    types(&format!("[{}]", records.join(",")))[0].1
}

fn names(members: &[&str]) -> Vec<String> {
    let members: Vec<String> = members
        .iter()
        .map(|name| format!("{}:1", serde_json::to_string(name).unwrap()))
        .collect();
    types(&format!("[{{{}}}]", members.join(",")))
        .into_iter()
        .map(|(name, ..)| name)
        .collect()
}

#[test]
fn a_type_must_suit_every_value() {
    let cases: [(&[&str], &str); 17] = [
        (&["1", "-2"], "bigint"),
        (&["1", "2.5"], "numeric"),
        (&["1.0"], "numeric"),
        (&["1e3"], "numeric"),
        (&["9223372036854775807"], "bigint"),
        (&["9223372036854775808"], "numeric"),
        (&["true", "null"], "boolean"),
        (&["true", "1"], "text"),
        (
            &[r#""2026-01-31T12:34:56Z""#, r#""2026-01-31T12:34:56.5+02:00""#],
            "timestamp with time zone",
        ),
        (&[r#""2026-01-31T12:34:56""#], "text"),
        (&[r#""2026-01-31""#], "date"),
        (&[r#""2026-01-31""#, r#""2026-01-31T12:34:56Z""#], "text"),
        (&[r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#], "uuid"),
        (&[r#""a0eebc999c0b4ef8bb6d6bb9bd380a11""#], "text"),
        (&["1", r#""1""#], "text"),
        (&["1", "[1]"], "jsonb"),
        (&["null", "null"], "text"),
    ];
    for (values, expected) in cases {
        assert_eq!(type_of(values), expected, "{values:?}");
    }
}

#[test]
fn columns_come_in_the_order_in_which_members_appear() {
    let records = r#"[{"b":1,"a":"x"},{"c":{},"b":null,"a":"y"}]"#;
    let expected = [("b", "bigint", true), ("a", "text", false), ("c", "jsonb", true)];
    assert_eq!(
        types(records),
        expected.map(|(name, ty, nullable)| (name.to_string(), ty, nullable))
    );
    assert_eq!(members(records).unwrap(), ["b", "a", "c"]);
}

#[test]
fn only_as_many_records_as_asked_for_are_looked_at() {
    let inferred = infer(r#"[{"a":1},{"a":"x"}]"#, 1).unwrap();
    assert_eq!((inferred.records, inferred.columns[0].ty), (1, InferredType::Int8));
}

#[test]
fn an_empty_page_proposes_nothing() {
    assert_eq!(
        infer("[]", 10),
        Ok(Inferred {
            columns: vec![],
            records: 0
        })
    );
    assert_eq!((unique_members("[]"), members("[]")), (Ok(vec![]), Ok(vec![])));
}

#[test]
fn records_that_are_no_objects_are_told() {
    assert_eq!(
        infer("[{},7]", 10),
        Err(DataError::NotAnObject {
            record: 2,
            found: JsonKind::Number
        })
    );
    assert_eq!(
        infer("{}", 10),
        Err(DataError::NotAnArray {
            path: "$".into(),
            found: JsonKind::Object
        })
    );
}

#[test]
fn names_are_cut_to_what_postgresql_keeps_and_stay_distinct() {
    let long = "x".repeat(200);
    let longer = "x".repeat(201);
    let cut = |name: &str| {
        format!(
            "{}_{}",
            "x".repeat(54),
            &crate::data::content_hash(name.as_bytes())[..8]
        )
    };
    assert_eq!(names(&[&long, &longer]), [cut(&long), cut(&longer)]);
    let wide = names(&[&"é".repeat(40)]).remove(0);
    assert!(wide.starts_with(&"é".repeat(27)) && wide.len() == 63, "{wide}");
}

#[test]
fn odd_names_are_kept_and_impossible_ones_replaced() {
    assert_eq!(names(&["a\"b;--", "Id", "id"]), ["a\"b;--", "Id", "id"]);
    assert_eq!(names(&["ctid", "xmin", "tableoid"]), ["ctid_1", "xmin_1", "tableoid_1"]);
    assert_eq!(names(&["", "a\0b", "a_b"]), ["_", "a_b", "a_b_1"]);
    assert_eq!(
        names(&["\u{1}ctl", "line\nbreak", "\u{9b}x"]),
        ["_ctl", "line_break", "_x"]
    );
}

#[test]
fn a_column_finds_its_member_by_the_name_that_was_sent() {
    let columns = infer(r#"[{"a.b":1}]"#, 10).unwrap().columns;
    assert_eq!(columns[0].query.to_string(), "$['a.b']");
}

#[test]
fn keys_are_proposed_where_values_are_scalar_present_and_distinct() {
    let records = r#"[{"code":"a","n":1,"same":1,"part":1,"id":10,"flag":true,"tags":[1],"opt":null},
                      {"code":"b","n":2,"same":1,"id":11,"flag":false,"tags":[2],"opt":1}]"#;
    assert_eq!(unique_members(records).unwrap(), ["id", "code", "n"]);
}
