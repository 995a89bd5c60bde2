use super::*;
use proptest::prelude::*;

fn csv(body: &str) -> Result<String, DataError> {
    Csv::default().array(body.as_bytes())
}

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
        csv("a,b\n1,2\n3\n"),
        Err(DataError::FieldsDiffer {
            line: 3,
            found: 1,
            expected: 2
        })
    ));
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

#[test]
fn lines_are_records_of_their_own() {
    let array = |body: &str| lines(text_of(body.as_bytes())?);
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
            if let Ok(Some(array)) = formats.array(&body, None) {
                prop_assert!(serde_json::from_str::<Vec<&RawValue>>(&array).is_ok(), "{}", array);
            }
        }
    }
}
