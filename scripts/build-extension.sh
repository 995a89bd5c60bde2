#!/usr/bin/env bash
# Builds the extension and lays out its files in a folder, whose path is the last line of the output.
#
# build-extension.sh PROFILE [FEATURES]      PROFILE: dev | release; FEATURES: comma-separated, as for cargo
. "$(dirname "$0")/env.sh"
profile=${1:-dev} features=${2:-}
major=$(pg_major)
[ -n "$major" ] || die "no PostgreSQL found; run scripts/ensure-tools.sh"
use_headers

arguments=(--quiet --package pg_sluice)
[ "$major" = "$PG_MAJOR" ] || { arguments+=(--no-default-features); features="pg$major${features:+,$features}"; }
[ -z "$features" ] || arguments+=(--features "pg_sluice/${features//,/,pg_sluice/}")
if [ "$profile" = dev ]; then
  folder=debug
  # Together: they share most of their dependencies.
  cargo build "${arguments[@]}" --package extension-sql >&2
else
  folder=release
  echo "Building pg_sluice $VERSION for PostgreSQL $major (the first time takes minutes, later ones seconds) …" >&2
  cargo build "${arguments[@]}" --release >&2
  cargo build --quiet --package extension-sql >&2
fi

stage=$CARGO_TARGET_DIR/extension/$profile-pg$major${features:+-${features//,/-}}
mkdir -p "$stage"
# The build's own file may be replaced by the next build while it is being copied from here, so each file is renamed in.
cp "$CARGO_TARGET_DIR/$folder/libpg_sluice.so" "$stage/.so" && mv "$stage/.so" "$stage/pg_sluice.so"
sed "s/@CARGO_VERSION@/$VERSION/" pg_sluice.control >"$stage/pg_sluice.control"
"$CARGO_TARGET_DIR/debug/extension-sql" pg_sluice.control "$VERSION" "$stage/pg_sluice.so" "$stage/pg_sluice--$VERSION.sql"
find sql -maxdepth 1 -name 'pg_sluice--*--*.sql' -exec cp {} "$stage/" \;
echo "$stage"
