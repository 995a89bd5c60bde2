//! Tokens for what a session asks a remote itself. A session cannot commit by itself, so that it never renews a grant:
//! it has a worker do that, and waits. Client credentials are asked for directly: nothing is lost with their token.

use super::exchange::{read, send};
use super::{Client, Stored, keep, secrets, stored};
use crate::pg::{arm_file, bgworker, clock, shmem};
use crate::pipeline::remote::pause_in_session;
use crate::store::connection::Server;
use crate::store::oauth::{self, Grant};
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::error::HttpError;
use sluice_core::http::Auth;
use sluice_core::oauth::{Answer, Asked, Grant as Kind, token_request};
use std::time::{Duration, Instant};

/// How often it is looked whether the worker is done.
const SLICE: Duration = Duration::from_millis(50);

/// What a session sends to prove who asks.
///
/// # Errors
/// Why there is nothing.
pub fn in_session(server: &Server, options: &ConnectionOptions, deadline: Instant) -> Result<Auth> {
    let Some(client) = Client::of(server, options) else {
        return secrets::auth(server, options);
    };
    let grant = oauth::of_server(server.oid, clock::now())?;
    let usable = match &grant {
        Some(grant) => stored(&client, grant, None)?,
        None => Stored::None,
    };
    if let Stored::Good(token) | Stored::Aging(token) = usable {
        return Ok(token.auth);
    }
    match (client.oauth.grant, grant) {
        (Kind::ClientCredentials, _) => asked(&client, deadline),
        (_, Some(grant)) if grant.connected && client.objection(&grant).is_none() => renewed(&client, &grant, deadline),
        (_, grant) => {
            let objection = grant
                .as_ref()
                .and_then(|grant| client.objection(grant))
                .map(str::to_owned);
            let reason = grant.and_then(|grant| grant.error).or(objection);
            Err(client.not_connected(reason.as_deref().unwrap_or("Nobody has consented yet.")))
        }
    }
}

fn asked(client: &Client, deadline: Instant) -> Result<Auth> {
    let secret = client.secret()?;
    let request = token_request(client.oauth, secret.as_ref(), &Asked::ClientCredentials);
    let limit = deadline.saturating_duration_since(Instant::now());
    let response = send(client, (&request, client.tls(&request)?), &pause_in_session, limit)?;
    let sent: Vec<_> = secret.into_iter().collect();
    match read(client, &request, &response, &sent)? {
        Answer::Tokens(tokens) => Ok(Auth::Bearer(tokens.access)),
        Answer::Pending | Answer::SlowDown => Err(client.not_connected("The remote gave no token.")),
    }
}

/// Has a worker renew the grant, and waits for it.
fn renewed(client: &Client, before: &Grant, deadline: Instant) -> Result<Auth> {
    if !shmem::is_ready() {
        return Err(CallError::NotPreloaded.into());
    }
    if arm_file::fault().is_some() {
        return Err(client.not_connected("The arm file of this server is missing: it renews nothing."));
    }
    let database = bgworker::my_database();
    let mut started = false;
    while Instant::now() < deadline {
        // Where every worker is busy, one of them may end meanwhile.
        started = started || keep::start_worker(database, before.id, client.server)?;
        pause_in_session(SLICE)?;
        let Some(grant) = oauth::of_server(client.server.oid, clock::now())? else {
            break;
        };
        if let Stored::Good(token) | Stored::Aging(token) = stored(client, &grant, None)? {
            return Ok(token.auth);
        }
        if grant.failed_at != before.failed_at {
            return Err(client.not_connected(grant.error.as_deref().unwrap_or_default()));
        }
    }
    Err(HttpError::probe_timeout(&client.oauth.token_url).into())
}
