#!/usr/bin/env bash
# Removes the installed files. A server that still preloads the library will not start without it.
. "$(dirname "$0")/env.sh"
rm -fv "$("$PG_CONFIG" --pkglibdir)/pg_sluice.so" "$("$PG_CONFIG" --sharedir)/extension/pg_sluice.control" \
  "$("$PG_CONFIG" --sharedir)/extension/"pg_sluice--*.sql
