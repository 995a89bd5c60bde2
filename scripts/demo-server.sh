# Sourced by demo.sh and demo-real.sh: a throw-away server with the extension, which ends with the script.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

DEMO=
api_pid=

end_demo() {
  [ -z "$api_pid" ] || kill "$api_pid" 2>/dev/null || true
  [ -z "$DEMO" ] || { scripts/server.sh stop "$DEMO" "$tree"; rm -rf "$DEMO"; }
}

# Builds, starts a server in a folder of its own, and creates the extension.
begin_demo() {
  echo "Building pg_sluice $VERSION for PostgreSQL $(pg_major) …"
  tree=$(scripts/private-postgres.sh)
  scripts/install-extension.sh "$(scripts/build-extension.sh release)" "$tree"
  DEMO=$(mktemp -d /tmp/sluice-demo.XXXXXX)
  chmod 755 "$DEMO"
  trap end_demo EXIT
  scripts/server.sh start "$DEMO" "$tree"
  as_role postgres -q -c 'CREATE EXTENSION pg_sluice'
}

# as_role ROLE ARGUMENT…: psql as that role.
as_role() {
  local role=$1
  shift
  PGHOST=$DEMO PGUSER=$role PGDATABASE=postgres "$("$tree" --bindir)/psql" -X -v ON_ERROR_STOP=1 -v VERBOSITY=default "$@"
}

# play ROLE FILE [VARIABLE=VALUE…]: a step of the story, with what it prints.
play() {
  local role=$1 file=$2
  shift 2
  as_role "$role" -a -P pager=off "${@/#/-v}" -f "scripts/demo/$file" 2>&1 | sed 's/^psql:[^ ]*:[0-9]*: //'
}

# On a terminal the demo ends in psql; elsewhere it just ends.
offer_psql() {
  if [ -t 0 ] && [ -t 1 ]; then
    echo "psql as the role app; leave it with \\q, and everything is removed."
    as_role app || true
  fi
}
