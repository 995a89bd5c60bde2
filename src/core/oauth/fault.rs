//! What can be wrong between us and an authorization server. No variant holds a token, a code or a secret.

use crate::class::Class;
use crate::connection::quoted;
use crate::error::Explain;
use crate::sql_text::literal;

/// What a connection without a valid grant waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Consent in a browser, which comes back to an address.
    Code,
    /// Consent on another device.
    Device,
    /// Nobody has to consent: the options or the secret are to be mended.
    Options,
}

impl Awaited {
    /// The statement that helps.
    pub fn remedy(self, connection: &str) -> String {
        let name = literal(connection);
        match self {
            Awaited::Code => format!(
                "SELECT sluice.begin_oauth({name}, redirect_uri => '…'); open the address, then SELECT sluice.finish_oauth({name}, callback_url => '…');"
            ),
            Awaited::Device => format!("SELECT sluice.begin_oauth({name}); and do what it says."),
            Awaited::Options => {
                "Check client_id, client_secret and token_url; set the secret again with sluice.set_secret.".to_owned()
            }
        }
    }
}

/// A failed step of OAuth 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OAuthFault {
    #[error("connection {} is not connected", quoted(.connection))]
    NotConnected {
        connection: String,
        reason: String,
        awaited: Awaited,
    },
    /// The token endpoint said no, in the words of RFC 6749.
    #[error("{remote} gave no token ({code})")]
    Refused {
        remote: String,
        code: String,
        description: Option<String>,
    },
    #[error("the answer of {remote} holds no token")]
    Unreadable {
        remote: String,
        status: u16,
        what: &'static str,
    },
    /// Somebody else's attempt failed while we waited for it.
    #[error("the token of connection {} could not be renewed", quoted(.connection))]
    NotRenewed { connection: String, reason: String },
    /// `client_auth` is `private_key_jwt`, and its key is none.
    #[error("secret {} is no private key that can sign", quoted(.secret))]
    ClientKey { secret: String },
    /// Somebody has written to our tables.
    #[error("the token of connection {} is damaged", quoted(.connection))]
    Damaged { connection: String, awaited: Awaited },
    #[error("connection {} takes no consent", quoted(.connection))]
    NoConsent { connection: String, auth: &'static str },
    #[error("connection {} is finished without a callback", quoted(.connection))]
    NoCallback { connection: String },
    #[error("the redirect URI cannot be used")]
    RedirectUri,
    #[error("the callback URL cannot be used")]
    Callback { what: &'static str },
    #[error("the callback belongs to no authorization that waits")]
    UnknownState,
    #[error("the authorization was refused ({code})")]
    Denied { code: String },
}

impl OAuthFault {
    /// Whether the remote says that the grant is gone for good (RFC 6749, 5.2; RFC 8628, 3.5).
    pub fn ends_grant(&self) -> bool {
        matches!(self, OAuthFault::Refused { code, .. } if matches!(code.as_str(), "invalid_grant" | "expired_token" | "access_denied"))
    }
}

impl Explain for OAuthFault {
    fn class(&self) -> Class {
        match self {
            OAuthFault::NotConnected { .. } | OAuthFault::Damaged { .. } | OAuthFault::Denied { .. } => Class::Auth,
            OAuthFault::Refused { code, .. } => match code.as_str() {
                "temporarily_unavailable" | "server_error" => Class::Server,
                _ => Class::Auth,
            },
            OAuthFault::Unreadable { .. } | OAuthFault::NotRenewed { .. } => Class::Server,
            _ => Class::Config,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            OAuthFault::NotConnected { .. } => "SY010",
            OAuthFault::Refused { .. } | OAuthFault::Denied { .. } | OAuthFault::UnknownState => "28000",
            OAuthFault::Unreadable { .. } => "22032",
            OAuthFault::NotRenewed { .. } => "08006",
            OAuthFault::Damaged { .. } => "XX001",
            OAuthFault::NoConsent { .. } | OAuthFault::NoCallback { .. } => "55000",
            OAuthFault::RedirectUri | OAuthFault::Callback { .. } | OAuthFault::ClientKey { .. } => "22023",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            OAuthFault::NotConnected { reason, .. } | OAuthFault::NotRenewed { reason, .. } => reason.clone(),
            OAuthFault::Refused { description, .. } => match description {
                Some(description) => format!("It says: {description}"),
                None => "It says nothing else.".to_owned(),
            },
            OAuthFault::Unreadable { status, what, .. } => format!("Its status is {status}. {what}"),
            OAuthFault::ClientKey { .. } => {
                "It must be a private key of RSA, P-256, P-384 or Ed25519, in PEM form and without a passphrase."
                    .to_owned()
            }
            OAuthFault::Damaged { .. } => {
                "What is stored was changed, cut short or moved here from another connection or version.".to_owned()
            }
            OAuthFault::NoConsent { auth, .. } => format!("Its option auth is \"{auth}\"."),
            OAuthFault::NoCallback { .. } => {
                "Its option auth is \"oauth2_device\": a worker asks the remote until the person has consented."
                    .to_owned()
            }
            OAuthFault::RedirectUri => {
                "It must be an absolute address without a fragment, exactly as it is registered at the remote."
                    .to_owned()
            }
            OAuthFault::Callback { what } => (*what).to_owned(),
            OAuthFault::UnknownState => {
                "Each serves once, for ten minutes, for the role and the connection that began it.".to_owned()
            }
            OAuthFault::Denied { .. } => "The person, or the remote, did not consent.".to_owned(),
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            OAuthFault::NotConnected {
                connection, awaited, ..
            } => awaited.remedy(connection),
            OAuthFault::ClientKey { secret } => format!(
                "In psql: \\set key `cat key.pem`, then SELECT sluice.set_secret({}, :'key');",
                literal(secret)
            ),
            OAuthFault::Damaged { connection, awaited } => {
                format!(
                    "Find out who changed it, then connect it again: {}",
                    awaited.remedy(connection)
                )
            }
            OAuthFault::Refused { code, .. } => match code.as_str() {
                "invalid_client" | "unauthorized_client" => {
                    "Check the options client_id, client_secret and client_auth.".to_owned()
                }
                "invalid_scope" => "Check the option scope.".to_owned(),
                _ => "Connect it again with sluice.begin_oauth, or check its options.".to_owned(),
            },
            OAuthFault::Unreadable { .. } => "Check the options token_url and token_path.".to_owned(),
            OAuthFault::NotRenewed { .. } => "It is tried again by itself.".to_owned(),
            OAuthFault::NoConsent { .. } => {
                "Only connections of oauth2_authorization_code and oauth2_device are connected by a person.".to_owned()
            }
            OAuthFault::NoCallback { .. } => {
                "SELECT state, error_message FROM sluice.sync_connections shows how far it is.".to_owned()
            }
            OAuthFault::RedirectUri => "For example: 'https://app.example.com/callback'".to_owned(),
            OAuthFault::Callback { .. } => {
                "Give the whole address that the browser was sent to, with its parameters.".to_owned()
            }
            OAuthFault::UnknownState | OAuthFault::Denied { .. } => {
                "Begin again: SELECT sluice.begin_oauth(…);".to_owned()
            }
        })
    }
}
