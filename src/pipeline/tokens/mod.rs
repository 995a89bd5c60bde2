//! Tokens of OAuth 2: got, kept, renewed.
//!
//! ```text
//! wanted ─► the stored one serves ────────────────────────────────────────────────► used
//!     └───► lock of the grant ─► read again ─► request ─► answer ─► commit, synchronously ─► used
//! ```
//!
//! One process at a time renews a grant: it holds a session lock, which dies with it, and reads again what is stored
//! once it has it. No transaction is open while the remote is waited for. New tokens are committed before they are used,
//! and not lost by a crash, whatever `synchronous_commit` says: a server that rotates refresh tokens takes the old one
//! no more, and one that suspects theft takes none (RFC 9700, 4.14). So the answer itself is kept, sealed, from its
//! arrival until that commit (`kept`). Only an answer that never arrived leaves the former token, which is tried; where
//! it is refused, somebody has to connect the connection again.
//!
//! `exchange` makes the request and reads its answer, `outcome` writes down what came of it, `run` is what runs use,
//! `session` what sessions use, `keep` what a worker does for grants that are due.

mod begin;
mod budget;
mod exchange;
mod keep;
mod kept;
mod outcome;
mod run;
mod session;

pub use begin::{begin, finish};
pub use keep::{keep, start_worker};
pub use run::Access;
pub use session::in_session;

use super::plan::check_origin;
use super::secrets;
use crate::pg::clock::{self, Timestamp};
use crate::pg::{key_file, lock, transaction};
use crate::store::audit;
use crate::store::connection::Server;
use crate::store::oauth::{self, Grant};
use crate::store::secret::seal_value;
use sluice_core::connection::{ConfigError, ConnectionOptions, TlsOptions};
use sluice_core::http::{Auth, Request, Secret};
use sluice_core::oauth::{
    Awaited, ClientAuth, Grant as Kind, OAuthFault, OAuthOptions, assertion_text, random_text, signed_assertion,
};
use sluice_core::secret::{SecretFault, SecretLabel};
use sluice_core::{Class, Error, Result, url_policy};
use sluice_fetch::{SigningKey, Tls};
use std::time::Duration;

/// How long a token has to serve at least: its request is still on its way.
const LEAST_LIFE: f64 = 10.0;
/// How soon an early renewal that did not succeed is thought of again.
const SOON: Duration = Duration::from_secs(30);
/// How often the lock is looked for.
const SLICE: Duration = Duration::from_millis(20);

/// A connection that gets tokens.
pub struct Client<'a> {
    pub server: &'a Server,
    pub options: &'a ConnectionOptions,
    pub oauth: &'a OAuthOptions,
}

/// A token that can be used now.
pub struct Token {
    pub auth: Auth,
    pub version: i32,
    pub grant: i64,
    /// When to ask for another.
    pub renew_at: Option<Timestamp>,
    /// The refresh token before it is still kept.
    pub is_unproven: bool,
}

impl Client<'_> {
    /// None: the connection gets no tokens.
    pub fn of<'a>(server: &'a Server, options: &'a ConnectionOptions) -> Option<Client<'a>> {
        let oauth = options.oauth.as_ref()?;
        Some(Client { server, options, oauth })
    }

    fn definition(&self) -> String {
        self.oauth.definition(&self.options.origin())
    }

    /// What the tokens are bound to: an access token to the API, all else to the authorization server and the API that
    /// it was got for.
    fn origin_of(&self, kind: &str) -> String {
        match kind {
            ACCESS => self.options.origin(),
            _ => oauth::refresh_origin(&self.oauth.origin(), &self.options.origin()),
        }
    }

    fn label<'b>(&self, uuid: [u8; 16], kind: &'b str, version: i32, origin: &'b str) -> SecretLabel<'b> {
        SecretLabel {
            name: "(token)",
            uuid,
            kind,
            version: u32::try_from(version).unwrap_or(0),
            origin,
        }
    }

    fn open(&self, uuid: [u8; 16], kind: &str, version: i32, sealed: &[u8]) -> Result<Secret> {
        let origin = self.origin_of(kind);
        let label = self.label(uuid, kind, version, &origin);
        let plain = secrets::plain(&key_file::load()?, &label, sealed).map_err(|error| match error {
            Error::Config(ConfigError::Secret(SecretFault::Damaged { .. })) => self.damaged(),
            other => other,
        })?;
        Ok(Secret::new(String::from_utf8_lossy(&plain).into_owned()))
    }

    fn seal(&self, uuid: [u8; 16], kind: &str, version: i32, value: &Secret) -> Result<Vec<u8>> {
        let origin = self.origin_of(kind);
        let key = key_file::load()?;
        let label = self.label(uuid, kind, version, &origin);
        Ok(seal_value(&key, &label, value.expose().as_bytes()))
    }

    /// What the client proves itself with at the token endpoint: its secret, or what it has signed.
    fn secret(&self) -> Result<Option<Secret>> {
        let Some(name) = self.oauth.client_secret.as_deref() else {
            return Ok(None);
        };
        let secret = secrets::named(self.server, name, &self.oauth.origin())?;
        match self.oauth.client_auth {
            ClientAuth::PrivateKeyJwt => self.assertion(name, &secret).map(Some),
            _ => Ok(Some(secret)),
        }
    }

    fn assertion(&self, name: &str, key: &Secret) -> Result<Secret> {
        let wrong = || OAuthFault::ClientKey {
            secret: name.to_owned(),
        };
        let key = SigningKey::read(key).ok_or_else(wrong)?;
        let id = random_text(&clock::random_bytes());
        let text = assertion_text(self.oauth, key.algorithm, clock::now().unix_seconds(), &id);
        let signature = key.sign(&text).ok_or_else(wrong)?;
        Ok(signed_assertion(&text, &signature))
    }

    /// What TLS is agreed with. A certificate of the client's is for the API, and shown to nobody else unless the client
    /// proves itself with it.
    fn tls(&self, request: &Request) -> Result<Tls> {
        check_origin(self.server, self.options)?;
        let shows_it = self.oauth.client_auth == ClientAuth::Tls && request.url == self.oauth.token_url;
        if shows_it || url_policy::origin(&request.url) == self.options.origin() {
            return secrets::tls(self.server, self.options);
        }
        let roots = TlsOptions {
            client: None,
            ..self.options.tls.clone()
        };
        Ok(Tls::new(&roots, None)?)
    }

    fn awaited(&self) -> Awaited {
        match self.oauth.grant {
            Kind::ClientCredentials => Awaited::Options,
            Kind::AuthorizationCode => Awaited::Code,
            Kind::Device => Awaited::Device,
        }
    }

    fn not_connected(&self, reason: &str) -> Error {
        OAuthFault::NotConnected {
            connection: self.server.name.clone(),
            reason: reason.to_owned(),
            awaited: self.awaited(),
        }
        .into()
    }

    fn damaged(&self) -> Error {
        OAuthFault::Damaged {
            connection: self.server.name.clone(),
            awaited: self.awaited(),
        }
        .into()
    }

    /// Why this grant serves this connection no more; None: it does.
    fn objection(&self, grant: &Grant) -> Option<&'static str> {
        if grant.owner != self.server.owner {
            Some("It has another owner than when it was connected.")
        } else if grant.definition != self.definition() {
            Some("Its options have changed since it was connected.")
        } else {
            None
        }
    }
}

const ACCESS: &str = "oauth_access";
const REFRESH: &str = "oauth_refresh";
const VERIFIER: &str = "oauth_verifier";
const CODE: &str = "oauth_code";
const DEVICE: &str = "oauth_device";

/// How good the stored token is.
enum Stored {
    Good(Token),
    /// It is to be renewed, and serves until that is done.
    Aging(Token),
    /// Somebody has changed it in our tables: another one is got.
    Damaged,
    None,
}

/// The stored token, unless it is the one that was refused.
fn stored(client: &Client, grant: &Grant, refused: Option<i32>) -> Result<Stored> {
    let lives = grant.expires_in.is_none_or(|seconds| seconds > LEAST_LIFE);
    let serves = grant.connected && lives && refused != Some(grant.version) && client.objection(grant).is_none();
    let Some(sealed) = grant.access.as_ref().filter(|_| serves) else {
        return Ok(Stored::None);
    };
    let value = match client.open(grant.uuid, ACCESS, grant.version, sealed) {
        Err(Error::OAuth(OAuthFault::Damaged { .. })) => return Ok(Stored::Damaged),
        opened => opened?,
    };
    let is_aging = grant.renew_in.is_some_and(|seconds| seconds <= 0.0);
    let renew_in = grant.renew_in.map(|seconds| Duration::from_secs_f64(seconds.max(0.0)));
    let token = Token {
        auth: Auth::Bearer(value),
        version: grant.version,
        grant: grant.id,
        renew_at: renew_in.map(|left| clock::now().plus(if is_aging { SOON } else { left })),
        is_unproven: grant.previous.is_some(),
    };
    Ok(match is_aging {
        true => Stored::Aging(token),
        false => Stored::Good(token),
    })
}

/// A token for a worker, outside of a transaction. `refused`: the version that the API did not take.
///
/// # Errors
/// Why there is none.
pub fn get(client: &Client, refused: Option<i32>, pause: &dyn Fn(Duration) -> Result<()>) -> Result<Token> {
    let seen = transaction::run(|| look(client))?;
    let aging = match transaction::run(|| stored(client, &seen, refused))? {
        Stored::Good(token) => return Ok(token),
        Stored::Aging(token) => Some(token),
        Stored::Damaged | Stored::None => None,
    };
    let table = transaction::run(oauth::table)?;
    while !lock::try_lock(table, seen.id) {
        // Somebody is renewing it; until then the old one serves.
        if let Some(token) = aging {
            return Ok(token);
        }
        pause(SLICE)?;
    }
    let outcome = renewed(client, &seen, refused, pause);
    lock::unlock(table, seen.id);
    match (outcome, aging) {
        // What went wrong is noted, and tried again before the old one expires.
        (Err(error), Some(token)) if error.class() != Class::Cancelled => Ok(token),
        (outcome, _) => outcome,
    }
}

/// The grant of the connection; its place is made where there is none.
fn look(client: &Client) -> Result<Grant> {
    let now = clock::now();
    if let Some(grant) = oauth::of_server(client.server.oid, now)? {
        return Ok(grant);
    }
    oauth::prepare(client.server, client.oauth.grant, &client.definition())?;
    oauth::of_server(client.server.oid, now)?.ok_or_else(|| client.not_connected("This database is not armed."))
}

/// With the lock: what others have done meanwhile, else a request of our own.
fn renewed(
    client: &Client,
    seen: &Grant,
    refused: Option<i32>,
    pause: &dyn Fn(Duration) -> Result<()>,
) -> Result<Token> {
    let grant = transaction::run(|| look(client))?;
    match transaction::run(|| stored(client, &grant, refused))? {
        Stored::Good(token) => return Ok(token),
        Stored::Damaged => transaction::run(|| audit::note("damaged_token", "connection", &client.server.name))?,
        Stored::Aging(_) | Stored::None => {}
    }
    if grant.failed_at != seen.failed_at && grant.failures > 0 {
        return Err(OAuthFault::NotRenewed {
            connection: client.server.name.clone(),
            reason: grant.error.unwrap_or_default(),
        }
        .into());
    }
    let ask = match transaction::run(|| exchange::choose(client, &grant)) {
        Ok(ask) => ask,
        Err(error) => {
            // From now on the jobs of the connection wait.
            transaction::run(|| outcome::refused(&grant, &error))?;
            return Err(error);
        }
    };
    exchange::run(client, &grant, ask, pause)?;
    // What was committed is what is used.
    let grant = transaction::run(|| look(client))?;
    match transaction::run(|| stored(client, &grant, None))? {
        Stored::Good(token) | Stored::Aging(token) => Ok(token),
        Stored::Damaged => Err(client.damaged()),
        Stored::None => Err(client.not_connected(grant.error.as_deref().unwrap_or("The token has expired at once."))),
    }
}
