//! JSON arrays as PostgreSQL writes arrays (array_in of the manual's section 8.15.6), for columns of array types.

use super::escape::content_of;
use super::kind::JsonKind;
use super::misfit::Misfit;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The text that the array's input function takes. A string is taken as such a text already.
pub(super) fn array_text(raw: &str) -> Result<Cow<'_, str>, Misfit> {
    match JsonKind::of(raw) {
        JsonKind::String => content_of(raw),
        JsonKind::Array => {
            let mut out = String::with_capacity(raw.len() + 2);
            write_array(raw, &mut out)?;
            Ok(Cow::Owned(out))
        }
        _ => Err(Misfit::Syntax),
    }
}

/// How deep it goes was checked with the document.
fn write_array(raw: &str, out: &mut String) -> Result<(), Misfit> {
    let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| Misfit::Syntax)?;
    out.push('{');
    for (at, element) in elements.into_iter().map(RawValue::get).enumerate() {
        if at > 0 {
            out.push(',');
        }
        match JsonKind::of(element) {
            JsonKind::Null => out.push_str("NULL"),
            JsonKind::Array => write_array(element, out)?,
            JsonKind::String => write_quoted(&content_of(element)?, out),
            // Numbers and booleans; an object for elements of a JSON type.
            _ => write_quoted(element, out),
        }
    }
    out.push('}');
    Ok(())
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::array_text;
    use crate::data::Misfit;

    #[test]
    fn arrays_are_written_as_postgresql_reads_them() {
        for (json, expected) in [
            ("[]", "{}"),
            (r#"[1, 2.50, null, true]"#, r#"{"1","2.50",NULL,"true"}"#),
            (
                r#"["a,b", "", "null", "say \"hi\"\\", "{x}"]"#,
                r#"{"a,b","","null","say \"hi\"\\","{x}"}"#,
            ),
            (r#"[[1,2],[3,4]]"#, r#"{{"1","2"},{"3","4"}}"#),
            (r#"[{"a": "b"}]"#, r#"{"{\"a\": \"b\"}"}"#),
            (r#""{1,2}""#, "{1,2}"),
        ] {
            assert_eq!(array_text(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_array_is_none() {
        assert_eq!(array_text("5"), Err(Misfit::Syntax));
        assert_eq!(array_text(r#"{"a": 1}"#), Err(Misfit::Syntax));
        assert_eq!(array_text(r#"["\u0000"]"#), Err(Misfit::Nul));
    }
}
