#!/usr/bin/env bash
# A dump of neighbours (RTM_GETNEIGH, `ip neigh show`) takes as long as there are neighbours in all network namespaces of the machine,
# though it tells of its own alone, and though it asks for one device: the kernel has one table of a family for all of them
# (`arp_tbl`, net/core/neighbour.c), and `neigh_dump_table` goes through it. FDB rows are kept by device, and cost nobody else.
# So a host with many networks of many endpoints pays for the square of them when it looks at each.
# Needs root and iproute2 (the version is printed); all of it happens in namespaces of its own, in about ten seconds.
set -euo pipefail
# The decimal sign of EPOCHREALTIME is the locale's.
export LC_ALL=C
[ "${1-}" = inside ] || exec unshare --net --mount "$(readlink -f "$0")" inside
mount -t tmpfs tmpfs /run
ip link add br0 type bridge
ip link set br0 up
ip netns add empty
ip -n empty link add br0 type bridge
# Microseconds for one run of `ip` with these arguments in the empty namespace, the least of 30.
least() {
  ip netns exec empty bash -c 'for i in $(seq 30); do
    begun=${EPOCHREALTIME/./}
    ip "$@" >/dev/null
    echo $((${EPOCHREALTIME/./} - begun))
  done' least "$@" | sort -n | head -1
}
# The command's own start is most of a short one.
start=$(least -V)
# Microseconds for one dump without that, 1 at least.
look() {
  local all
  all=$(least -4 neigh show nud all "$@")
  echo $((all > start ? all - start : 1))
}
before=$(look)
for second in $(seq 800); do
  for last in $(seq 250); do
    echo "neigh add 10.$((second / 200)).$((second % 200)).$last lladdr 02:00:00:00:00:01 dev br0 nud permanent"
  done
done | ip -batch -
after=$(look)
device=$(look dev br0)
echo "kernel $(uname -r | cut -d. -f1,2), $(ip -V)"
echo "neighbours elsewhere: $(ip -4 neigh show nud all | wc -l), in the empty namespace: $(ip -n empty -4 neigh show nud all | wc -l)"
echo "a dump there, without the command's own start of $start us: $before us before, $after us after, $device us of one device"
[ "$after" -gt $((5 * before)) ] && [ "$device" -gt $((5 * before)) ]
