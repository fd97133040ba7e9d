/**
 * Run with few file descriptors: asks an upstream server while there are none left, and once more when there are. Prints
 * what came of both.
 */
import { closeSync, openSync } from 'node:fs';
import { UpstreamSockets } from '../../../../src/adapters/dns/upstream-sockets.ts';
import { question } from '../../core/dns/messages.ts';
import { startUpstream } from './upstream.ts';

const upstream = await startUpstream('127.0.0.1', {
  udp: (query) => {
    const reply = Buffer.from(query);
    reply[2]! |= 0x80;
    return [reply];
  },
});
const sockets = new UpstreamSockets({ sockets: 1 });
const ask = () => sockets.ask(upstream, question('a.example'), AbortSignal.timeout(5_000));

const taken: number[] = [];
try {
  for (;;) taken.push(openSync('/dev/null', 'r'));
} catch {
  // None is left.
}
const without = await ask();
for (const descriptor of taken) closeSync(descriptor);
const after = await ask();
upstream.close();
console.log(JSON.stringify([without ?? 'nothing', typeof after === 'object' ? after.verdict : (after ?? 'nothing')]));
