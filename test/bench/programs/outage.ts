/**
 * `node outage.ts SERVER NAME`, in a container's network namespace: asks the name server every 2 ms until standard input
 * ends, then prints the longest time in milliseconds between two questions that were answered with an address. Says
 * "ready" after the first answer.
 */
import { createSocket } from 'node:dgram';
import { setTimeout as pause } from 'node:timers/promises';
import { decode, encode } from 'dns-packet';
import { nowMs } from '../clock.ts';

const [server, name] = process.argv.slice(2) as [string, string];
const INTERVAL_MS = 2;

const socket = createSocket('udp4');
const asked = new Map<number, number>();
const answered: number[] = [];

socket.on('message', (message) => {
  const { id = 0, answers = [] } = decode(message);
  const at = asked.get(id);
  if (at === undefined || answers.length === 0) return;
  if (answered.length === 0) console.log('ready');
  answered.push(at);
});
socket.on('error', () => undefined);

let isOver = false;
process.stdin.resume().once('end', () => {
  isOver = true;
});
for (let id = 0; !isOver; id = (id + 1) % 65_536) {
  asked.set(id, nowMs());
  socket.send(
    encode({ id, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] }),
    53,
    server,
    () => undefined,
  );
  await pause(INTERVAL_MS);
}
answered.sort((a, b) => a - b);
console.log(Math.max(...answered.slice(1).map((at, index) => at - answered[index]!)));
process.exit();
