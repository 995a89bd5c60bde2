//! What a session may know of a job's parents: whether the query fits the job, and the first of its rows.
//!
//! The query is a user's code. In a session it is run for one row, in a subtransaction that is given up and can write
//! nothing, and never with a superuser's rights, since whatever it calls may be anybody's.

use crate::pg::{Oid, identity, query};
use crate::pipeline::probe::Question;
use crate::store::role;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::foreach::{self, Parent, Places};
use sluice_core::job::JobFault;
use sluice_core::settings::Settings;

/// Checks that the query of parents is one SELECT that gives what requests and columns take from it.
pub fn check(path: &str, settings: &Settings) -> Result<()> {
    let Some(parents) = &settings.foreach else {
        return Ok(());
    };
    let queries = settings.columns.iter().flatten().map(|column| &column.query);
    let wanted = foreach::wanted(path, &settings.params, settings.body.as_ref(), queries)?;
    let columns = query::columns(&parents.query).map_err(CallError::Parents)?;
    Ok(foreach::covers(&columns, wanted.into_iter()).map_err(CallError::Parents)?)
}

/// What is asked of a collection that is looked at: the same, below the first parent where it has parents.
pub fn first_look(asked: Question, path: &str) -> Result<Question> {
    let settings = asked.settings();
    let Some(foreach) = &settings.foreach else {
        return Ok(asked);
    };
    check(path, settings)?;
    let row = match run_as(settings)? {
        None => query::first_row_as_json(&foreach.query)?,
        Some(owner) => query::first_row_as_json_of(owner, &foreach.query)?,
    };
    let parent = row.and_then(|row| Parent::parse(&row));
    let parent = parent.ok_or(JobFault::NoParent { unusable: None })?;
    let filled = Places::of(path, &settings.params, settings.body.as_ref())?
        .fill(&parent)
        .map_err(|unusable| JobFault::NoParent {
            unusable: Some(unusable),
        })?;
    asked.below(parent, filled)
}

/// Who runs the query: None: the caller; a superuser only as the ordinary role that is to own the table.
fn run_as(settings: &Settings) -> Result<Option<Oid>> {
    if !identity::is_superuser(identity::current_user()) {
        return Ok(None);
    }
    let owner = settings.owner.as_deref().map(role::by_name).transpose()?;
    match owner.filter(|owner| !identity::is_superuser(*owner)) {
        Some(owner) => Ok(Some(owner)),
        None => Err(JobFault::QueryOfSuperuser.into()),
    }
}
