//! A connection's options as a JSON document, for applications that call `create_connection`.

use serde_json::{Map, Value};

use super::fault::ConnectionFault;

/// The options of a JSON object, as CREATE SERVER takes them: texts as they are, numbers and truth values as text.
///
/// # Errors
/// Anything but an object of texts, numbers and truth values.
pub fn options_of_document(document: &str) -> Result<Vec<(String, String)>, ConnectionFault> {
    let members: Map<String, Value> = serde_json::from_str(document).map_err(|_| ConnectionFault::NotADocument)?;
    let option = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Bool(on) => Ok((name, if on { "on" } else { "off" }.to_owned())),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(ConnectionFault::NotADocument),
    };
    members.into_iter().map(option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_become_texts_and_anything_else_is_refused() {
        let options = options_of_document(r#"{"auth": "bearer", "max_concurrency": 4, "plain_http": true}"#).unwrap();
        assert!(options.contains(&("auth".to_owned(), "bearer".to_owned())));
        assert!(options.contains(&("max_concurrency".to_owned(), "4".to_owned())));
        assert!(options.contains(&("plain_http".to_owned(), "on".to_owned())));
        for wrong in ["[]", "1", "{\"auth\": null}", "{\"auth\": {}}", "no json"] {
            assert_eq!(
                options_of_document(wrong),
                Err(ConnectionFault::NotADocument),
                "{wrong}"
            );
        }
    }
}
