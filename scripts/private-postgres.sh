#!/usr/bin/env bash
# Makes a private copy of the PostgreSQL installation, and prints the path of its pg_config.
#
# PostgreSQL finds its libraries and extensions relative to its own executable, so a copied tree is an installation of
# its own: demo, tests and benchmarks install the extension there and leave the system's installation alone.
. "$(dirname "$0")/env.sh"

# Where the copy lies: below target/, or where the server's user cannot reach that, below /var/tmp.
place() {
  local tree=$CARGO_TARGET_DIR/pg$(pg_major)
  mkdir -p "$CARGO_TARGET_DIR"
  if as_server_user test -x "$CARGO_TARGET_DIR"; then echo "$tree"; return; fi
  tree=/var/tmp/pg_sluice-$(id -u)-$(printf %s "$CARGO_TARGET_DIR" | cksum | cut -d' ' -f1)
  mkdir -p "$tree"
  [ -O "$tree" ] || die "$tree belongs to someone else"
  chmod 755 "$tree"
  echo "$tree/pg$(pg_major)"
}

# Copies a folder of the installation to the same place below the tree: bin and share must keep their distance.
copy() {
  mkdir -p "$(dirname "$2$1")"
  cp -a --reflink=auto "$1" "$2$1"
}

tree=$(place)
bin=$("$PG_CONFIG" --bindir)
# With pg_cron, which the tests use, where it is installed by now.
version=$("$PG_CONFIG" --version)
[ ! -f "$("$PG_CONFIG" --sharedir)/extension/pg_cron.control" ] || version+=' with pg_cron'
# A copy of an older minor version, or one that was broken off, is made again.
if [ "$(cat "$tree/.version" 2>/dev/null)" != "$version" ]; then
  fresh=$tree.$$
  copy "$bin" "$fresh"
  for folder in "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)"; do
    [ -e "$fresh$folder" ] || copy "$folder" "$fresh"
  done
  rm -f "$fresh$("$PG_CONFIG" --pkglibdir)/pg_sluice.so" "$fresh$("$PG_CONFIG" --sharedir)/extension/pg_sluice"*
  echo "$version" >"$fresh/.version"
  rm -rf "$tree"
  mv "$fresh" "$tree"
fi
[ "$("$tree$bin/pg_config" --pkglibdir)" = "$tree$("$PG_CONFIG" --pkglibdir)" ] || die "this PostgreSQL cannot be moved: $tree"
echo "$tree$bin/pg_config"
