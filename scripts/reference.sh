#!/usr/bin/env bash
# Writes docs/reference.md from the comments in the catalog of a server that has the extension.
#
# reference.sh PG_CONFIG           writes the file
# reference.sh PG_CONFIG check     fails where the file differs from what would be written
. "$(dirname "$0")/env.sh"
pg_config=$1
bin=$("$pg_config" --bindir)
folder=$(mktemp -d /tmp/sluice-reference.XXXXXX)
chmod 755 "$folder"
trap 'scripts/server.sh stop "$folder" "$pg_config"; rm -rf "$folder"' EXIT
scripts/server.sh start "$folder" "$pg_config"
psql() { "$bin/psql" -X -q -A -t -h "$folder" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"; }
psql -c 'CREATE EXTENSION pg_sluice' 2>/dev/null
psql -f scripts/reference.sql >"$folder/reference.md"
if [ "${2:-}" = check ]; then
  diff -u docs/reference.md "$folder/reference.md" || die "docs/reference.md is stale; run scripts/reference.sh $pg_config"
else
  cp "$folder/reference.md" docs/reference.md
fi
