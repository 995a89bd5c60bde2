//! Rules of the SQL files: a textual check, one statement after another.

use crate::source::{Source, has_word, leading_name};

/// Kinds of object that need a comment, as CREATE and COMMENT ON spell them.
const KINDS: &[&str] = &[
    "FOREIGN DATA WRAPPER",
    "FUNCTION",
    "PROCEDURE",
    "VIEW",
    "TABLE",
    "TYPE",
    "DOMAIN",
    "AGGREGATE",
    "SEQUENCE",
];

/// An object that a file creates or comments on.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    kind: &'static str,
    /// Without the schema.
    name: String,
}

/// SQL without its comments, whitespace as single blanks.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or(""));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// The objects after each occurrence of a verb such as `CREATE ` or `COMMENT ON `.
fn objects(text: &str, verb: &str) -> Vec<Object> {
    let text = plain(text);
    let rests = text.match_indices(verb).map(|(at, verb)| &text[at + verb.len()..]);
    rests.filter_map(object).collect()
}

fn object(rest: &str) -> Option<Object> {
    let rest = rest.strip_prefix("OR REPLACE ").unwrap_or(rest);
    let rest = rest.strip_prefix("UNLOGGED ").unwrap_or(rest);
    let kind = KINDS.iter().find(|kind| rest.starts_with(&format!("{kind} ")))?;
    let name = rest[kind.len()..].trim_start();
    let name = name.strip_prefix("IF NOT EXISTS ").unwrap_or(name);
    let name = leading_name(name.strip_prefix("sluice.").unwrap_or(name));
    (!name.is_empty()).then(|| Object {
        kind,
        name: name.to_string(),
    })
}

/// Names of our tables in strings outside of src/store.
pub fn table_names(schema: &[Source], rust: &[Source]) -> Vec<String> {
    let created = schema.iter().flat_map(|file| objects(&file.text, "CREATE "));
    let tables: Vec<String> = created
        .filter(|object| object.kind == "TABLE")
        .map(|object| format!("sluice.{}", object.name))
        .collect();
    let mut found = Vec::new();
    for file in rust.iter().filter(|file| !file.path.starts_with("src/store/")) {
        for (at, line) in file
            .uncommented
            .lines()
            .enumerate()
            .filter(|(at, _)| !file.in_tests[*at])
        {
            let named = tables.iter().filter(|table| has_word(line, table));
            found.extend(named.map(|table| format!("{}:{}: names {table}", file.path, at + 1)));
        }
    }
    found
}

/// Schema files that src/install.rs does not list, and entries without a stated order.
pub fn installed(schema: &[Source], install: Option<&Source>) -> Vec<String> {
    let text = install.map_or("", |file| file.uncommented.as_str());
    let entries: Vec<&str> = text
        .split("extension_sql_file!(")
        .skip(1)
        .map(|rest| rest.split(");").next().unwrap_or(""))
        .collect();
    let listed = |file: &&Source| {
        entries
            .iter()
            .any(|entry| entry.contains(file.path.trim_start_matches("sql/schema/")))
    };
    let unlisted = schema
        .iter()
        .filter(|file| !listed(file))
        .map(|file| format!("{} is not in src/install.rs", file.path));
    let is_placed = |entry: &&&str| entry.contains("requires") || entry.contains("finalize");
    let disordered = entries.iter().skip(1).filter(|entry| !is_placed(entry));
    unlisted
        .chain(disordered.map(|entry| format!("an entry without `requires`: {}", entry.trim())))
        .collect()
}

/// Public objects without a COMMENT: those of the SQL files, and the functions that Rust declares.
pub fn uncommented(schema: &[Source], rust: &[Source]) -> Vec<String> {
    let mut commented: Vec<Object> = schema
        .iter()
        .flat_map(|file| objects(&file.text, "COMMENT ON "))
        .collect();
    let created = schema.iter().flat_map(|file| objects(&file.text, "CREATE "));
    let functions = rust
        .iter()
        .flat_map(exported)
        .map(|name| Object { kind: "FUNCTION", name });
    let mut found = Vec::new();
    for object in created.chain(functions).filter(|object| !object.name.starts_with('_')) {
        // One comment for each overload of a name.
        match commented.iter().position(|comment| *comment == object) {
            Some(at) => drop(commented.remove(at)),
            // A Rust function can be declared as a procedure.
            None if commented.iter().any(|c| c.kind == "PROCEDURE" && c.name == object.name) => {}
            None => found.push(format!("no COMMENT ON {} {}", object.kind, object.name)),
        }
    }
    found
}

/// The SQL names of a file's `#[pg_extern]` functions; triggers and operators are not called by name.
fn exported(file: &Source) -> Vec<String> {
    let rests = file.uncommented.split("#[pg_extern").skip(1);
    let names = rests
        .filter(|rest| !rest.starts_with("(sql = false"))
        .filter_map(|rest| {
            let (attribute, declaration) = rest.split_once("fn ")?;
            let told = attribute.split_once("name = \"").map(|(_, name)| leading_name(name));
            Some(told.unwrap_or_else(|| leading_name(declaration)).to_string())
        });
    names.collect()
}

/// Lines with a character that a database of another encoding may not have: CREATE EXTENSION would fail there.
pub fn not_ascii(files: &[Source]) -> Vec<String> {
    let lines = |file: &Source| -> Vec<String> {
        let numbered = (1..).zip(file.text.lines()).filter(|(_, line)| !line.is_ascii());
        numbered
            .map(|(number, _)| format!("{}:{number}: not ASCII", file.path))
            .collect()
    };
    files.iter().flat_map(lines).collect()
}

/// CREATE OR REPLACE in an install script, which could take over an object of someone else.
pub fn replacing(schema: &[Source]) -> Vec<String> {
    let bad = schema
        .iter()
        .filter(|file| plain(&file.text).contains("CREATE OR REPLACE"));
    bad.map(|file| format!("{}: CREATE OR REPLACE", file.path)).collect()
}

#[test]
fn a_table_name_outside_of_the_store_is_found() {
    let schema = [Source::new(
        "sql/schema/10_job.sql",
        "CREATE TABLE sluice._job (id bigint);",
    )];
    let bad = Source::new("src/worker/sync.rs", "const A: &str = \"SELECT 1 FROM sluice._job\";");
    assert_eq!(
        table_names(&schema, &[bad]),
        ["src/worker/sync.rs:1: names sluice._job"]
    );
    let good = [
        Source::new("src/store/job.rs", "const A: &str = \"SELECT 1 FROM sluice._job\";"),
        Source::new(
            "src/worker/sync.rs",
            "// sluice._job\nconst A: &str = \"sluice._job_name\";",
        ),
    ];
    assert_eq!(table_names(&schema, &good), [""; 0]);
}

#[test]
fn a_file_that_is_not_installed_or_has_no_place_is_found() {
    let schema = [
        Source::new("sql/schema/10_a.sql", ""),
        Source::new("sql/schema/20_b.sql", ""),
    ];
    let first = "extension_sql_file!(\"../sql/schema/10_a.sql\", name = \"a\");\n";
    let second = "extension_sql_file!(\"../sql/schema/20_b.sql\", name = \"b\", requires = [\"a\"]);";
    let whole = Source::new("src/install.rs", &format!("{first}{second}"));
    assert_eq!(installed(&schema, Some(&whole)), [""; 0]);
    assert_eq!(
        installed(&schema, Some(&Source::new("src/install.rs", first))),
        ["sql/schema/20_b.sql is not in src/install.rs"]
    );
    let disordered = Source::new(
        "src/install.rs",
        &format!("{first}{}", second.replace(", requires = [\"a\"]", "")),
    );
    assert_eq!(installed(&schema, Some(&disordered)).len(), 1);
}

#[test]
fn a_public_object_without_a_comment_is_found() {
    let sql = "CREATE TABLE sluice._job (id bigint);\nCREATE VIEW sluice.sync_jobs AS SELECT 1;\n-- CREATE VIEW sluice.no\n\
        CREATE FUNCTION\n  sluice.f(a int) RETURNS int;\nCREATE FUNCTION sluice.f() RETURNS int;\nCOMMENT ON FUNCTION sluice.f(int) IS 'x';";
    let rust = Source::new(
        "src/api/job.rs",
        "#[pg_extern(name = \"stop_sync\")]\nfn stop() {}\n#[pg_extern]\nfn _hidden() {}",
    );
    let found = uncommented(&[Source::new("sql/schema/1.sql", sql)], &[rust]);
    assert_eq!(
        found,
        [
            "no COMMENT ON VIEW sync_jobs",
            "no COMMENT ON FUNCTION f",
            "no COMMENT ON FUNCTION stop_sync"
        ]
    );
}

#[test]
fn a_replacing_script_is_found() {
    assert_eq!(
        replacing(&[Source::new(
            "sql/schema/1.sql",
            "CREATE  OR\nREPLACE FUNCTION sluice.f()"
        )])
        .len(),
        1
    );
}
