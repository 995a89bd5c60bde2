//! What names may be made of: secrets, headers.

/// Whether a text can be the name of a secret: a letter or an underscore, then at most 62 letters, digits, `_`, `.`, `-`.
pub fn is_secret_name(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// A token of RFC 9110 section 5.6.2: what a header's name is made of.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Headers that the connection or HTTP itself sets.
pub fn is_reserved_header(name: &str) -> bool {
    const RESERVED: [&str; 6] = [
        "host",
        "authorization",
        "cookie",
        "content-length",
        "transfer-encoding",
        "connection",
    ];
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with("proxy-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_secret_is_an_identifier() {
        for name in ["shop_token", "_x", "shop.eu-1"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["", "1token", "Bearer abc", "a/b", "ключ", &"x".repeat(64)] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_header_is_a_token_and_not_one_of_ours() {
        assert!(is_token("X-Request-Id"));
        for name in ["", "X Request", "X:Y", "X\r\nY", "Ü"] {
            assert!(!is_token(name), "{name:?}");
        }
        for name in [
            "Host",
            "AUTHORIZATION",
            "cookie",
            "Proxy-Authorization",
            "proxy-anything",
            "Connection",
        ] {
            assert!(is_reserved_header(name), "{name}");
        }
        assert!(!is_reserved_header("Accept"));
    }
}
