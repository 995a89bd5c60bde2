#!/usr/bin/env bash
# The main job on real input: datasette (PyPI) serves this machine's Debian package index as an API that we did not write.
#
# datasette is installed in target/peers, nowhere else. KEEP=1 as for demo.sh.
. "$(dirname "$0")/demo-server.sh"
venv=$CARGO_TARGET_DIR/peers/datasette

install_datasette() {
  if [ -x "$venv/bin/datasette" ]; then return; fi
  echo "Installing datasette in $venv …"
  python3 -m venv "$venv" || die "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'datasette==0.65.*' || {
    rm -rf "$venv"
    die "datasette could not be installed from PyPI"
  }
}

# The index as text: what apt knows, else the newest one of Debian itself.
package_index() {
  local index=$CARGO_TARGET_DIR/peers/Packages
  if [ -s "$index" ]; then return; fi
  if command -v apt-cache >/dev/null && [ "$(apt-cache dumpavail | grep -c '^Package:')" -gt 1000 ]; then
    apt-cache dumpavail >"$index"
  else
    echo "This machine has no package index; fetching Debian's …"
    python3 scripts/demo/fetch_index.py "$index"
  fi
}

install_datasette
package_index
begin_demo
python3 scripts/demo/make_packages.py "$CARGO_TARGET_DIR/peers/Packages" "$DEMO/debian.db"
serve "$DEMO/api" "$venv/bin/datasette" "$DEMO/debian.db" -h 127.0.0.1 -p 0 --setting max_returned_rows 1000
MAKE_TARGET=demo-real tell real.py "$(served_url "$DEMO/api")" "$DEMO/debian.db"
