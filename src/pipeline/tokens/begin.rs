//! Connecting: an authorization that a person finishes.
//!
//! The code is exchanged by a worker after the commit, not in the session: a session's transaction is open while it
//! waits, and may be rolled back after the code, which serves once, has been used up. Only a device's code is asked for
//! in the session, since the person is shown what comes; it is worth nothing until somebody has consented.

use super::exchange::send;
use super::{CODE, Client, DEVICE, VERIFIER};
use crate::pg::{clock, identity, xact};
use crate::pipeline::plan::check_origin;
use crate::pipeline::remote::pause_in_session;
use crate::store::connection::Server;
use crate::store::oauth;
use crate::store::oauth_flow::{self, Begun};
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::oauth::{
    Grant as Kind, OAuthFault, Verifier, authorization_url, device_request, random_text, read_callback,
    read_device_code, read_redirect_uri, state_of,
};
use std::time::Duration;

/// How long a person has for consenting in a browser (S-41).
const LIFETIME: Duration = Duration::from_secs(600);
/// How long the device endpoint may take.
const DEVICE_LIMIT: Duration = Duration::from_secs(15);

/// Begins an authorization; the address or the sentence that the person is shown.
///
/// # Errors
/// A connection that nobody has to consent to, a redirect URI that cannot be used, or what the device endpoint said.
pub fn begin(server: &Server, redirect_uri: Option<&str>) -> Result<String> {
    let options = ConnectionOptions::parse(&server.options)?;
    let client = client(server, &options)?;
    let shown = match client.oauth.grant {
        Kind::Device => begin_device(&client)?,
        _ => begin_code(&client, redirect_uri)?,
    };
    oauth::prepare(server, client.oauth.grant, &client.definition())?;
    if client.oauth.grant == Kind::Device {
        oauth::plan_for_server(server.oid, clock::now())?;
        xact::wake_at_commit();
    }
    Ok(shown)
}

fn client<'a>(server: &'a Server, options: &'a ConnectionOptions) -> Result<Client<'a>> {
    match Client::of(server, options) {
        Some(client) if client.oauth.grant.needs_a_person() => {
            check_origin(server, options)?;
            Ok(client)
        }
        _ => Err(OAuthFault::NoConsent {
            connection: server.name.clone(),
            auth: options.auth.as_str(),
        }
        .into()),
    }
}

fn begin_code(client: &Client, redirect_uri: Option<&str>) -> Result<String> {
    let redirect_uri = redirect_uri.ok_or(CallError::NullArgument {
        argument: "redirect_uri",
    })?;
    let redirect_uri = read_redirect_uri(redirect_uri)?;
    let state = random_text(&clock::random_bytes());
    let verifier = Verifier::new(&clock::random_bytes());
    let id = clock::random_bytes();
    let now = clock::now();
    let begun = Begun {
        id,
        server: client.server.oid,
        role: identity::current_user(),
        state_hash: Some(hash(&state)),
        redirect_uri: Some(&redirect_uri),
        definition: &client.definition(),
        sealed: client.seal(id, VERIFIER, 0, &verifier.0)?,
        poll_every: None,
        expires_at: now.plus(LIFETIME),
    };
    oauth_flow::begin(begun, now)?;
    let url = authorization_url(client.oauth, &redirect_uri, &state, &verifier);
    Ok(url.map(String::from).unwrap_or_default())
}

fn begin_device(client: &Client) -> Result<String> {
    let secret = client.secret()?;
    let request =
        device_request(client.oauth, secret.as_ref()).ok_or_else(|| client.not_connected("It has no device_url."))?;
    let response = send(
        client,
        (&request, client.tls(&request)?),
        &pause_in_session,
        DEVICE_LIMIT,
    )?;
    let sent: Vec<_> = secret.into_iter().collect();
    let code = read_device_code(&request, &response, &sent)?;
    let id = clock::random_bytes();
    let now = clock::now();
    let begun = Begun {
        id,
        server: client.server.oid,
        role: identity::current_user(),
        state_hash: None,
        redirect_uri: None,
        definition: &client.definition(),
        sealed: client.seal(id, DEVICE, 0, &code.code)?,
        poll_every: Some(code.interval),
        expires_at: now.plus(code.lifetime),
    };
    oauth_flow::begin(begun, now)?;
    Ok(code.instruction())
}

/// Takes the code that a callback brings; a worker exchanges it after the commit.
///
/// # Errors
/// A callback that belongs to no authorization of the caller's for this connection.
pub fn finish(server: &Server, callback: &str) -> Result<()> {
    let options = ConnectionOptions::parse(&server.options)?;
    let client = client(server, &options)?;
    if client.oauth.grant == Kind::Device {
        return Err(OAuthFault::NoCallback {
            connection: server.name.clone(),
        }
        .into());
    }
    let now = clock::now();
    let state = state_of(callback)?;
    let flow = oauth_flow::awaited(&hash(&state), server.oid, identity::current_user(), now)?;
    let flow = flow.filter(|flow| flow.definition == client.definition());
    let flow = flow.ok_or(OAuthFault::UnknownState)?;
    let callback = read_callback(client.oauth, callback, flow.redirect_uri.as_deref().unwrap_or_default())?;
    oauth_flow::answer(flow.id, client.seal(flow.id, CODE, 0, &callback.code)?)?;
    oauth::prepare(server, client.oauth.grant, &client.definition())?;
    oauth::plan_for_server(server.oid, now)?;
    xact::wake_at_commit();
    Ok(())
}

fn hash(state: &str) -> Vec<u8> {
    sluice_core::oauth::state_hash(state)
}
