#!/usr/bin/env bash
# Builds the deployable into dist/: the program, statically linked, and the page's files beside it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Cargo and wasm-bindgen take ten seconds to find out that there is nothing to do. A folder is newer when a file in it is gone.
sources=(Cargo.toml Cargo.lock app frontend kubernetes scripts/build.sh server src style)
if [ -e dist/unidler ] && [ -z "$(find "${sources[@]}" -newer dist/unidler -print -quit)" ]; then exit; fi

. scripts/toolchain.sh static
mkdir -p target && touch target/began
LEPTOS_BIN_TARGET_TRIPLE=$HOST cargo leptos build --release --precompress

rm -rf dist.new && mkdir dist.new
cp "target/$HOST/release/unidler" dist.new/unidler
cp -R target/site dist.new/site
# As old as the sources that were read.
touch -r target/began dist.new/unidler
rm -rf dist && mv dist.new dist
