#!/usr/bin/env bash
# pgspot over the install script: it looks for names that somebody else's object could take. Nothing may be found.
#
# test-pgspot.sh PG_CONFIG     pgspot comes from PyPI, into target/peers; the pinned release, so that the count stays ours
. "$(dirname "$0")/env.sh"
. scripts/peers.sh
script=$("$1" --sharedir)/extension/pg_sluice--$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1).sql
readable=$PEERS/pgspot/install.sql

install_from_pypi pgspot 'pgspot==0.9.4' 'pglast==7.21'
"$PEERS/pgspot/bin/python" scripts/pgspot.py "$script" "$readable"
# preview finds its target along the caller's search path, so that it cannot have one of its own; each name in it has its schema.
if found=$("$PEERS/pgspot/bin/pgspot" --proc-without-search-path \
  'sluice.preview(connection text,path text,settings jsonb,target text,key text[],max_records integer,record_number bigint,key jsonb,row jsonb,problem text)' \
  "$readable") && grep -q 'Errors: 0 Warnings: 0 Unknown: 0' <<<"$found"; then
  echo "test result: 1 passed; 0 failed"
else
  echo "$found"
  echo "test result: 0 passed; 1 failed"
  exit 1
fi
