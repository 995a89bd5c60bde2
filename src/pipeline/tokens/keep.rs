//! What a worker does for a grant that is due, whether a job wants its token or not.

use super::exchange::{self, Ask};
use super::{Client, outcome};
use crate::pg::shmem::{Reserved, Room};
use crate::pg::{bgworker, clock, lock, shmem, transaction};
use crate::pipeline::events;
use crate::pipeline::remote::pause_in_worker;
use crate::store::connection::{self, Server};
use crate::store::oauth::{self, Grant};
use crate::store::{oauth_flow, role};
use sluice_core::connection::ConnectionOptions;
use sluice_core::oauth::Grant as Kind;
use sluice_core::{Error, Result};

/// Starts a worker that looks after a grant, as the server's owner; false where no worker is free. Its slot has the
/// grant's id, negative, in place of a job's.
///
/// # Errors
/// Only what the catalogs could not tell.
pub fn start_worker(database: u32, grant: i64, server: &Server) -> Result<bool> {
    let Some(owner) = role::as_run_as(server.owner)? else {
        return Ok(true);
    };
    let wanted = shmem::reservation(database, (-grant, 0), owner.run_as(), 0);
    let Reserved::Slot(slot) = shmem::reserve(wanted, &server.name, Room::of_settings()) else {
        return Ok(false);
    };
    if !bgworker::start_worker(slot, &server.name) {
        shmem::release(slot);
        return Ok(false);
    }
    Ok(true)
}

/// Looks after one grant: what is due of it is done. What fails is written down.
///
/// # Errors
/// What could not be written down.
pub fn keep(id: i64) -> Result<()> {
    let Some((grant, server)) = transaction::run(|| found(id))? else {
        return Ok(());
    };
    bgworker::report_activity("looking after a token");
    let options = ConnectionOptions::parse(&server.options)?;
    let Some(client) = Client::of(&server, &options) else {
        // It gets its credential in another way by now.
        return transaction::run(|| oauth::plan(grant.id, None));
    };
    let table = transaction::run(oauth::table)?;
    if !lock::try_lock(table, grant.id) {
        return Ok(());
    }
    let done = do_due(&client, id);
    lock::unlock(table, grant.id);
    events::tell();
    done
}

fn found(id: i64) -> Result<Option<(Grant, Server)>> {
    let Some(grant) = oauth::by_id(id, clock::now())? else {
        return Ok(None);
    };
    let server = connection::by_oid(grant.server)?;
    Ok(server.map(|server| (grant, server)))
}

/// With the grant's lock.
fn do_due(client: &Client, id: i64) -> Result<()> {
    let Some((grant, _)) = transaction::run(|| found(id))? else {
        return Ok(());
    };
    match transaction::run(|| chosen(client, &grant))? {
        // Its error is written down.
        Some(ask) => exchange::run(client, &grant, ask, &pause_in_worker).or_else(unwritten),
        None => transaction::run(|| oauth::plan(grant.id, None)),
    }
}

/// An error of the remote's is on the grant's row; what ended this very process goes on.
fn unwritten(error: Error) -> Result<()> {
    match error.class() {
        sluice_core::Class::Cancelled | sluice_core::Class::Internal => Err(error),
        _ => Ok(()),
    }
}

fn chosen(client: &Client, grant: &Grant) -> Result<Option<Ask>> {
    let flow = oauth_flow::open_of(client.server.oid, clock::now())?;
    if let Some(flow) = flow {
        let is_ours = flow.definition == client.definition();
        match (is_ours && flow.expires_in > 0.0, flow.code.is_some()) {
            (true, true) => return Ok(Some(Ask::Code(flow))),
            (true, false) => return Ok(Some(Ask::Device(flow))),
            (false, _) => {
                oauth_flow::forget(flow.id)?;
                if !grant.connected {
                    let lapsed = client.not_connected("The authorization was not finished in time.");
                    outcome::refused(grant, &lapsed)?;
                }
            }
        }
    }
    if client.objection(grant).is_some() {
        return Ok(None);
    }
    Ok(match client.oauth.grant {
        Kind::ClientCredentials => (grant.failures > 0).then_some(Ask::ClientCredentials),
        _ if grant.refresh.is_none() => None,
        _ => (grant.connected || !grant.needs_person).then_some(Ask::Refresh),
    })
}
