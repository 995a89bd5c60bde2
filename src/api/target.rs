//! The target of a new job: found, or made from what the remote sends.

use super::connections::question;
use super::parents::first_look;
use crate::pg::Oid;
use crate::pg::relation::{self, Target};
use crate::pg::{identity, report, spi};
use crate::pipeline::preview::columns::{PlannedColumn, check_types, planned};
use crate::pipeline::probe;
use crate::store::job::{self, Job};
use crate::store::role;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::counted::counted;
use sluice_core::data::{InferredType, SingularQuery, unique_members};
use sluice_core::http::Response;
use sluice_core::job::{JobFault, Mode, TargetName};
use sluice_core::settings::{OnMissing, Settings};
use sluice_core::sql_text::quote;
use sluice_core::target::{DELETED_AT, MOST_COLUMNS, TargetError};

/// Where a job's rows go, and what was found out on the way.
pub struct Found {
    pub target: Target,
    pub key: Vec<String>,
    /// The settings to store: with the columns where the table was made from them.
    pub settings: String,
    pub created: bool,
    /// The columns whose types were inferred.
    pub made: Vec<(String, InferredType)>,
}

/// What `create_job` was asked for, as far as the target is concerned.
pub struct Wish<'a> {
    pub job: &'a str,
    pub connection: &'a str,
    pub path: &'a str,
    pub mode: Mode,
    pub target: Option<&'a str>,
    pub key: Option<Vec<String>>,
    pub document: &'a str,
}

/// Finds the target by name, or makes it. All of it as the caller.
pub fn find_or_create(wish: &Wish, settings: &Settings) -> Result<Found> {
    check_types(settings)?;
    let name = match wish.target {
        Some(target) => TargetName::parse(target)?,
        None => TargetName::of_table(wish.job),
    };
    match resolve(&name.to_string())? {
        Some(oid) => existing(wish, settings, oid),
        None => create(wish, settings, &name),
    }
}

/// The relation that a quoted, possibly qualified name means to the caller.
pub fn resolve(name: &str) -> Result<Option<Oid>> {
    spi::value::<Oid>("SELECT pg_catalog.to_regclass($1)::pg_catalog.oid", &[name.into()])
}

fn is_temporary(oid: Oid) -> Result<bool> {
    let sql = "SELECT c.relpersistence OPERATOR(pg_catalog.=) 't' FROM pg_catalog.pg_class AS c \
               WHERE c.oid OPERATOR(pg_catalog.=) $1";
    Ok(spi::value::<bool>(sql, &[oid.into()])?.unwrap_or(false))
}

fn existing(wish: &Wish, settings: &Settings, oid: Oid) -> Result<Found> {
    settings.check_columns()?;
    let target = relation::read_target(oid)?.ok_or(TargetError::Missing { oid: oid.to_u32() })?;
    target.expect_table()?;
    if is_temporary(oid)? {
        return Err(TargetError::Temporary {
            table: target.full_name(),
        }
        .into());
    }
    if settings.on_missing == OnMissing::Mark {
        target.expect_mark()?;
    }
    let key = match &wish.key {
        Some(key) => key.clone(),
        None => usual_key(&target, wish.mode)?,
    };
    may_become_owner(&target)?;
    if wish.key.is_some() || !key.is_empty() {
        check_key(&target, &key)?;
    }
    target.expect_keyset(settings.keyset_beside(&key))?;
    Ok(Found {
        target,
        key,
        settings: wish.document.to_string(),
        created: false,
        made: Vec::new(),
    })
}

/// The key of a job that names none: the table's primary key. Rows that are appended need none, and have none where the
/// table gives its values itself.
pub fn usual_key(target: &Target, mode: Mode) -> Result<Vec<String>> {
    match mode {
        Mode::Append if gives_key(target)? => Ok(Vec::new()),
        Mode::Replace | Mode::Upsert if target.primary_key.is_empty() => Err(JobFault::TableWithoutKey {
            table: target.full_name(),
        }
        .into()),
        _ => Ok(target.primary_key.clone()),
    }
}

fn gives_key(target: &Target) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a \
               WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attname OPERATOR(pg_catalog.=) ANY ($2) \
               AND (a.atthasdef OR a.attidentity OPERATOR(pg_catalog.<>) ''))";
    let args = [target.oid.into(), target.primary_key.clone().into()];
    Ok(spi::value::<bool>(sql, &args)?.unwrap_or(false))
}

/// Checks that a job of the caller may write to this target.
pub fn may_become_owner(target: &Target) -> Result<()> {
    let caller = identity::current_user();
    if role::may_become(caller, target.owner)? {
        return Ok(());
    }
    let (caller, owner) = (role::name_of(caller)?, role::name_of(target.owner)?);
    Err(CallError::Denied {
        what: format!("table \"{}\"", target.name),
        detail: format!("A job writes as the table's owner \"{owner}\", and \"{caller}\" cannot become that role."),
        hint: match identity::is_superuser(target.owner) {
            // Nobody becomes a superuser for the sake of a job.
            true => format!(
                "ALTER TABLE {} OWNER TO {}; or let a superuser make the job.",
                target.full_name(),
                quote(&caller)
            ),
            false => format!(
                "GRANT {} TO {}; or let the owner make the job.",
                quote(&owner),
                quote(&caller)
            ),
        },
    }
    .into())
}

/// Checks that the key's columns are there and unique.
pub fn check_key(target: &Target, key: &[String]) -> Result<()> {
    sluice_core::job::check_key(key)?;
    for column in key {
        target.expect_column(column)?;
    }
    if target.has_unique_index_on(key) {
        return Ok(());
    }
    Err(TargetError::NoUniqueIndex {
        table: target.full_name(),
        key: key.to_vec(),
    }
    .into())
}

/// Makes the table from the first page: the declared columns or one for each member, a primary key on the key's columns.
fn create(wish: &Wish, settings: &Settings, name: &TargetName) -> Result<Found> {
    require_schema(name)?;
    expect_keyset(wish, settings, name)?;
    let asked = first_look(question(wish.connection, wish.path, wish.document)?, wish.path)?;
    let (columns, key) = probe::first_page(&asked)?.read(|response| shape(wish, settings, name, &asked, response))?;
    if wish.key.is_some() {
        sluice_core::job::check_key(&key)?;
    }
    if let Some(column) = key.iter().find(|k| !columns.iter().any(|c| c.name == **k)) {
        return Err(JobFault::KeyNotInRecords {
            column: column.clone(),
            members: columns.into_iter().map(|c| c.name).collect(),
        }
        .into());
    }
    let columns = fitting(columns, &key, name, settings.on_missing);
    let oid = create_table(name, &columns, &key, settings)?;
    let target = relation::read_target(oid)?.ok_or(TargetError::Missing { oid: oid.to_u32() })?;
    may_become_owner(&target)?;
    Ok(Found {
        target,
        key,
        settings: with_columns(wish.document, &columns),
        created: true,
        made: columns
            .into_iter()
            .filter_map(|c| Some((c.name, c.inferred?)))
            .collect(),
    })
}

/// The same of a table that is to be made: its key will be its only unique index.
fn expect_keyset(wish: &Wish, settings: &Settings, name: &TargetName) -> Result<()> {
    // One that is needed and missing is asked for with a proposal.
    if wish.key.is_none() && wish.mode != Mode::Append {
        return Ok(());
    }
    match settings.keyset_beside(wish.key.as_deref().unwrap_or_default()) {
        None => Ok(()),
        Some(column) => Err(TargetError::NoKeyset {
            table: name.table.clone(),
            column: column.to_owned(),
        }
        .into()),
    }
}

/// The columns and the key that the first page shows.
fn shape(
    wish: &Wish,
    settings: &Settings,
    name: &TargetName,
    asked: &probe::Question,
    response: &Response,
) -> Result<(Vec<PlannedColumn>, Vec<String>)> {
    let body = probe::opened(response, settings)?;
    let located = body.locate(&settings.records, &[])?;
    let records = body.only_records(located.text)?;
    let columns = planned(settings, &asked.with_parent(&records)?)?;
    if columns.is_empty() {
        return Err(TargetError::NothingToMakeItFrom {
            table: name.table.clone(),
        }
        .into());
    }
    match &wish.key {
        Some(key) => Ok((columns, key.clone())),
        None if wish.mode == Mode::Append => Ok((columns, Vec::new())),
        None => Err(JobFault::KeyNeeded {
            name: wish.job.into(),
            proposed: proposed_key(&records, &columns)?,
        }
        .into()),
    }
}

/// As many columns as a table can have, the key's among them; a warning of the others.
fn fitting(
    mut columns: Vec<PlannedColumn>,
    key: &[String],
    name: &TargetName,
    on_missing: OnMissing,
) -> Vec<PlannedColumn> {
    let found = columns.len();
    let mut room = (MOST_COLUMNS - usize::from(on_missing == OnMissing::Mark)).saturating_sub(key.len());
    columns.retain(|column| {
        let is_key = key.contains(&column.name);
        let fits = is_key || room > 0;
        room = room.saturating_sub(usize::from(!is_key));
        fits
    });
    if columns.len() < found {
        report::warn(
            format!("table {name} gets {} of {}", columns.len(), counted(found, "column")),
            "PostgreSQL has no room for more; what is left out is told in sync_drift.".into(),
            "Choose the members that matter with the setting \"columns\".".into(),
        );
    }
    columns
}

/// The columns of those members that are unique in the first page: a column's name may differ from the member's.
fn proposed_key(records_text: &str, columns: &[PlannedColumn]) -> Result<Vec<String>> {
    let of_member = |member: String| {
        let place = SingularQuery::member(&member);
        let column = columns.iter().find(|column| column.query == place);
        column.map(|column| column.name.clone())
    };
    Ok(unique_members(records_text)?
        .into_iter()
        .filter_map(of_member)
        .collect())
}

/// Checks that the caller can make a table of this name, before the remote is asked what it would look like.
fn require_schema(name: &TargetName) -> Result<()> {
    let sql = "SELECT n.nspname::pg_catalog.text, pg_catalog.has_schema_privilege(n.oid, 'CREATE') \
               FROM pg_catalog.pg_namespace AS n \
               WHERE n.nspname OPERATOR(pg_catalog.=) coalesce($1, pg_catalog.current_schema())";
    let found = spi::row(sql, &[name.schema.clone().into()], |r| {
        Ok((r.need::<String>(1)?, r.need::<bool>(2)?))
    })?;
    let missing = match (&name.schema, found) {
        (_, Some((_, true))) => return Ok(()),
        (_, Some((schema, false))) => return Err(no_create(&schema)?),
        (Some(schema), None) => JobFault::UnknownSchema { schema: schema.clone() },
        (None, None) => JobFault::NoSchema {
            table: name.table.clone(),
        },
    };
    Err(missing.into())
}

fn no_create(schema: &str) -> Result<sluice_core::Error> {
    let role = role::name_of(identity::current_user())?;
    Ok(CallError::Denied {
        what: format!("schema \"{schema}\""),
        detail: format!("The target is not there and would be made in it, and \"{role}\" lacks CREATE on it."),
        hint: format!("GRANT CREATE ON SCHEMA {} TO {};", quote(schema), quote(&role)),
    }
    .into())
}

/// Warns where another job writes the same target, unless both only add and change rows.
pub fn warn_of_others(job: &Job, target: &Target) -> Result<()> {
    let replaces = |mode: &str| mode == Mode::Replace.as_str();
    for (mode, name) in job::others_of_target(job, identity::current_user())? {
        if !replaces(&mode) && !replaces(&job.mode) {
            continue;
        }
        let other = name.map_or_else(|| "another job".to_string(), |name| format!("job \"{name}\""));
        report::warn(
            format!("table {} is the target of {other} too", target.full_name()),
            "A job removes only rows that it has brought. Where both bring a row of the same key, the later run's values \
             stand, and a row that one of them removes comes back when the other compares every row again (setting \
             verify_every)."
                .into(),
            "Let the two bring different keys, or give each a target of its own.".into(),
        );
    }
    Ok(())
}

fn create_table(name: &TargetName, columns: &[PlannedColumn], key: &[String], settings: &Settings) -> Result<Oid> {
    let column = |c: &PlannedColumn| format!("{} {}", quote(&c.name), c.type_sql);
    let mark =
        (settings.on_missing == OnMissing::Mark).then(|| format!("{} timestamp with time zone", quote(DELETED_AT)));
    let list: Vec<String> = columns.iter().map(column).chain(mark).collect();
    let keys: Vec<String> = key.iter().map(|k| quote(k)).collect();
    let primary = (!keys.is_empty()).then(|| format!("PRIMARY KEY ({})", keys.join(", ")));
    let list: Vec<String> = list.into_iter().chain(primary).collect();
    spi::execute(&format!("CREATE TABLE {name} ({})", list.join(", ")), &[])?;
    if let Some(owner) = &settings.owner {
        spi::execute(&format!("ALTER TABLE {name} OWNER TO {}", quote(owner)), &[])?;
    }
    let missing = || {
        TargetError::NothingToMakeItFrom {
            table: name.table.clone(),
        }
        .into()
    };
    resolve(&name.to_string())?.ok_or_else(missing)
}

/// The settings with each column's place in a record: a column's name may differ from the member's.
fn with_columns(document: &str, columns: &[PlannedColumn]) -> String {
    let mut settings: serde_json::Map<String, serde_json::Value> = serde_json::from_str(document).unwrap_or_default();
    let mapped = columns
        .iter()
        .map(|c| (c.name.clone(), serde_json::Value::from(c.query.to_string())))
        .collect();
    settings.entry("columns").or_insert(serde_json::Value::Object(mapped));
    serde_json::Value::Object(settings).to_string()
}
