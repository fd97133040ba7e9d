#!/usr/bin/env bash
# `Worker.terminate()`, while the worker is in a callback or a call of koffi, ends the whole process: "FATAL ERROR:
# Error::ThrowAsJavaScriptException napi_throw", SIGABRT. Seen at once where a descriptor is waited for (`koffi.node.poll`); calls
# such as `koffi.load` are hit about once in a hundred times. A worker that uses koffi has to be asked to end by itself.
# Needs node and npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts koffi@3.3.4
cat >terminated.cjs <<'PROGRAM'
const { Worker, isMainThread, parentPort } = require('node:worker_threads');
if (isMainThread) {
  const worker = new Worker(__filename);
  worker.once('message', async () => {
    await worker.terminate();
    console.log('alive');
  });
} else {
  const koffi = require('koffi');
  const eventfd = koffi.load(null).func('int eventfd(uint32_t, int)');
  koffi.node.poll(eventfd(1, 0), { readable: true }, () => {});
  parentPort.postMessage('polls');
}
PROGRAM
status=0
node terminated.cjs >said 2>words || status=$?
echo "koffi 3.3.4, node $(node --version): exit status $status, $(head -1 words)"
[ "$status" -ge 128 ] && grep -q napi_throw words && ! grep -q alive said
