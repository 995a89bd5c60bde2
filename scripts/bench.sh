#!/usr/bin/env bash
# Installs a release build into a private PostgreSQL and hands over to bench/run with its pg_config.
. "$(dirname "$0")/env.sh"
[ -x bench/run ] || die "bench/run does not exist yet"
tree=$(scripts/private-postgres.sh)
scripts/install-extension.sh "$(scripts/build-extension.sh release)" "$tree"
exec bench/run "$tree"
