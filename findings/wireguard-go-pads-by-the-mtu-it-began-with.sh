#!/usr/bin/env bash
# wireguard-go whose tun device is moved into another network namespace (WireGuard's own way to keep the socket outside) does not
# learn the MTU that the device is given there: it goes on with 1420. A packet of 1440 bytes, which fits an underlay of 1500 exactly (60
# bytes for IPv4, UDP and WireGuard), is padded to 1452, and leaves as two fragments. With the device left where wireguard-go
# is, it leaves as one. `ip link` shows an MTU of 1440 in both cases, and no counter tells.
# Fetches Debian's wireguard-go 0.0.20220316 into a temporary folder. Needs root, iproute2 and tcpdump; all of it happens
# in namespaces of its own.
set -euo pipefail
if [ "${1-}" != inside ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root wireguard-go=0.0.20220316-1+b4 >&2 && dpkg-deb -x wireguard-go_*.deb .)
  unshare --net --mount --pid --fork --kill-child "$(readlink -f "$0")" inside "$folder"
  exit
fi
folder=$2
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /var/run/wireguard
ip netns add far
ip link add up0 type veth peer name up1 netns far
ip addr add 192.0.2.1/24 dev up0
ip -n far addr add 192.0.2.2/24 dev up1
ip link set up0 up
ip -n far link set up1 up
set_up() { perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new("/var/run/wireguard/$ARGV[0].sock") or die $!; print $s "$ARGV[1]\n\n"; my $a = <$s>; exit($a ne "errno=0\n")' "$1" "$2"; }
new_key() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
# X25519, by openssl: the public half of a private key in hex.
public_of() { { printf '302e020100300506032b656e04220420%s' "$1" | perl -ne 'print pack "H*", $_'; } | openssl pkey -inform DER -pubout -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n'; }
near_key=$(new_key)
far_key=$(new_key)
until_there() { for _ in $(seq 100); do [ -S "/var/run/wireguard/$1.sock" ] && return; sleep 0.05; done; return 1; }
start() { WG_PROCESS_FOREGROUND=1 $1 "$folder/usr/bin/wireguard-go" -f "$2" >/dev/null 2>&1 & until_there "$2"; }
start 'ip netns exec far' wgfar
set_up wgfar "$(printf 'set=1\nprivate_key=%s\nlisten_port=51840\npublic_key=%s\nallowed_ip=198.18.0.1/32' "$far_key" "$(public_of "$near_key")")"
ip -n far link set wgfar mtu 1440 up
ip -n far addr add 198.18.0.2/24 dev wgfar
make_near() {
  start '' wgnear
  near=$!
  set_up wgnear "$(printf 'set=1\nprivate_key=%s\npublic_key=%s\nendpoint=192.0.2.2:51840\nallowed_ip=198.18.0.2/32' "$near_key" "$(public_of "$far_key")")"
}
fragments_of() { # a ping of full size by "$@"; how many packets on the wire are fragments
  tcpdump --immediate-mode -U -Z root -i up0 -n -w "$folder/wire" 'udp or ip[6:2] & 0x3fff != 0' 2>"$folder/said" &
  local capture=$!
  until grep -q listening "$folder/said"; do sleep 0.05; done
  "$@" ping -q -c 3 -i 0.2 -W 2 -M do -s 1412 198.18.0.2 >/dev/null
  kill "$capture"
  wait "$capture" || true
  tcpdump -n -r "$folder/wire" 'src 192.0.2.1 and ip[6:2] & 0x3fff != 0' 2>/dev/null | wc -l
}
make_near
ip link set wgnear mtu 1440 up
ip addr add 198.18.0.1/24 dev wgnear
stayed=$(fragments_of env)
kill "$near"
wait "$near" || true
ip netns add inner
make_near
ip link set wgnear netns inner
ip -n inner link set wgnear mtu 1440 up
ip -n inner addr add 198.18.0.1/24 dev wgnear
moved=$(fragments_of ip netns exec inner)
mtu=$(ip -n inner link show wgnear | grep -o 'mtu [0-9]*')
echo "kernel $(uname -r | cut -d. -f1,2), wireguard-go 0.0.20220316, $(ip -V)"
echo "3 pings of 1440 bytes, device where wireguard-go is:           $stayed fragments"
echo "the same, device moved and given its MTU there ($mtu): $moved fragments"
[ "$stayed" = 0 ] && [ "$moved" -gt 0 ]
