//! A job's settings document: refused by a message that a person can read and that repeats no value of a parameter or
//! header, or accepted with every value in its range, however the document is spaced.

use crate::oracle::well_told;
use serde_json::Value;
use sluice_core::settings::{MOST_CONCURRENCY, Settings};

/// Stands in the corpus where a person might paste a credential.
const PASTED: &str = "hunter2";

pub fn check(input: &[u8]) {
    let Ok(document) = std::str::from_utf8(input) else {
        return;
    };
    match Settings::parse(document) {
        Err(error) => {
            well_told(&error);
            check_kept_secret(document, &error);
        }
        Ok(settings) => {
            check_ranges(&settings);
            check_spelling(document, &settings);
        }
    }
}

fn check_kept_secret(document: &str, error: &dyn sluice_core::Explain) {
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(document) else {
        return;
    };
    let in_values = |key: &str| match members.get(key) {
        Some(Value::Object(members)) => members.values().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let pasted: usize = ["params", "headers"]
        .iter()
        .flat_map(|key| in_values(key))
        .map(|v| v.matches(PASTED).count())
        .sum();
    if pasted > 0 && pasted == document.matches(PASTED).count() {
        let told = [Some(error.to_string()), error.detail(), error.hint()];
        assert!(told.iter().flatten().all(|text| !text.contains(PASTED)), "{told:?}");
    }
}

fn check_ranges(settings: &Settings) {
    assert!((1..=MOST_CONCURRENCY).contains(&settings.concurrency));
    assert!(settings.max_shrink > 0.0 && settings.max_shrink <= 1.0);
    assert!(settings.page_size.is_none_or(|size| (1..=1_000_000).contains(&size)));
    for column in settings.columns.iter().flatten() {
        assert!((1..=63).contains(&column.name.len()));
        if let Some(default) = &column.default {
            serde_json::from_str::<&serde_json::value::RawValue>(default).expect("JSON text");
        }
    }
}

/// Blanks between the tokens and members that are null change nothing; a member that nobody knows is refused.
fn check_spelling(document: &str, settings: &Settings) {
    // The default of a column is kept as text, blanks included.
    if !document.contains("default") && !document.contains('\\') {
        assert_eq!(Settings::parse(&spaced(document)).as_ref(), Ok(settings));
    }
    let object = document.trim_start().trim_start_matches('\u{feff}');
    let rest = object.strip_prefix('{').expect("an object");
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    if !document.contains("verify") {
        let with_null = format!("{{\"verify\": null{comma}{rest}");
        assert_eq!(Settings::parse(&with_null).as_ref(), Ok(settings));
    }
    let unknown = format!("{{\"zz_unknown\": null{comma}{rest}");
    assert!(Settings::parse(&unknown).is_err());
}

/// With blanks around everything that is no part of a string or a word.
fn spaced(document: &str) -> String {
    let mut in_string = false;
    let mut text = String::new();
    for c in document.chars() {
        in_string ^= c == '"';
        match c {
            '{' | '}' | '[' | ']' | ',' | ':' if !in_string => text.extend([' ', c, '\n']),
            c => text.push(c),
        }
    }
    text
}
