//! datasette over Debian's package index.

use crate::peer::{Peer, installed};
use crate::stage::Stage;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

const COLUMNS: &str = "package text, version text, architecture text, section text, priority text, maintainer text, \
     installed_size bigint, size bigint, depends text, homepage text, description text, sha256 text, \
     PRIMARY KEY (package, version, architecture)";

struct Debian {
    peer: Peer,
    database: PathBuf,
}

impl Debian {
    /// Serves a copy of the index that the tests may change.
    fn serve() -> Debian {
        let mut database = PathBuf::new();
        let peer = Peer::start(&installed("datasette/bin/datasette"), |folder, port| {
            database = folder.join("debian.db");
            std::fs::copy(installed("debian.db"), &database).expect("the index can be copied");
            [
                "debian.db",
                "-h",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "--setting",
                "max_returned_rows",
                "1000",
            ]
            .map(str::to_owned)
            .to_vec()
        });
        Debian { peer, database }
    }

    /// Runs SQL on the index itself, and returns the rows of the last statement.
    fn sql(&self, sql: &str) -> Vec<Value> {
        const SCRIPT: &str = "import json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.row_factory = sqlite3.Row
for statement in sys.argv[2].split(';'):
    rows = [dict(row) for row in database.execute(statement)]
database.commit()
print(json.dumps(rows))";
        let mut python = Command::new(installed("datasette/bin/python"));
        let output = python
            .args(["-c", SCRIPT])
            .arg(&self.database)
            .arg(sql)
            .output()
            .expect("python is there");
        assert!(
            output.status.success(),
            "{sql}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("an array of rows")
    }

    /// Other people's work: packages that change, go and come.
    fn change(&self) {
        self.sql(
            "UPDATE packages SET description = description || ' (changed)', size = size + 1 WHERE rowid % 500 = 7;
             DELETE FROM packages WHERE rowid % 1000 = 3;
             INSERT INTO packages (package, version, architecture, description)
               SELECT 'zz-' || package, version, architecture, 'über \"neu\" \\ 😀' FROM packages WHERE rowid % 2000 = 11",
        );
    }
}

#[test]
fn debians_package_index_is_the_table_after_a_first_load_after_changes_and_after_deletes() {
    let debian = Debian::serve();
    let mut stage = Stage::open(&debian.peer.url(), COLUMNS);
    let settings = json!({"records": "$.rows", "params": {"_shape": "objects", "_size": "1000"},
                          "pagination": {"type": "next_url", "next": "$.next_url"}});
    stage.job("/debian/packages.json", "replace", &settings);
    stage.sync();
    let all = debian.sql("SELECT * FROM packages");
    assert!(all.len() > 50_000, "{}", all.len());
    stage.assert_equal(&all);

    debian.change();
    stage.sync_twice();
    let changed = debian.sql("SELECT * FROM packages");
    assert_ne!(changed, all);
    stage.assert_equal(&changed);

    stage.sync();
    assert_eq!(
        stage.run("inserted + updated + deleted"),
        "0",
        "nothing has changed since"
    );
}

#[test]
fn a_part_of_the_index_is_followed_by_its_link_headers() {
    let debian = Debian::serve();
    let mut stage = Stage::open(&debian.peer.url(), COLUMNS);
    let settings = json!({"records": "$.rows", "pagination": {"type": "link_header"},
                          "params": {"_shape": "objects", "_size": "100", "section": "libs"}});
    stage.job("/debian/packages.json", "replace", &settings);
    stage.sync();
    stage.assert_equal(&debian.sql("SELECT * FROM packages WHERE section = 'libs'"));
    debian.sql("DELETE FROM packages WHERE section = 'libs' AND rowid % 7 = 0");
    stage.sync_twice();
    stage.assert_equal(&debian.sql("SELECT * FROM packages WHERE section = 'libs'"));
}
