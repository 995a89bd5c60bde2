#!/usr/bin/env bash
# Copies a built extension into a PostgreSQL installation.
#
# install-extension.sh FOLDER PG_CONFIG      FOLDER: what build-extension.sh made
#
# Each file arrives under another name and is renamed into place. Overwriting the library in place would crash every
# server that has it loaded; a renamed one has a new inode, and a running server keeps the old one until it restarts.
. "$(dirname "$0")/env.sh"
stage=$1 pg_config=$2
libraries=$("$pg_config" --pkglibdir)
extensions=$("$pg_config" --sharedir)/extension
write_to "$libraries" "$extensions"

# put MODE FILE FOLDER
put() {
  "${SUDO[@]}" install -m "$1" "$2" "$3/.$(basename "$2").new"
  "${SUDO[@]}" mv -f "$3/.$(basename "$2").new" "$3/$(basename "$2")"
}

put 755 "$stage/pg_sluice.so" "$libraries"
for file in "$stage"/pg_sluice--*.sql "$stage/pg_sluice.control"; do put 644 "$file" "$extensions"; done
