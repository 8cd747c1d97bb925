#!/usr/bin/env bash
# Runs a command in a network of its own, in which the addresses of pods, Services and the node lead nowhere else. Everything
# that the command starts ends with it, and so does what it keeps in temporary files. Runs as root, or as any user who may
# create user namespaces.
#
#   field/namespace.sh COMMAND [ARGUMENT...]
set -euo pipefail

if [ "${FIELD_NAMESPACE:-}" != entered ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(--user --map-root-user)
    # When the first process of a process namespace ends, so do all others.
    FIELD_NAMESPACE=entered exec unshare "${as_root[@]}" --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$@"
fi

PATH=$PATH:/usr/sbin:/sbin
export FIELD_NODE_ADDRESS=10.0.0.1
ip link set lo up
# All addresses of pods are local.
ip route add local 10.244.0.0/16 dev lo
# The node's address, and a route for packets to cluster IPs, which kube-proxy then redirects.
ip link add veth0 type veth peer name veth1
ip link set veth1 up
ip link set veth0 up
ip address add "$FIELD_NODE_ADDRESS/24" dev veth0
ip route add default dev veth0

TMPDIR=$(mktemp -d)
export TMPDIR
mount -t tmpfs tmpfs "$TMPDIR"
trap 'umount --lazy "$TMPDIR"; rmdir "$TMPDIR"' EXIT

# Names come from a hosts file, which the tests extend. There is no DNS.
printf '127.0.0.1 localhost\n::1 localhost\n' >"$TMPDIR/hosts"
: >"$TMPDIR/resolv.conf"
mount --bind "$TMPDIR/hosts" /etc/hosts
mount --bind "$TMPDIR/resolv.conf" /etc/resolv.conf

"$@"
