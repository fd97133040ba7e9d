/**
 * `node bare-node.cjs agent` or `names`: what our processes are made of, and nothing of ours. The agent's has koffi, a
 * thread that does nothing, and gRPC, by which it asks itself once a second on a stream that stays open, as two other
 * members and it would each other; the other one has koffi. Each line on standard input is answered with the memory (`Pss` of proc(5), KiB) and
 * the processor time so far (milliseconds).
 */
const { readFileSync } = require('node:fs');

require('koffi');

const EXCHANGE = {
  exchange: {
    path: '/bare/Exchange',
    requestStream: true,
    responseStream: true,
    requestSerialize: (bytes) => bytes,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (bytes) => bytes,
    responseDeserialize: (bytes) => bytes,
  },
};
/** A digest and news of two members. */
const MESSAGE = Buffer.alloc(85);
const INTERVAL_MS = 1_000;

function beAgent(ready) {
  const { Worker } = require('node:worker_threads');
  const { Client, credentials, Server, ServerCredentials } = require('@grpc/grpc-js');
  const worker = new Worker("require('node:worker_threads').parentPort.on('message', () => undefined)", { eval: true });
  const server = new Server();
  server.addService(EXCHANGE, { exchange: (stream) => stream.on('data', () => stream.write(MESSAGE)) });
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    const { exchange } = EXCHANGE;
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const stream = client.makeBidiStreamRequest(exchange.path, exchange.requestSerialize, exchange.responseDeserialize);
    stream.on('data', () => undefined);
    setInterval(() => stream.write(MESSAGE), INTERVAL_MS);
    worker.once('online', ready);
  });
}

function answer() {
  const [, kib] = /^Pss:\s+(\d+) kB/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'));
  const { user, system } = process.cpuUsage();
  console.log(`${kib} ${(user + system) / 1_000}`);
}

const ready = () => console.log('ready');
if (process.argv[2] === 'agent') beAgent(ready);
else ready();
process.stdin.on('data', answer).on('end', () => process.exit());
