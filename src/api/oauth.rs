//! Connecting a connection whose remote wants a person's consent.

use super::{given, require_server};
use crate::pg::identity;
use crate::pg::report::{or_raise, tell};
use crate::pipeline::tokens;
use crate::store::audit;
use crate::store::connection::{self, Server};
use crate::store::role::{self, Level};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::connection::ConnectionOptions;
use sluice_core::oauth::Grant;

/// Begins: what the person opens.
#[pg_extern(volatile, parallel_unsafe)]
fn begin_oauth(connection: Option<&str>, redirect_uri: default!(Option<&str>, "NULL")) -> String {
    or_raise(given("connection", connection).and_then(|name| begin(name, redirect_uri)))
}

fn begin(name: &str, redirect_uri: Option<&str>) -> Result<String> {
    require_server()?;
    let server = own_connection(name)?;
    let shown = tokens::begin(&server, redirect_uri)?;
    audit::note("begin_oauth", "connection", name)?;
    let hint = match ConnectionOptions::parse(&server.options)?.auth.grant() {
        Some(Grant::Device) => format!(
            "SELECT state, error_message FROM sluice.sync_connections WHERE name = '{}' shows when it is connected.",
            name.replace('\'', "''")
        ),
        _ => format!(
            "It serves for ten minutes and this role. Then: SELECT sluice.finish_oauth('{}', callback_url => '…');",
            name.replace('\'', "''")
        ),
    };
    tell(format!("connection \"{name}\" waits for a person's consent"), hint);
    Ok(shown)
}

/// Takes the address that the browser came back to. An error inside does not put the statement, and with it the code,
/// into the server's log.
#[pg_extern(volatile, parallel_unsafe)]
fn finish_oauth(connection: Option<&str>, callback_url: Option<&str>) {
    let hidden = [("log_min_error_statement", "panic")];
    identity::with_settings(&hidden, || {
        or_raise(given("connection", connection).and_then(|name| finish(name, given("callback_url", callback_url)?)));
    });
}

fn finish(name: &str, callback: &str) -> Result<()> {
    require_server()?;
    let server = own_connection(name)?;
    tokens::finish(&server, callback)?;
    audit::note("finish_oauth", "connection", name)?;
    let hint = format!(
        "SELECT state, error_message FROM sluice.sync_connections WHERE name = '{}' shows what came of it.",
        name.replace('\'', "''")
    );
    tell(format!("connection \"{name}\" is being connected by a worker"), hint);
    Ok(())
}

/// The connection, if the caller may connect it: its owner, or an admin. Everybody with USAGE will read with the grant.
fn own_connection(name: &str) -> Result<Server> {
    let caller = identity::current_user();
    let server = connection::by_name(name)?;
    if role::has_rights_of(caller, server.owner)? || role::has_level(caller, Level::Admin)? {
        return Ok(server);
    }
    Err(CallError::Denied {
        what: format!("connection \"{name}\""),
        detail: "It belongs to another role, and whoever may use it would read with your consent.".into(),
        hint: "Its owner or an admin may connect it.".into(),
    }
    .into())
}
