//! Credentials that a remote repeats, found in its text however it spells them.
//!
//! An error page writes a token as JSON (`\/`, `\u002b`), into a URL (`%2F`, `+`) or into HTML (`&#x2F;`, `&amp;`). Each
//! character may be spelled in its own way: so a text is compared as it is read, and not with a list of spellings.

use super::Secret;

/// What stands in the place of a credential.
const HIDDEN: &str = "***";
/// The longest spelling of one character: `&#x0010FFFF;`.
const LONGEST_SPELLING: usize = 12;

/// The text without any of the secrets.
pub fn redact(text: &str, secrets: &[Secret]) -> String {
    let secrets: Vec<Vec<char>> = secrets.iter().map(|secret| secret.expose().chars().collect()).collect();
    let secrets: Vec<&[char]> = secrets
        .iter()
        .map(Vec::as_slice)
        .filter(|chars| !chars.is_empty())
        .collect();
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let may_begin = |secret: &&&[char]| readings(rest).any(|(character, _)| character == secret[0]);
        let begun = secrets.iter().filter(may_begin);
        let longest = begun.filter_map(|secret| spelled(rest, secret)).max();
        match longest {
            Some(length) => {
                shown.push_str(HIDDEN);
                rest = &rest[length..];
            }
            None => {
                shown.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    shown
}

/// Whether a secret is anywhere in the text.
pub fn repeats(text: &str, secrets: &[Secret]) -> bool {
    redact(text, secrets) != text
}

/// How many bytes of the text's beginning spell the secret.
fn spelled(text: &str, secret: &[char]) -> Option<usize> {
    // A sign that begins a spelling may also stand for itself: both are followed.
    let mut ends = vec![0];
    for wanted in secret {
        let mut next = Vec::new();
        for (character, end) in ends
            .iter()
            .flat_map(|&from| readings(&text[from..]).map(move |(c, n)| (c, from + n)))
        {
            if character == *wanted && !next.contains(&end) {
                next.push(end);
            }
        }
        if next.is_empty() {
            return None;
        }
        ends = next;
    }
    ends.into_iter().max()
}

/// What the text's beginning may be read as: a character, and the bytes that spell it.
fn readings(text: &str) -> impl Iterator<Item = (char, usize)> {
    let plain = text.chars().next().map(|first| (first, first.len_utf8()));
    let other = match text.as_bytes().first() {
        Some(b'\\') => escaped(text),
        Some(b'%') => percent(text),
        Some(b'&') => entity(text),
        Some(b'+') => Some((' ', 1)),
        _ => None,
    };
    [plain, other].into_iter().flatten()
}

/// `\/` and `\u002f` of JSON.
fn escaped(text: &str) -> Option<(char, usize)> {
    match text[1..].chars().next()? {
        'u' => Some((hex(text.get(2..6)?)?, 6)),
        'n' => Some(('\n', 2)),
        't' => Some(('\t', 2)),
        other => Some((other, 1 + other.len_utf8())),
    }
}

/// `%2F`: one character of UTF-8, whose further bytes are spelled in the same way.
fn percent(text: &str) -> Option<(char, usize)> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(byte) = rest.strip_prefix('%').and_then(|digits| digits.get(..2)) {
        bytes.push(u8::from_str_radix(byte, 16).ok()?);
        rest = &rest[3..];
        if let Ok(read) = std::str::from_utf8(&bytes) {
            return Some((read.chars().next()?, bytes.len() * 3));
        }
        if bytes.len() == 4 {
            break;
        }
    }
    None
}

/// `&amp;`, `&#47;` and `&#x2F;` of HTML.
fn entity(text: &str) -> Option<(char, usize)> {
    let (name, _) = text[1..]
        .split_once(';')
        .filter(|(name, _)| name.len() + 2 <= LONGEST_SPELLING)?;
    let read = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => match name.strip_prefix('#')? {
            number if number.starts_with(['x', 'X']) => hex(&number[1..])?,
            number => char::from_u32(number.parse().ok()?)?,
        },
    };
    Some((read, name.len() + 2))
}

fn hex(digits: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hidden(text: &str, secret: &str) -> String {
        redact(text, &[Secret::new(secret)])
    }

    #[test]
    fn a_credential_is_found_in_every_spelling() {
        let secret = "ab/c+d=%é&\"e f";
        let spellings = [
            secret.to_owned(),
            serde_json::Value::from(secret).to_string().trim_matches('"').to_owned(),
            r#"ab\/c+d=%é&\"e f"#.to_owned(),
            r"ab\u002fc\u002Bd\u003d%\u00e9\u0026\u0022e f".to_owned(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            "ab%2fc%2bd%3d%25%c3%a9%26%22e%20f".to_owned(),
            "ab&#x2F;c&#43;d&#x3D;%é&amp;&quot;e f".to_owned(),
            "ab/c+d=%%C3%A9&%22e+f".to_owned(),
        ];
        for spelling in spellings {
            assert_eq!(hidden(&format!("x {spelling} y"), secret), "x *** y", "{spelling}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let text = r#"{"a": "100%", "b": "x\/y &c; é %zz %e9 &#xZ; &#99999999999; \u12"}"#;
        assert_eq!(hidden(text, "secret"), text);
        assert_eq!(hidden(text, ""), text);
        assert_eq!(hidden("secre", "secret"), "secre");
        assert!(!repeats(text, &[Secret::new("secret")]));
    }

    #[test]
    fn of_secrets_that_begin_alike_the_longest_is_hidden() {
        let secrets = [Secret::new("tok"), Secret::new("token-1")];
        assert_eq!(redact("token-1 tok", &secrets), "*** ***");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[\\\\%&+u#x;0-9a-fé]{0,40}", secret in "[%&+\\\\a-c]{1,4}") {
            let shown = hidden(&text, &secret);
            prop_assert!(!shown.contains(&secret), "{} in {}", secret, shown);
        }
    }
}
