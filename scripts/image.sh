#!/usr/bin/env bash
# Builds the last stage of the Dockerfile from dist/ without a container engine, and unpacks it.
#
#   scripts/image.sh FOLDER          for chroot; needs root and buildah
#
# What a container has besides the image is there as well: /dev/urandom, the files that resolve names, a place for /proc.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:?the folder to unpack to}
buildah() { command buildah --storage-driver vfs "$@"; }

[ -x dist/unidler ] || { echo "dist/unidler is not there: run make build first" >&2; exit 1; }
image=$(buildah bud --quiet --isolation chroot --build-context build=dist .)
container=$(buildah from "$image")
trap 'buildah rm "$container" >/dev/null; buildah rmi "$image" >/dev/null' EXIT
buildah inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}}{{println}}' "$image"
mkdir -p "$root"
cp -a "$(buildah mount "$container")/." "$root"
du --summarize --bytes "$root" | cut -f1

mkdir -p "$root/dev" "$root/etc" "$root/proc"
mknod -m 444 "$root/dev/urandom" c 1 9
echo 'nameserver 192.0.2.1' >"$root/etc/resolv.conf"
echo '127.0.0.1 kubernetes.default.svc' >"$root/etc/hosts"
