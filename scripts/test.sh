#!/usr/bin/env bash
# Runs test tiers and counts. One line a tier; the last line is "N passed, N failed" over all of them.
#
# test.sh TIER…      lint | core | install | pg | e2e | all | peers | pgspot     ONLY=name: only the tests whose name contains it
# The output of a tier lies in target/test-logs/TIER.log; where a tier fails, its end is shown.
. "$(dirname "$0")/env.sh"
logs=$CARGO_TARGET_DIR/test-logs
mkdir -p "$logs"
passed=0 failed=0

# ---- the tiers: each prints what cargo prints, and ends with a status ----

check() { # one check of the tier lint, counted like a test
  echo "== $*"
  if "$@"; then echo "test result: 1 passed; 0 failed"; else echo "test result: 0 passed; 1 failed"; return 1; fi
}

lint() {
  local status=0
  use_headers
  check cargo fmt --all --check -- --color never || status=1
  # With the failpoints, and without them, as it is released.
  check cargo clippy --quiet --workspace --all-targets --features pg_sluice/failpoints -- -D warnings || status=1
  check cargo clippy --quiet --package pg_sluice --lib -- -D warnings || status=1
  return $status
}

core() {
  local status=0
  cargo test --quiet --no-fail-fast --package sluice-core --package sluice-fetch --package sample-api --package sluice-fuzz -- ${ONLY:+"$ONLY"} || status=1
  RUST_BACKTRACE=0 cargo test --quiet --package sluice-e2e --test architecture -- ${ONLY:+"$ONLY"} || status=1
  return $status
}

install() {
  scripts/private-install.sh dev failpoints &&
    # The scenarios are compiled here, so that the time of the tier e2e is theirs alone.
    cargo test --quiet --no-run --package sluice-e2e --test e2e &&
    echo "test result: 1 passed; 0 failed"
}

pg() { scripts/test-pg.sh "$(scripts/private-postgres.sh)" ${ONLY:+"$ONLY"}; }

e2e() {
  export SLUICE_PG_CONFIG
  SLUICE_PG_CONFIG=$(scripts/private-postgres.sh)
  local first=$logs/e2e.first
  # Scenarios mostly wait for processes: more threads than cores.
  scenarios --test-threads "${E2E_THREADS:-4}" ${ONLY:+"$ONLY"} 2>&1 | tee "$first" && return
  again "$first"
}

scenarios() { cargo test --quiet --package sluice-e2e --test e2e -- "$@"; }

# again LOG: at most five scenarios that failed beside many others run once more, alone: time limits that a crowded machine
# exceeds are told apart from faults. Those that pass are named as unsteady; one that fails again has failed.
again() {
  local names name steady
  names=$(sed -n 's/^    \([a-z0-9_]*::[a-z0-9_:]*\)$/\1/p' "$1" | sort -u)
  [ -n "$names" ] && [ "$(wc -l <<<"$names")" -le 5 ] || return 1
  for name in $names; do
    scenarios --test-threads 1 --exact "$name" >"$logs/e2e.again" 2>&1 || { cat "$logs/e2e.again"; return 1; }
    echo "unsteady: $name failed beside others and passed alone"
  done
  steady=$(sed -n 's/^test result: FAILED\. \([0-9]*\) passed.*/\1/p' "$1")
  # The line that is counted.
  echo "of all: $((steady + $(wc -l <<<"$names"))) passed; 0 failed"
}

# Not part of all: it needs PyPI and npm.
peers() { scripts/test-peers.sh "$(scripts/private-postgres.sh)" ${ONLY:+"$ONLY"}; }

# Not part of all: it needs PyPI.
pgspot() { scripts/test-pgspot.sh "$(scripts/private-postgres.sh)"; }

# ---- running and counting ----

# run TIER: into its log, with its exit status and its seconds beside it.
run() {
  local start=$SECONDS status=0
  "$1" >"$logs/$1.log" 2>&1 </dev/null || status=$?
  echo "$status $((SECONDS - start))" >"$logs/$1.status"
}

# report TIER: the tier's line; adds its counts to the sums.
report() {
  local status seconds good bad
  read -r status seconds <"$logs/$1.status"
  read -r good bad < <(sed -n 's/^test result:\( ok\.\| FAILED\.\)\{0,1\} \([0-9]*\) passed; \([0-9]*\) failed.*/\2 \3/p' "$logs/$1.log" |
    awk '{ good += $1; bad += $2 } END { print good + 0, bad + 0 }')
  # What did not even compile, or was killed, has printed no count.
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  if [ "$status" = 0 ] && grep -q '^of all: ' "$logs/$1.log"; then
    good=$(sed -n 's/^of all: \([0-9]*\) passed.*/\1/p' "$logs/$1.log") bad=0
    grep '^unsteady: ' "$logs/$1.log"
  fi
  if [ "$bad" != 0 ]; then
    echo "---- the end of $logs/$1.log"
    tail -n 60 "$logs/$1.log"
    echo "----"
  fi
  printf '%-8s %4d passed, %d failed  (%d s)\n' "$1" "$good" "$bad" "$seconds"
  passed=$((passed + good)) failed=$((failed + bad))
  [ "$bad" = 0 ]
}

tier() {
  run "$1"
  report "$1"
}

all() {
  tier lint || true
  tier core || true
  tier install || return 0
  # Both mostly wait, each for servers of its own.
  run pg &
  run e2e
  wait
  report pg || true
  report e2e || true
}

for name in "$@"; do
  case $name in
    all) all ;;
    lint | core | install) tier "$name" || true ;;
    pg | e2e | peers | pgspot)
      tier install || break
      tier "$name" || true
      ;;
    *) die "test.sh lint | core | install | pg | e2e | all | peers | pgspot" ;;
  esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
