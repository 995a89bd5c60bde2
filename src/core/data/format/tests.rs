use super::csv_text::is_plain_number;
use super::*;
use crate::data::{Column, ColumnType, Mapping, sift};
use proptest::prelude::*;

impl Csv {
    /// The array of a body in which all lines are records.
    fn array(&self, body: &[u8]) -> Result<String, DataError> {
        let rows = self.rows(body)?;
        assert_eq!(rows.ragged, [], "{}", rows.array);
        Ok(rows.array)
    }
}

fn csv(body: &str) -> Result<String, DataError> {
    Csv::default().array(body.as_bytes())
}

/// The array, and of each line that is no record its place, its line and its fields.
fn ragged(body: &str) -> (String, Vec<(u64, DataError)>) {
    let rows = Csv::default().rows(body.as_bytes()).expect("rows");
    let ragged = rows.ragged.iter().map(|line| (line.record, line.error()));
    (rows.array, ragged.collect())
}

fn differs(line: u64, found: u64, expected: u64) -> DataError {
    DataError::FieldsDiffer { line, found, expected }
}

/// The first record is like the others: a default stands in for each empty field, or for none.
#[test]
fn an_empty_field_whose_column_has_a_default_is_missing_in_every_record() {
    let csv = Csv {
        defaulted: vec!["stock".into()],
        ..Csv::default()
    };
    assert_eq!(
        csv.array(b"id,name,stock\n1,,\n2,,\n3,,4\n").as_deref(),
        Ok(r#"[{"id":1,"name":null},{"id":2},{"id":3,"stock":4}]"#)
    );
}

/// F-R22: quotes, ends of lines, a mark, empty fields, and `\\.`, which ends nothing.
#[test]
fn csv_is_read_as_rfc_4180_has_it() {
    let table = [
        ("id,name\n1,a\n2,b\n", r#"[{"id":1,"name":"a"},{"id":2,"name":"b"}]"#),
        ("id,name\r\n1,a\r\n2,b", r#"[{"id":1,"name":"a"},{"id":2,"name":"b"}]"#),
        (
            "\u{feff}id,name\n1,\"a,\"\"b\"\"\nc\"\n",
            r#"[{"id":1,"name":"a,\"b\"\nc"}]"#,
        ),
        (
            "id,name\n1,\n2,\n3,x\n",
            r#"[{"id":1,"name":null},{"id":2},{"id":3,"name":"x"}]"#,
        ),
        (" id , a b \n1,2\n", r#"[{"id":1,"a b":2}]"#),
        ("id\n", "[]"),
        ("id,name\r1,a\r2,b\r", r#"[{"id":1,"name":"a"},{"id":2,"name":"b"}]"#),
        ("id,name\r\n\r\n1,\"a\r\nb\"\r\n", r#"[{"id":1,"name":"a\r\nb"}]"#),
        (
            "id,name\n1,\\.\n\\.,2\n",
            r#"[{"id":1,"name":"\\."},{"id":"\\.","name":2}]"#,
        ),
        ("id\n\\.\n2\n", r#"[{"id":"\\."},{"id":2}]"#),
        // RFC 4180 knows no difference between an empty field and an empty one in quotes.
        ("id,name,x\n1,,\"\"\n", r#"[{"id":1,"name":null,"x":null}]"#),
        ("id,name\n1,\"\"\"\"\n", r#"[{"id":1,"name":"\""}]"#),
        ("id,name\n1,a\0b\n", r#"[{"id":1,"name":"a\u0000b"}]"#),
    ];
    for (body, array) in table {
        assert_eq!(csv(body).as_deref(), Ok(array), "{body}");
    }
}

#[test]
fn a_field_is_a_number_only_where_json_writes_it_the_same() {
    let fields = [
        "0",
        "-1",
        "1.50",
        "007",
        "1e5",
        "+1",
        ".5",
        "1.",
        "",
        "-",
        "true",
        "True",
        "NaN",
        "9007199254740993",
    ];
    let body = format!(
        "{}\n{}\n",
        (0..fields.len()).map(|n| format!("c{n}")).collect::<Vec<_>>().join(","),
        fields.join(",")
    );
    let array = csv(&body).unwrap();
    let record = &serde_json::from_str::<Vec<std::collections::BTreeMap<String, Box<RawValue>>>>(&array).unwrap()[0];
    let raw: Vec<&str> = (0..fields.len()).map(|n| record[&format!("c{n}")].get()).collect();
    assert_eq!(
        raw,
        [
            "0",
            "-1",
            "1.50",
            "\"007\"",
            "\"1e5\"",
            "\"+1\"",
            "\".5\"",
            "\"1.\"",
            "null",
            "\"-\"",
            "true",
            "\"True\"",
            "\"NaN\"",
            "9007199254740993"
        ]
    );
}

#[test]
fn what_is_no_csv_is_an_error_and_not_an_empty_collection() {
    assert_eq!(csv(""), Err(DataError::EmptyBody));
    assert_eq!(csv(" \n"), Err(DataError::EmptyBody));
    for body in ["<html>\n", "{\"error\": \"limit\"}", "[]"] {
        assert!(matches!(csv(body), Err(DataError::NotCsv { .. })), "{body}");
    }
    assert!(matches!(csv("a,a\n1,2"), Err(DataError::BadHeader { field: 2, .. })));
    assert!(matches!(csv("a,\n1,2"), Err(DataError::BadHeader { field: 2, .. })));
    assert!(matches!(
        Csv::default().array(b"a\n\xff"),
        Err(DataError::NotUtf8 { at: 2 })
    ));
}

#[test]
fn delimiter_columns_and_encoding_are_what_the_job_says() {
    let given = Csv {
        delimiter: b';',
        header: false,
        columns: Some(vec!["id".into(), "name".into()]),
        encoding: encoding_rs::WINDOWS_1252,
        ..Csv::default()
    };
    assert_eq!(
        given.array(b"1;caf\xe9\n").as_deref(),
        Ok(r#"[{"id":1,"name":"café"}]"#)
    );
    let renamed = Csv {
        header: true,
        ..given.clone()
    };
    assert_eq!(
        renamed.array(b"Nr;Bezeichnung\n1;x\n").as_deref(),
        Ok(r#"[{"id":1,"name":"x"}]"#)
    );
    let tab = Csv {
        delimiter: b'\t',
        ..Csv::default()
    };
    assert_eq!(
        tab.array(b"id\tname\n1\ta,b;c\n").as_deref(),
        Ok(r#"[{"id":1,"name":"a,b;c"}]"#)
    );
    assert!(matches!(
        renamed.array(b"Nr\n1\n"),
        Err(DataError::FieldsDiffer { line: 1, .. })
    ));
    let utf16 = Csv {
        encoding: encoding_rs::UTF_16LE,
        ..Csv::default()
    };
    let body = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    assert_eq!(utf16.array(&body("\u{feff}id\n5\n")).as_deref(), Ok(r#"[{"id":5}]"#));
    // U+FFFD may stand in the data: only what cannot be decoded is an error.
    assert_eq!(
        utf16.array(&body("id\n\u{fffd}\n")).as_deref(),
        Ok("[{\"id\":\"\u{fffd}\"}]")
    );
    let shift = Csv {
        encoding: encoding_rs::SHIFT_JIS,
        ..Csv::default()
    };
    assert!(matches!(shift.array(b"a\n\x81"), Err(DataError::NotInEncoding { .. })));
}

/// F-R22: the line is told, its text stays, and all others are records.
#[test]
fn a_line_of_too_few_or_too_many_fields_is_kept_as_its_text() {
    assert_eq!(
        ragged("id,name\n1\n2,b\n3,c,\"d\"\"\n\"\n4,d\n"),
        (
            r#"["1",{"id":2,"name":"b"},"3,c,\"d\"\"\n\"",{"id":4,"name":"d"}]"#.into(),
            vec![(1, differs(2, 1, 2)), (3, differs(4, 3, 2))]
        )
    );
    // The first record has all members, wherever it stands.
    assert_eq!(
        ragged("id,name\nx\n1,\n2,\n").0,
        r#"["x",{"id":1,"name":null},{"id":2}]"#
    );
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    for end in ["\n", "\r\n", "\r"] {
        let body = format!("id,name{end}{end}1,\"a{end}b\"{end}2{end}{end}{end}3,c{end}4,d,e{end}");
        let (array, ragged) = ragged(&body);
        assert_eq!(ragged, [(2, differs(5, 1, 2)), (4, differs(9, 3, 2))], "{body:?}");
        let records: Vec<serde_json::Value> = serde_json::from_str(&array).unwrap();
        assert_eq!((&records[1], &records[3]), (&"2".into(), &"4,d,e".into()), "{body:?}");
    }
}

/// F-R22: a field that is not closed swallows the rest, and an answer without its end is none.
#[test]
fn an_answer_that_ends_within_a_line_is_an_error() {
    for (body, line) in [
        ("id,name\n1,\"a\n2,b\n3,c\n", 2),
        ("id,name\n1,a\n2,\"b", 3),
        ("id,name\n1,a\n2,b,\"\n", 3),
        ("id,name\n1,a\n2,\"b\"\"", 3),
        ("id,name\n1,a\n2", 3),
        ("\"id,name\n1,a\n", 1),
        ("id,\"name", 1),
    ] {
        let met = csv(body);
        assert!(
            matches!(met, Err(DataError::CutLine { line: told }) if told == line),
            "{body:?} {met:?}"
        );
    }
    for body in ["id,name\n1,\"a\"", "id,name\n1,\"\"", "id,name\n1,", "\"id\",\"name\""] {
        assert!(csv(body).is_ok(), "{body:?}");
    }
    // What has too many fields has not lost its end.
    assert_eq!(ragged("id,name\n1,a,b").1, [(1, differs(2, 3, 2))]);
}

fn open<'a>(body: &'a str) -> Opened<'a> {
    Formats::default().open(body.as_bytes(), Some("text/csv")).expect("csv")
}

#[test]
fn a_rejected_line_says_what_it_is_and_has_no_key() {
    let column = Column {
        name: "id".into(),
        query: SingularQuery::member("id"),
        ty: ColumnType::Int8,
        default: None,
    };
    let mapping = Mapping::new(SingularQuery::root(), vec![column], vec![0], "t");
    let body = open("id,name\n1\nx,a\n2,b\n3,c,d\n");
    let text = body.locate(&SingularQuery::root(), &[]).unwrap().text;
    let mut sifted = sift(text, &mapping).unwrap();
    body.name_ragged(&mut sifted);
    let told: Vec<_> = sifted
        .rejects
        .iter()
        .map(|r| (r.record, r.error.line(), r.key.is_some()))
        .collect();
    assert_eq!(told, [(1, Some(2), false), (2, None, false), (4, Some(5), false)]);
    assert_eq!(sifted.rejects[2].error, differs(5, 3, 2));
    assert_eq!(sifted.page.records, 1);
}

#[test]
fn columns_are_told_from_what_is_a_record() {
    let only = |text: &str| {
        let body = open(text);
        let records = body.locate(&SingularQuery::root(), &[]).unwrap().text.to_owned();
        body.only_records(&records).map(std::borrow::Cow::into_owned)
    };
    assert_eq!(only("a,b\n1\n2,3\n4,5,6\n").as_deref(), Ok(r#"[{"a":2,"b":3}]"#));
    assert_eq!(only("a,b\n"), Ok("[]".to_owned()));
    assert_eq!(only("a,b\n1\n2\n").err(), Some(differs(2, 1, 2)));
    let objects = |text| super::super::records::only_objects(text).map(std::borrow::Cow::into_owned);
    assert_eq!(objects(r#"[null, {"a": 1}, 7]"#).as_deref(), Ok(r#"[{"a": 1}]"#));
    assert!(matches!(
        objects("[null]"),
        Err(DataError::NotAnObject { record: 1, .. })
    ));
}

#[test]
fn where_a_line_must_be_a_record_it_is_an_error_that_it_is_none() {
    assert_eq!(open("a,b\n1\n2,3\n").without_ragged().err(), Some(differs(2, 1, 2)));
    assert!(open("a,b\n2,3\n").without_ragged().is_ok());
    assert_eq!(open("a,b\n1\n2,3\n").ends_in_a_record(), Ok(()));
    assert_eq!(open("a,b\n1\n2,3\n4\n").ends_in_a_record(), Err(differs(4, 1, 2)));
    assert_eq!(open("a,b\n").ends_in_a_record(), Ok(()));
}

/// F-R22: a field may be as long as the answer.
#[test]
fn a_field_of_ten_megabytes_comes_whole() {
    let long = "x\"\"\n".repeat(10 << 18);
    let array = csv(&format!("id,name\n1,\"{long}\"\n")).unwrap();
    let records: Vec<serde_json::Value> = serde_json::from_str(&array).unwrap();
    assert_eq!(records[0]["name"], long.replace("\"\"", "\""));
}

#[test]
fn lines_are_records_of_their_own() {
    let array = |body: &str| Ok(lines(text_of(body.as_bytes())?)?.array);
    assert_eq!(
        array("{\"a\":1}\n\n {\"a\":2} \r\n").as_deref(),
        Ok(r#"[{"a":1},{"a":2}]"#)
    );
    assert_eq!(array("").as_deref(), Ok("[]"));
    for body in ["{\"a\":1},{\"a\":2}", "{\"a\":1}\n{\"a\":", "{\"a\":1} {\"a\":2}", "x"] {
        assert!(matches!(array(body), Err(DataError::BadLine { .. })), "{body}");
    }
    assert!(matches!(array("<html>"), Err(DataError::Html { .. })));
}

#[test]
fn the_content_type_says_the_format_where_the_job_does_not() {
    let formats = Formats::default();
    let of = |media| formats.of(Some(media));
    assert_eq!(of("text/csv; charset=utf-8"), Format::Csv);
    assert_eq!(of("Application/X-NDJSON"), Format::Ndjson);
    assert_eq!((of("application/json"), formats.of(None)), (Format::Json, Format::Json));
}

proptest! {
    #[test]
    fn any_fields_come_back_as_they_were(
        rows in prop::collection::vec(prop::collection::vec(any::<String>(), 3), 1..10)
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let body = writer.into_inner().unwrap();
        let array = Csv::default().array(&body).unwrap();
        let records: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&array).unwrap();
        prop_assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            for (name, field) in ["a", "b", "c"].iter().zip(row) {
                match record.get(*name).unwrap_or(&serde_json::Value::Null) {
                    serde_json::Value::Null => prop_assert_eq!(field, ""),
                    serde_json::Value::String(text) => prop_assert_eq!(field, text),
                    _ => prop_assert!(is_plain_number(field) || field == "true" || field == "false"),
                }
            }
        }
    }

    #[test]
    fn hostile_bytes_are_an_error_or_a_valid_array(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Csv, Format::Ndjson] {
            let formats = Formats { given: Some(format), csv: Csv::default() };
            if let Ok(Some(rows)) = formats.rows(&body, None) {
                prop_assert!(serde_json::from_str::<Vec<&RawValue>>(&rows.array).is_ok(), "{}", rows.array);
            }
        }
    }
}
