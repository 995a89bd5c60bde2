//! OAuth 2 (RFC 6749, 7636, 8628, 9207, 9700), without any I/O: which request is sent, what its answer means, and when
//! a token is renewed.
//!
//! ```text
//! begin (state, PKCE) ─► a person consents ─► callback ─► code ─┐
//! begin (device code) ─► a person consents ─► poll ─────────────┼─► tokens ─► used ─► renewed early ─► used …
//! client credentials ───────────────────────────────────────────┘               └─ invalid_grant ─► a person
//! ```
//!
//! A token endpoint's answer is believed as little as any other remote's: a token that could not stand in a header is
//! refused, an absurd lifetime is no lifetime, and of its errors only the code and a short text are ever shown.

mod answer;
mod assertion;
mod callback;
mod device;
mod fault;
mod kept;
mod options;
mod pkce;
mod renewal;
mod request;

pub use answer::{Answer, Tokens, asked_to_wait, read_answer};
pub use assertion::{assertion_text, joined_signature, signed_assertion};
pub use callback::{Callback, read_callback, read_redirect_uri, state_of};
pub use device::{DeviceCode, read_device_code};
pub use fault::{Awaited, OAuthFault};
pub use kept::{Fingerprint, LONGEST_KEPT, pack, unpack};
pub use options::{ClientAuth, Grant, OAuthOptions, TokenBody};
pub use pkce::{Verifier, random_text, state_hash};
pub use renewal::{Lifetime, delay_after_failure, failures_are_too_many, keep_alive, lost_scopes};
pub use request::{Asked, authorization_url, device_request, token_request};

#[cfg(test)]
mod tests;
