#!/usr/bin/env bash
# The id of a network namespace (`ip netns set`) stays taken after `ip netns del` as long as a process is in it: a namespace
# made anew under the same name cannot have the same id, and nothing that `ip netns list` shows has it. It is free as soon
# as the process has ended. Needs root and iproute2 (the version is printed); all of it happens in namespaces of its own.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net --mount "$(readlink -f "$0")" inside
mount -t tmpfs tmpfs /run
attempt() { ip netns set web 4096 2>&1 && echo accepted; }
ip netns add web
ip netns set web 4096
nsenter --net=/run/netns/web sleep 60 &
inside=$!
until [ "$(readlink "/proc/$inside/ns/net")" = "net:[$(stat -c %i /run/netns/web)]" ]; do sleep 0.05; done
ip netns del web
ip netns add web
listed=$(ip netns list)
held=$(attempt || true)
kill "$inside"
wait "$inside" 2>/dev/null || true
# The kernel takes a namespace apart in its own time.
for _ in $(seq 100); do
  free=$(attempt || true)
  [ "$free" != accepted ] || break
  sleep 0.05
done
echo "kernel $(uname -r | cut -d. -f1,2), $(ip -V)"
echo "ip netns list:                       $listed"
echo "id 4096, a process in the old one:   $held"
echo "id 4096, after that process's end:   $free"
[ "$listed" = web ] && [ "$held" != accepted ] && [ "$free" = accepted ]
