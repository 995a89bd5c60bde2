//! The query of a request: pairs in their order, decoded; and back into text for the links to a next page.

use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Query { pairs: pairs.collect() }
    }

    /// The members of a JSON body are parameters too, in objects of any depth; they come before those of the address.
    pub(crate) fn add_json(&mut self, body: &[u8]) {
        let mut members = Vec::new();
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            collect(&value, &mut members);
        }
        members.append(&mut self.pairs);
        self.pairs = members;
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same query with one parameter replaced, or appended.
    pub(crate) fn with(&self, name: &str, value: &str) -> Query {
        let mut pairs = self.pairs.clone();
        match pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => pairs.push((name.to_owned(), value.to_owned())),
        }
        Query { pairs }
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (name, value)) in self.pairs.iter().enumerate() {
            let separator = if at == 0 { "" } else { "&" };
            write!(out, "{separator}{}={}", encode(name), encode(value))?;
        }
        Ok(())
    }
}

fn collect(value: &Value, pairs: &mut Vec<(String, String)>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => collect(value, pairs),
            Value::String(text) => pairs.push((name.clone(), text.clone())),
            Value::Number(_) | Value::Bool(_) => pairs.push((name.clone(), value.to_string())),
            Value::Null | Value::Array(_) => {}
        }
    }
}

/// `%xx` and `+`; a broken escape stays as it is.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = if byte == b'%' { hex_byte(after) } else { None };
        out.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

/// Escapes all but RFC 3986's unreserved characters.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_written_back() {
        let query = Query::parse("a=1&name=two+words%21&flag&bad=%zz");
        assert_eq!(query.get("name"), Some("two words!"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.get("bad"), Some("%zz"));
        assert_eq!(query.get("none"), None);
        assert_eq!(
            query.with("a", "2 3").to_string(),
            "a=2%203&name=two%20words%21&flag=&bad=%25zz"
        );
        assert_eq!(Query::default().with("page", "2").to_string(), "page=2");
    }
}
