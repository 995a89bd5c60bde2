//! Reads the source tree and holds it to the rules of CONTRIBUTING.md: who may import whom, sizes, where unsafe code and
//! table names may stand, what every SQL object needs. Each rule is proven on a small bad sample beside it.

#[path = "architecture/faults.rs"]
mod faults;
#[path = "architecture/guide.rs"]
mod guide;
#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/messages.rs"]
mod messages;
#[path = "architecture/sizes.rs"]
mod sizes;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/sql.rs"]
mod sql;
#[path = "architecture/words.rs"]
mod words;

use source::{Source, golden_files, pages, rust_files, sql_files};

/// Fails with every violation at once, one a line.
fn hold(rule: &str, violations: Vec<String>) {
    assert!(violations.is_empty(), "{rule}:\n  {}\n", violations.join("\n  "));
}

#[test]
fn each_module_imports_only_what_lies_below_it() {
    hold("imports", imports::violations(&rust_files("src")));
}

#[test]
fn the_core_has_no_dependency_that_does_io() {
    let manifest = Source::read("src/core/Cargo.toml");
    hold("dependencies of core", imports::core_dependencies(&manifest.text));
}

/// S-52.
#[test]
fn unsafe_code_lies_in_pg_and_says_why_it_is_safe() {
    hold("unsafe", words::unsafe_code(&rust_files("src")));
}

#[test]
fn nothing_is_left_to_be_done() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    hold("unfinished", words::unfinished(&files));
}

#[test]
fn a_failure_is_a_result_and_not_a_panic() {
    hold("unwrap", words::unwraps(&rust_files("src")));
}

#[test]
fn files_and_functions_stay_small() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    files.extend(rust_files("bench"));
    hold("sizes", sizes::violations(&files));
}

#[test]
fn every_fault_of_the_network_and_of_remote_data_has_a_test_that_names_it() {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    files.retain(|file| file.path != "tests/architecture/faults.rs");
    hold("faults", faults::violations(&files));
}

#[test]
fn only_the_store_names_our_tables() {
    hold(
        "table names",
        sql::table_names(&sql_files("sql/schema"), &rust_files("src")),
    );
}

#[test]
fn every_schema_file_is_installed_in_a_stated_order() {
    let install = rust_files("src").into_iter().find(|file| file.path == "src/install.rs");
    hold("install.rs", sql::installed(&sql_files("sql/schema"), install.as_ref()));
}

#[test]
fn every_public_sql_object_has_a_comment() {
    hold(
        "comments",
        sql::uncommented(&sql_files("sql/schema"), &rust_files("src")),
    );
}

#[test]
fn every_message_of_a_definition_or_a_call_is_shown_by_a_golden_file() {
    let golden = golden_files("tests/pg_regress/expected");
    hold("messages", messages::unshown(&golden));
}

#[test]
fn every_page_of_the_guide_is_in_its_list_of_tasks() {
    hold("guide", guide::unlisted(&pages("docs/guide")));
}

#[test]
fn every_setting_of_a_job_is_in_the_table_of_settings() {
    let keys = Source::read("src/core/settings/keys.rs");
    let table = Source::read("docs/guide/first-sync.md");
    hold("settings", guide::untold(&keys, &table));
}

#[test]
fn install_scripts_replace_nothing() {
    hold("replace", sql::replacing(&sql_files("sql/schema")));
}

#[test]
fn the_install_script_can_be_read_in_any_encoding() {
    hold("ascii", sql::not_ascii(&sql_files("sql/schema")));
}
