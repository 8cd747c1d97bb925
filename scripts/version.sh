#!/usr/bin/env bash
# Fails unless everything that has a version has this one.
#
#   scripts/version.sh 1.2.3
set -euo pipefail
cd "$(dirname "$0")/.."
want=$1
program=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
chart=$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' deploy/chart/Chart.yaml)
for found in "$program" "$chart"; do
    [ "$found" = "$want" ] || { echo "the version is $want, but Cargo.toml says $program and deploy/chart/Chart.yaml $chart" >&2; exit 1; }
done
grep -q "^## $want" CHANGELOG.md || { echo "CHANGELOG.md has no section \"## $want\"" >&2; exit 1; }
