//! What came of asking for tokens, written down in one transaction.

use super::exchange::Ask;
use super::{ACCESS, Client, REFRESH};
use crate::pg::clock::{self, Timestamp};
use crate::pg::{failpoint, identity, xact};
use crate::store::oauth::{self, Failed, Grant};
use crate::store::{oauth_flow, run};
use sluice_core::error::{Error, HttpError, Result};
use sluice_core::http::Secret;
use sluice_core::oauth::{
    Grant as Kind, Lifetime, OAuthFault, Tokens, delay_after_failure, failures_are_too_many, keep_alive, lost_scopes,
};
use sluice_core::retry::SplitMix64;
use sluice_core::run::RunSource;
use std::time::Duration;

/// How soon it is looked again whether what this server itself lacks is there.
const AFTER_OWN_FAULT: Duration = Duration::from_secs(600);
/// How soon the exchange of a code is tried again: it does not live long.
const AFTER_CODE: Duration = Duration::from_secs(10);

/// What came.
pub enum Came {
    Tokens(Box<Tokens>),
    /// The person has not decided yet.
    Pending,
    SlowDown,
}

/// Why nothing came.
pub enum Trouble {
    /// Nothing was sent: a secret or the key is missing here.
    Unsent(Error),
    Failed(Error),
}

impl Trouble {
    /// Whether the remote says that the grant is gone.
    pub fn ends_grant(&self) -> bool {
        matches!(self, Trouble::Failed(Error::OAuth(fault)) if fault.ends_grant())
    }
}

/// Writes down what came, so that it survives a crash. The inner error is what failed; it is written, too.
pub fn write(
    client: &Client,
    grant: &Grant,
    ask: &Ask,
    came: std::result::Result<Came, Trouble>,
) -> Result<Result<()>> {
    let now = clock::now();
    identity::set_for_transaction("synchronous_commit", "on");
    match came {
        Ok(Came::Tokens(tokens)) => {
            store(client, grant, ask, &tokens, now)?;
            failpoint::hit("token.before_commit");
            Ok(Ok(()))
        }
        Ok(pending) => wait(grant, ask, &pending, now).map(Ok),
        Err(Trouble::Unsent(error)) => unsent(grant, ask, error, now).map(Err),
        Err(Trouble::Failed(error)) if wait_of(&error).is_some() => {
            put_off(grant, wait_of(&error).map(|wait| now.plus(wait)))?;
            Ok(Err(error))
        }
        Err(Trouble::Failed(error)) => {
            let noted = fail(client, grant, ask, &error, now)?;
            // Otherwise somebody has stored others meanwhile, and those are looked at.
            Ok(if noted { Err(error) } else { Ok(()) })
        }
    }
}

/// Nothing was sent: notes what is missing here.
fn unsent(grant: &Grant, ask: &Ask, error: Error, now: Timestamp) -> Result<Error> {
    let is_damaged = matches!(error, Error::OAuth(OAuthFault::Damaged { .. }));
    let is_flow = matches!(ask, Ask::Code(_) | Ask::Device(_));
    if let (Ask::Code(flow) | Ask::Device(flow), true) = (ask, is_damaged) {
        oauth_flow::forget(flow.id)?;
    }
    // A refresh token that cannot be opened leads nowhere, however often it is tried.
    let is_over = is_damaged && !is_flow;
    let failed = Failed {
        failures: grant.failures,
        connected: grant.connected && !is_over,
        needs_person: grant.needs_person || is_over,
        due_at: (!is_damaged).then(|| now.plus(AFTER_OWN_FAULT)),
        now,
    };
    oauth::note_failure(grant, failed, &error)?;
    Ok(error)
}

/// How long the remote, or its budget, asks to be left alone.
fn wait_of(error: &Error) -> Option<Duration> {
    match error {
        Error::Http(HttpError::RateWait { wait, .. }) => Some(*wait),
        _ => None,
    }
}

/// Nothing has failed: it is asked again then.
fn put_off(grant: &Grant, until: Option<Timestamp>) -> Result<()> {
    oauth::plan(grant.id, until)?;
    xact::wake_at_commit();
    Ok(())
}

fn random() -> f64 {
    SplitMix64::new(clock::random_seed()).next_f64()
}

fn store(client: &Client, grant: &Grant, ask: &Ask, tokens: &Tokens, now: Timestamp) -> Result<()> {
    let version = grant.version + 1;
    let lifetime = tokens.lifetime.map(|lifetime| Lifetime::of(lifetime, random()));
    let refresh = match &tokens.refresh {
        Some(token) => Some(token.clone()),
        None => kept_refresh(client, grant, ask)?,
    };
    let scope = match ask {
        Ask::Refresh | Ask::Previous => tokens.scope.clone().or_else(|| grant.scope.clone()),
        _ => tokens.scope.clone().or_else(|| client.oauth.scope.clone()),
    };
    let keep_alive = || now.plus(keep_alive(tokens.refresh_lifetime, random()));
    let sealed = oauth::Sealed {
        version,
        access: client.seal(grant.uuid, ACCESS, version, &tokens.access)?,
        refresh: match &refresh {
            Some(token) => Some(client.seal(grant.uuid, REFRESH, version, token)?),
            None => None,
        },
        replaces: matches!(ask, Ask::Refresh) && tokens.refresh.is_some(),
        scope,
        definition: &client.definition(),
        token_origin: client.oauth.origin(),
        api_origin: client.options.origin(),
        renew_at: lifetime.map(|life| now.plus(life.renew_after)),
        expires_at: lifetime.map(|life| now.plus(life.ends_after)),
        due_at: refresh.is_some().then(keep_alive),
        now,
    };
    oauth::store(grant.id, client.server, sealed)?;
    if let Ask::Code(flow) | Ask::Device(flow) = ask {
        oauth_flow::forget(flow.id)?;
    }
    let lost = lost_scopes(grant.scope.as_deref(), tokens.scope.as_deref());
    if !lost.is_empty() && matches!(ask, Ask::Refresh | Ask::Previous) {
        return take_back(client, grant, version, &lost);
    }
    go_on(client, grant, now)
}

/// The refresh token that serves on where the remote gave no other.
fn kept_refresh(client: &Client, grant: &Grant, ask: &Ask) -> Result<Option<Secret>> {
    let (version, sealed) = match ask {
        Ask::Refresh => (grant.version, grant.refresh.as_ref()),
        Ask::Previous => match &grant.previous {
            Some((version, sealed)) => (*version, Some(sealed)),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    sealed
        .map(|sealed| client.open(grant.uuid, REFRESH, version, sealed))
        .transpose()
}

/// The remote has taken scopes away: what the jobs read might silently be less.
fn take_back(client: &Client, grant: &Grant, version: i32, lost: &[String]) -> Result<()> {
    let reason = format!("The remote has taken back: {}.", lost.join(", "));
    let failed = Failed {
        failures: 0,
        connected: false,
        needs_person: true,
        due_at: None,
        now: clock::now(),
    };
    let stored = Grant {
        version,
        ..grant.clone()
    };
    oauth::note_failure(&stored, failed, &client.not_connected(&reason)).map(drop)
}

/// The jobs that waited for this go on by themselves.
fn go_on(client: &Client, grant: &Grant, now: Timestamp) -> Result<()> {
    if !grant.connected {
        for job in oauth::waiting_jobs(client.server.oid, now)? {
            run::request(job, RunSource::Resume, "scheduler", None)?;
        }
    }
    xact::wake_at_commit();
    Ok(())
}

/// Has a device asked about again.
fn wait(grant: &Grant, ask: &Ask, came: &Came, now: Timestamp) -> Result<()> {
    let Ask::Device(flow) = ask else {
        return Ok(());
    };
    let mut every = flow.poll_every.unwrap_or(5.0);
    if let Came::SlowDown = came {
        oauth_flow::slow_down(flow.id)?;
        every += 5.0;
    }
    oauth::plan(grant.id, Some(now.plus(Duration::from_secs_f64(every))))?;
    xact::wake_at_commit();
    Ok(())
}

/// Notes a failure; false where other tokens were stored meanwhile.
fn fail(client: &Client, grant: &Grant, ask: &Ask, error: &Error, now: Timestamp) -> Result<bool> {
    let failed = match ask {
        Ask::Code(flow) | Ask::Device(flow) => {
            // What a person began has no part in how the grant before it stands.
            let is_over = is_final(error) || flow.expires_in <= 0.0;
            if is_over {
                oauth_flow::forget(flow.id)?;
            }
            let again = flow
                .poll_every
                .map_or(AFTER_CODE, |every| Duration::from_secs_f64(every * 2.0));
            Failed {
                failures: grant.failures,
                connected: grant.connected,
                needs_person: grant.needs_person,
                due_at: (!is_over).then(|| now.plus(again)),
                now,
            }
        }
        Ask::ClientCredentials | Ask::Refresh | Ask::Previous => after_renewal(client, grant, error, now),
    };
    oauth::note_failure(grant, failed, error)
}

/// What the remote has said will not change by asking again.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::OAuth(OAuthFault::Refused { .. })) && error.class() == sluice_core::Class::Auth
}

fn after_renewal(client: &Client, grant: &Grant, error: &Error, now: Timestamp) -> Failed {
    let has_consent = client.oauth.grant != Kind::ClientCredentials;
    let is_gone = has_consent && matches!(error, Error::OAuth(fault) if fault.ends_grant());
    let failures = grant.failures.saturating_add(1);
    Failed {
        failures,
        connected: grant.connected && !is_gone && !failures_are_too_many(failures),
        needs_person: is_gone,
        due_at: (!is_gone).then(|| now.plus(delay_after_failure(failures, random()))),
        now,
    }
}

/// The API takes not even a new token.
///
/// # Errors
/// Only what could not be written.
pub fn refused(grant: &Grant, error: &Error) -> Result<()> {
    let failed = Failed {
        failures: grant.failures,
        connected: false,
        needs_person: true,
        due_at: None,
        now: clock::now(),
    };
    oauth::note_failure(grant, failed, error).map(drop)
}
