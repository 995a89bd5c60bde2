"""Puts a Debian package index into an SQLite file, for datasette. make_packages.py INDEX OUTPUT"""
import sqlite3
import sys

# A column of the table for each field of the index.
FIELDS = {"Package": "package", "Version": "version", "Architecture": "architecture", "Section": "section",
          "Priority": "priority", "Maintainer": "maintainer", "Installed-Size": "installed_size", "Size": "size",
          "Depends": "depends", "Homepage": "homepage", "Description": "description", "SHA256": "sha256"}
NUMBERS = {"installed_size", "size"}


def paragraphs(path):
    """The records of the index: a line `Field: value` each, ended by an empty line."""
    record = {}
    with open(path, encoding="utf-8", errors="replace") as index:
        for line in index:
            name, _, value = line.rstrip("\n").partition(": ")
            if name in FIELDS:
                column = FIELDS[name]
                record[column] = int(value) if column in NUMBERS else value
            elif line == "\n" and record:
                yield record
                record = {}
    if record:
        yield record


def main(index, output):
    columns = list(FIELDS.values())
    database = sqlite3.connect(output)
    types = ", ".join(f"{c} {'INTEGER' if c in NUMBERS else 'TEXT'}" for c in columns)
    database.execute(f"CREATE TABLE packages ({types}, PRIMARY KEY (package, version, architecture))")
    rows = ([record.get(column) for column in columns] for record in paragraphs(index))
    # The same package may be listed by several archives.
    database.executemany(f"INSERT OR IGNORE INTO packages VALUES ({', '.join('?' * len(columns))})", rows)
    database.commit()
    database.close()


main(*sys.argv[1:])
