//! The SQL of README.md and docs/guide does what it says: every block is run as it stands, by psql, one page after another,
//! each on a server of its own, with an API in the place of the one that the pages speak of.
//!
//! What a page takes for granted is there before (a role, a connection, jobs that have run), and what it makes is not.

use sample_api::{Fault, Options, Rule, SampleApi};
use sluice_e2e::{Cluster, connect_shop};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

/// What stands for something of the reader's, and what a test puts in its place.
const PLACEHOLDERS: &[(&str, &str)] = &[("'…'", "'s3cret'"), ("'/orders'", "'/products'")];

/// Collections of the pages that the API has not, and what they answer.
const OTHER_COLLECTIONS: &[(&str, &str)] = &[
    ("/page/export/", "sku;price\nA-1;1.50\nA-2;2\n"),
    (
        "/page/orders/",
        r#"{"hits": [{"id": 1, "status": "open"}], "page": {"next": null}}"#,
    ),
];

/// Errors that belong to numbers which stand for a run of the reader's.
const EXPECTED: &[&str] = &["run 42 does not exist", "run 17 cannot be rolled back to"];

/// Words of statements that a superuser gives; all others are given by the role app.
const OF_A_SUPERUSER: &[&str] = &[
    "grant_access",
    "_origin(",
    "CREATE SERVER",
    "ALTER SERVER",
    "create_connection",
    "ALTER SYSTEM",
    "sluice.arm(",
    "error_rule",
    "pause_connection",
    "cron_jobs",
    "health_status",
    "on_event",
    "event_rule",
    "CREATE SCHEMA",
];

#[test]
fn the_sql_of_the_readme_runs_as_it_stands() {
    assert_eq!(errors_of(&page("README.md")), [""; 0]);
}

#[test]
fn the_sql_of_the_guide_runs_as_it_stands() {
    let folder = root().join("docs/guide");
    let files = std::fs::read_dir(&folder).expect("the guide is there").flatten();
    let mut pages: Vec<String> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    pages.sort();
    let mut found = Vec::new();
    for name in pages {
        let errors = errors_of(&page(&format!("docs/guide/{name}")));
        found.extend(errors.into_iter().map(|error| format!("{name}: {error}")));
    }
    assert_eq!(found, [""; 0]);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The blocks of SQL of a page.
fn page(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(path)).expect("the page is there");
    let blocks = text
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next());
    blocks.map(str::to_owned).collect()
}

/// What psql complains of when it runs the blocks.
fn errors_of(blocks: &[String]) -> Vec<String> {
    if blocks.is_empty() {
        return Vec::new();
    }
    let api = SampleApi::start(Options {
        products: 300,
        ..Options::default()
    });
    for (path, body) in OTHER_COLLECTIONS {
        api.misbehave(Rule::new(Fault::body(*body)).path(path));
    }
    let cluster = Cluster::start();
    let base = format!("{}/page", api.url());
    prepare(&cluster, &api, &base, &blocks.concat());
    blocks.iter().flat_map(|block| run(&cluster, &base, block)).collect()
}

/// Makes what the page does not make itself.
fn prepare(cluster: &Cluster, api: &SampleApi, base: &str, page: &str) {
    let makes = |any: &[&str]| any.iter().any(|statement| page.contains(statement));
    if makes(&["CREATE ROLE app"]) {
        return cluster.db().exec("CREATE EXTENSION pg_sluice");
    }
    let (mut db, mut app) = connect_shop(cluster, base);
    db.exec("CREATE ROLE web");
    for (job, mode) in [("products", "replace"), ("orders", "upsert")] {
        if !makes(&[&format!("create_job('{job}'")]) && !makes(&["CREATE SERVER shop", "create_connection('shop'"]) {
            app.exec(&format!(
                "SELECT sluice.create_job('{job}', 'shop', '/products', key => '{{id}}', mode => '{mode}',
                   schedule => 'manual', settings => '{{\"records\": \"$.data\"}}')"
            ));
            // Two runs, each with something to undo.
            app.exec(&format!("CALL sluice.sync('{job}')"));
            api.change(1.0, 7);
            app.exec(&format!("CALL sluice.sync('{job}')"));
        }
    }
    if makes(&["CREATE SERVER shop", "create_connection('shop'"]) {
        db.exec("DROP SERVER shop");
    }
}

fn run(cluster: &Cluster, base: &str, block: &str) -> Vec<String> {
    let placed = |text: String, (placeholder, own): &(&str, &str)| text.replace(placeholder, own);
    let sql = PLACEHOLDERS
        .iter()
        .fold(block.replace("https://api.example.com/v1", base), placed);
    let is_of_superuser = OF_A_SUPERUSER.iter().any(|word| block.contains(word));
    let role = if is_of_superuser { "postgres" } else { "app" };
    let mut psql = cluster.client_program("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=0", "-d", "postgres", "-U", role]);
    psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = psql.spawn().expect("psql is part of PostgreSQL");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(sql.as_bytes()).expect("psql reads");
    drop(input);
    let output = child.wait_with_output().expect("psql ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = told
        .lines()
        .filter(|line| line.contains("ERROR:") || line.contains("FATAL:"));
    let unexpected = errors.filter(|line| !EXPECTED.iter().any(|expected| line.contains(expected)));
    unexpected.map(|line| format!("as {role}: {line}")).collect()
}
