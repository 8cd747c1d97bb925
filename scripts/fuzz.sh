#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds; fails if one finds something.
#
#   scripts/fuzz.sh [SECONDS]        20 by default
#
# What is found is kept in fuzz/artifacts/: `cargo +nightly fuzz run TARGET FILE` does it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
set -- # The arguments are not the toolchain's.
. scripts/toolchain.sh

if ! cargo +nightly --version >/dev/null 2>&1; then
    rustup toolchain install nightly --profile minimal >/dev/null 2>&1 ||
        fail "fuzzing needs a nightly Rust, and rustup cannot install one here; where it can: rustup toolchain install nightly"
fi
command -v c++ >/dev/null || debian g++
cargo fuzz --version >/dev/null 2>&1 || crate cargo-fuzz 0.13.2 --locked

cargo +nightly fuzz build
for target in $(cargo +nightly fuzz list); do
    # What is new goes into the first folder; the others are only read.
    folders=(fuzz/corpus/"$target")
    mkdir -p "${folders[0]}"
    if [ -d fuzz/seeds/"$target" ]; then folders+=(fuzz/seeds/"$target"); fi
    note "fuzzing $target for $seconds s"
    if ! cargo +nightly fuzz run "$target" "${folders[@]}" -- -max_total_time="$seconds" -print_final_stats=1 >fuzz/target/"$target.log" 2>&1; then
        tail -n 50 fuzz/target/"$target.log"
        fail "$target has found something"
    fi
    grep '^stat::number_of_executed_units' fuzz/target/"$target.log" >&2
done
