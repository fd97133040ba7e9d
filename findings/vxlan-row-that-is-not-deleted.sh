#!/usr/bin/env bash
# `bridge fdb del MAC dev VXLAN dst IP` (RTM_DELNEIGH) of a MAC that is there behind another tunnel end, or another port, succeeds
# and deletes nothing. Only a MAC that is not there at all is refused. Who takes the answer for the deed leaves rows behind.
# Needs root and iproute2 (the version is printed); all of it happens in a namespace of its own.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net "$(readlink -f "$0")" inside
mac=02:42:0a:00:00:02
ip link add vx0 type vxlan id 42 dstport 4789 local 192.0.2.1 nolearning
bridge fdb append "$mac" dev vx0 dst 192.0.2.2
attempt() { bridge fdb del "$@" 2>&1 && echo accepted || true; }
end=$(attempt "$mac" dev vx0 dst 192.0.2.9)
port=$(attempt "$mac" dev vx0 dst 192.0.2.2 port 4790)
left=$(bridge fdb show dev vx0 | tr -s ' ')
absent=$(attempt 02:42:0a:00:00:77 dev vx0 dst 192.0.2.2)
echo "kernel $(uname -r | cut -d. -f1,2), $(ip -V)"
echo "delete behind another tunnel end: $end"
echo "delete behind another port:       $port"
echo "left after both:                  $left"
echo "delete of a MAC that is not there: $absent"
[ "$end" = accepted ] && [ "$port" = accepted ] && [[ $left == *"$mac dst 192.0.2.2"* ]] && [ "$absent" != accepted ]
