#!/usr/bin/env bash
# `nft flush ruleset` ends with 0 and without a word, and leaves a table that a process made with `flags owner`: the table goes on
# filtering. `nft delete table` of the same one is refused. It goes by itself with the process, however that ends.
# So who flushes the ruleset and lists nothing after that believes that no rule is left; and who wants rules that nobody
# flushes by accident, and that never outlive their program, has them. Needs root, nftables and iputils-ping; all of it
# happens in a namespace that ends with it.
set -euo pipefail
[ "${1-}" = inside ] || exec unshare --net --pid --fork --kill-child "$(readlink -f "$0")" inside
ip link set lo up
coproc OWNER { exec nft -i >/dev/null 2>&1; }
owner=$OWNER_PID
echo 'add table inet owned { flags owner; chain in { type filter hook input priority 0; icmp type echo-request drop; }; }' >&"${OWNER[1]}"
until nft list tables | grep -q 'inet owned'; do sleep 0.05; done
nft add table inet plain
answered() { ping -q -c 1 -W 1 127.0.0.1 >/dev/null && echo answered || echo dropped; }
nft flush ruleset && flushed=0 || flushed=$?
left=$(nft list tables | tr '\n' ' ')
after=$(answered)
refused=$(nft delete table inet owned 2>&1 | head -1) || true
{ kill -9 "$owner" && wait "$owner"; } 2>/dev/null || true
until ! nft list tables | grep -q owned; do sleep 0.05; done
echo "kernel $(uname -r | cut -d. -f1,2), $(nft --version)"
echo "nft flush ruleset: exit $flushed, tables left: ${left:-none}"
echo "a ping that the table drops: $after"
echo "nft delete table inet owned: $refused"
echo "when its process was killed: $(nft list tables | wc -l) tables, a ping is $(answered)"
[ "$flushed" = 0 ] && [ "$left" = 'table inet owned ' ] && [ "$after" = dropped ]
grep -q 'not permitted' <<<"$refused" && [ "$(answered)" = answered ]
