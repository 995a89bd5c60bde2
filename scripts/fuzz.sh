#!/usr/bin/env bash
# Runs the fuzz targets under libFuzzer, which follows coverage: fuzz.sh SECONDS, each target for so long, one after another.
#
# ONLY=name: the targets whose name contains it. Inputs that reach something new are kept in target/fuzz/corpus, those that
# fail in target/fuzz/found. The stable compiler will do: the coverage comes from LLVM's own pass; only a sanitizer would
# need a nightly one, and sluice-core has no unsafe code for it to look at. Needed besides Rust: a C++ compiler.
. "$(dirname "$0")/env.sh"
seconds=${1:?fuzz.sh SECONDS}
host=$(rustc -vV | sed -n 's/^host: //p')
work=$CARGO_TARGET_DIR/fuzz
command -v c++ >/dev/null || die "c++ is missing; on Debian: apt-get install g++"

# The flags would rebuild everything else too, were it not for a target directory of its own. With --target they do not
# reach build scripts, which have no place to report coverage to.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
 -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code -Cdebug-assertions -Coverflow-checks" \
  cargo build --quiet --release --target "$host" --target-dir "$work/build" --package sluice-fuzz --features guided --bin guided

failed=0
for folder in tests/fuzz/corpus/*"${ONLY:-}"*/; do
  name=$(basename "$folder")
  mkdir -p "$work/corpus/$name" "$work/found/$name"
  echo "$name, $seconds s:"
  SLUICE_FUZZ_TARGET=$name "$work/build/$host/release/guided" "$work/corpus/$name" "$folder" \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 -dict="tests/fuzz/words/$name" \
    -artifact_prefix="$work/found/$name/" -print_final_stats=1 >"$work/$name.log" 2>&1 || failed=1
  grep -E 'panicked at|^SUMMARY|Test unit written|number_of_executed_units' "$work/$name.log" | sed 's/^/  /'
done
[ "$failed" = 0 ] || die "Each file in $work/found fails again: SLUICE_FUZZ_TARGET=NAME $work/build/$host/release/guided FILE"
