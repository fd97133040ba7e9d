#!/usr/bin/env bash
# `meta skuid` of a VXLAN packet in the output hook is the owner of the *inner* packet's socket when the device is in the
# same namespace as its UDP socket, and nothing at all, `!= 0` included, when the device was moved into another one.
# So a rule that lets only "the kernel's own" VXLAN out by `meta skuid` holds for moved devices, and cuts those that a
# process of the host sends through. Needs root, iproute2 and nftables (versions are printed); all of it happens in
# namespaces that end with it.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net --mount "$(readlink -f "$0")" inside
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add under0 type veth peer name under1
ip addr add 192.0.2.1/24 dev under0
ip link set under0 up
ip link set under1 up
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev under0 nud permanent
ip netns add moved
device() { # name, VNI, where it is used
  ip link add "$1" type vxlan id "$2" local 192.0.2.1 remote 192.0.2.2 dstport 4789 nolearning
  [ -z "$3" ] || ip link set "$1" netns "$3"
  local at=(ip ${3:+-n "$3"})
  "${at[@]}" addr add 198.51.100.1/24 dev "$1"
  "${at[@]}" link set "$1" up
  "${at[@]}" neigh add 198.51.100.2 lladdr 02:00:00:00:01:02 dev "$1" nud permanent
}
sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip netns exec moved sysctl -qw net.ipv6.conf.default.disable_ipv6=1
device vx0 4096 ''
device vx1 4097 moved
nft -f - <<'NFT'
table inet lab {
  counter owned { }
  counter others { }
  counter every { }
  chain output {
    type filter hook output priority 0;
    udp dport 4789 meta skuid 0-4294967295 counter name owned
    udp dport 4789 meta skuid != 0 counter name others
    udp dport 4789 counter name every
  }
}
NFT
packets() { nft list counter inet lab "$1" | sed -n 's/.*packets \([0-9]*\) .*/\1/p'; }
count() {
  nft reset counters >/dev/null
  "$@" >/dev/null 2>&1 || true
  echo "of $(packets every) packets $(packets owned) have an owner, $(packets others) one that is not root"
}
here=$(count ping -c 3 -i 0.2 -W 0.2 198.51.100.2)
moved=$(count ip netns exec moved ping -c 3 -i 0.2 -W 0.2 198.51.100.2)
echo "kernel $(uname -r | cut -d. -f1,2), $(nft --version), $(ip -V)"
echo "device in the namespace of its UDP socket: $here"
echo "device moved into another namespace:       $moved"
[ "$here" = 'of 3 packets 3 have an owner, 0 one that is not root' ]
[ "$moved" = 'of 3 packets 0 have an owner, 0 one that is not root' ]
