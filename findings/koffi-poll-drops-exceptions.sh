#!/usr/bin/env bash
# What a callback of koffi's `node.poll` throws is dropped: `uncaughtException` does not hear of it. The callback is not called
# again, although the descriptor stays readable, and the process lives on: it is deaf, and nothing says so.
# Needs node and npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts koffi@3.3.4
cat >poll.cjs <<'PROGRAM'
const koffi = require('koffi');
const libc = koffi.load(null);
const eventfd = libc.func('int eventfd(uint32_t, int)');
let [calls, uncaught] = [0, 0];
process.on('uncaughtException', () => uncaught++);
koffi.node.poll(eventfd(1, 0), { readable: true }, () => {
  calls++;
  throw new Error('in the callback');
});
setTimeout(() => {
  console.log(`calls: ${calls}, uncaught exceptions: ${uncaught}`);
  process.exit();
}, 300);
PROGRAM
seen=$(node poll.cjs)
echo "koffi 3.3.4, node $(node --version)"
echo "$seen"
[ "$seen" = 'calls: 1, uncaught exceptions: 0' ]
