//! An answer of the token endpoint that is kept until its tokens are stored, for exactly the question that it answers.
//!
//! ```text
//! fingerprint of the question (32) | when it came, seconds since 1970 (8) | the answer's body
//! ```

use std::time::Duration;

use zeroize::Zeroizing;

use super::answer::{Answer, Tokens};

/// More than any token endpoint says.
pub const LONGEST_KEPT: usize = 64 * 1024;
const FINGERPRINT: usize = 32;
const HEAD: usize = FINGERPRINT + 8;

/// What a question is known by: hashes its kind and the tokens or codes in it.
pub type Fingerprint = [u8; FINGERPRINT];

/// What is written, to be sealed.
pub fn pack(asked: &Fingerprint, came_at: u64, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(HEAD + body.len()));
    packed.extend_from_slice(asked);
    packed.extend_from_slice(&came_at.to_be_bytes());
    packed.extend_from_slice(body);
    packed
}

/// The body that answers this question, and how old it is; None where it answers another one.
pub fn unpack<'a>(asked: &Fingerprint, now: u64, packed: &'a [u8]) -> Option<(Duration, &'a [u8])> {
    let (head, body) = packed.split_at_checked(HEAD)?;
    let (of, came_at) = head.split_at(FINGERPRINT);
    let came_at = u64::from_be_bytes(came_at.try_into().ok()?);
    (of == asked).then(|| (Duration::from_secs(now.saturating_sub(came_at)), body))
}

impl Answer {
    /// The same, that much later: tokens have less of their life left.
    #[must_use]
    pub fn aged(self, age: Duration) -> Answer {
        let left = |lifetime: Option<Duration>| {
            let least = Duration::from_secs(1);
            lifetime.map(|lifetime| lifetime.saturating_sub(age).max(least))
        };
        match self {
            Answer::Tokens(tokens) => Answer::Tokens(Tokens {
                lifetime: left(tokens.lifetime),
                refresh_lifetime: left(tokens.refresh_lifetime),
                ..tokens
            }),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Secret;
    use crate::oauth::Asked;

    #[test]
    fn an_answer_is_that_of_its_own_question_only() {
        let token = |text: &str| {
            Asked::Refresh {
                token: &Secret::new(text),
            }
            .fingerprint()
        };
        let asked = token("a").expect("a token serves once");
        let packed = pack(&asked, 100, b"{}");
        assert_eq!(
            unpack(&asked, 160, &packed),
            Some((Duration::from_secs(60), &b"{}"[..]))
        );
        // A clock that went back makes nothing older.
        assert_eq!(unpack(&asked, 40, &packed), Some((Duration::ZERO, &b"{}"[..])));
        for other in [
            token("b"),
            Asked::DeviceCode {
                code: &Secret::new("a"),
            }
            .fingerprint(),
        ] {
            assert_eq!(unpack(&other.expect("it serves once"), 160, &packed), None);
        }
        for end in 0..HEAD {
            assert_eq!(unpack(&asked, 160, &packed[..end]), None);
        }
        assert_eq!(Asked::ClientCredentials.fingerprint(), None);
    }

    #[test]
    fn tokens_that_were_kept_live_no_longer_for_that() {
        let tokens = Tokens {
            access: Secret::new("a"),
            refresh: None,
            lifetime: Some(Duration::from_secs(3600)),
            refresh_lifetime: Some(Duration::from_secs(60)),
            scope: None,
        };
        let Answer::Tokens(tokens) = Answer::Tokens(tokens).aged(Duration::from_secs(600)) else {
            panic!("they are tokens");
        };
        assert_eq!(tokens.lifetime, Some(Duration::from_secs(3000)));
        assert_eq!(tokens.refresh_lifetime, Some(Duration::from_secs(1)));
        assert_eq!(Answer::Pending.aged(Duration::from_secs(5)), Answer::Pending);
    }
}
