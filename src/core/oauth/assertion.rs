//! What a client says of itself where it proves itself with a private key (RFC 7523, 3), up to its signature, which is
//! made where keys are.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use super::options::OAuthOptions;
use crate::http::Secret;

/// It is used at once. Clocks may differ by less than this.
const LIFETIME: i64 = 60;

/// The text that is signed (RFC 7515, 7.1). `id` must not come again: the remote takes each once.
pub fn assertion_text(options: &OAuthOptions, algorithm: &str, now: i64, id: &str) -> String {
    let mut header = json!({"alg": algorithm, "typ": "JWT"});
    if let Some(key) = &options.client_key_id {
        header["kid"] = json!(key);
    }
    let claims = json!({"iss": options.client_id, "sub": options.client_id, "aud": options.token_url.as_str(), "jti": id,
                        "iat": now, "exp": now + LIFETIME});
    let encoded = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", encoded(&header), encoded(&claims))
}

/// The text with its signature.
pub fn signed_assertion(text: &str, signature: &[u8]) -> Secret {
    Secret::new(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// A signature of two numbers as ECDSA has it in DER (RFC 3279, 2.2.3), as JSON has it (RFC 7518, 3.4): both with all of
/// their bytes. None: it is not one.
pub fn joined_signature(der: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let (0x30, rest) = der.split_first().map(|(tag, rest)| (*tag, rest))? else {
        return None;
    };
    let (length, rest) = rest.split_first()?;
    // Longer forms begin at 128 bytes: P-384 stays below.
    let numbers = (*length < 0x80 && usize::from(*length) == rest.len()).then_some(rest)?;
    let (first, rest) = integer(numbers, bytes)?;
    let (second, rest) = integer(rest, bytes)?;
    rest.is_empty().then(|| [first, second].concat())
}

fn integer(der: &[u8], bytes: usize) -> Option<(Vec<u8>, &[u8])> {
    let (0x02, rest) = der.split_first().map(|(tag, rest)| (*tag, rest))? else {
        return None;
    };
    let (length, rest) = rest.split_first()?;
    let (number, rest) = rest.split_at_checked(usize::from(*length))?;
    let significant = &number[number.iter().take_while(|byte| **byte == 0).count()..];
    let missing = bytes.checked_sub(significant.len())?;
    Some(([vec![0; missing], significant.to_vec()].concat(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_all_of_their_bytes_and_lose_their_sign() {
        let der = [0x30, 9, 0x02, 2, 0, 0x80, 0x02, 3, 1, 2, 3];
        assert_eq!(joined_signature(&der, 4), Some(vec![0, 0, 0, 0x80, 0, 1, 2, 3]));
        for wrong in [
            &der[..10],
            &[0x30, 9, 0x02, 2, 0, 0x80, 0x03, 3, 1, 2, 3][..],
            &[0x31, 0][..],
            &[][..],
            &[0x30, 0x81, 0][..],
        ] {
            assert_eq!(joined_signature(wrong, 4), None, "{wrong:?}");
        }
        assert_eq!(joined_signature(&der, 2), None, "a number that is too long");
    }
}
