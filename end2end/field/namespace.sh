#!/usr/bin/env bash
# Runs a command in a network of its own: the addresses of pods, Services and a node lead nowhere else, and nothing of it
# is left when the command ends. As root, or as anybody where users may create namespaces.
#
#   field/namespace.sh COMMAND [ARGUMENT...]
set -euo pipefail

if [ "${FIELD_NAMESPACE:-}" != entered ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(--user --map-root-user)
    # A process namespace as well: when its first process ends, so do all others.
    FIELD_NAMESPACE=entered exec unshare "${as_root[@]}" --net --mount --pid --fork --kill-child --mount-proc -- "$0" "$@"
fi

PATH=$PATH:/usr/sbin:/sbin
export FIELD_NODE_ADDRESS=10.0.0.1
ip link set lo up
# Every address of a pod is one of this machine.
ip route add local 10.244.0.0/16 dev lo
# The node's address, and a way out for packets to cluster IPs, which kube-proxy redirects.
ip link add veth0 type veth peer name veth1
ip link set veth1 up
ip link set veth0 up
ip address add "$FIELD_NODE_ADDRESS/24" dev veth0
ip route add default dev veth0

# Names are those in a hosts file of its own, which the tests extend. No name server.
own=$(mktemp -d)
printf '127.0.0.1 localhost\n::1 localhost\n' >"$own/hosts"
: >"$own/resolv.conf"
mount --bind "$own/hosts" /etc/hosts
mount --bind "$own/resolv.conf" /etc/resolv.conf
rm -r "$own"

"$@"
