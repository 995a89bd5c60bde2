#!/usr/bin/env bash
# Installs a release build into a private PostgreSQL and hands over to bench/run, or to the benchmark that is named.
. "$(dirname "$0")/env.sh"
tree=$(scripts/private-install.sh release)
cargo build --quiet --release --package sample-api
exec python3 "bench/${1:-run}" "$tree" "$CARGO_TARGET_DIR/release/sample-api"
