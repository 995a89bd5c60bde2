//! `sluice._error_rule`: rules that people give for errors. What they mean: `sluice_core::error_rule`.

use super::{execute, returning, rows};
use crate::pg::Oid;
use sluice_core::class::Class;
use sluice_core::error::InternalError;
use sluice_core::error_rule::{Action, ErrorRule, ErrorRules, Pattern};
use sluice_core::{Error, Result};
use std::time::Duration;

/// A rule as it is given.
#[derive(Debug)]
pub struct Given<'a> {
    pub name: &'a str,
    pub job: Option<i64>,
    /// A connection: its oid and name.
    pub server: Option<(Oid, String)>,
    pub priority: i32,
    /// The document, which was checked.
    pub pattern: &'a str,
    pub class: Option<Class>,
    pub action: Action,
    pub hint: Option<&'a str>,
    pub pause_for: Option<Duration>,
    pub by: &'a str,
}

/// Sets the rule of this name; its id.
pub fn set(rule: &Given<'_>) -> Result<i64> {
    let sql = include_str!("../../sql/query/set_error_rule.sql");
    let (oid, server) = rule.server.clone().unzip();
    let args = [
        rule.name.into(),
        rule.job.into(),
        oid.into(),
        server.into(),
        rule.priority.into(),
        rule.pattern.into(),
        rule.class.map(Class::as_str).into(),
        rule.action.as_str().into(),
        rule.hint.into(),
        rule.pause_for.map(|length| length.as_secs_f64()).into(),
        rule.by.into(),
    ];
    Ok(returning(sql, &args, |r| r.need(1))?.expect("INSERT … RETURNING gives the id"))
}

/// Whether there was one of this name.
pub fn drop_named(name: &str) -> Result<bool> {
    Ok(execute("DELETE FROM sluice._error_rule WHERE name = $1", &[name.into()])? > 0)
}

pub fn names() -> Result<Vec<String>> {
    rows("SELECT name FROM sluice._error_rule ORDER BY name", &[], |r| r.need(1))
}

/// The rules for a job of a connection, in the order in which they are asked.
pub fn of_job(job: i64, server: Oid) -> Result<ErrorRules> {
    let sql = include_str!("../../sql/query/error_rules_of.sql");
    let rules = rows(sql, &[job.into(), server.into()], |r| {
        let class: Option<String> = r.get(4)?;
        Ok(ErrorRule {
            id: r.need(1)?,
            name: r.need(2)?,
            pattern: Pattern::parse(&r.need::<String>(3)?)?,
            class: class.map(|word| class_of(&word)).transpose()?,
            action: Action::parse(&r.need::<String>(5)?).ok_or_else(corrupt)?,
            hint: r.get(6)?,
            pause_for: r.get::<f64>(7)?.map(Duration::from_secs_f64),
        })
    })?;
    Ok(ErrorRules::new(rules))
}

fn class_of(word: &str) -> Result<Class> {
    let found = Class::ALL.into_iter().find(|class| class.as_str() == word);
    found.ok_or_else(corrupt)
}

fn corrupt() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "an error rule".into(),
    })
}
