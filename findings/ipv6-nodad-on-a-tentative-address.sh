#!/usr/bin/env bash
# `ip addr replace ADDRESS dev DEV nodad`, while duplicate address detection of that address runs, takes the flag and goes on
# waiting: the address is listed as "nodad tentative" and stays unusable. Deleted and added with `nodad` it is usable at once.
# Needs root and iproute2 (the version is printed); all of it happens in a namespace of its own.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net "$(readlink -f "$0")" inside
address=2001:db8::5/64
ip link add left type veth peer name right
echo 60 >/proc/sys/net/ipv6/conf/left/dad_transmits # seconds, so that it is not over before it is looked at
ip link set left up
ip link set right up
flags() { ip -6 -o addr show dev left to "$address" | grep -o 'scope global.*\\' | sed 's/scope global *//; s/ *\\//'; }
ip addr add "$address" dev left
added=$(flags)
ip addr replace "$address" dev left nodad
replaced=$(flags)
ip addr del "$address" dev left
ip addr add "$address" dev left nodad
anew=$(flags)
echo "kernel $(uname -r | cut -d. -f1,2), $(ip -V)"
echo "added:                      $added"
echo "replaced with nodad:        $replaced"
echo "deleted, added with nodad:  $anew"
[ "$added" = tentative ] && [ "$replaced" = 'nodad tentative' ] && [ "$anew" = nodad ]
