#!/usr/bin/env bash
# Golden SQL: runs each tests/pg_regress/sql/NAME.sql by psql in a database of its own and compares all that it prints,
# errors with their SQLSTATE, DETAIL and HINT, with tests/pg_regress/expected/NAME.out.
#
# test-pg.sh PG_CONFIG [NAME…]      UPDATE=1 writes the expected files instead of comparing
# Ends with a line "test result: N passed; M failed".
. "$(dirname "$0")/env.sh"
pg_config=$1
shift
bin=$("$pg_config" --bindir)
output=$ROOT/tests/pg_regress/output
folder=$(mktemp -d /tmp/sluice-golden.XXXXXX)
chmod 755 "$folder"
trap 'scripts/server.sh stop "$folder" "$pg_config"; rm -rf "$folder"' EXIT
mkdir -p "$output"
scripts/server.sh start "$folder" "$pg_config"

sql() { "$bin/psql" -X -q -h "$folder" -U postgres "$@"; }

# What psql prints, without the places in the server's source, which change from release to release.
run() {
  sql -d "$1" -a -v VERBOSITY=verbose -v SHOW_CONTEXT=never <"tests/pg_regress/sql/$1.sql" 2>&1 | sed '/^LOCATION:  /d'
}

passed=0 failed=0
if [ $# = 0 ]; then
  # shellcheck disable=SC2046 # names of our own files, without blanks
  set -- $(cd tests/pg_regress/sql && basename -s .sql -- *.sql)
fi
for name in "$@"; do
  expected=tests/pg_regress/expected/$name.out
  sql -d postgres -c "CREATE DATABASE \"$name\""
  run "$name" >"$output/$name.out"
  if [ -n "${UPDATE:-}" ]; then cp "$output/$name.out" "$expected"; fi
  if diff -u "$expected" "$output/$name.out" >"$output/$name.diff" 2>&1; then
    passed=$((passed + 1))
    echo "test $name ... ok"
    rm "$output/$name.diff"
  else
    failed=$((failed + 1))
    echo "test $name ... FAILED"
    head -60 "$output/$name.diff"
  fi
done
# The reference is written from the comments in the catalog: a stale one fails.
if [ "$#" = "$(find tests/pg_regress/sql -name '*.sql' | wc -l)" ]; then
  [ -z "${UPDATE:-}" ] || scripts/reference.sh "$pg_config"
  if scripts/reference.sh "$pg_config" check; then
    passed=$((passed + 1))
    echo "test reference ... ok"
  else
    failed=$((failed + 1))
    echo "test reference ... FAILED"
  fi
fi
echo "test result: $passed passed; $failed failed"
[ "$failed" = 0 ]
