#!/usr/bin/env bash
# Measures the program in dist/, with what it is measured by built in the same way.
#
#   scripts/bench.sh [streams|page|caches|requests|idling]...    all by default
set -euo pipefail
cd "$(dirname "$0")/.."
parts=("$@")
. scripts/toolchain.sh static
cargo build --quiet --release --target "$HOST" -p unidler-bench
exec "target/$HOST/release/bench" dist/unidler "${parts[@]}"
