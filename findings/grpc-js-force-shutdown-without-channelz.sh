#!/usr/bin/env bash
# @grpc/grpc-js 1.14.7: a server made with `grpc.enable_channelz: 0` closes no session at `forceShutdown()`. The client's
# stream goes on as if nothing had happened, and the process does not end. With channelz on, as by default, it ends at once.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @grpc/grpc-js@1.14.7 >/dev/null
cat >try.cjs <<'JS'
const grpc = require('@grpc/grpc-js');
const bytes = { serialize: (x) => x, deserialize: (x) => x };
const method = {
  path: '/lab.Echo/Watch', requestStream: false, responseStream: true,
  requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize,
};
async function run(channelz) {
  const server = new grpc.Server({ 'grpc.enable_channelz': channelz });
  server.addService({ watch: method }, { watch: (call) => call.write(Buffer.from('hello')) });
  const port = await new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (e, p) => (e ? reject(e) : resolve(p))));
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const call = client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, Buffer.alloc(0));
  const ended = new Promise((resolve) => call.on('error', (e) => resolve(`ended: ${grpc.status[e.code]}`)));
  await new Promise((resolve) => call.on('data', resolve));
  server.forceShutdown();
  const open = new Promise((resolve) => setTimeout(resolve, 3000, 'open three seconds later'));
  return Promise.race([ended, open]);
}
(async () => {
  const version = require('@grpc/grpc-js/package.json').version;
  const on = await run(1);
  const off = await run(0);
  console.log(`node ${process.version}, @grpc/grpc-js ${version}`);
  console.log(`forceShutdown(), enable_channelz 1: the stream is ${on}`);
  console.log(`forceShutdown(), enable_channelz 0: the stream is ${off}`);
  process.exit(on.startsWith('ended') && off.startsWith('open') ? 0 : 1);
})();
JS
node try.cjs
