use crate::retry_queue::QueuePolicy;
use proptest::prelude::*;

use super::*;
use crate::error::Explain;
use crate::pagination::{Source, Stop, Totals};

fn settings(document: &str) -> Settings {
    Settings::parse(document).unwrap_or_else(|error| panic!("{document}: {error}: {:?}", error.detail()))
}

fn refused(document: &str) -> ConfigError {
    Settings::parse(document).expect_err(document)
}

/// Message, detail and hint in one text.
fn told(error: &ConfigError) -> String {
    format!(
        "{error}\n{}\n{}",
        error.detail().unwrap_or_default(),
        error.hint().unwrap_or_default()
    )
}

#[test]
fn an_empty_document_has_the_defaults_of_the_design() {
    let defaults = settings("{}");
    assert_eq!(defaults.records.to_string(), "$");
    assert_eq!(defaults.columns, None);
    assert_eq!(defaults.pagination, Pagination::None);
    assert_eq!(defaults.concurrency, 8);
    assert_eq!(defaults.min_delay, Duration::ZERO);
    assert_eq!(defaults.commit_every.bytes, 8 * 1024 * 1024);
    assert_eq!(defaults.commit_every.time, Duration::from_secs(2));
    assert_eq!(defaults.commit_every.pages, None);
    assert_eq!(defaults.on_empty, OnEmpty::RollBack);
    assert_eq!(defaults.max_shrink, 0.5);
    assert_eq!(defaults.on_missing, OnMissing::Delete);
    assert_eq!(defaults.on_new_field, OnNewField::Ignore);
    assert!(defaults.confirm_deletes);
    assert_eq!(defaults.retry.request_attempts, 12);
    assert_eq!(defaults.retry.request_cap, Duration::from_secs(5));
    assert_eq!(defaults.timeouts.connect, Duration::from_secs(10));
    assert_eq!(defaults.timeouts.request, Duration::from_secs(45));
    assert_eq!(defaults.timeouts.probe, Duration::from_secs(15));
    assert_eq!(defaults.timeouts.run, None);
    assert_eq!(defaults.limits, LimitSettings::default());
    assert_eq!((defaults.undo.keep_runs, defaults.undo.keep_days), (10, 7));
    assert_eq!(defaults.verify, Verify::Changed);
    assert_eq!(defaults.verify_every, Duration::from_secs(86_400));
    assert_eq!(defaults.max_pause, Duration::from_secs(3600));
    assert_eq!(defaults, Settings::default());
}

#[test]
fn every_supported_setting_is_read() {
    let all = settings(
        r#"{"format": "json", "records": "$.data.items[*]", "columns": {"id": "$.id"}, "params": {"status": "active"},
            "headers": {"Accept-Language": "en"}, "method": "GET",
            "pagination": {"type": "page", "param": "p", "start": 0, "size_param": "per_page", "total": "$.meta.total",
                           "total_pages": "header:X-Pages", "stop": "total"},
            "page_size": 100, "concurrency": 75, "min_delay": "250 ms",
            "commit_every": {"bytes": "16 MB", "seconds": 0.5, "pages": 20}, "on_empty": "hold", "max_shrink": 0.2,
            "on_missing": "keep", "confirm_deletes": false, "on_new_field": "ignore", "on_bad_record": "fail",
            "max_rejects": 0, "retry": {"request_attempts": 3, "request_cap": "1 s", "attempts": 0, "delays": ["1 min", "01:00:00"]},
            "timeouts": {"connect": "3 s", "request": "1 minute", "probe": "5 s", "run": "2 hours"},
            "limits": {"pages": 10, "rows": 1000, "bytes": 1000000}, "undo": {"keep_runs": 0, "keep_days": 1},
            "verify": "always", "verify_every": "1 hour", "max_pause": "00:10:00", "owner": "app"}"#,
    );
    assert_eq!(all.records.steps.len(), 2);
    assert_eq!(all.params, [("status".to_owned(), "active".to_owned())]);
    assert_eq!(all.headers, [("Accept-Language".to_owned(), "en".to_owned())]);
    assert_eq!(all.page_size, Some(100));
    assert_eq!(all.min_delay, Duration::from_millis(250));
    let commit_every = CommitEvery {
        bytes: 16 << 20,
        time: Duration::from_millis(500),
        pages: Some(20),
    };
    assert_eq!(all.commit_every, commit_every);
    assert_eq!(
        (all.on_empty, all.on_missing, all.verify),
        (OnEmpty::Hold, OnMissing::Keep, Verify::Always)
    );
    let queue = QueuePolicy {
        attempts: 0,
        delays: vec![Duration::from_secs(60), Duration::from_secs(3600)],
    };
    assert_eq!(all.retry.queue, queue);
    assert!(!all.confirm_deletes);
    assert_eq!((all.on_bad_record, all.max_rejects), (OnBadRecord::Fail, 0));
    let defaults = Settings::default();
    assert_eq!(
        (defaults.on_bad_record, defaults.max_rejects),
        (OnBadRecord::Reject, 1000)
    );
    assert_eq!(all.timeouts.run, Some(Duration::from_secs(7200)));
    let limits = LimitSettings {
        pages: Some(10),
        rows: Some(1000),
        bytes: Some(1_000_000),
    };
    assert_eq!(all.limits, limits);
    assert_eq!(all.owner.as_deref(), Some("app"));
    assert!(matches!(
        all.pagination,
        Pagination::Page {
            start: 0,
            stop: Stop::Total,
            totals: Totals {
                records: Some(Source::Body(_)),
                pages: Some(Source::Header(_)),
            },
            ..
        }
    ));
}

#[test]
fn a_null_counts_as_not_given() {
    let document = r#"{"page_size": null, "retry": null, "pagination": null, "timeouts": {"run": null}}"#;
    assert_eq!(settings(document), Settings::default());
}

#[test]
fn an_unknown_key_names_its_nearest_neighbour() {
    for (document, path, nearest) in [
        (r#"{"page_sise": 1}"#, "page_sise", "page_size"),
        (r#"{"pagniation": {}}"#, "pagniation", "pagination"),
        (r#"{"onEmpty": "hold"}"#, "onEmpty", "on_empty"),
        (
            r#"{"retry": {"request_attemps": 1}}"#,
            "retry.request_attemps",
            "request_attempts",
        ),
        (
            r#"{"pagination": {"type": "page", "sizeparam": "x"}}"#,
            "pagination.sizeparam",
            "size_param",
        ),
        (
            r#"{"columns": {"id": {"path": "$.id", "typ": "text"}}}"#,
            "columns.id.typ",
            "type",
        ),
    ] {
        let error = refused(document);
        assert_eq!(error.to_string(), format!("unknown setting \"{path}\""));
        assert_eq!(error.hint().unwrap(), format!("Did you mean \"{nearest}\"?"));
        assert_eq!(error.sqlstate(), "22023");
    }
}

#[test]
fn wrong_retries_are_refused() {
    for (document, message) in [
        (
            r#"{"retry": {"attempts": -1}}"#,
            "setting \"retry.attempts\" must be a whole number from 0 to 1000",
        ),
        (
            r#"{"retry": {"delays": []}}"#,
            "setting \"retry.delays\" must be an array of 1 to 20 intervals",
        ),
        (
            r#"{"retry": {"delays": ["5 min", "0 s"]}}"#,
            "setting \"retry.delays[1]\" must be an interval from 1 second to 7 days",
        ),
        (
            r#"{"retry": {"delays": [5]}}"#,
            "setting \"retry.delays[0]\" must be an interval, as a text with its unit",
        ),
    ] {
        assert_eq!(refused(document).to_string(), message, "{document}");
    }
}

#[test]
fn a_wrong_value_says_what_it_must_be_and_shows_one() {
    for (document, message) in [
        (
            r#"{"page_size": 0}"#,
            "setting \"page_size\" must be a whole number from 1 to 1000000",
        ),
        (
            r#"{"page_size": "100"}"#,
            "setting \"page_size\" must be a whole number from 1 to 1000000",
        ),
        (
            r#"{"page_size": 1.5}"#,
            "setting \"page_size\" must be a whole number from 1 to 1000000",
        ),
        (
            r#"{"concurrency": 76}"#,
            "setting \"concurrency\" must be a whole number from 1 to 75",
        ),
        (
            r#"{"max_shrink": 0}"#,
            "setting \"max_shrink\" must be a number above 0 and at most 1",
        ),
        (
            r#"{"max_shrink": 50}"#,
            "setting \"max_shrink\" must be a number above 0 and at most 1",
        ),
        (
            r#"{"confirm_deletes": "no"}"#,
            "setting \"confirm_deletes\" must be true or false",
        ),
        (
            r#"{"min_delay": 5}"#,
            "setting \"min_delay\" must be an interval, as a text with its unit",
        ),
        (
            r#"{"min_delay": "5"}"#,
            "setting \"min_delay\" must be an interval, as a text with its unit",
        ),
        (
            r#"{"timeouts": {"request": "2 days"}}"#,
            "setting \"timeouts.request\" must be an interval from",
        ),
        (r#"{"timeouts": "10 s"}"#, "setting \"timeouts\" must be an object"),
        (
            r#"{"commit_every": {"bytes": 1}}"#,
            "setting \"commit_every.bytes\" must be from 64 kB to 1 GB",
        ),
        (
            r#"{"commit_every": {"seconds": "2 s"}}"#,
            "setting \"commit_every.seconds\" must be a number of seconds",
        ),
        (
            r#"{"limits": {"pages": -1}}"#,
            "setting \"limits.pages\" must be a whole number from 1 on",
        ),
        (r#"{"owner": ""}"#, "setting \"owner\" must be a name of 1 to 63 bytes"),
        (r#"{"on_empty": true}"#, "setting \"on_empty\" must be a text"),
        (
            r#"{"on_empty": "wait"}"#,
            "setting \"on_empty\" must be one of rollback, hold, accept",
        ),
        (r#"{"records": 1}"#, "setting \"records\" must be a path"),
        (
            r#"{"params": {"a": [1]}}"#,
            "setting \"params.a\" must be a text, a number or a boolean",
        ),
        (
            r#"{"columns": {"a": 1}}"#,
            "setting \"columns.a\" must be a path, or an object with \"path\"",
        ),
        (r#"{"pagination": "page"}"#, "setting \"pagination\" must be an object"),
    ] {
        let error = refused(document);
        assert!(error.to_string().starts_with(message), "{document}: {error}");
        assert_eq!(error.sqlstate(), "22023");
        assert!(!error.hint().unwrap().is_empty());
    }
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    for document in ["", "[]", "1", "null", "{", "{} x", "\"text\""] {
        assert!(
            matches!(
                refused(document),
                ConfigError::Settings(SettingsFault::NotAnObject { .. })
            ),
            "{document}"
        );
    }
    let twice = refused(r#"{"page_size": 1, "page_size": 2}"#);
    assert_eq!(twice.to_string(), "setting \"page_size\" is given twice");
}

#[test]
fn csv_is_what_its_settings_say() {
    let csv = |document: &str| settings(document).formats.csv;
    let given = csv(r#"{"csv": {"delimiter": "\t", "header": false, "columns": ["a", "b"], "encoding": "latin1"}}"#);
    assert_eq!((given.delimiter, given.header), (b'\t', false));
    assert_eq!(given.columns, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(given.encoding.name(), "windows-1252");
    assert_eq!(csv("{}"), crate::data::Csv::default());
    for document in [
        r#"{"csv": {"delimiter": ";;"}}"#,
        r#"{"csv": {"delimiter": "\""}}"#,
        r#"{"csv": {"header": false}}"#,
        r#"{"csv": {"columns": []}}"#,
        r#"{"csv": {"columns": ["a", "a"]}}"#,
        r#"{"csv": {"encoding": "klingon"}}"#,
        r#"{"csv": {"quote": "'"}}"#,
        r#"{"format": "ndjson", "csv": {"delimiter": ";"}}"#,
        r#"{"format": "csv", "records": "$.data"}"#,
        r#"{"format": "xml"}"#,
    ] {
        assert_eq!(refused(document).sqlstate(), "22023", "{document}");
    }
}

fn at(path: &str) -> Source {
    Source::Body(crate::data::path::SingularQuery::parse(path).unwrap())
}

#[test]
fn a_remote_that_names_the_next_page_is_followed_by_a_token_an_address_or_a_key() {
    let pagination = |document: &str| settings(document).pagination;
    assert_eq!(
        pagination(r#"{"pagination": {"type": "cursor", "next": "$.meta.next", "total": "$.total"}}"#),
        Pagination::Cursor {
            param: "cursor".into(),
            next: at("$.meta.next"),
            totals: Totals {
                records: Some(at("$.total")),
                pages: None,
            },
        }
    );
    assert_eq!(
        pagination(r#"{"pagination": {"type": "next_url", "next": "header:X-Next", "param": "page"}}"#),
        Pagination::NextUrl {
            next: Source::Header("X-Next".into()),
            param: Some("page".into()),
            totals: Totals::default(),
        }
    );
    let keyset = r#""pagination": {"type": "keyset", "param": "after", "column": "id"}}"#;
    for (rest, path) in [
        ("{", "$[-1].id"),
        (r#"{"records": "$.data", "#, "$.data[-1].id"),
        (
            r#"{"records": "$.data", "columns": {"id": "$.meta.nr"}, "#,
            "$.data[-1].meta.nr",
        ),
    ] {
        let last = at(path);
        assert_eq!(
            pagination(&format!("{rest}{keyset}")),
            Pagination::Keyset {
                param: "after".into(),
                column: "id".into(),
                last
            }
        );
    }
}

#[test]
fn a_remote_that_names_the_next_page_must_be_told_where() {
    for (document, needs) in [
        (r#"{"pagination": {"type": "cursor"}}"#, "pagination.next"),
        (r#"{"pagination": {"type": "next_url"}}"#, "pagination.next"),
        (
            r#"{"pagination": {"type": "keyset", "column": "id"}}"#,
            "pagination.param",
        ),
        (
            r#"{"pagination": {"type": "keyset", "param": "after"}}"#,
            "pagination.column",
        ),
    ] {
        let error = refused(document);
        assert!(error.to_string().contains(needs), "{error}");
        assert_eq!(error.sqlstate(), "22023");
    }
    for document in [
        r#"{"pagination": {"type": "cursor", "next": "$.a[*]"}}"#,
        r#"{"pagination": {"type": "cursor", "next": "header:"}}"#,
        r#"{"columns": {"a": "$.a"}, "pagination": {"type": "keyset", "param": "x", "column": "b"}}"#,
        r#"{"params": {"after": 1}, "pagination": {"type": "keyset", "param": "after", "column": "id"}}"#,
        r#"{"page_size": 5, "pagination": {"type": "cursor", "next": "$.n"}}"#,
    ] {
        assert_eq!(refused(document).sqlstate(), "22023", "{document}");
    }
}

#[test]
fn each_pagination_takes_its_own_settings() {
    assert_eq!(
        settings(r#"{"pagination": {"type": "page"}}"#).pagination,
        Pagination::Page {
            param: "page".into(),
            start: 1,
            size_param: None,
            totals: Totals::default(),
            stop: Stop::Empty
        }
    );
    assert_eq!(
        settings(
            r#"{"pagination": {"type": "offset", "param": "skip", "limit_param": "take",
                     "total": "header:X-Total-Count", "stop": "short"}, "page_size": 50}"#
        )
        .pagination,
        Pagination::Offset {
            param: "skip".into(),
            limit_param: Some("take".into()),
            totals: Totals {
                records: Some(Source::Header("X-Total-Count".into())),
                pages: None,
            },
            stop: Stop::Short,
        }
    );
    assert_eq!(
        settings(r#"{"pagination": {"type": "link_header"}}"#).pagination,
        Pagination::LinkHeader
    );
    assert_eq!(
        settings(r#"{"pagination": {"type": "none"}}"#).pagination,
        Pagination::None
    );
    for foreign in [
        r#"{"pagination": {"type": "offset", "start": 1}}"#,
        r#"{"pagination": {"type": "link_header", "param": "page"}}"#,
        r#"{"pagination": {"type": "none", "total": "$.total"}}"#,
    ] {
        assert!(
            matches!(refused(foreign), ConfigError::UnknownSetting { .. }),
            "{foreign}"
        );
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (document, needs) in [
        (r#"{"pagination": {}}"#, "pagination.type"),
        (r#"{"pagination": {"type": "page", "size_param": "n"}}"#, "page_size"),
        (r#"{"pagination": {"type": "offset", "limit_param": "n"}}"#, "page_size"),
        (
            r#"{"pagination": {"type": "page", "stop": "total"}}"#,
            "pagination.total",
        ),
        (r#"{"columns": {"id": {"type": "bigint"}}}"#, "columns.id.path"),
    ] {
        let error = refused(document);
        assert!(
            error.to_string().ends_with(&format!("needs setting \"{needs}\"")),
            "{error}"
        );
    }
    for document in [
        r#"{"page_size": 10}"#,
        r#"{"page_size": 10, "pagination": {"type": "link_header"}}"#,
    ] {
        assert_eq!(
            refused(document).to_string(),
            "setting \"page_size\" has no effect here"
        );
    }
}

#[test]
fn a_page_size_is_a_number_or_has_bounds() {
    let with =
        |size: &str| format!(r#"{{"page_size": {size}, "pagination": {{"type": "offset", "limit_param": "limit"}}}}"#);
    let bounded = settings(&with(r#"{"min": 50, "max": 400}"#));
    assert_eq!((bounded.page_size, bounded.first_size()), (Some(400), Some(50)));
    let bounds = bounded.page_bounds.map(|bounds| (bounds.least, bounds.most));
    assert_eq!(bounds, Some((50, 400)));
    let plain = settings(&with("100"));
    assert_eq!(
        (plain.page_size, plain.first_size(), plain.page_bounds),
        (Some(100), Some(100), None)
    );
    for (size, message) in [
        (
            r#"{"min": 50}"#,
            "setting \"page_size\" needs setting \"page_size.max\"",
        ),
        (
            r#"{"max": 50}"#,
            "setting \"page_size\" needs setting \"page_size.min\"",
        ),
        (
            r#"{"min": 50, "max": 49}"#,
            "setting \"page_size.max\" must be a whole number from 50 to 1000000",
        ),
    ] {
        assert_eq!(refused(&with(size)).to_string(), message);
    }
    let untold = r#"{"page_size": {"min": 1, "max": 2}, "pagination": {"type": "page"}}"#;
    assert!(
        refused(untold)
            .to_string()
            .ends_with("needs setting \"pagination.size_param\"")
    );
    let numbered = settings(&untold.replace("\"page\"}", "\"page\", \"size_param\": \"n\"}"));
    assert!(numbered.check_mode(Mode::Append).is_err() && numbered.check_mode(Mode::Upsert).is_ok());
    let below = with(r#"{"min": 1, "max": 2}"#).replacen(
        '{',
        r#"{"foreach": {"query": "SELECT 1 AS id"}, "columns": {"id": "$.id", "of": {"parent": "id"}}, "#,
        1,
    );
    assert!(
        refused(&below).to_string().contains("beside \"foreach\""),
        "{}",
        refused(&below)
    );
}

#[test]
fn a_parameter_that_the_pagination_sets_is_refused() {
    let page = r#"{"pagination": {"type": "page", "size_param": "n"}, "page_size": 5, "params": {"NAME": 1}}"#;
    for name in ["page", "n"] {
        let error = refused(&page.replace("NAME", name));
        assert_eq!(
            error.to_string(),
            format!("parameter \"{name}\" is set by the pagination")
        );
    }
    assert_eq!(
        settings(&page.replace("NAME", "size")).params,
        [("size".to_owned(), "1".to_owned())]
    );
}

#[test]
fn parameters_keep_their_order_and_digits() {
    let params = settings(r#"{"params": {"z": 12345678901234567890123, "a": true, "m": "x y", "f": 1.10}}"#).params;
    let shown: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(shown, ["z=12345678901234567890123", "a=true", "m=x y", "f=1.10"]);
}

#[test]
fn headers_that_are_not_the_jobs_are_refused() {
    for name in [
        "Host",
        "authorization",
        "Cookie",
        "Proxy-Authorization",
        "Proxy-X",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
    ] {
        let error = refused(&format!(r#"{{"headers": {{"{name}": "hunter2"}}}}"#));
        assert_eq!(error.to_string(), format!("header \"{name}\" cannot be set by a job"));
        assert!(!told(&error).contains("hunter2"));
    }
    for (name, value) in [
        ("X Y", "1"),
        ("X", "a\\r\\nHost: evil"),
        ("X", "ü"),
        ("", "1"),
        ("X:", "1"),
    ] {
        assert!(
            Settings::parse(&format!(r#"{{"headers": {{"{name}": "{value}"}}}}"#)).is_err(),
            "{name}: {value}"
        );
    }
}

#[test]
fn a_credential_in_the_settings_is_refused_and_not_repeated() {
    for document in [
        r#"{"params": {"api_key": "hunter2"}}"#,
        r#"{"params": {"access_token": "hunter2"}}"#,
        r#"{"headers": {"X-API-Key": "hunter2"}}"#,
        r#"{"headers": {"Authorization": "Bearer hunter2"}}"#,
        r#"{"headers": {"X-Y": "hunter2ü"}}"#,
        r#"{"params": {"x": ["hunter2"]}}"#,
    ] {
        let error = refused(document);
        assert!(!format!("{} {error:?}", told(&error)).contains("hunter2"), "{error:?}");
    }
}

#[test]
fn columns_are_paths_or_objects_in_the_order_of_the_text() {
    let document = r#"{"columns": {"z": "$.z", "a": {"path": "$.x.y", "type": "numeric(12,2)",
                       "default": 12345678901234567890.10}}}"#;
    let columns = settings(document).columns.unwrap();
    assert_eq!(
        columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
        ["z", "a"]
    );
    assert_eq!(columns[1].type_name.as_deref(), Some("numeric(12,2)"));
    assert_eq!(columns[1].default.as_deref(), Some("12345678901234567890.10"));
    assert_eq!(columns[1].query.steps.len(), 2);
}

#[test]
fn a_column_that_a_table_cannot_have_is_refused() {
    for name in ["", "ctid", "xmin", "a\\nb", &"x".repeat(64)] {
        let error = refused(&format!(r#"{{"columns": {{"{name}": "$.x"}}}}"#));
        assert_eq!(error.sqlstate(), "42602", "{name}");
    }
    assert_eq!(
        refused(r#"{"columns": {}}"#).to_string(),
        "setting \"columns\" names no column"
    );
}

#[test]
fn a_path_that_may_select_many_values_is_refused() {
    for document in [
        r#"{"records": "$..items"}"#,
        r#"{"columns": {"a": "$.x[*]"}}"#,
        r#"{"pagination": {"type": "page", "total": "$.x[?@.y]"}}"#,
    ] {
        let error = refused(document);
        assert!(
            error.to_string().ends_with("is not a path to one value"),
            "{document}: {error}"
        );
        assert!(error.detail().unwrap().ends_with('.'));
    }
}

proptest! {
    #[test]
    fn no_document_panics(document in r#"[\{\}\[\]":,a-z_0-9. $*\\-]{0,60}"#) {
        let _ = Settings::parse(&document);
    }

    #[test]
    fn any_value_of_any_setting_is_read_or_refused_in_form(
        key in prop::sample::select(keys::SETTINGS.known.to_vec()),
        value in prop::sample::select(vec![
            "0", "-1", "1e400", "1.5", "true", "null", "\"\"", "\"a\\nb\"", "[]", "{}", "{\"type\": 1}", "{\"a\": {}}",
            "\"10 s\"", "99999999999999999999999", "[{\"a\": 1}]",
        ]),
    ) {
        if let Err(error) = Settings::parse(&format!("{{\"{key}\": {value}}}")) {
            prop_assert!(!error.to_string().contains('\n'));
            prop_assert!(error.hint().is_some(), "{}", error);
        }
    }
}

#[test]
fn a_new_field_is_ignored_added_or_an_error() {
    let read = |word: &str| settings(&format!(r#"{{"on_new_field": "{word}"}}"#)).on_new_field;
    assert_eq!(read("ignore"), OnNewField::Ignore);
    assert_eq!(read("add_column"), OnNewField::AddColumn);
    assert_eq!(read("fail"), OnNewField::Fail);
    let error = refused(r#"{"on_new_field": "add"}"#);
    assert_eq!(error.sqlstate(), "22023");
    assert!(told(&error).contains("add_column"), "{}", told(&error));
}

#[test]
fn a_post_sends_its_body_with_every_digit_and_the_pages_parameters_go_into_it() {
    let searching = settings(
        r#"{"method": "POST", "body": {"min": 1.50, "big": 123456789012345678901234567890},
            "pagination": {"type": "cursor", "param": "$.page.after", "next": "$.next"}, "params": {"page": 1}}"#,
    );
    assert_eq!(searching.method, Method::Post);
    assert_eq!(
        searching.body.unwrap().to_string(),
        r#"{"big":123456789012345678901234567890,"min":1.50}"#
    );
    assert_eq!(searching.param_place, ParamPlace::Body);
    for in_query in [
        r#"{"method": "POST", "pagination": {"type": "page"}}"#,
        r#"{"method": "POST", "body": [1], "pagination": {"type": "page"}}"#,
        r#"{"method": "POST", "body": {}, "pagination": {"type": "page", "param_in": "query"}}"#,
        r#"{"method": "GET", "pagination": {"type": "page", "param_in": null}}"#,
    ] {
        assert_eq!(settings(in_query).param_place, ParamPlace::Query, "{in_query}");
    }
}

#[test]
fn a_method_a_body_or_a_parameter_that_cannot_be_is_refused() {
    for (document, message) in [
        (
            r#"{"method": "HEAD"}"#,
            "setting \"method\" must be GET or POST, since an answer to HEAD holds no records",
        ),
        (r#"{"body": {}}"#, "setting \"body\" needs setting \"method\""),
        (
            r#"{"method": "GET", "body": {}}"#,
            "setting \"body\" needs setting \"method\"",
        ),
        (
            r#"{"method": "POST", "pagination": {"type": "page", "param_in": "body"}}"#,
            "setting \"pagination.param_in\" needs setting \"body\"",
        ),
        (
            r#"{"method": "POST", "body": {"a": 1}, "pagination": {"type": "page", "param": "$.a.page"}}"#,
            "parameter \"$.a.page\" cannot go there",
        ),
        (
            r#"{"method": "POST", "body": {}, "pagination": {"type": "offset", "param_in": "query", "param": "$.x"}}"#,
            "parameter \"$.x\" cannot go there",
        ),
        (
            r#"{"pagination": {"type": "page", "stop": "total"}}"#,
            "setting \"pagination.stop\" needs setting \"pagination.total\"",
        ),
    ] {
        let error = refused(document);
        assert_eq!(error.to_string(), message, "{document}");
        assert_eq!(error.sqlstate(), "22023", "{document}");
    }
    assert_eq!(refused(r#"{"method": "PUT"}"#).sqlstate(), "22023");
    let by_pages = r#"{"pagination": {"type": "page", "stop": "total", "total_pages": "$.pages"}}"#;
    assert!(settings(by_pages).pagination.total_pages().is_some());
}

#[test]
fn a_keyset_goes_by_the_whole_key_or_by_what_a_parent_leaves_of_it() {
    let read = |columns: &str, foreach: &str| {
        let keyset = r#""pagination": {"type": "keyset", "param": "after", "column": "id"}"#;
        Settings::parse(&format!("{{{columns}{foreach}{keyset}}}")).unwrap()
    };
    let key = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let plain = read("", "");
    assert_eq!(plain.keyset_beside(&key(&["id"])), None);
    for other in [&["ts"] as &[&str], &["id", "shop"], &["shop", "id"], &[]] {
        assert_eq!(plain.keyset_beside(&key(other)), Some("id"), "{other:?}");
    }
    let below = read(
        r#""columns": {"id": "$.id", "shop": {"parent": "shop"}, "kind": "$.kind"}, "#,
        r#""foreach": {"query": "SELECT shop FROM shops"}, "#,
    );
    assert_eq!(below.keyset_beside(&key(&["shop", "id"])), None);
    assert_eq!(below.keyset_beside(&key(&["shop", "id", "kind"])), Some("id"));
    assert_eq!(Settings::parse("{}").unwrap().keyset_beside(&[]), None);
}
