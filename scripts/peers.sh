# Sourced: other people's servers and data, installed below target/peers and nowhere else.
# shellcheck shell=bash
PEERS=$CARGO_TARGET_DIR/peers

# install_from_pypi NAME PACKAGE…: an environment of Python's in $PEERS/NAME.
install_from_pypi() {
  local venv=$PEERS/$1
  shift
  if [ -f "$venv/installed" ]; then return; fi
  echo "Installing $* in $venv …"
  rm -rf "$venv"
  python3 -m venv "$venv" || die "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" || die "$* could not be installed from PyPI"
  touch "$venv/installed"
}

# install_from_npm NAME PACKAGE…: a project of npm's in $PEERS/NAME.
install_from_npm() {
  local project=$PEERS/$1
  shift
  if [ -f "$project/installed" ]; then return; fi
  command -v npm >/dev/null || die "npm is missing; on Debian: apt-get install npm"
  echo "Installing $* in $project …"
  rm -rf "$project"
  mkdir -p "$project"
  echo '{"private": true}' >"$project/package.json"
  npm install --prefix "$project" --silent --no-audit --no-fund "$@" || die "$* could not be installed from npm"
  touch "$project/installed"
}

# The package index of Debian as text: what apt knows, else the newest one of Debian itself.
package_index() {
  local index=$PEERS/Packages
  if [ -s "$index" ]; then return; fi
  mkdir -p "$PEERS"
  if command -v apt-cache >/dev/null && [ "$(apt-cache dumpavail | grep -c '^Package:')" -gt 1000 ]; then
    apt-cache dumpavail >"$index"
  else
    echo "This machine has no package index; fetching Debian's …"
    python3 scripts/demo/fetch_index.py "$index"
  fi
}
