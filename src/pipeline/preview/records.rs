//! The first records of a collection as a job would store them: the same decoder and mapping, then each type's own
//! input function and modifier.
//!
//! Nothing of the target is run: no default, trigger or constraint, and a domain counts as the type below it. Each record
//! is read in a subtransaction that is given up, so that one which does not fit leaves the others.

use crate::pg::relation::Target;
use crate::pg::rowset::{Field, RowsetWriter};
use crate::pg::statement::{Planning, Statement, session};
use crate::pg::type_name::{self, TypeName};
use crate::pg::{attempt, latch};
use crate::pipeline::plan::{self, Task};
use crate::pipeline::preview::columns::{self, PlannedColumn};
use crate::pipeline::probe::{self, Question};
use sluice_core::Class;
use sluice_core::data::{self, Column, ColumnType, DataError, DecodedPage, Mapping};
use sluice_core::error::Error;
use sluice_core::http::Response;
use sluice_core::job::JobFault;
use sluice_core::settings::Settings;

type Result<T, E = Error> = std::result::Result<T, E>;

/// One record.
#[derive(Debug)]
pub struct Previewed {
    /// Its place on the page, from 1 on.
    pub number: u64,
    /// JSON text; None where the record does not fit.
    pub row: Option<String>,
    pub problem: Option<String>,
}

/// What is previewed.
pub struct Wanted<'a> {
    /// None: the table that `create_job` would make.
    pub target: Option<&'a Target>,
    pub key: &'a [String],
    pub most: usize,
}

/// The relation that a record's row is named by.
const RECORD: &str = "sluice_record";

/// The first records of a collection, with one request.
///
/// # Errors
/// What the request met, an answer without records where the settings say, or columns that cannot be.
pub fn records(question: &Question, wanted: &Wanted) -> Result<Vec<Previewed>> {
    columns::check_types(question.settings())?;
    probe::first_page(question)?.read(|response| of_answer(response, question, wanted))
}

fn of_answer(response: &Response, question: &Question, wanted: &Wanted) -> Result<Vec<Previewed>> {
    let settings = question.settings();
    let body = probe::opened(response, settings)?;
    let text = &question.with_parent(body.locate(&settings.records, &[])?.text)?;
    let records = data::split_records(text)?;
    // Neither columns nor a key could be told from what is not there.
    if records.is_empty() && settings.columns.is_none() {
        return Ok(Vec::new());
    }
    let shown = match wanted.target {
        Some(target) => of_target(target, settings, wanted.key, text)?,
        None => columns::planned(settings, &body.only_records(text)?)?
            .into_iter()
            .map(of_planned)
            .collect(),
    };
    let key = positions(&shown, wanted.key)?;
    let columns = shown.iter().map(|column| column.column.clone()).collect();
    let mapping = Mapping::new(settings.records.clone(), columns, key, "preview");
    let first = (1..).zip(records).take(wanted.most);
    first
        .map(|(number, record)| {
            latch::check_interrupts();
            match body.ragged_at(number) {
                Some(error) => Ok(refused(number, told(error.into()))),
                None => preview(number, record, &mapping, &shown),
            }
        })
        .collect()
}

/// A column with the type that its values are read as.
struct Shown {
    column: Column,
    ty: TypeName,
    not_null: bool,
}

impl Shown {
    fn field(&self) -> Field {
        Field {
            name: self.column.name.clone(),
            type_oid: self.ty.oid,
            typmod: self.ty.typmod,
            collation: type_name::collation(self.ty.oid),
            format: self.column.ty.format(),
        }
    }
}

/// The target's columns that a job would fill.
fn of_target(target: &Target, settings: &Settings, key: &[String], text: &str) -> Result<Vec<Shown>> {
    let (candidates, given) = plan::candidates(target, settings, &Task::Sync, key)?;
    let members = if given { Vec::new() } else { data::members(text)? };
    let used = candidates
        .into_iter()
        .filter(|(name, ..)| given || members.contains(name));
    let shown = used.map(|(name, query, default)| {
        let column = target.expect_column(&name)?;
        let declared = TypeName {
            oid: column.type_oid,
            typmod: column.typmod,
        };
        Ok(Shown {
            column: Column {
                name,
                query,
                ty: column.encoding(),
                default,
            },
            ty: type_name::base(declared),
            not_null: column.not_null,
        })
    });
    let shown: Vec<Shown> = shown.collect::<Result<_>>()?;
    match shown.is_empty() {
        true => Err(DataError::NoColumns.into()),
        false => Ok(shown),
    }
}

/// A column that the table would have.
fn of_planned(column: PlannedColumn) -> Shown {
    let ty = type_name::parse(&column.type_sql);
    Shown {
        column: Column {
            name: column.name,
            query: column.query,
            ty: ColumnType::from_type_oid(ty.oid.to_u32()),
            default: column.default,
        },
        ty: type_name::base(ty),
        not_null: false,
    }
}

fn positions(shown: &[Shown], key: &[String]) -> Result<Vec<usize>> {
    let position = |name: &String| {
        let found = shown.iter().position(|shown| shown.column.name == *name);
        found.ok_or_else(|| {
            let members = shown.iter().map(|shown| shown.column.name.clone()).collect();
            let column = name.clone();
            JobFault::KeyNotInRecords { column, members }.into()
        })
    };
    key.iter().map(position).collect()
}

fn refused(number: u64, problem: String) -> Previewed {
    Previewed {
        number,
        row: None,
        problem: Some(problem),
    }
}

fn preview(number: u64, record: &str, mapping: &Mapping, shown: &[Shown]) -> Result<Previewed> {
    let refused = |problem| refused(number, problem);
    let page = match data::decode(&format!("[{record}]"), mapping) {
        Ok(page) => page,
        Err(error) => return Ok(refused(told(error.of_record(number).into()))),
    };
    if let Some(name) = forbidden_null(&page, shown) {
        return Ok(refused(format!("column \"{name}\" is null and must not be (23502)")));
    }
    match typed(&page, shown) {
        Ok(row) => Ok(Previewed {
            number,
            row: Some(row),
            problem: None,
        }),
        Err(error) if error.class() == Class::Cancelled => Err(error),
        Err(error) => Ok(refused(named(&page, shown, error)?)),
    }
}

/// The error's text with its SQLSTATE.
fn told(error: Error) -> String {
    match error.detail() {
        Some(detail) => format!("{error} ({}): {detail}", error.sqlstate()),
        None => format!("{error} ({})", error.sqlstate()),
    }
}

fn fields(page: &DecodedPage) -> impl Iterator<Item = Option<&[u8]>> {
    data::fields(&page.rows)
}

fn forbidden_null<'s>(page: &DecodedPage, shown: &'s [Shown]) -> Option<&'s str> {
    let mut both = shown.iter().zip(fields(page));
    both.find(|(shown, field)| shown.not_null && field.is_none())
        .map(|(shown, _)| shown.column.name.as_str())
}

/// The record's row as JSON text, each value as its type's own functions read and write it.
fn typed(page: &DecodedPage, shown: &[Shown]) -> Result<String> {
    let columns: Vec<Field> = shown.iter().map(Shown::field).collect();
    as_json(&columns, fields(page))
}

fn as_json<'a>(columns: &[Field], values: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<String> {
    attempt::given_up(|| {
        session(|session| {
            let mut writer = RowsetWriter::new(session, columns, "preview");
            writer.add(values)?;
            let rows = writer.finish();
            let texts = rows.named(session, RECORD, || {
                let sql = format!("SELECT pg_catalog.to_jsonb(r)::pg_catalog.text FROM {RECORD} AS r");
                Statement::prepare(session, &sql, Planning::Ordinary).texts(session)
            });
            let first = texts.into_iter().flatten().flatten().next();
            Ok(first.unwrap_or_else(|| "null".to_owned()))
        })
    })
}

/// The problem with the column that has it, by reading one column after the other.
fn named(page: &DecodedPage, shown: &[Shown], error: Error) -> Result<String> {
    for (shown, value) in shown.iter().zip(fields(page)) {
        match as_json(&[shown.field()], [value]) {
            Ok(_) => {}
            Err(error) if error.class() == Class::Cancelled => return Err(error),
            Err(error) => return Ok(format!("column \"{}\": {}", shown.column.name, told(error))),
        }
    }
    Ok(told(error))
}
