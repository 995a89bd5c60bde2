//! One exchange with the token endpoint: chosen, made, sent, read, written down.

use super::budget;
use super::kept::{self, Kept, Linger};
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
use sluice_core::oauth::{Answer, Asked, Grant as Kind, asked_to_wait, read_answer, token_request};
use sluice_core::rate::{Hold, Why};
use sluice_fetch::{AgentSettings, Limits, Pace, Timeouts, Tls, Transport, UreqTransport};
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
    kept::forget(grant);
    failpoint::hit("token.after_commit");
    written
}

fn ask_once(
    client: &Client,
    grant: &Grant,
    ask: &Ask,
    pause: &dyn Fn(Duration) -> Result<()>,
) -> std::result::Result<Came, Trouble> {
    let question = transaction::run(|| prepare(client, grant, ask)).map_err(Trouble::Unsent)?;
    let answer = answer_to(client, question, pause).map_err(Trouble::Failed)?;
    Ok(match answer {
        Answer::Tokens(tokens) => Came::Tokens(Box::new(tokens)),
        Answer::Pending => Came::Pending,
        Answer::SlowDown => Came::SlowDown,
    })
}

/// The answer that was kept, else the remote's.
fn answer_to(client: &Client, question: Question, pause: &dyn Fn(Duration) -> Result<()>) -> Result<Answer> {
    let Question {
        request,
        sent,
        tls,
        kept,
        pace,
    } = question;
    if let Some((age, response)) = kept.as_ref().and_then(Kept::answer) {
        return Ok(read(client, &request, &response, &sent)?.aged(age));
    }
    failpoint::hit("token.before_send");
    let linger = Linger::default();
    let slowly = |limit: Duration| linger.pause(limit, pause);
    let pause = if kept.is_some() { &slowly } else { pause };
    let sending = Sending {
        request: &request,
        tls,
        pace,
        kept,
    };
    let response = ask_remote(client, sending, pause, REQUEST);
    budget::keep(client)?;
    let response = response?;
    failpoint::hit("token.response_received");
    read(client, &request, &response, &sent)
}

/// What is asked, made in one transaction.
struct Question {
    request: Request,
    /// The secrets in it.
    sent: Vec<Secret>,
    tls: Tls,
    /// The place of its answer, where it can be asked once.
    kept: Option<Kept>,
    pace: Pace,
}

fn prepare(client: &Client, grant: &Grant, ask: &Ask) -> Result<Question> {
    let secret = client.secret()?;
    let no_token = || client.not_connected("Nobody has consented yet.");
    let opened = |version, sealed: &Option<Vec<u8>>| {
        let sealed = sealed.as_ref().ok_or_else(no_token)?;
        client.open(grant.uuid, REFRESH, version, sealed)
    };
    let built = |asked: &Asked| {
        let request = token_request(client.oauth, secret.as_ref(), asked);
        let kept = asked.fingerprint().map(|asked| Kept::of(client, grant, asked));
        Ok(Question {
            tls: client.tls(&request)?,
            pace: budget::pace(client)?,
            sent: asked.secrets().into_iter().chain(secret.clone()).collect(),
            kept: kept.transpose()?,
            request,
        })
    };
    match ask {
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
    }
}

/// Sends a request of OAuth under the connection's own policy: the same addresses, no redirects, TLS verified, answers
/// bounded.
pub fn send(
    client: &Client,
    (request, tls): (&Request, Tls),
    pause: &dyn Fn(Duration) -> Result<()>,
    limit: Duration,
) -> Result<Response> {
    let mut pace = budget::pace(client)?;
    pace.patience = pace.patience.min(limit);
    let sending = Sending {
        request,
        tls,
        pace,
        kept: None,
    };
    ask_remote(client, sending, pause, limit)
}

/// What is sent, and what has to do with sending it.
struct Sending<'a> {
    request: &'a Request,
    tls: Tls,
    pace: Pace,
    kept: Option<Kept>,
}

fn ask_remote(
    client: &Client,
    sending: Sending,
    pause: &dyn Fn(Duration) -> Result<()>,
    limit: Duration,
) -> Result<Response> {
    let Sending {
        request,
        tls,
        pace,
        kept,
    } = sending;
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
    let response = remote::ask(&patience, &transport, move |transport| {
        let response = pace.send(&sent, transport)?;
        if let Some(kept) = kept {
            kept.keep(&response);
        }
        Ok(response)
    });
    transport.close();
    response
}

/// What an answer of the token endpoint means.
pub fn read(client: &Client, request: &Request, response: &Response, sent: &[Secret]) -> Result<Answer> {
    if (300..400).contains(&response.status) {
        status::judge(request, response, &Auth::None, SystemTime::UNIX_EPOCH)?;
    }
    if let Some(wait) = asked_to_wait(response, SystemTime::now()) {
        let why = Why::Remote;
        return Err(HttpError::rate_wait(&request.remote(), Hold { wait, why }).into());
    }
    Ok(read_answer(client.oauth, request, response, sent)?)
}
