#!/usr/bin/env bash
# Makes sure that what building and testing need is there; installs Debian's packages where that is allowed.
#
# Needed: Rust, make, a C compiler, Python, PostgreSQL with its headers, libclang (pgrx reads the headers with it).
# cargo-pgrx is not needed: scripts/extension_sql does the one thing that a build wants of it, in half a minute
# instead of the nine that compiling cargo-pgrx takes on two cores.
# ensure-tools.sh tests: also what only the tests need, pg_cron.
. "$(dirname "$0")/env.sh"
purpose=${1:-}

missing=()
packages=()

# want PACKAGE WHAT: notes that WHAT is missing, and which Debian package brings it.
want() { packages+=("$1"); missing+=("  $2 (Debian: $1)"); }

have_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] || ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*\.so' || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null
}

# The PostgreSQL to install where there is none: our default, or another of ours where only that one is packaged.
offered_major() {
  local major
  for major in $(majors); do
    if apt-cache show "postgresql-server-dev-$major" >/dev/null 2>&1; then echo "$major"; return; fi
  done
  echo "$PG_MAJOR"
}

look() {
  local offered
  missing=() packages=()
  if [ -n "$(pg_major)" ]; then
    [ -x "$("$PG_CONFIG" --bindir)/postgres" ] || want "postgresql-$(pg_major)" "the server of PostgreSQL $(pg_major)"
    [ -f "$("$PG_CONFIG" --includedir-server)/postgres.h" ] || want "postgresql-server-dev-$(pg_major)" "its headers"
    [ "$purpose" != tests ] || [ -f "$("$PG_CONFIG" --sharedir)/extension/pg_cron.control" ] || want "postgresql-$(pg_major)-cron" pg_cron
  else
    offered=$(offered_major)
    want "postgresql-$offered" "PostgreSQL $offered"
    want "postgresql-server-dev-$offered" "its headers"
    [ "$purpose" != tests ] || want "postgresql-$offered-cron" pg_cron
  fi
  have_libclang || want libclang-dev libclang
  command -v cc >/dev/null || want gcc "a C compiler"
  command -v python3 >/dev/null || want python3 Python
  # The scenarios end processes by it; the shell's own kill does not help them.
  type -P kill >/dev/null || want procps "the program kill"
}

install_packages() {
  local sudo=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    sudo=(sudo -n)
  fi
  "${sudo[@]}" apt-get update -qq </dev/null
  look # now that the list of packages is there
  echo "installing: ${packages[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >"$CARGO_TARGET_DIR/apt.log" 2>&1 || {
    tail -20 "$CARGO_TARGET_DIR/apt.log" >&2
    return 1
  }
  if [ -z "$(pg_major)" ]; then find_postgres; fi
}

# Rust comes from rustup, into the home of whoever builds: Debian's own is too old.
check_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  if ! command -v cargo >/dev/null; then
    [ -z "${SUDO_USER:-}" ] || die "root has no cargo: run this as $SUDO_USER, without sudo, which is asked where root's rights are needed"
    die "cargo is missing: install Rust $wanted or later from https://rustup.rs"
  fi
  found=$(cargo --version | cut -d' ' -f2)
  [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)" = "$wanted" ] ||
    die "cargo is $found: install Rust $wanted or later from https://rustup.rs"
}

check_rust
grep -q "^pgrx = \"=$PGRX_VERSION\"" Cargo.toml || die "pgrx.toml pins pgrx $PGRX_VERSION, Cargo.toml another version"
mkdir -p "$CARGO_TARGET_DIR"
look
if [ ${#missing[@]} -gt 0 ] && install_packages; then look; fi
if [ ${#missing[@]} -gt 0 ]; then
  printf 'missing:\n%s\n' "$(printf '%s\n' "${missing[@]}")" >&2
  die "install it, for example: sudo apt-get install ${packages[*]}"
fi
case " $(pin postgres majors | tr -d '[],') " in
  *" $(pg_major) "*) ;;
  *) die "$PG_CONFIG is PostgreSQL $(pg_major); pg_sluice is built for $(pin postgres majors)" ;;
esac
