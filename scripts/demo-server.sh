# Sourced by demo.sh and demo-real.sh: a throw-away server with the extension's files, and an API beside it. Both end with
# the script, whatever happens; with KEEP=1 they stay up when the demo ends well.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

DEMO=
# The folders of demos that stay up.
KEPT=$CARGO_TARGET_DIR/demo-kept

# end_demo FOLDER PG_CONFIG: stops what runs there, and removes it.
end_demo() {
  local pid
  [ -n "$1" ] || return 0
  for pid in $(cat "$1/pids" 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
  scripts/server.sh stop "$1" "$2"
  rm -rf "$1"
}

# Ends every demo that was left running.
end_kept() {
  local folder tree
  [ -f "$KEPT" ] || echo "no demo is running"
  while read -r folder tree; do
    if [ -d "$folder" ]; then end_demo "$folder" "$tree" && echo "ended: $folder"; fi
  done < <(cat "$KEPT" 2>/dev/null)
  rm -f "$KEPT"
}

# Builds, and starts a server in a folder of its own.
begin_demo() {
  tree=$(scripts/private-install.sh release)
  DEMO=$(mktemp -d /tmp/sluice-demo.XXXXXX)
  chmod 755 "$DEMO"
  # A second Ctrl-C must not break off the cleaning up.
  trap 'trap "" INT TERM HUP; end_demo "$DEMO" "$tree"' EXIT
  trap 'exit 130' INT TERM
  echo "Starting a throw-away server in $DEMO …"
  scripts/server.sh start "$DEMO" "$tree"
}

# serve OUTPUT COMMAND…: starts an API that ends with the demo. It gets no terminal, so that Ctrl-C reaches the demo alone.
serve() {
  local output=$1
  shift
  setsid "$@" >"$output" 2>&1 </dev/null &
  echo $! >>"$DEMO/pids"
}

# The URL that a server prints when it is ready.
served_url() {
  local url tries
  for ((tries = 0; tries < 600; tries++)); do
    url=$(grep -o -m1 'http://127[0-9.:]*' "$1" || true)
    if [ -n "$url" ]; then echo "$url"; return; fi
    sleep 0.1
  done
  cat "$1" >&2
  die "the API does not start"
}

# tell STORY ARGUMENT…: plays it. With KEEP=1 what it was played on stays.
tell() {
  local story=$1 status=0
  shift
  PYTHONDONTWRITEBYTECODE=1 python3 "scripts/demo/$story" "$DEMO" "$("$tree" --bindir)/psql" "$@" || status=$?
  if [ "$status" != 0 ]; then
    grep -E 'ERROR|FATAL|PANIC|WARNING' "$DEMO/log" | tail -5 >&2 || true
    exit "$status"
  fi
  if [ -n "${KEEP:-}" ]; then
    echo "$DEMO $tree" >>"$KEPT"
    trap - EXIT
  fi
}
