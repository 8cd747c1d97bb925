#!/usr/bin/env bash
# Builds the control plane from the Go modules that go.mod pins, into target/cluster. Some minutes the first
# time, a minute at most with a warm Go cache, nothing if the binaries are newer than go.mod and go.sum.
set -euo pipefail
cd "$(dirname "$0")"
out=$(cd ../.. && pwd)/target/cluster

command -v go >/dev/null || { echo "The cluster tests build Kubernetes from its Go modules: install Go 1.26 or newer." >&2; exit 1; }
mkdir -p "$out"
build() { # NAME PACKAGE
    if [ "$out/$1" -nt go.mod ] && [ "$out/$1" -nt go.sum ]; then return; fi
    echo "building $1" >&2
    CGO_ENABLED=0 go build -p 2 -trimpath -ldflags='-s -w' -o "$out/$1.new" "$2"
    mv "$out/$1.new" "$out/$1"
}
build etcd go.etcd.io/etcd/server/v3
build kwok sigs.k8s.io/kwok/cmd/kwok
for name in kube-apiserver kube-controller-manager kube-scheduler; do
    build $name k8s.io/kubernetes/cmd/$name
done
