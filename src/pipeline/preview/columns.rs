//! The columns of a table that does not exist yet.

use crate::pg::catalog::{is_holdable, not_ascii};
use crate::pg::type_name;
use sluice_core::Result;
use sluice_core::connection::ConfigError;
use sluice_core::data::{self, InferredType, SingularQuery};
use sluice_core::settings::{ColumnSetting, Settings, SettingsFault};

/// A column that a table is to have.
#[derive(Debug, Clone)]
pub struct PlannedColumn {
    pub name: String,
    pub query: SingularQuery,
    /// JSON text for a record that has nothing there.
    pub default: Option<String>,
    /// The type as a statement names it.
    pub type_sql: String,
    /// The same where nobody has declared it.
    pub inferred: Option<InferredType>,
}

/// Those that the settings declare, each with its own type or the one that takes the page's values; without a
/// declaration one for each member of the records. Refuses names that this database's encoding does not take.
pub fn planned(settings: &Settings, records_text: &str) -> Result<Vec<PlannedColumn>> {
    let columns = described(settings, records_text)?;
    match columns.iter().find(|column| !is_holdable(&column.name)) {
        Some(column) => Err(not_ascii(
            format!("the name of a column for member \"{}\"", column.query),
            "Name the columns with the setting \"columns\" (there a member is written with escapes, such as $['\\u00fc']), \
             or use a database in UTF8.",
        )),
        None => Ok(columns),
    }
}

fn described(settings: &Settings, records_text: &str) -> Result<Vec<PlannedColumn>> {
    let Some(columns) = &settings.columns else {
        let inferred = data::infer(records_text, u64::MAX)?.columns.into_iter();
        let planned = inferred.map(|column| PlannedColumn {
            name: column.name,
            query: column.query,
            default: None,
            type_sql: column.ty.qualified().to_owned(),
            inferred: Some(column.ty),
        });
        return Ok(planned.collect());
    };
    let plan = |column: &ColumnSetting| {
        let inferred = match &column.type_name {
            Some(_) => None,
            None => Some(data::infer_at(records_text, &column.query)?),
        };
        let type_sql = match (inferred, &column.type_name) {
            (Some(ty), _) => ty.qualified().to_owned(),
            (None, name) => declared(column, name.as_deref().unwrap_or_default())?,
        };
        Ok(PlannedColumn {
            name: column.name.clone(),
            query: column.query.clone(),
            default: column.default.clone(),
            type_sql,
            inferred,
        })
    };
    columns.iter().map(plan).collect()
}

/// Refuses declared types that no column can have.
pub fn check_types(settings: &Settings) -> Result<()> {
    let columns = settings.columns.iter().flatten();
    let types = columns.filter_map(|column| Some((column, column.type_name.as_ref()?)));
    for (column, name) in types {
        declared(column, name)?;
    }
    Ok(())
}

/// The declared type as a statement names it.
fn declared(column: &ColumnSetting, name: &str) -> Result<String> {
    let fault = |fault| {
        ConfigError::from(SettingsFault::ColumnType {
            column: column.name.clone(),
            type_name: name.to_owned(),
            fault,
        })
    };
    Ok(type_name::sql(type_name::of_column(name)?.map_err(fault)?))
}
