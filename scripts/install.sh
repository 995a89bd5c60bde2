#!/usr/bin/env bash
# Builds for release and installs into the PostgreSQL of PG_CONFIG; says what is to be done next.
. "$(dirname "$0")/env.sh"
stage=$(scripts/build-extension.sh release)
scripts/install-extension.sh "$stage" "$PG_CONFIG"
cat <<TEXT
pg_sluice $VERSION is installed in $("$PG_CONFIG" --pkglibdir).
Next, as a superuser:
  ALTER SYSTEM SET shared_preload_libraries = 'pg_sluice';   -- add it to what is already there
  restart the server
  CREATE EXTENSION pg_sluice;
TEXT
