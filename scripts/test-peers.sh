#!/usr/bin/env bash
# Tests against servers that we did not write: datasette over Debian's package index, json-server, Kinto, httpbin,
# oidc-provider.
#
# test-peers.sh PG_CONFIG [NAME]     NAME: only the tests whose name contains it. The servers come from PyPI and npm.
. "$(dirname "$0")/env.sh"
. scripts/peers.sh
pg_config=$1
shift

install_from_pypi datasette 'datasette==0.65.*'
install_from_pypi kinto 'kinto==26.*'
install_from_pypi httpbin 'httpbin==0.10.*' gunicorn
install_from_npm json-server json-server@0.17.4
install_from_npm oidc-provider oidc-provider@9.13.3
package_index
if [ ! -s "$PEERS/debian.db" ]; then
  python3 scripts/demo/make_packages.py "$PEERS/Packages" "$PEERS/debian.db.part"
  mv "$PEERS/debian.db.part" "$PEERS/debian.db"
fi
SLUICE_PEERS=$PEERS SLUICE_PG_CONFIG=$pg_config cargo test --quiet --package sluice-e2e --test peers -- --test-threads 2 "$@"
