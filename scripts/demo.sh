#!/usr/bin/env bash
# A throw-away server kept in step with the sample API: first load, refresh, a killed worker, an empty answer, a rollback.
#
# DEMO_PRODUCTS: how many products the API has (100000; at least 2000). KEEP=1: server and API stay up; `make demo-stop` ends them.
. "$(dirname "$0")/demo-server.sh"
begin_demo
cargo build --quiet --release --package sample-api
serve "$DEMO/api" "$CARGO_TARGET_DIR/release/sample-api" --port 0 --products "${DEMO_PRODUCTS:-100000}"
tell story.py "$(served_url "$DEMO/api")"
