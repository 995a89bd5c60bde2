//! What records look like: keys of two members, more members than a table has columns, CSV without a header.

use super::*;

fn lines(count: usize) -> Vec<Value> {
    let line = |at: usize| {
        let (order, line) = (at / 4 + 1, at % 4 + 1);
        json!({"note": format!("n{at}"), "line_no": line, "price": at as f64 + 0.5, "order_id": order})
    };
    (0..count).map(line).collect()
}

#[test]
fn two_members_are_proposed_where_only_together_they_tell_records_apart() {
    let all: Vec<Value> = lines(40)
        .into_iter()
        .map(|mut line| {
            line["note"] = json!("same");
            line
        })
        .collect();
    let seen = look(&|_| ok(&json!(all)));
    assert_eq!(seen.proposal("key"), json!(["line_no", "order_id"]));
    let evidence = seen.evidence("key").replace('\n', " ");
    assert!(
        evidence.contains("line_no and order_id together: 40 of 40 distinct. Alone line_no has 4, and order_id 10."),
        "{evidence}"
    );
    assert!(
        seen.doubt("key").contains("Another pair may be meant"),
        "{}",
        seen.doubt("key")
    );
    let statement = seen.evidence("create_job");
    assert!(statement.contains("key => ARRAY['line_no', 'order_id']"), "{statement}");
}

#[test]
fn members_that_are_distinct_by_chance_are_no_key() {
    let record = |at: usize| json!({"width": at % 7, "height": at % 11, "label": format!("l{}", at % 5)});
    let seen = look(&|_| ok(&json!((0..30).map(record).collect::<Vec<_>>())));
    assert_eq!(seen.proposal("key"), Value::Null);
    assert!(seen.doubt("key").contains("Neither one member nor two"));
    let twice = [lines(8), lines(8)].concat();
    let seen = look(&|_| ok(&json!(twice)));
    assert_eq!(seen.proposal("key"), Value::Null);
}

#[test]
fn a_few_records_leave_a_doubt_about_a_pair() {
    let few: Vec<Value> = [(1, 1), (1, 2), (2, 1)]
        .map(|(a, b)| json!({"shop_id": a, "item_id": b}))
        .into();
    let seen = look(&|_| ok(&json!(few)));
    assert_eq!(seen.proposal("key"), json!(["item_id", "shop_id"]));
    assert!(
        seen.doubt("key").contains("Only 3 records were seen."),
        "{}",
        seen.doubt("key")
    );
}

#[test]
fn of_more_members_than_a_table_has_columns_the_statement_names_as_many_as_fit() {
    let record = |at: usize| {
        let mut record = serde_json::Map::new();
        for number in 0..2_000 {
            record.insert(format!("m{number:04}"), json!(number % 3));
        }
        record.insert("zz_id".into(), json!(at));
        Value::Object(record)
    };
    let all: Vec<Value> = (0..20).map(record).collect();
    for (document, most) in [("{}", 1600), (r#"{"on_missing": "mark"}"#, 1599)] {
        let seen = look_with(&|_| ok(&json!(all)), document);
        let settings = seen.settings();
        let columns = settings["columns"].as_object().unwrap();
        assert_eq!(columns.len(), most);
        assert!(columns.contains_key("zz_id") && columns.contains_key("m1597") && !columns.contains_key("m1999"));
        let doubt = seen.doubt("create_job");
        assert!(doubt.contains("of 2001 members the first"), "{doubt}");
    }
}

/// A discovery of one answer in CSV.
fn csv(body: &str, document: &str) -> Discovered {
    look_with(&|_| answer(200, &[("content-type", "text/csv")], body), document)
}

#[test]
fn csv_without_a_header_is_recognised_by_the_types_of_its_first_line() {
    let body = "7;apple;1.50;2024-05-01\n8;pear;2.25;2024-05-02\n9;plum;;2024-05-03\n";
    let seen = csv(body, "{}");
    assert!(
        seen.doubt("format").contains("The columns are numbered"),
        "{}",
        seen.doubt("format")
    );
    assert_eq!(seen.proposal("key"), json!(["column_1"]));
    assert_eq!(
        seen.settings()["csv"],
        json!({"delimiter": ";", "header": false, "columns": ["column_1", "column_2", "column_3", "column_4"]})
    );
    assert!(seen.evidence("key").contains("3 of 3"), "the first line is a record");
    // The same value twice in the first line is no name of a column either.
    let twice = csv("1,1,a\n2,1,b\n3,2,c\n", "{}");
    assert_eq!(twice.settings()["csv"]["header"], json!(false));
}

#[test]
fn a_first_line_that_may_be_a_header_is_one() {
    for body in [
        "id,name\n1,a\n2,b\n",
        "name,2019,2020\nnorth,5,7\nsouth,8,9\n",
        "name,kind\na,b\nc,d\n",
        ",price\na,1\nb,2\n",
        "1,2\n",
    ] {
        let told = answer(200, &[("content-type", "text/csv")], body);
        let told = headerless::see(crate::discover::answer::format(&told, &Formats::default()), &told);
        assert_eq!((told.numbered, told.formats.csv.header), (None, true), "{body}");
    }
    // What was said is not looked at again.
    let said = csv("1,a\n2,b\n", r#"{"csv": {"header": true}}"#);
    assert_eq!(said.doubt("format"), "");
}
