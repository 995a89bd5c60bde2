//! What can be wrong with a connection's options, besides what [`super::ConfigError`] says of all definitions.

use super::spelling::{list, quoted};
use crate::class::Class;
use crate::error::Explain;
use crate::sql_text::{literal, quote};

/// A fault of a connection. No variant holds an option's value, except words that are ours.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConnectionFault {
    /// `because` is why it is needed: `auth is "bearer"`.
    #[error("option \"{option}\" is missing")]
    MissingOption { option: &'static str, because: String },
    /// `because` is why it means nothing here, `uses` what the present `auth` takes.
    #[error("option \"{option}\" has no use here")]
    UselessOption {
        option: &'static str,
        because: String,
        uses: Vec<&'static str>,
    },
    /// Given to the wrapper, a user mapping or a foreign table.
    #[error("option {} is not allowed here", quoted(.option))]
    NotOnServer { option: String },
    #[error("the options of a connection must be a JSON object of texts, numbers and truth values")]
    NotADocument,
    #[error("option {} is given twice", quoted(.option))]
    OptionTwice { option: String },
    #[error("option {} looks like a credential", quoted(.option))]
    CredentialOption {
        option: String,
        nearest: Option<&'static str>,
    },
    /// The value of `secret` cannot be the name of a secret, so it may be the secret itself. It is not kept.
    #[error("option \"{option}\" is not the name of a secret")]
    NotASecretName { option: &'static str },
    /// What was given is not kept: it may be a private key.
    #[error("option \"{option}\" holds no certificates in PEM form")]
    NoCertificate { option: &'static str },
    /// The certificate at this place, counted from 1.
    #[error("option \"{option}\" holds something that is not a certificate")]
    NotACertificate { option: &'static str, place: usize },
    #[error("option \"{option}\" holds a private key")]
    PrivateKey { option: &'static str },
    /// The secret of this name is no private key, or that of another certificate.
    #[error("secret {} is not the key of the client certificate", quoted(.secret))]
    WrongClientKey { secret: String },
    /// `names_methods`: whether the server has the option `methods`, which then is to be set and not added.
    #[error("connection {} does not allow {method} for reading", quoted(.connection))]
    MethodNotAllowed {
        connection: String,
        method: &'static str,
        allowed: Vec<&'static str>,
        names_methods: bool,
    },
}

impl Explain for ConnectionFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            ConnectionFault::MissingOption { .. } | ConnectionFault::UselessOption { .. } => "22023",
            ConnectionFault::OptionTwice { .. } => "42710",
            ConnectionFault::CredentialOption { .. } | ConnectionFault::NotOnServer { .. } => "HV00D",
            ConnectionFault::NotADocument => "22023",
            ConnectionFault::NotASecretName { .. }
            | ConnectionFault::NoCertificate { .. }
            | ConnectionFault::NotACertificate { .. }
            | ConnectionFault::WrongClientKey { .. } => "22023",
            ConnectionFault::PrivateKey { .. } => "HV00D",
            ConnectionFault::MethodNotAllowed { .. } => "42501",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            ConnectionFault::MissingOption { because, .. } => format!("It is needed because {because}."),
            ConnectionFault::UselessOption { because, uses, .. } if uses.is_empty() => {
                format!("It does nothing because {because}.")
            }
            ConnectionFault::UselessOption { because, uses, .. } => {
                format!("It does nothing because {because}, which uses: {}.", list(uses))
            }
            ConnectionFault::NotOnServer { .. } => "Only servers of the wrapper pg_sluice take options.".to_owned(),
            ConnectionFault::NotADocument => "Its keys are the option names of CREATE SERVER.".to_owned(),
            ConnectionFault::OptionTwice { .. } => "Each option of a connection has one value.".to_owned(),
            ConnectionFault::CredentialOption { .. } => {
                "The options of a server are readable by every role of the cluster, so they never hold credentials."
                    .to_owned()
            }
            ConnectionFault::NotASecretName { .. } => {
                "The name of a secret begins with a letter or an underscore and has at most 63 letters, digits, \
                 underscores, dots and hyphens. What was given is not repeated here, because it may be the secret \
                 itself; if so, replace it at the remote, since statements are logged."
                    .to_owned()
            }
            ConnectionFault::NoCertificate { .. } => {
                "It is the text of certificates, with their lines -----BEGIN CERTIFICATE-----, and not the name of a file."
                    .to_owned()
            }
            ConnectionFault::NotACertificate { place, .. } => format!("Certificate {place} cannot be read (X.509)."),
            ConnectionFault::PrivateKey { .. } => {
                "The options of a server are readable by every role of the cluster. What was given is not repeated here; \
                 if it was the real key, replace it at the remote, since statements are logged."
                    .to_owned()
            }
            ConnectionFault::WrongClientKey { .. } => {
                "It must be the private key of the first certificate of client_cert, in PEM form and without a passphrase."
                    .to_owned()
            }
            ConnectionFault::MethodNotAllowed { allowed, .. } => {
                format!("Its option methods allows: {}.", allowed.join(", "))
            }
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            ConnectionFault::MissingOption { option, .. } => format!("Add it: {}", option_example(option)),
            ConnectionFault::UselessOption {
                option: "ca" | "client_cert" | "client_key",
                ..
            } => "Remove it, or use https in base_url.".to_owned(),
            ConnectionFault::UselessOption { .. } => "Remove it, or change \"auth\".".to_owned(),
            ConnectionFault::OptionTwice { .. } => "Give it once.".to_owned(),
            ConnectionFault::NotOnServer { .. } => "Give it to the server: ALTER SERVER … OPTIONS (ADD …).".to_owned(),
            ConnectionFault::NotADocument => {
                "For example: {\"auth\": \"bearer\", \"secret\": \"shop_token\"}.".to_owned()
            }
            ConnectionFault::CredentialOption { nearest, .. } => {
                let store = "Store the value with SELECT sluice.set_secret('shop_token', '…'), and name it: secret \
                             'shop_token'.";
                match nearest {
                    Some(word) => format!("{store} Or did you mean the option \"{word}\"?"),
                    None => store.to_owned(),
                }
            }
            ConnectionFault::NotASecretName { option } => format!(
                "Store the value with SELECT sluice.set_secret('shop_token', '…'), then give its name: {option} \
                 'shop_token'."
            ),
            ConnectionFault::NoCertificate { option } | ConnectionFault::NotACertificate { option, .. } => {
                format!("In psql: \\set pem `cat file.pem`, then {option} :'pem' in the options.")
            }
            ConnectionFault::PrivateKey { .. } => {
                "In psql: \\set key `cat key.pem`, then SELECT sluice.set_secret('shop_key', :'key'), and client_key \
                 'shop_key' in the options."
                    .to_owned()
            }
            ConnectionFault::WrongClientKey { secret } => format!(
                "In psql: \\set key `cat key.pem`, then SELECT sluice.set_secret({}, :'key').",
                literal(secret)
            ),
            ConnectionFault::MethodNotAllowed {
                connection,
                method,
                allowed,
                names_methods,
            } => format!(
                "Where it only reads: ALTER SERVER {} OPTIONS ({} methods '{}, {method}');",
                quote(connection),
                if *names_methods { "SET" } else { "ADD" },
                allowed.join(", ")
            ),
        })
    }
}

fn option_example(option: &str) -> &'static str {
    match option {
        "base_url" => "base_url 'https://api.example.com/v1'",
        "requests_per_second" => "requests_per_second '5'",
        "username" => "username 'alice'",
        "api_key_name" => "api_key_name 'X-API-Key'",
        "auth" => "auth 'bearer'",
        "token_url" => "token_url 'https://auth.example.com/oauth/token'",
        "authorization_url" => "authorization_url 'https://auth.example.com/oauth/authorize'",
        "device_url" => "device_url 'https://auth.example.com/oauth/device'",
        "client_id" => "client_id 'pg_sluice', as the remote has registered it",
        "client_secret" => "client_secret 'shop_client', a name given to sluice.set_secret",
        "client_cert" => "client_cert, the text of the certificate in PEM form",
        "client_key" => "client_key 'shop_key', a name given to sluice.set_secret",
        _ => "secret 'shop_token', a name given to sluice.set_secret",
    }
}
