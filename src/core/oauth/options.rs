//! How a connection gets its tokens: the options of the three `oauth2_…` kinds of `auth`.

use url::Url;

use crate::data::SingularQuery;
use crate::url_policy;

/// Which way leads to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// RFC 6749, 4.4: nobody has to consent.
    ClientCredentials,
    /// RFC 6749, 4.1, with PKCE (RFC 7636).
    AuthorizationCode,
    /// RFC 8628.
    Device,
}

impl Grant {
    /// Whether a person has to consent, and consent again where the grant is lost.
    pub fn needs_a_person(self) -> bool {
        self != Grant::ClientCredentials
    }
}

/// How the client proves itself at the token endpoint (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    Basic,
    Post,
    /// A statement of the client's that it signs with a private key (RFC 7523, 2.2): the key itself is never sent.
    PrivateKeyJwt,
    /// The certificate that it shows in TLS (RFC 8705, 2).
    Tls,
}

/// What the token endpoint reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenBody {
    Form,
    Json,
}

/// The options of a connection that gets tokens, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuthOptions {
    pub grant: Grant,
    pub token_url: Url,
    /// Present exactly with `AuthorizationCode`.
    pub authorization_url: Option<Url>,
    /// Present exactly with `Device`.
    pub device_url: Option<Url>,
    pub client_id: String,
    /// The name of a secret, a private key with `PrivateKeyJwt`. A client without one is public, and PKCE protects it, or it
    /// shows a certificate.
    pub client_secret: Option<String>,
    pub client_auth: ClientAuth,
    /// How the remote knows the key, with `PrivateKeyJwt`.
    pub client_key_id: Option<String>,
    pub scope: Option<String>,
    pub audience: Option<String>,
    pub token_body: TokenBody,
    /// Where the answer's members stand, in an answer with an envelope.
    pub token_path: Option<SingularQuery>,
}

impl OAuthOptions {
    /// The one origin that client secrets, codes and refresh tokens are sent to.
    pub fn origin(&self) -> String {
        url_policy::origin(&self.token_url)
    }

    /// The rate budget of the token endpoint: of its host and of the client that asks, whatever connections share them.
    /// Never zero.
    pub fn budget(&self) -> i64 {
        let hash = blake3::hash(format!("{}\n{}", self.origin(), self.client_id).as_bytes());
        let first: [u8; 8] = std::array::from_fn(|at| hash.as_bytes()[at]);
        i64::from_be_bytes(first) | 1
    }

    /// What a grant belongs to: with another client or another server it is worth nothing, and with another API its
    /// tokens would be sent where nobody has consented to. Tokens that nobody consents to are also asked for anew where
    /// their scope changes.
    pub fn definition(&self, api_origin: &str) -> String {
        let of_scope = match self.grant.needs_a_person() {
            true => String::new(),
            false => format!("|{:?}|{:?}", self.scope, self.audience),
        };
        let text = format!(
            "{:?}|{}|{}|{api_origin}{of_scope}",
            self.grant, self.token_url, self.client_id
        );
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
