use std::time::Duration;

use super::Settings;
use crate::connection::ConfigError;
use crate::cursor::CursorFormat;
use crate::error::Explain;
use crate::job::Mode;
use crate::pagination::ParamPlace;

fn refused(document: &str) -> ConfigError {
    match Settings::parse(document) {
        Ok(_) => panic!("{document} was taken"),
        Err(error) => error,
    }
}

#[test]
fn a_cursor_has_a_column_and_a_parameter() {
    let document = r#"{"columns": {"changed": "$.meta.updated_at"},
        "cursor": {"column": "changed", "param": "since", "template": "at ge {cursor}", "format": "epoch_ms",
                   "lookback": "90 s"}}"#;
    let settings = Settings::parse(document).expect("a cursor");
    let cursor = settings.cursor.clone().expect("given");
    assert_eq!(cursor.query.to_string(), "$.meta.updated_at");
    assert_eq!((cursor.param.as_str(), cursor.format), ("since", CursorFormat::EpochMs));
    assert_eq!(cursor.lookback, Duration::from_secs(90));
    assert!(settings.check_mode(Mode::Upsert).is_ok());
    assert_eq!(settings.check_mode(Mode::Replace).unwrap_err().sqlstate(), "22023");
    let least = Settings::parse(r#"{"cursor": {"column": "at", "param": "since"}}"#).expect("a cursor");
    let least = least.cursor.expect("given");
    assert_eq!((least.query.to_string().as_str(), least.template), ("$.at", None));
    assert_eq!((least.format, least.lookback), (CursorFormat::Iso8601, Duration::ZERO));
    let path = Settings::parse(r#"{"columns": {"id": "$.id"}, "cursor": {"column": "$.meta.at", "param": "since"}}"#);
    assert_eq!(
        path.expect("a path").cursor.expect("given").query.to_string(),
        "$.meta.at"
    );
}

#[test]
fn a_keyset_may_go_on_by_the_cursors_own_parameter() {
    let keyset = r#"{"pagination": {"type": "keyset", "param": "since", "column": "at"}, "cursor": {"column": "at", "param": "since"}}"#;
    assert!(Settings::parse(keyset).is_ok());
}

#[test]
fn the_parameter_of_a_cursor_goes_where_those_of_the_pages_go() {
    let posting = |param: &str, more: &str| {
        let cursor = format!(r#"{{"column": "at", "param": "{param}"}}"#);
        Settings::parse(&format!(r#"{{"method": "POST", "cursor": {cursor}, {more}}}"#))
            .map(|settings| settings.param_place)
    };
    let object = r#""params": {"since": 1}, "body": {"filter": {"x": 1}, "n": 1}"#;
    for param in ["since", "$.filter.since", "$.filter.x"] {
        assert_eq!(posting(param, object), Ok(ParamPlace::Body), "{param}");
    }
    for param in ["$.n.since", "$", "$.filter[0]"] {
        let error = posting(param, object).unwrap_err();
        assert_eq!(error.to_string(), format!("parameter \"{param}\" cannot go there"));
        assert_eq!(error.detail().as_deref(), Some("It is the setting \"cursor.param\"."));
    }
    let paged = r#""body": {}, "pagination": {"type": "page", "param": "$.paging.page"}"#;
    assert_eq!(posting("$.paging.since", paged), Ok(ParamPlace::Body));
    for param in ["$.paging.page", "paging", "$.paging.page.x"] {
        assert_eq!(posting(param, paged).unwrap_err().sqlstate(), "22023", "{param}");
    }
    let keyset = r#""body": {}, "pagination": {"type": "keyset", "param": "$.since", "column": "at"}"#;
    assert_eq!(posting("$.since", keyset), Ok(ParamPlace::Body));
    assert!(posting("since", keyset).is_err());
    let in_query = r#""body": {}, "pagination": {"type": "page", "param_in": "query"}"#;
    assert_eq!(posting("since", in_query), Ok(ParamPlace::Query));
    assert!(posting("$.since", in_query).is_err());
    assert_eq!(posting("since", r#""body": [1]"#), Ok(ParamPlace::Query));
}

#[test]
fn a_wrong_cursor_says_what_it_must_be() {
    for (document, message) in [
        (
            r#"{"cursor": {"param": "since"}}"#,
            "setting \"cursor\" needs setting \"cursor.column\"",
        ),
        (
            r#"{"cursor": {"column": "at"}}"#,
            "setting \"cursor\" needs setting \"cursor.param\"",
        ),
        (
            r#"{"columns": {"id": "$.id"}, "cursor": {"column": "at", "param": "since"}}"#,
            "setting \"cursor.column\" must be one of the columns that the setting columns declares, or a path",
        ),
        (
            r#"{"cursor": {"column": "$.a[*]", "param": "since"}}"#,
            "setting \"cursor.column\" is not a path to one value",
        ),
        (
            r#"{"cursor": {"column": "at", "param": "since", "template": "at ge 1"}}"#,
            "setting \"cursor.template\" must be a text around {cursor}",
        ),
        (
            r#"{"params": {"since": 1}, "cursor": {"column": "at", "param": "since"}}"#,
            "setting \"cursor.param\" must be a parameter that neither params nor the pagination sets",
        ),
        (
            r#"{"cursor": {"column": "at", "param": "page"}, "pagination": {"type": "page"}}"#,
            "setting \"cursor.param\" must be a parameter that neither params nor the pagination sets",
        ),
        (
            r#"{"cursor": {"column": "at", "param": "access_token"}}"#,
            "parameter \"access_token\" looks like a credential",
        ),
        (
            r#"{"cursor": {"column": "at", "param": "since", "format": "text", "lookback": "1 h"}}"#,
            "setting \"cursor.lookback\" has no effect here",
        ),
        (
            r#"{"cursor": {"column": "at", "param": "since", "format": "unix"}}"#,
            "setting \"cursor.format\" must be one of iso8601, http_date, epoch_s, epoch_ms, epoch_us, text",
        ),
        (
            r#"{"cursor": {"column": "at", "param": "since", "lockback": "1 h"}}"#,
            "unknown setting \"cursor.lockback\"",
        ),
    ] {
        let error = refused(document);
        assert_eq!(error.to_string(), message, "{document}");
        assert_eq!(error.sqlstate(), "22023");
        assert!(error.hint().is_some(), "{document}");
    }
}

#[test]
fn reads_of_everything_and_tombstones_are_told() {
    let document = r#"{"cursor": {"column": "at", "param": "since"}, "reconcile_every": "1 day", "deleted_when": "@.gone == true"}"#;
    let settings = Settings::parse(document).expect("settings");
    assert_eq!(settings.reconcile_every, Some(Duration::from_secs(86_400)));
    assert_eq!(
        settings.deleted_when.as_ref().map(|when| when.text()),
        Some("@.gone == true")
    );
    let none = Settings::default();
    assert_eq!((none.reconcile_every, none.deleted_when), (None, None));
    for (document, message) in [
        (
            r#"{"reconcile_every": "1 day"}"#,
            "setting \"reconcile_every\" needs setting \"cursor\"",
        ),
        (
            r#"{"deleted_when": "$.deleted == true"}"#,
            "setting \"deleted_when\" must be a logical expression of RFC 9535 on the record @",
        ),
        (
            r#"{"on_missing": "mark", "columns": {"_deleted_at": "$.x"}}"#,
            "setting \"columns._deleted_at\" has no effect here",
        ),
    ] {
        assert_eq!(refused(document).to_string(), message, "{document}");
    }
}

#[test]
fn only_what_changes_the_records_voids_a_watermark() {
    let settings = |document: &str| Settings::parse(document).expect("settings");
    let before = settings(
        r#"{"columns": {"id": "$.id", "at": "$.at"}, "params": {"a": 1, "b": 2}, "cursor": {"column": "at", "param": "since"}}"#,
    );
    for same in [
        r#"{"columns": {"at": "$.at", "id": "$.id"}, "params": {"b": 2, "a": 1}, "cursor": {"column": "at", "param": "since"}}"#,
        r#"{"columns": {"id": "$.id", "at": "$.at"}, "params": {"a": 1, "b": 2}, "page_size": null, "max_shrink": 0.1,
            "cursor": {"column": "at", "param": "from", "lookback": "1 h"}}"#,
    ] {
        assert!(before.reads_the_same(&settings(same)), "{same}");
    }
    for other in [
        r#"{"columns": {"id": "$.id", "at": "$.at"}, "params": {"a": 1}, "cursor": {"column": "at", "param": "since"}}"#,
        r#"{"columns": {"id": "$.id", "at": "$.at"}, "params": {"a": 1, "b": 2}, "cursor": {"column": "id", "param": "since"}}"#,
        r#"{"columns": {"id": "$.id", "at": "$.at"}, "params": {"a": 1, "b": 2}, "cursor": {"column": "at", "param": "since", "format": "text"}}"#,
        r#"{"columns": {"id": "$.id", "at": "$.at", "x": "$.x"}, "params": {"a": 1, "b": 2}, "cursor": {"column": "at", "param": "since"}}"#,
    ] {
        assert!(!before.reads_the_same(&settings(other)), "{other}");
    }
}
