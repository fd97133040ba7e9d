/**
 * `node ask.ts SERVER NAME SECONDS [PER_SECOND]`, in a container's network namespace: asks at a steady rate and prints
 * how many questions were sent and answered, and the milliseconds that answers took, as JSON.
 */
import { createSocket } from 'node:dgram';
import { setTimeout as pause } from 'node:timers/promises';
import { encode } from 'dns-packet';
import { nowMs } from '../clock.ts';
import { quantile } from '../statistics.ts';

const [server, name, seconds, perSecond = '500'] = process.argv.slice(2) as [string, string, string, string?];
const LATE_MS = 500;

const socket = createSocket('udp4');
const sentAt: number[] = [];
const took: number[] = [];
const seen = new Set<number>();
let refused = 0;

socket.on('message', (message) => {
  const id = message.readUInt16BE(0);
  if (seen.has(id)) return;
  seen.add(id);
  if ((message.readUInt16BE(2) & 15) !== 0) refused++;
  else took.push(nowMs() - sentAt[id]!);
});
socket.on('error', () => undefined);
socket.connect(53, server);
await new Promise((resolve) => socket.once('connect', resolve));

const total = Math.min(65_535, Number(seconds) * Number(perSecond));
const begin = nowMs();
while (sentAt.length < total) {
  for (const due = ((nowMs() - begin) / 1_000) * Number(perSecond); sentAt.length < Math.min(due, total); ) {
    const id = sentAt.push(nowMs()) - 1;
    socket.send(encode({ id, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] }), () => undefined);
  }
  await pause(1);
}
await pause(LATE_MS);
const result = { sent: total, answered: took.length, refused, p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
console.log(JSON.stringify(result));
process.exit();
