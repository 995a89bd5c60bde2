#!/usr/bin/env bash
# A throw-away server kept in step with the sample API: first load, an unchanged refresh, changes, a fault, undo.
# DEMO_PRODUCTS: how many products the API has (100000).
. "$(dirname "$0")/demo-server.sh"
begin_demo
cargo build --quiet --release --package sample-api
# A named pipe gives us the URL that it prints, without waiting for a time.
mkfifo "$DEMO/api"
"$CARGO_TARGET_DIR/release/sample-api" --port 0 --products "${DEMO_PRODUCTS:-100000}" >"$DEMO/api" &
api_pid=$!
read -r api <"$DEMO/api"

control() { python3 - "$api/_control/$1" "$2" <<'PY'
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=sys.argv[2].encode(), method="POST")).read()
PY
}

play postgres 1_connect.sql "api=$api"
play app 2_first_load.sql
echo "-- The API changes 1 % of its products and removes some."
control change '{"percent": 1, "seed": 7}'
control remove '{"percent": 0.1, "seed": 8}'
play app 3_refresh.sql
echo "-- The API fails twice with 503 on page 3."
control fault '{"fault": "status", "status": 503, "headers": {"Retry-After": "1"}, "path": "/page/", "page": 3, "times": 2}'
play app 4_fault_and_undo.sql
offer_psql
