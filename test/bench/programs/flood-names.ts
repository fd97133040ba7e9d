/**
 * `node flood-names.ts SERVER NAME SECONDS`, in a container's network namespace: asks as fast as it can, from several
 * ports, and does not read the answers. Says "ready" when it has begun, and at the end how many questions it sent.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { encode } from 'dns-packet';
import { nowMs } from '../clock.ts';

const [server, name, seconds] = process.argv.slice(2) as [string, string, string];
const PORTS = 8;
const BATCH = 64;

const question = encode({ id: 1, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] });
const sockets = Array.from({ length: PORTS }, () => createSocket('udp4').on('error', () => undefined));
for (const socket of sockets) {
  socket.connect(53, server);
  await once(socket, 'connect');
}
let sent = 0;
console.log('ready');
for (const end = nowMs() + Number(seconds) * 1_000; nowMs() < end; ) {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (let i = 0; i < BATCH; i++) {
    sockets[i % PORTS]!.send(question, () => {
      if (i === BATCH - 1) resolve();
    });
  }
  sent += BATCH;
  await promise;
}
console.log(JSON.stringify({ sent }));
process.exit();
