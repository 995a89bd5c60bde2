//! Calls the function of the setting `after_publish`, in the transaction that makes a read visible and as the run-as role.

use super::Work;
use super::plan::Plan;
use crate::pg::{bgworker, failpoint, function, identity};
use crate::store;
use sluice_core::error::DatabaseError;
use sluice_core::job::FunctionFault;
use sluice_core::{Class, Error, Result};
use std::time::Instant;

/// Calls it, where there is one. Its error is the publishing transaction's.
pub fn call(work: &Work, plan: &Plan) -> Result<()> {
    let Some(name) = &plan.settings.after_publish else {
        return Ok(());
    };
    let limit = plan.settings.timeouts.after_publish;
    // Looked at anew in this transaction: it may have changed hands since the run began.
    let found = store::function::callable(name, identity::current_user())?;
    bgworker::report_activity(&format!("calling {name}"));
    failpoint::hit("publish.calling");
    let began = Instant::now();
    let outcome = function::call(found, &plan.job.name, work.run, limit);
    bgworker::report_activity("publishing");
    outcome.map_err(|error| match error {
        Error::Database(DatabaseError { sqlstate, .. }) if sqlstate == "57014" && began.elapsed() >= limit => {
            let name = name.clone();
            FunctionFault::Late { name, limit }.into()
        }
        Error::Database(error) if error.class() != Class::Cancelled => {
            let (name, error) = (name.clone(), Box::new(error));
            FunctionFault::Failed { name, error }.into()
        }
        other => other,
    })
}
