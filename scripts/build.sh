#!/usr/bin/env bash
# Builds the deployable into dist/: the program, statically linked, and the page's files beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh static

LEPTOS_BIN_TARGET_TRIPLE=$HOST cargo leptos build --release --precompress

rm -rf dist.new && mkdir dist.new
cp "target/$HOST/release/unidler" dist.new/unidler
cp -R target/site dist.new/site
rm -rf dist && mv dist.new dist
