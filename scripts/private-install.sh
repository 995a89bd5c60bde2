#!/usr/bin/env bash
# Builds the extension into the private copy of PostgreSQL, and prints the path of its pg_config.
#
# private-install.sh PROFILE [FEATURES]      as for build-extension.sh; two at once wait for each other
. "$(dirname "$0")/env.sh"
mkdir -p "$CARGO_TARGET_DIR"
exec {lock}>"$CARGO_TARGET_DIR/.private-install.lock"
flock "$lock"
tree=$(scripts/private-postgres.sh)
stage=$(scripts/build-extension.sh "$@")
scripts/install-extension.sh "$stage" "$tree"
echo "$tree"
