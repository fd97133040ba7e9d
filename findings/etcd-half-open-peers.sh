#!/usr/bin/env bash
# etcd 3.5 and newer does not notice that a connection to another member is dead when nobody tells it (packets are dropped, or the
# address is gone from which it called): 3.4 does after five seconds without a word (`ConnReadTimeout`), 3.5 only when the kernel's
# keepalive has had no answer, 165 s as Go sets it from 1.23 on. When packets pass again sooner the other end waits as long as TCP has
# put off what it sends again, about as long as the cut was: two members of two, or of three while the third is away, have no leader all
# that time. Since 3.5.0 `NewTransport` sets the transport's DialContext, which net/http prefers to the Dial that
# `NewTimeoutTransport` sets, so that its time limits are those of no connection; so still in 3.7.1 (etcd-io/etcd#18052, #19143).
# So who runs such an etcd ends connections of members that have been silent for longer than etcd is by itself (1.7 s).
# Needs root, etcdctl, nftables, openssl and iproute2; all of it happens in namespaces of its own, in about five minutes. The etcds
# are those that are named, or of Debian 12, 13 and forky (3.4.23, 3.5.16, 3.5.30):
#   findings/etcd-half-open-peers.sh [ETCD…]
set -euo pipefail
if [ "${1-}" != inside ]; then
  if [ $# = 0 ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    while read -r version sum; do
      file=$folder/$version.deb
      curl -fsS -o "$file" "http://deb.debian.org/debian/pool/main/e/etcd/etcd-server_${version}_amd64.deb"
      echo "$sum  $file" | sha256sum --check --quiet
      dpkg-deb -x "$file" "$folder/$version"
      set -- "$@" "$folder/$version/usr/bin/etcd"
    done <<'END'
3.4.23-4+b4 3a9445d4560ad6de1c375756b2a17d97713df44cbd20a658c871fe108af7ef5d
3.5.16-4 0875921bb0d023f2af9b8e15cdfbe417a03e65731345fb832c40f9c2dd72967b
3.5.30-2 11a4f7e350c5020b83edff5160a6063d4e56ac9cd014d21ce8916378bf96de79
END
  fi
  pids=() code=0
  for etcd in "$@"; do
    timeout 500 unshare --net --mount --pid --fork --kill-child "$(readlink -f "$0")" inside "$(readlink -f "$etcd")" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || code=1; done
  exit $code
fi
etcd=$2
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /mnt
mount -t proc proc /proc
cd /mnt
ip netns add a
ip netns add b
ip -n a link add eth0 type veth peer name eth0 netns b
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
{
  openssl req -x509 $key -keyout ca.key -out ca.crt -subj /CN=ca
  openssl req $key -keyout peer.key -out peer.csr -subj /CN=peer
  openssl x509 -req -in peer.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out peer.crt \
    -extfile <(echo 'subjectAltName=IP:10.0.0.1,IP:10.0.0.2')
} 2>/dev/null
serve() { # name address
  ip -n "$1" address add "$2/24" dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" link set lo up
  ip netns exec "$1" "$etcd" --name "$1" --data-dir "$1" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls "https://$2:2380" \
    --initial-advertise-peer-urls "https://$2:2380" --initial-cluster a=https://10.0.0.1:2380,b=https://10.0.0.2:2380 \
    --peer-client-cert-auth --peer-trusted-ca-file ca.crt --peer-cert-file peer.crt --peer-key-file peer.key >"$1.log" 2>&1 &
}
serve a 10.0.0.1
serve b 10.0.0.2
writes() { ip netns exec a env ETCDCTL_API=3 etcdctl --command-timeout 1s put key value >/dev/null 2>&1; }
# Streams whose reader has given them up.
lost() { cat a.log b.log | grep -E 'lost (the )?TCP streaming connection' | grep -c reader || true; }
# Seconds until a command succeeds, or until so many have passed.
seconds() { # limit command
  local from=$SECONDS
  until "${@:2}" || [ $((SECONDS - from)) -ge "$1" ]; do sleep 0.2; done
  echo $((SECONDS - from))
}
cut() { ip netns exec a nft 'table inet cut { chain in { type filter hook input priority 0; iifname eth0 tcp sport 0-65535 drop; }
  chain out { type filter hook output priority 0; oifname eth0 tcp sport 0-65535 drop; }; }'; }
heal() { ip netns exec a nft delete table inet cut; }
has_lost() { [ "$(lost)" -gt "$before" ]; }
seconds 60 writes >/dev/null
sleep 5 # members have to be in touch for five seconds
cut
sleep 30
heal
after=$(seconds 120 writes)
sleep 10
before=$(lost)
cut
noticed=$(seconds 300 has_lost)
version=$("$etcd" --version | sed -n '1s/.*: //p')
echo "etcd $version ($("$etcd" --version | sed -n 's/^Go Version: //p')): cut for 30 s, writes again $after s after that; cut for good, noticed after $noticed s"
case $version in
  3.[0-4].*) [ "$noticed" -le 10 ] && [ "$after" -le 10 ] ;;
  *) [ "$noticed" -ge 60 ] && [ "$noticed" -lt 300 ] && [ "$after" -lt 120 ] ;;
esac
