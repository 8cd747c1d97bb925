#!/usr/bin/env bash
# Checks the Helm chart and renders the plain manifests of deploy/ from it.
#
#   scripts/chart.sh            writes them
#   scripts/chart.sh --check    fails if they are not what the chart renders
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
set -- # The arguments are not the toolchain's.
. scripts/toolchain.sh helm

out=deploy
if [ "$mode" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi

# Both assume an old Kubernetes, unless they are told.
kubernetes=(--kube-version 1.33.0)
helm lint --quiet --strict "${kubernetes[@]}" deploy/chart
# The names of the chart's files are of no interest to whoever applies the manifests.
render() { # TEMPLATE..
    helm template unidler deploy/chart "${kubernetes[@]}" --namespace unidler "${@/#/--show-only=templates/}" | sed '/^# Source: /d; 1{/^---$/d}'
}

# helm creates the namespace itself; plain manifests have to.
{
    cat <<'EOF'
# The account of unidler and all its permissions. Rendered from deploy/chart by `make chart`.
apiVersion: v1
kind: Namespace
metadata:
  name: unidler
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
EOF
    render rbac.yaml
} >"$out/rbac.yaml"
write() { # FILE TEMPLATE..
    { echo '# Rendered from deploy/chart by `make chart`.'; render "${@:2}"; } >"$out/$1"
}
write policy.yaml policy.yaml
write unidler.yaml unidler.yaml networkpolicy.yaml

if [ "$mode" = --check ]; then
    for name in rbac policy unidler; do
        diff -u "deploy/$name.yaml" "$out/$name.yaml" || { echo "deploy/$name.yaml is not what deploy/chart renders: run make chart" >&2; exit 1; }
    done
fi
