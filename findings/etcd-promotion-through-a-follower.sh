#!/usr/bin/env bash
# etcd 3.4 with `auth enable`: a learner cannot be promoted through a follower. The follower passes the request on to the leader
# by HTTP without saying whose it is; the leader answers "auth: user name is empty", and the follower passes it on again without a
# pause until the caller's time is up ("request timed out"; tens of thousands of times). Members are added and removed through a
# follower well, and promoted through the leader. So whoever promotes asks the leader itself. Needs etcd and etcdctl (the
# version is printed); all of it happens in a network namespace of its own.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net "$(readlink -f "$0")" inside
ip link set lo up
export ETCDCTL_API=3
dir=$(mktemp -d)
pids=''
trap 'kill $pids 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
url() { echo "http://127.0.0.1:$1"; }
serve() { # name client-port peer-port state cluster
  etcd --name "$1" --data-dir "$dir/$1" --listen-client-urls "$(url "$2")" --advertise-client-urls "$(url "$2")" \
    --listen-peer-urls "$(url "$3")" --initial-advertise-peer-urls "$(url "$3")" \
    --initial-cluster-state "$4" --initial-cluster "$5" >"$dir/$1.log" 2>&1 &
  pids="$pids $!"
}
ctl() { port=$1; shift; etcdctl --endpoints "$(url "$port")" "$@"; }
both="a=$(url 23802),b=$(url 23812)"
serve a 23801 23802 new "$both"
serve b 23811 23812 new "$both"
until ctl 23801 put ready 1 >/dev/null 2>&1; do sleep 0.2; done
sleep 6 # members have to be in touch for five seconds
ctl 23801 member add c --learner --peer-urls "$(url 23822)" >/dev/null
serve c 23821 23822 existing "$both,c=$(url 23822)"
id=$(ctl 23801 member list | sed -n 's/^\([0-9a-f]*\), [a-z]*, c\{0,1\}, http:..127.0.0.1:23822.*/\1/p')
until ctl 23821 endpoint status >/dev/null 2>&1; do sleep 0.2; done
sleep 1
ctl 23801 user add root --new-user-password pw >/dev/null
ctl 23801 user grant-role root root >/dev/null
ctl 23801 auth enable >/dev/null
leads() { ctl "$1" --user root:pw endpoint status -w fields | grep -c '"Leader" : '"$(ctl "$1" --user root:pw endpoint status -w fields | sed -n 's/.*"MemberID" : //p')"'$' || true; }
if [ "$(leads 23801)" = 1 ]; then leader=23801 follower=23811; else leader=23811 follower=23801; fi
by_follower=$(ctl $follower --user root:pw --command-timeout 8s member promote "$id" 2>&1 | tail -1 || true)
times=$(cat "$dir"/*.log | grep -c 'auth: user name is empty' || true)
by_leader=$(ctl $leader --user root:pw member promote "$id" 2>&1 | tail -1)
echo "$(etcd --version | head -1)"
echo "promoted through the follower: $by_follower"
echo "  in the logs, \"auth: user name is empty\": $times times"
echo "promoted through the leader:   $by_leader"
[[ $by_follower == *"timed out"* && $times -gt 100 && $by_leader == *promoted* ]]
