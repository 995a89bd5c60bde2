//! Writes the extension's install script from its compiled library, as `cargo pgrx schema` does.
//!
//! `extension-sql CONTROL VERSION LIBRARY OUT`. The compiler leaves the SQL entities in the library's section `.pgrxsc`,
//! and pgrx's own crate puts them in order. This is the only part of cargo-pgrx that building needs; compiling all of
//! cargo-pgrx would take a fresh machine longer than everything else together.

use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{decode_entities, is_schema_section_name};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [control, version, library, out] = arguments.as_slice() else {
        eprintln!("usage: extension-sql CONTROL VERSION LIBRARY OUT");
        return ExitCode::from(2);
    };
    match write_script(control, version, library, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("extension-sql: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_script(control: &str, version: &str, library: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(library)?;
    let section = schema_section(&bytes)?;
    let control = ControlFile::from_path_with_cargo_version(control, version)?;
    let mut entities = vec![SqlGraphEntity::ExtensionRoot(control)];
    entities.extend(decode_entities(section)?);
    // The library's name carries no version: the control file names the module.
    PgrxSql::build(entities.into_iter(), "pg_sluice".to_string(), false)?.to_file(out)?;
    Ok(())
}

/// The section in which pgrx keeps the SQL entities of a library.
fn schema_section(library: &[u8]) -> Result<&[u8], Box<dyn Error>> {
    for section in object::File::parse(library)?.sections() {
        if is_schema_section_name(section.name()?) {
            return Ok(section.data()?);
        }
    }
    Err("the library has no section .pgrxsc: it was linked without the flag in .cargo/config.toml".into())
}
