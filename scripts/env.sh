# Sourced by every script: the repository's root, the pins of pgrx.toml, which PostgreSQL, and how to be its OS user.
# shellcheck shell=bash

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

# The caller's own server is not ours: a PGPORT or PGUSER of theirs must not reach our psql. PGRX_ is pgrx's.
while read -r name; do unset "$name"; done < <(compgen -e | grep '^PG[A-Z]' | grep -v '^PGRX_')

die() { printf '%s\n' "$*" >&2; exit 1; }

# pin SECTION KEY: a value of pgrx.toml, without quotes.
pin() {
  sed -n "/^\[$1\]/,/^\[/p" pgrx.toml | sed -n "s/^\"\{0,1\}$2\"\{0,1\} *= *//p" | sed 's/^"\(.*\)"$/\1/' | head -1
}

# The settings of [test_server] as lines of postgresql.conf.
test_server_settings() {
  sed -n '/^\[test_server\]/,/^\[/p' pgrx.toml | sed -n "s/^\"\{0,1\}\([a-z_.]*\)\"\{0,1\} *= *\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1 = '\2'/p"
}

PGRX_VERSION=$(pin pgrx version)
PG_MAJOR=$(pin postgres default)
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# The majors that pg_sluice is built for, the default first.
majors() { echo "$PG_MAJOR $(pin postgres majors | tr -d '[],')"; }

# Without a PG_CONFIG of the caller: Debian's place for one of our majors, else the first on the PATH.
find_postgres() {
  local major
  for major in $(majors); do
    PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
    if [ -x "$PG_CONFIG" ]; then return; fi
  done
  PG_CONFIG=$(command -v pg_config || true)
}

if [ -z "${PG_CONFIG:-}" ]; then
  find_postgres
elif [ ! -x "$PG_CONFIG" ]; then
  die "PG_CONFIG=$PG_CONFIG: there is no such program"
fi
export PG_CONFIG

# The major version of the chosen PostgreSQL; empty where there is none.
pg_major() { [ -x "${PG_CONFIG:-}" ] && "$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; }

# Makes every cargo command build pgrx for PG_CONFIG. pgrx reads the headers of the pg_config that ~/.pgrx/config.toml
# names. Where that is another version than ours, or where nobody ran `cargo pgrx init`, the variable says it; otherwise
# it stays unset, because setting it builds pgrx again.
use_headers() {
  local known
  known=$(sed -n "s/^pg$(pg_major) = \"\(.*\)\"/\1/p" "${PGRX_HOME:-$HOME/.pgrx}/config.toml" 2>/dev/null || true)
  if [ -z "$known" ] || [ "$("$known" --version 2>/dev/null)" != "$("$PG_CONFIG" --version)" ]; then
    export PGRX_PG_CONFIG_PATH=$PG_CONFIG
  fi
}

# Runs a command as a user who may run a server: as root that is postgres, else whoever calls.
as_server_user() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid postgres --regid postgres --init-groups env HOME=/tmp "$@"
  else
    "$@"
  fi
}

# Sets SUDO to what stands before commands that write to these folders: nothing where we may write, else sudo.
write_to() {
  local folder
  SUDO=()
  for folder in "$@"; do
    if [ -w "$folder" ]; then continue; fi
    may_ask_sudo || die "$folder is not writable for $(id -un), and sudo cannot be asked here; run it as a user who may write there"
    SUDO=(sudo)
  done
}

# Whether sudo can help: without a password, or because there is a terminal to ask for it.
may_ask_sudo() {
  [ "$(id -u)" != 0 ] && command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }
}

# Gives a file or folder to the user who runs servers.
give_to_server_user() { [ "$(id -u)" != 0 ] || chown -R postgres: "$@"; }
