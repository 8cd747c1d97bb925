#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds; fails if one finds something.
#
#   scripts/fuzz.sh [SECONDS]        20 by default
#
# What is found is kept in fuzz/artifacts/: `cargo fuzz run -s none TARGET FILE` does it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
set -- # The arguments are not the toolchain's.
. scripts/toolchain.sh wasm

command -v c++ >/dev/null || debian g++
cargo fuzz --version >/dev/null 2>&1 || crate cargo-fuzz 0.13.2 --locked

# Without a sanitizer: nothing of ours is `unsafe`, and a stable Rust will do.
build=(-s none --codegen-units 16)
cargo fuzz build "${build[@]}"
for target in $(cargo fuzz list); do
    # What is new goes into the first folder; the others are only read.
    folders=(fuzz/corpus/"$target")
    mkdir -p "${folders[0]}"
    if [ -d fuzz/seeds/"$target" ]; then folders+=(fuzz/seeds/"$target"); fi
    note "fuzzing $target for $seconds s"
    # An input that takes ten seconds hangs: the targets have no clock but their own.
    if ! cargo fuzz run "${build[@]}" "$target" "${folders[@]}" -- -max_total_time="$seconds" -timeout=10 -print_final_stats=1 >fuzz/target/"$target.log" 2>&1; then
        tail -n 50 fuzz/target/"$target.log"
        fail "$target has found something"
    fi
    grep '^stat::number_of_executed_units' fuzz/target/"$target.log" >&2
done
