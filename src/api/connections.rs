//! Connections: the wrapper's validator, and the calls for applications.

use super::{given, require_library};
use crate::pg::Oid;
use crate::pg::report::or_raise;
use crate::pg::{catalog, identity, spi};
use crate::pipeline::probe;
use crate::store::connection::{self, split_option};
use crate::store::{job, origin, role};
use pgrx::prelude::*;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::connection::{ConnectionFault, ConnectionOptions, options_of_document};
use sluice_core::job::LONGEST_NAME;
use sluice_core::settings::Settings;
use sluice_core::sql_text::quote;

/// Checks the options of a server: what CREATE SERVER and ALTER SERVER call. Pure, so that a dump can be restored
/// anywhere.
#[pg_extern(name = "_validate_options", strict, parallel_unsafe)]
fn validate_options(options: Vec<Option<String>>, catalog: Oid) {
    or_raise(validate(&options, catalog));
}

fn validate(options: &[Option<String>], catalog_class: Oid) -> Result<()> {
    let given: Vec<(String, String)> = options.iter().flatten().map(|option| split_option(option)).collect();
    if catalog_class == catalog::foreign_server_class() {
        let options = ConnectionOptions::parse(&given)?;
        return refuse_origin(&options);
    }
    if catalog_class == catalog::foreign_table_class() {
        return Err(CallError::ForeignTable.into());
    }
    match given.first() {
        None => Ok(()),
        Some((name, _)) => Err(ConnectionFault::NotOnServer { option: name.clone() }.into()),
    }
}

/// Refuses an origin that the current user may not connect to; a superuser may every one.
fn refuse_origin(options: &ConnectionOptions) -> Result<()> {
    let caller = identity::current_user();
    match origin::refused(caller, options)? {
        None => Ok(()),
        Some(origin) => Err(connection::origin_denied(&origin, &role::name_of(caller)?)),
    }
}

/// The origin that a server's options name, NULL where they are not valid.
#[pg_extern(name = "_origin", immutable, parallel_safe)]
fn origin(options: Option<Vec<String>>) -> Option<String> {
    let given: Vec<(String, String)> = options?.iter().map(|option| split_option(option)).collect();
    ConnectionOptions::parse(&given).ok().map(|options| options.origin())
}

/// One option of a server.
#[pg_extern(name = "_option", immutable, parallel_safe)]
fn option(options: Option<Vec<String>>, name: &str) -> Option<String> {
    options?
        .iter()
        .map(|option| split_option(option))
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// Makes a connection that belongs to the caller.
#[pg_extern(volatile, parallel_unsafe)]
fn create_connection(name: Option<&str>, base_url: Option<&str>, options: default!(Option<pgrx::JsonB>, "'{}'")) {
    let asked = || {
        let document = given("options", options)?.0.to_string();
        create(given("name", name)?, given("base_url", base_url)?, &document)
    };
    or_raise(asked());
}

fn create(name: &str, base_url: &str, document: &str) -> Result<()> {
    catalog::require_primary()?;
    check_new_name(name)?;
    let mut options = vec![("base_url".to_string(), base_url.to_string())];
    options.extend(options_of_document(document)?);
    refuse_origin(&ConnectionOptions::parse(&options)?)?;
    let literal = |value: &str| pgrx::spi::quote_literal(value);
    let list: Vec<String> = options
        .iter()
        .map(|(key, value)| format!("{} {}", quote(key), literal(value)))
        .collect();
    let caller = identity::current_user();
    // PostgreSQL asks for USAGE on the wrapper, which would allow every origin.
    if !origin::may_use_wrapper(caller)? {
        return connection::create_for(name, &list.join(", "), &role::name_of(caller)?);
    }
    spi::execute(&connection::create_statement(name, &list.join(", ")), &[]).map(drop)
}

fn check_new_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(CallError::ConnectionName.into());
    }
    if connection::exists(name)? {
        return Err(CallError::ConnectionExists { name: name.into() }.into());
    }
    Ok(())
}

/// Drops a connection that no job uses.
#[pg_extern(volatile, parallel_unsafe)]
fn drop_connection(name: Option<&str>) {
    or_raise(given("name", name).and_then(remove));
}

fn remove(name: &str) -> Result<()> {
    catalog::require_primary()?;
    let server = connection::by_name(name)?;
    let (jobs, seen) = job::using_server(server.oid, identity::current_user())?;
    if jobs > 0 {
        return Err(CallError::ConnectionInUse {
            name: name.into(),
            jobs,
            seen,
        }
        .into());
    }
    spi::execute(&format!("DROP SERVER {}", quote(name)), &[]).map(drop)
}

/// Looks at the remote step by step. After the first step that failed the rest are NULL, "not tried".
#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)] // the columns of a table function
fn test_connection(
    connection: Option<&str>,
    path: default!(Option<&str>, "'/'"),
    settings: default!(Option<pgrx::JsonB>, "'{}'"),
) -> TableIterator<
    'static,
    (
        name!(check_name, String),
        name!(ok, Option<bool>),
        name!(detail, Option<String>),
        name!(hint, Option<String>),
    ),
> {
    let asked = || {
        let document = given("settings", settings)?.0.to_string();
        test(given("connection", connection)?, given("path", path)?, &document)
    };
    TableIterator::new(or_raise(asked()))
}

type Step = (String, Option<bool>, Option<String>, Option<String>);

fn test(name: &str, path: &str, document: &str) -> Result<Vec<Step>> {
    require_library()?;
    let question = question(name, path, document)?;
    let steps = probe::steps(&question)?.into_iter();
    Ok(steps
        .map(|step| (step.check.to_string(), step.ok, step.detail, step.hint))
        .collect())
}

/// What a probe of this connection asks, if the caller may use it.
pub fn question(name: &str, path: &str, document: &str) -> Result<probe::Question> {
    let server = connection::by_name(name)?;
    if !connection::may_use(identity::current_user(), server.oid)? {
        return Err(no_usage(&server.name)?);
    }
    probe::Question::of(server, path, Settings::parse(document)?)
}

/// The error for a role without USAGE on a connection.
pub fn no_usage(server: &str) -> Result<sluice_core::Error> {
    let role = role::name_of(identity::current_user())?;
    Ok(CallError::Denied {
        what: format!("connection \"{server}\""),
        detail: format!("Role \"{role}\" lacks USAGE on it."),
        hint: format!("GRANT USAGE ON FOREIGN SERVER {} TO {};", quote(server), quote(&role)),
    }
    .into())
}
