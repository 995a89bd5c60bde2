//! One exchange with the token endpoint: chosen, made, sent, read, written down.

use super::outcome::{self, Came, Trouble};
use super::{CODE, Client, DEVICE, REFRESH, VERIFIER};
use crate::pg::clock;
use crate::pg::{failpoint, transaction};
use crate::pipeline::plan::address_policy;
use crate::pipeline::remote::{self, Patience};
use crate::store::oauth::Grant;
use crate::store::oauth_flow::{self, Flow};
use sluice_core::Result;
use sluice_core::error::HttpError;
use sluice_core::http::{Auth, Request, Response, Secret, status};
use sluice_core::oauth::{Answer, Asked, Grant as Kind, read_answer, token_request};
use sluice_fetch::{AgentSettings, Limits, Timeouts, Tls, Transport, UreqTransport};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Longest answer of a token endpoint, decoded.
const MAX_ANSWER: u64 = 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);

/// What tokens are asked for with.
pub enum Ask {
    ClientCredentials,
    Refresh,
    /// The refresh token before, where the new one has never worked.
    Previous,
    Code(Flow),
    Device(Flow),
}

/// What leads to a token now.
///
/// # Errors
/// Nothing does: a person has to.
pub fn choose(client: &Client, grant: &Grant) -> Result<Ask> {
    if client.oauth.grant == Kind::ClientCredentials {
        return Ok(Ask::ClientCredentials);
    }
    let flow = oauth_flow::open_of(client.server.oid, clock::now())?;
    if let Some(flow) = flow.filter(|flow| flow.code.is_some() && flow.definition == client.definition()) {
        return Ok(Ask::Code(flow));
    }
    if let Some(reason) = client.objection(grant) {
        return Err(client.not_connected(reason));
    }
    match &grant.refresh {
        Some(_) if grant.connected || !grant.needs_person => Ok(Ask::Refresh),
        _ => Err(client.not_connected(grant.error.as_deref().unwrap_or("Nobody has consented yet."))),
    }
}

/// Asks, and writes down what came of it. Called with the grant's lock, outside of a transaction.
///
/// # Errors
/// What was written down.
pub fn run(client: &Client, grant: &Grant, ask: Ask, pause: &dyn Fn(Duration) -> Result<()>) -> Result<()> {
    let mut came = ask_once(client, grant, &ask, pause);
    let mut asked = ask;
    let is_gone = came.as_ref().is_err_and(Trouble::ends_grant);
    if is_gone && matches!(asked, Ask::Refresh) && grant.previous.is_some() {
        // The new one has never worked; a server that knows nothing of it still takes the former.
        if let Ok(tokens) = ask_once(client, grant, &Ask::Previous, pause) {
            (came, asked) = (Ok(tokens), Ask::Previous);
        }
    }
    let written = transaction::run(|| outcome::write(client, grant, &asked, came))?;
    failpoint::hit("token.after_commit");
    written
}

fn ask_once(
    client: &Client,
    grant: &Grant,
    ask: &Ask,
    pause: &dyn Fn(Duration) -> Result<()>,
) -> std::result::Result<Came, Trouble> {
    let prepared = transaction::run(|| {
        let (request, sent) = prepare(client, grant, ask)?;
        let tls = client.tls(&request)?;
        Ok((request, sent, tls))
    });
    let (request, sent, tls) = prepared.map_err(Trouble::Unsent)?;
    failpoint::hit("token.before_send");
    let response = send(client, (&request, tls), pause, REQUEST).map_err(Trouble::Failed)?;
    failpoint::hit("token.response_received");
    let answer = read(client, &request, &response, &sent).map_err(Trouble::Failed)?;
    Ok(match answer {
        Answer::Tokens(tokens) => Came::Tokens(Box::new(tokens)),
        Answer::Pending => Came::Pending,
        Answer::SlowDown => Came::SlowDown,
    })
}

/// The request, and the secrets in it.
fn prepare(client: &Client, grant: &Grant, ask: &Ask) -> Result<(Request, Vec<Secret>)> {
    let secret = client.secret()?;
    let no_token = || client.not_connected("Nobody has consented yet.");
    let opened = |version, sealed: &Option<Vec<u8>>| {
        let sealed = sealed.as_ref().ok_or_else(no_token)?;
        client.open(grant.uuid, REFRESH, version, sealed)
    };
    let built = |asked: &Asked| {
        let request = token_request(client.oauth, secret.as_ref(), asked);
        let sent = asked.secrets().into_iter().chain(secret.clone()).collect();
        (request, sent)
    };
    Ok(match ask {
        Ask::ClientCredentials => built(&Asked::ClientCredentials),
        Ask::Refresh => built(&Asked::Refresh {
            token: &opened(grant.version, &grant.refresh)?,
        }),
        Ask::Previous => {
            let (version, sealed) = grant.previous.clone().ok_or_else(no_token)?;
            built(&Asked::Refresh {
                token: &opened(version, &Some(sealed))?,
            })
        }
        Ask::Code(flow) => {
            let sealed = flow.code.as_ref().ok_or_else(no_token)?;
            built(&Asked::Code {
                code: &client.open(flow.id, CODE, 0, sealed)?,
                redirect_uri: flow.redirect_uri.as_deref().unwrap_or_default(),
                verifier: &client.open(flow.id, VERIFIER, 0, &flow.sealed)?,
            })
        }
        Ask::Device(flow) => built(&Asked::DeviceCode {
            code: &client.open(flow.id, DEVICE, 0, &flow.sealed)?,
        }),
    })
}

/// Sends a request of OAuth under the connection's own policy: the same addresses, no redirects, TLS verified, answers
/// bounded.
pub fn send(
    client: &Client,
    (request, tls): (&Request, Tls),
    pause: &dyn Fn(Duration) -> Result<()>,
    limit: Duration,
) -> Result<Response> {
    let settings = AgentSettings {
        policy: address_policy(client.options),
        tls,
        timeouts: Timeouts {
            connect: CONNECT.min(limit),
            request: limit,
        },
        limits: Limits {
            max_body: MAX_ANSWER,
            ..Limits::default()
        },
        connections: 1,
    };
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(settings));
    let patience = Patience {
        deadline: Instant::now() + limit,
        timeout: HttpError::probe_timeout(&request.url),
        pause,
    };
    let sent = request.clone();
    let response = remote::ask(&patience, &transport, move |transport| Ok(transport.send(&sent)?));
    transport.close();
    response
}

/// What an answer of the token endpoint means.
pub fn read(client: &Client, request: &Request, response: &Response, sent: &[Secret]) -> Result<Answer> {
    if (300..400).contains(&response.status) {
        status::judge(request, response, &Auth::None, SystemTime::UNIX_EPOCH)?;
    }
    Ok(read_answer(client.oauth, request, response, sent)?)
}
