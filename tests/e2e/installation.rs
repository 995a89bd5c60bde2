//! Which PostgreSQL the tests run, and as which user.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The settings of every test server: pgrx.toml, which the shell scripts read too.
const PINS: &str = include_str!("../../pgrx.toml");

/// The folder with `postgres`, `initdb`, `pg_dump`.
pub fn bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        let told = ["SLUICE_PG_CONFIG", "PG_CONFIG"]
            .into_iter()
            .filter_map(std::env::var_os)
            .find(|path| !path.is_empty());
        let pg_config = told.map_or_else(|| PathBuf::from("pg_config"), PathBuf::from);
        let output = Command::new(&pg_config).arg("--bindir").output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", pg_config.display()));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// A command that runs as the user who may run a server: `postgres` where the tests run as root.
pub fn as_server_user(program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"])
        .arg(program);
    command
}

/// A program of the installation, as the server's user.
pub fn server_program(name: &str) -> Command {
    as_server_user(bin().join(name))
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let output = Command::new("id")
            .arg("-u")
            .output()
            .expect("id is part of every system");
        output.stdout.trim_ascii() == b"0"
    })
}

/// Runs a command to its end; panics with what it printed where it fails.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{stderr}",
        output.status
    );
}

/// The lines of pgrx.toml's section `test_server`, as (name, value).
pub fn test_server_settings() -> Vec<(String, String)> {
    let section = PINS.lines().skip_while(|line| *line != "[test_server]").skip(1);
    let lines = section
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(" = "));
    pairs.map(|(name, value)| (unquoted(name), unquoted(value))).collect()
}

fn unquoted(text: &str) -> String {
    text.trim_matches('"').to_string()
}
