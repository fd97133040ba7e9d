#!/usr/bin/env bash
# A VXLAN device that was made in one network namespace and moved to another (so that its UDP socket stays in the first) is
# deleted by the kernel, rows and all, when the first namespace ends: although the device is elsewhere, is a port of a bridge there and
# nobody has deleted it. Who repairs such a device has to make it anew. A WireGuard device, which keeps its socket behind in the
# same way, stays (seen with Linux 6.1; not part of this script, since the module is not everywhere).
# Needs root and iproute2 (the version is printed); all of it happens in namespaces of its own.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net --mount "$(readlink -f "$0")" inside
mount -t tmpfs tmpfs /run
ip netns add sockets
ip netns add network
ip -n sockets link add vx0 type vxlan id 42 dstport 4789 nolearning
ip -n sockets link set vx0 netns network
ip -n network link add br0 type bridge
ip -n network link set vx0 master br0 up
before=$(ip -n network -br link show type vxlan | cut -d@ -f1)
ip netns del sockets
# The kernel takes a namespace apart in its own time.
for _ in $(seq 100); do
  after=$(ip -n network -br link show type vxlan)
  [ -n "$after" ] || break
  sleep 0.05
done
echo "kernel $(uname -r | cut -d. -f1,2), $(ip -V)"
echo "in the other namespace before: $before"
echo "after the socket's one ended:  ${after:-nothing}"
[ "$before" = vx0 ] && [ -z "$after" ]
