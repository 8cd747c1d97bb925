#!/usr/bin/env bash
# Builds the control plane from the Go modules that go.mod pins, into target/cluster; with the argument `path`, the data
# path as well; with `field`, whatever the field tests start. Some minutes the first time, a minute at most with a warm Go
# cache, nothing if the binaries are newer than what they are made from.
set -euo pipefail
cd "$(dirname "$0")"
script=$PWD/build.sh
out=$(cd ../.. && pwd)/target/cluster

command -v go >/dev/null || { echo "The cluster tests build Kubernetes from its Go modules: install Go 1.26 or newer." >&2; exit 1; }
mkdir -p "$out"
build() { # NAME PACKAGE [LDFLAGS]: from the module in the current directory
    if [ "$out/$1" -nt go.mod ] && [ "$out/$1" -nt go.sum ] && [ "$out/$1" -nt "$script" ]; then return; fi
    echo "building $1" >&2
    CGO_ENABLED=0 go build -p 2 -trimpath -ldflags="-s -w ${3:-}" -o "$out/$1.new" "$2"
    mv "$out/$1.new" "$out/$1"
}
build etcd go.etcd.io/etcd/server/v3
build kwok sigs.k8s.io/kwok/cmd/kwok
# A chart asks for it.
version="-X k8s.io/component-base/version.gitVersion=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)"
for name in kube-apiserver kube-controller-manager kube-scheduler; do
    build $name k8s.io/kubernetes/cmd/$name "$version"
done

if [ -n "${1:-}" ]; then
    build kube-proxy k8s.io/kubernetes/cmd/kube-proxy "$version"
    # Modules of their own: their dependencies are not those of Kubernetes.
    cd ../field
    build traefik github.com/traefik/traefik/v3/cmd/traefik
fi
if [ "${1:-}" = field ]; then
    cd rollouts
    build rollouts-controller github.com/argoproj/argo-rollouts/cmd/rollouts-controller
    cd ../prometheus
    build prometheus github.com/prometheus/prometheus/cmd/prometheus
    cd ../keda
    build keda-operator github.com/kedacore/keda/v2/cmd/operator
fi
