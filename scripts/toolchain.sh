# The tools that building and testing need, installed where they are missing.
#
#   . scripts/toolchain.sh wasm leptos node browser cluster
#
# Sourced by the Makefile's recipes. Each argument names a group; a group that is there costs a few
# milliseconds. Every group first tries the ordinary way of its ecosystem (rustup's target, a download by
# the tool itself) and falls back to building from the package registries, so that the same command works on
# a laptop, in an image build and on a machine that reaches nothing but registries.
# shellcheck shell=bash

CARGO_LEPTOS_VERSION=0.3.11
RUST_VERSION=1.96
CARGO_DENY_VERSION=0.20.2
HELM_VERSION=3.18.6

note() { printf 'toolchain: %s\n' "$*" >&2; }

fail() { note "$*"; return 1; }

# Debian packages, for the fallbacks. Needs root, as in an image build.
debian() {
    command -v apt-get >/dev/null || fail "cannot install $*: there is no apt-get here; install them yourself" || return
    [ "$(id -u)" = 0 ] || fail "cannot install $*: run once as root, or install them yourself" || return
    note "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
        { apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
}

has_wasm_target() { [ -e "$("$@" --print sysroot 2>/dev/null)/lib/rustlib/wasm32-unknown-unknown/lib" ]; }

rust_is_recent() {
    [ "$(printf '%s\n%s\n' "$RUST_VERSION" "$("$@" --version | cut -d' ' -f2)" | sort -V | head -n1)" = "$RUST_VERSION" ]
}

# A Rust that is recent enough and has the wasm32 target: the default one, else rustup's, else Debian's with
# the target's standard library built from Debian's own sources.
need_wasm() {
    if has_wasm_target rustc && rust_is_recent rustc; then return; fi
    if command -v rustup >/dev/null; then
        for name in debian "$RUST_VERSION"; do
            if has_wasm_target rustc "+$name"; then export RUSTUP_TOOLCHAIN=$name; return; fi
        done
        if rust_is_recent rustc && rustup target add wasm32-unknown-unknown >/dev/null 2>&1; then return; fi
        if rustup toolchain install "$RUST_VERSION" --profile minimal -c clippy -c rustfmt -t wasm32-unknown-unknown >/dev/null 2>&1; then
            export RUSTUP_TOOLCHAIN=$RUST_VERSION
            return
        fi
    fi
    note "rustup cannot give a wasm32 target here; building its standard library from Debian's sources"
    debian rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web lld-19 || return
    local build target=wasm32-unknown-unknown sysroot
    build=$(mktemp -d)
    sysroot=$(/usr/bin/rustc --print sysroot)
    (
        cd "$build" && export PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1 && unset RUSTUP_TOOLCHAIN RUSTFLAGS CARGO_TARGET_DIR
        /usr/bin/cargo init --quiet --lib --name empty_crate .
        /usr/bin/cargo build --quiet --release -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test --target $target
        mkdir -p "$sysroot/lib/rustlib/$target/lib"
        rm -f target/$target/release/deps/libempty_crate-*
        cp target/$target/release/deps/*.rlib "$sysroot/lib/rustlib/$target/lib/"
    ) || return
    mkdir -p "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin"
    ln -sf /usr/bin/lld-19 "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"
    rm -rf "$build"
    rustup toolchain link debian /usr
    export RUSTUP_TOOLCHAIN=debian
}

# A tool of our build from crates.io. Quick to build rather than quick to run, unless OPTIMIZED says otherwise.
crate() {
    note "building $1 $2 (some minutes, once)"
    local quiet=(--quiet)
    # Somebody looks on.
    if [ -t 2 ]; then quiet=(); fi
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL="${OPTIMIZED:-0}" \
        CARGO_TARGET_DIR="${TMPDIR:-/tmp}/unidler-tools" cargo install "${quiet[@]}" "$1" --version "$2" "${@:3}"
}

# cargo-leptos, and the two programs that it calls. It downloads them if they are not in PATH; where that
# cannot work they come from the registries.
need_leptos() {
    need_wasm || return
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    [ "$(cargo-leptos --version 2>/dev/null)" = "cargo-leptos $CARGO_LEPTOS_VERSION" ] ||
        crate cargo-leptos "$CARGO_LEPTOS_VERSION" --locked || return
    local bindgen
    bindgen=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
    # It reads all of the WASM in each build.
    [ "$(wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $bindgen" ] || OPTIMIZED=1 crate wasm-bindgen-cli "$bindgen" --force || return
    need_node
}

# cargo-deny, which checks the dependencies.
need_deny() {
    need_wasm || return
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    cargo deny --version >/dev/null 2>&1 || crate cargo-deny "$CARGO_DENY_VERSION" --locked
}

# The packages of end2end/: Playwright, and binaryen's wasm-opt, which the build calls as well.
need_node() {
    command -v npm >/dev/null || fail "needs Node.js 20 or newer with npm: install it from https://nodejs.org" || return
    local stamp=end2end/node_modules/.installed
    if ! cmp -s end2end/package-lock.json "$stamp"; then
        note "installing the packages of end2end/"
        npm ci --prefix end2end --no-audit --no-fund --loglevel=error >/dev/null || return
        cp end2end/package-lock.json "$stamp"
    fi
    PATH=$PWD/end2end/node_modules/.bin:$PATH
}

# A Chromium for the browser tests: the one that CHROMIUM names, the system's, or Playwright's own.
need_browser() {
    need_node || return
    if [ -z "${CHROMIUM:-}" ]; then
        CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
    fi
    if [ -z "$CHROMIUM" ] && ! (cd end2end && npx playwright install chromium >/dev/null 2>&1); then
        debian chromium || return
        CHROMIUM=$(command -v chromium)
    fi
    export CHROMIUM
}

# Firefox, and WebKit with its driver, for the visits in browsers of other makers.
need_engines() {
    need_node || return
    if [ -z "${FIREFOX:-}" ]; then FIREFOX=$(command -v firefox-esr || command -v firefox || true); fi
    if [ -z "$FIREFOX" ]; then debian firefox-esr || return; FIREFOX=$(command -v firefox-esr); fi
    { command -v WebKitWebDriver && command -v xvfb-run && command -v dbus-run-session; } >/dev/null || debian webkit2gtk-driver xvfb xauth dbus || return
    export FIREFOX
}

# Helm, for the chart.
need_helm() {
    PATH=$PATH:$PWD/target/tools
    if command -v helm >/dev/null; then return; fi
    command -v go >/dev/null || fail "the chart needs Helm: install it from https://helm.sh, or Go, to build it" || return
    note "building helm $HELM_VERSION (some minutes, once)"
    CGO_ENABLED=0 GOBIN=$PWD/target/tools go install -trimpath -ldflags='-s -w' "helm.sh/helm/v3/cmd/helm@v$HELM_VERSION"
}

# The control plane for the cluster tests.
need_cluster() {
    need_node || return
    PATH=$PATH:/usr/sbin
    command -v nginx >/dev/null || debian nginx-light || return
    bash end2end/cluster/build.sh
}

# The data path before that control plane.
need_path() { data_path path; }

# The same, with whatever the field tests start beside it.
need_field() { data_path field; }

data_path() {
    need_node || return
    PATH=$PATH:/usr/sbin
    { command -v nft && command -v ip; } >/dev/null || debian nftables iproute2 || return
    bash end2end/cluster/build.sh "$1"
}

# A shell that builds for the machine itself, with a C library that is linked in: the program then runs on an
# empty image.
need_static() {
    need_leptos || return
    HOST=$(rustc -vV | sed -n 's/^host: //p')
    local variable
    variable=CARGO_TARGET_$(printf %s "$HOST" | tr 'a-z-' 'A-Z_')_RUSTFLAGS
    export HOST "$variable=-Ctarget-feature=+crt-static"
}

for group in "$@"; do
    "need_$group" || exit
done
