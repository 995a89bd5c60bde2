//! The address to which the person's browser came back (RFC 6749, 4.1.2, RFC 9207).

use url::Url;

use super::fault::OAuthFault;
use super::options::OAuthOptions;
use crate::http::Secret;

const LONGEST: usize = 8192;

/// What a callback brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    pub code: Secret,
}

/// Reads a redirect URI as `begin_oauth` is given it: an absolute address without a fragment (RFC 6749, 3.1.2), https,
/// or http to the caller's own machine.
///
/// # Errors
/// `RedirectUri`.
pub fn read_redirect_uri(text: &str) -> Result<String, OAuthFault> {
    let url = Url::parse(text).map_err(|_| OAuthFault::RedirectUri)?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    // Desktop applications register a scheme of their own (RFC 8252, 7.1): it has a dot.
    let is_private = url.scheme().contains('.') || text == "urn:ietf:wg:oauth:2.0:oob";
    let is_clean = text.len() <= 2048 && url.fragment().is_none() && !text.chars().any(|c| c.is_control() || c == ' ');
    match (is_web || is_private) && is_clean {
        true => Ok(text.to_owned()),
        false => Err(OAuthFault::RedirectUri),
    }
}

/// The state that a callback names, by which its authorization is found.
///
/// # Errors
/// `Callback`.
pub fn state_of(callback: &str) -> Result<String, OAuthFault> {
    let url = parse(callback)?;
    one(&url, "state")?.ok_or(OAuthFault::Callback {
        what: "It has no parameter \"state\".",
    })
}

/// Reads a callback whose authorization was found.
///
/// # Errors
/// Another address than the one that was named, another issuer, or the person's refusal.
pub fn read_callback(options: &OAuthOptions, callback: &str, redirect_uri: &str) -> Result<Callback, OAuthFault> {
    let url = parse(callback)?;
    if !is_at(&url, redirect_uri) {
        return Err(OAuthFault::Callback {
            what: "It is not the redirect URI that begin_oauth was given.",
        });
    }
    if let Some(issuer) = one(&url, "iss")? {
        check_issuer(options, &issuer)?;
    }
    if let Some(code) = one(&url, "error")? {
        return Err(OAuthFault::Denied {
            code: code.chars().filter(|c| !c.is_control()).take(100).collect(),
        });
    }
    let code = one(&url, "code")?.filter(|code| !code.is_empty());
    let code = code.ok_or(OAuthFault::Callback {
        what: "It has no parameter \"code\".",
    })?;
    Ok(Callback {
        code: Secret::new(code),
    })
}

fn parse(callback: &str) -> Result<Url, OAuthFault> {
    let unreadable = OAuthFault::Callback {
        what: "It is not an address.",
    };
    match callback.len() <= LONGEST {
        true => Url::parse(callback.trim()).map_err(|_| unreadable),
        false => Err(unreadable),
    }
}

/// A parameter that must not come twice (RFC 6749, 3.1).
fn one(url: &Url, name: &str) -> Result<Option<String>, OAuthFault> {
    let mut found = url.query_pairs().filter(|(given, _)| given == name);
    let first = found.next().map(|(_, value)| value.into_owned());
    match found.next() {
        None => Ok(first),
        Some(_) => Err(OAuthFault::Callback {
            what: "One of its parameters comes twice.",
        }),
    }
}

/// The same scheme, host, port and path, and the parameters that the redirect URI has itself.
fn is_at(callback: &Url, redirect_uri: &str) -> bool {
    let Ok(expected) = Url::parse(redirect_uri) else {
        return false;
    };
    let place = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            url.port(),
            url.path().to_owned(),
        )
    };
    let mut own = expected.query_pairs();
    place(callback) == place(&expected) && own.all(|pair| callback.query_pairs().any(|given| given == pair))
}

/// RFC 9207: where the server names itself, it must be the one that the person was sent to. An issuer is an address at
/// the server's own origin.
fn check_issuer(options: &OAuthOptions, issuer: &str) -> Result<(), OAuthFault> {
    let servers = [options.authorization_url.as_ref(), Some(&options.token_url)];
    let named = Url::parse(issuer).ok();
    let known = named.is_some_and(|named| {
        let mut origins = servers.into_iter().flatten().map(Url::origin);
        origins.any(|origin| origin == named.origin())
    });
    match known {
        true => Ok(()),
        false => Err(OAuthFault::Callback {
            what: "It comes from another authorization server (parameter \"iss\").",
        }),
    }
}
