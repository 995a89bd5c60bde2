#!/usr/bin/env bash
# A release build as an archive whose paths are those of the PostgreSQL it was built for.
. "$(dirname "$0")/env.sh"
stage=$(scripts/build-extension.sh release)
root=$CARGO_TARGET_DIR/package
archive=$CARGO_TARGET_DIR/pg_sluice-$VERSION-pg$(pg_major)-$(uname -m).tar.gz
libraries=$root$("$PG_CONFIG" --pkglibdir) extensions=$root$("$PG_CONFIG" --sharedir)/extension
rm -rf "$root"
mkdir -p "$libraries" "$extensions"
install -m 755 "$stage/pg_sluice.so" "$libraries"
install -m 644 "$stage"/pg_sluice--*.sql "$stage/pg_sluice.control" "$extensions"
# Only the files: a folder in the archive would give its mode to the system's folder of that name.
(cd "$root" && find . -type f -printf '%P\n' | sort) | tar -C "$root" --owner=0 --group=0 -T - -czf "$archive"
echo "$archive"
