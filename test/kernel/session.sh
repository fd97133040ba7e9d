#!/usr/bin/env bash
# What the guest of test/kernel.sh runs in its root: the command in $1/command, with the outcome written to $1/code. It
# stays the first process, which collects what others leave behind, and switches the guest off.
shared=$1
# shellcheck disable=SC1091
. "$shared/settings"
cd "$tree" || exit
export HOME=/root PATH="$tree/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
hostname kernel
ip link set lo up
# What a machine that booted by itself has, or is given by whoever uses it first; /dev/net/tun comes with its module.
modprobe -a tun wireguard
mount --make-rshared /
if [ -n "$terminal" ]; then
  read -r rows columns TERM <<<"$terminal"
  export TERM
  stty rows "$rows" cols "$columns"
  setsid --ctty --wait bash -c "$(<"$shared/command")"
  code=$?
else
  stty -opost
  setsid --wait bash -c "$(<"$shared/command")" </dev/null 2>&1 | cat
  code=${PIPESTATUS[0]}
fi
# A lab keeps its directory when a test failed. The machine gets its logs alone: the rest is sockets and data.
mapfile -d '' logs < <(find /tmp/overlayd-lab-* -name '*.log' -print0 2>/dev/null)
if [ "$code" != 0 ] && [ ${#logs[@]} != 0 ]; then
  mkdir "$shared/logs"
  (cd /tmp && cp --parents -t "$shared/logs" "${logs[@]#/tmp/}")
fi
echo "$code" >"$shared/code"
sync
umount "$shared"
echo o >/proc/sysrq-trigger
sleep infinity
