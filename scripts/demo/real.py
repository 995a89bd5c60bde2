"""The story of `make demo-real`: a collection that other people made, served by a server that other people wrote.

real.py FOLDER PSQL URL DATABASE      DATABASE: the SQLite file that datasette serves
"""
import csv
import io
import os
import sqlite3
import sys

from stage import Stage, ends_with, play

FOLDER, PSQL, URL, DATABASE = sys.argv[1:5]
stage = Stage(FOLDER, PSQL)
COLUMNS = ("package, version, architecture, section, priority, maintainer, installed_size, size, depends, homepage, "
           "description, sha256")


def source_rows():
    """What datasette serves, each value as text."""
    database = sqlite3.connect(DATABASE)
    text = lambda value: "\\N" if value is None else str(value)
    rows = {tuple(map(text, row)) for row in database.execute(f"SELECT {COLUMNS} FROM packages")}
    database.close()
    return rows


def table_rows():
    answer = stage.value(f"COPY (SELECT {COLUMNS} FROM packages) TO STDOUT (FORMAT csv, NULL '\\N')")
    return [tuple(row) for row in csv.reader(io.StringIO(answer))]


def compare():
    """The table against the source, row by row."""
    source, table = source_rows(), table_rows()
    missing, extra = source - set(table), set(table) - source
    stage.claim(f"compared row by row: all {len(source):,} records of the source are in the table, every value equal, and "
                "nothing else", not missing and not extra and len(table) == len(source),
                f"{len(missing)} missing {list(missing)[:2]}, {len(extra)} too many {list(extra)[:2]}")


def connect():
    stage.scene("A role and a connection")
    stage.say(f"datasette serves {len(source_rows()):,} records of this machine's Debian package index as JSON, 1000 a page. "
              "Each page names the next one in its Link header. Nothing of it was written by us.")
    stage.run(f"""
        CREATE ROLE app LOGIN;
        CREATE SCHEMA AUTHORIZATION app;
        CREATE EXTENSION pg_sluice;
        SELECT sluice.grant_access('app', 'writer');
        CREATE SERVER debian FOREIGN DATA WRAPPER pg_sluice
          OPTIONS (base_url '{URL}');
        GRANT USAGE ON FOREIGN SERVER debian TO app;""", "postgres")


def first_load():
    stage.scene("The first load")
    stage.say("A package is identified by its name, version and architecture: a key of three columns.")
    stage.run("""
        CREATE TABLE packages (
          package text, version text, architecture text, section text, priority text, maintainer text,
          installed_size bigint, size bigint, depends text, homepage text, description text, sha256 text,
          PRIMARY KEY (package, version, architecture));
        SELECT sluice.create_job('packages', 'debian', '/debian/packages.json', schedule => '6 hours',
          settings => '{"records": "$.rows", "pagination": {"type": "link_header"},
                        "params": {"_size": "1000", "_shape": "objects"}}');""")
    stage.watch("packages")
    stage.run("SELECT section, count(*), sum(size) FROM packages GROUP BY section ORDER BY 2 DESC LIMIT 5;")
    compare()


def unchanged():
    stage.scene("Nothing has changed")
    stage.run("CALL sluice.sync('packages');")
    stage.claim("nothing was written", stage.value("SELECT inserted + updated + deleted FROM sluice.sync_runs "
                                                   "ORDER BY id DESC LIMIT 1") == "0")


def changes():
    stage.scene("The archive changes")
    stage.say("500 packages get another size, 100 are new, 50 vanish. This API declares no total, so a missing row is removed "
              "when two complete reads in a row did not have it.")
    database = sqlite3.connect(DATABASE)
    database.executescript("""
        UPDATE packages SET size = size + 1
          WHERE rowid IN (SELECT rowid FROM packages WHERE size > 0 ORDER BY sha256 LIMIT 500);
        DELETE FROM packages WHERE rowid IN (SELECT rowid FROM packages ORDER BY sha256 DESC LIMIT 50);
        INSERT INTO packages (package, version, architecture, size) WITH RECURSIVE n(i) AS
          (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT 'new-package-' || i, '1.0', 'all', i FROM n;""")
    database.close()
    stage.run("CALL sluice.sync('packages');\nCALL sluice.sync('packages');")
    stage.run("""
        SELECT id, status, pages, inserted, updated, deleted, unchanged, finished_at - created_at AS took
        FROM sluice.sync_runs ORDER BY id;""")
    counts = stage.value("SELECT sum(inserted), sum(updated), sum(deleted) FROM sluice.sync_runs WHERE id > 2")
    stage.claim("100 rows were inserted, 500 updated and 50 deleted, no more", counts == "100|500|50", counts)
    compare()


def story():
    for scene in (connect, first_load, unchanged, changes):
        scene()
    stage.end()
    ends_with(FOLDER, PSQL, os.environ.get("KEEP"))


play(story)
