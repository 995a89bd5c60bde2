#!/usr/bin/env bash
# Removes the installed files. A server that still preloads the library will not start without it.
. "$(dirname "$0")/env.sh"
[ -n "$(pg_major)" ] || die "no PostgreSQL found; name it: make uninstall PG_CONFIG=/path/to/pg_config"
libraries=$("$PG_CONFIG" --pkglibdir)
extensions=$("$PG_CONFIG" --sharedir)/extension
mapfile -t files < <(find "$libraries" "$extensions" -maxdepth 1 \
  \( -name pg_sluice.so -o -name pg_sluice.control -o -name 'pg_sluice--*.sql' \))
if [ ${#files[@]} = 0 ]; then
  echo "pg_sluice is not installed in $libraries."
  exit 0
fi
write_to "$libraries" "$extensions"
"${SUDO[@]}" rm -v "${files[@]}"
