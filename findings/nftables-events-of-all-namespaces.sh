#!/usr/bin/env bash
# One netlink socket hears the changes of nftables in every namespace that has an id in the socket's: the option
# NETLINK_LISTEN_ALL_NSID, documented for routing, works for NETLINK_NETFILTER as well, and each message says by a control
# message which namespace it is of. `nft monitor` in the same namespace hears none of them. A namespace without an id
# is not heard either.
# Needs root, iproute2, nftables, node and npm; koffi calls the C library. All of it happens in namespaces of its own.
set -euo pipefail
here=$(readlink -f "$0")
if [ "${1-}" != inside ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund --ignore-scripts koffi@3.3.4)
  cd "$work" && unshare --net --mount "$here" inside
  exit
fi
mount -t tmpfs tmpfs /run
ip netns add named
ip netns set named 77
ip netns add other
cat >hear.cjs <<'PROGRAM'
const koffi = require('koffi');
const libc = koffi.load(null);
const [AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, SOL_NETLINK] = [16, 3, 12, 270];
const [ADD_MEMBERSHIP, LISTEN_ALL_NSID, NFNLGRP_NFTABLES, NFT_MSG_NEWTABLE] = [1, 8, 7, (10 << 8) | 0];
koffi.struct('iovec', { base: 'void *', length: 'uint64_t' });
koffi.struct('msghdr', { name: 'void *', namelen: 'uint32_t', iov: 'iovec *', iovlen: 'uint64_t', control: 'void *', controllen: 'uint64_t', flags: 'int' });
const socket = libc.func('int socket(int, int, int)');
const setsockopt = libc.func('int setsockopt(int, int, int, const void *, uint32_t)');
const bind = libc.func('int bind(int, const void *, uint32_t)');
const recvmsg = libc.func('int64_t recvmsg(int, _Inout_ msghdr *, int)');
const { execFileSync } = require('node:child_process');
const fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
const set = (name, value) => {
  if (setsockopt(fd, SOL_NETLINK, name, new Int32Array([value]), 4) !== 0) throw new Error(`option ${name}`);
};
set(LISTEN_ALL_NSID, 1);
const address = Buffer.alloc(12);
address.writeUInt16LE(AF_NETLINK, 0);
if (bind(fd, address, 12) !== 0) throw new Error('bind');
set(ADD_MEMBERSHIP, NFNLGRP_NFTABLES);
for (const name of ['named', 'other']) execFileSync('ip', ['netns', 'exec', name, 'nft', 'add table inet there']);
execFileSync('nft', ['add table inet here']);
const heard = [];
for (;;) {
  const [data, control] = [Buffer.alloc(16384), Buffer.alloc(64)];
  const message = { name: null, namelen: 0, iov: [{ base: data, length: data.length }], iovlen: 1, control, controllen: 64, flags: 0 };
  const MSG_DONTWAIT = 0x40;
  if (recvmsg(fd, message, MSG_DONTWAIT) <= 0) break;
  const id = message.controllen >= 20 ? control.readInt32LE(16) : 'the own one';
  if (data.readUInt16LE(4) === NFT_MSG_NEWTABLE) heard.push(id);
}
console.log(heard.join(', '));
PROGRAM
nft monitor >monitored &
monitor=$!
trap 'kill $monitor 2>/dev/null || true' EXIT
# It listens as soon as it has told of a table that is made for that.
until grep -q probe monitored; do
  nft add table inet probe
  sleep 0.05
  nft delete table inet probe
done
heard=$(node hear.cjs)
until grep -q 'table inet here' monitored; do sleep 0.05; done
told=$(grep -c 'table inet there' monitored || true)
echo "kernel $(uname -r | cut -d. -f1,2), $(nft --version | cut -d' ' -f1,2), koffi 3.3.4, node $(node --version)"
echo "made: a table in a namespace with id 77, in one without an id, in the own one"
echo "the socket heard of tables in:       $heard"
echo "nft monitor told of foreign tables:  $told"
[ "$heard" = "77, the own one" ] && [ "$told" = 0 ]
