#!/usr/bin/env bash
# A netlink socket whose buffer is full tells so once (ENOBUFS), when the first message is lost. Until somebody has emptied
# the buffer, everything else is lost as well, and nothing tells of that: neither another error nor a message. So who looks
# at everything when the error comes misses what changes between that look and the emptying of the buffer.
# Needs root, iproute2, node and npm; koffi calls the C library. All of it happens in a namespace of its own.
set -euo pipefail
here=$(readlink -f "$0")
if [ "${1-}" != inside ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund --ignore-scripts koffi@3.3.4)
  cd "$work" && unshare --net "$here" inside
  exit
fi
ip link add br0 type bridge
ip link set br0 up
cat >hear.cjs <<'PROGRAM'
const koffi = require('koffi');
const libc = koffi.load(null);
const [AF_NETLINK, SOCK_RAW, SOL_SOCKET, SO_RCVBUF, SOL_NETLINK, MSG_DONTWAIT] = [16, 3, 1, 8, 270, 0x40];
const [ADD_MEMBERSHIP, RTNLGRP_LINK, ENOBUFS] = [1, 1, 105];
const socket = libc.func('int socket(int, int, int)');
const setsockopt = libc.func('int setsockopt(int, int, int, const void *, uint32_t)');
const bind = libc.func('int bind(int, const void *, uint32_t)');
const recv = libc.func('int64_t recv(int, void *, uint64_t, int)');
const { execFileSync } = require('node:child_process');
const fd = socket(AF_NETLINK, SOCK_RAW, 0);
const set = (level, name, value) => setsockopt(fd, level, name, new Int32Array([value]), 4);
set(SOL_SOCKET, SO_RCVBUF, 4096);
const address = Buffer.alloc(12);
address.writeUInt16LE(AF_NETLINK, 0);
if (bind(fd, address, 12) !== 0) throw new Error('bind');
set(SOL_NETLINK, ADD_MEMBERSHIP, RTNLGRP_LINK);
const data = Buffer.alloc(65536);
const alias = (text) => execFileSync('ip', ['link', 'set', 'br0', 'alias', text]);
/** The next message as text, `lost`, or undefined. */
const next = () => {
  const length = recv(fd, data, data.length, MSG_DONTWAIT);
  if (length > 0) return data.toString('latin1', 0, length);
  return koffi.errno() === ENOBUFS ? 'lost' : undefined;
};
for (let i = 0; i < 40; i++) alias(`filling-${i}`);
const first = next();
// Here everything would be looked at. What changes now is the question.
alias('after-the-error');
const rest = [];
for (let message = next(); message !== undefined; message = next()) rest.push(message);
alias('after-the-emptying');
const last = next() ?? '';
console.log(JSON.stringify({
  first,
  errorsAgain: rest.filter((message) => message === 'lost').length,
  heardAfterError: rest.some((message) => message.includes('after-the-error')),
  heardAfterEmptying: last.includes('after-the-emptying'),
}));
PROGRAM
seen=$(node hear.cjs)
echo "kernel $(uname -r | cut -d. -f1,2), $(ip -V), koffi 3.3.4, node $(node --version)"
echo "$seen"
[ "$seen" = '{"first":"lost","errorsAgain":0,"heardAfterError":false,"heardAfterEmptying":true}' ]
