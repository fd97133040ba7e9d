/**
 * `node sighting.ts SERVER`, in a container's network namespace: for each line `there NAME` or `gone NAME` of standard
 * input asks the name server every 2 ms until that is so, and says when it was. For `there` it also says when the
 * address first answered: a TCP connection to a port where nobody listens was refused. Times are the monotonic clock's,
 * in milliseconds. Says "ready" when it can be asked.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { decode, encode } from 'dns-packet';
import { nowMs } from '../clock.ts';

const server = process.argv[2]!;
const INTERVAL_MS = 2;
const CLOSED_PORT = 9;

const socket = createSocket('udp4');
let lastId = 0;
let heard: (id: number, address: string | undefined) => void = () => undefined;

socket.on('message', (message) => {
  const { id = 0, answers = [] } = decode(message);
  const [address] = answers.flatMap((answer) => (answer.type === 'A' ? [answer.data] : []));
  heard(id, address);
});
// Nobody listens there yet, or not at this moment.
socket.on('error', () => undefined);

function ask(name: string): void {
  lastId = (lastId + 1) % 65_536;
  const question = encode({ id: lastId, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] });
  socket.send(question, 53, server, () => undefined);
}

/** The address, or undefined, that made it so. Answers to questions of before do not count. */
async function see(name: string, wanted: 'there' | 'gone'): Promise<{ at: number; address: string | undefined }> {
  const first = (lastId + 1) % 65_536;
  const seen = Promise.withResolvers<{ at: number; address: string | undefined }>();
  let isOver = false;
  heard = (id, address) => {
    if ((id - first + 65_536) % 65_536 > 32_768 || (address !== undefined) !== (wanted === 'there')) return;
    isOver = true;
    seen.resolve({ at: nowMs(), address });
  };
  while (!isOver) {
    ask(name);
    await pause(INTERVAL_MS);
  }
  return seen.promise;
}

async function reach(address: string): Promise<number> {
  const reached = Promise.withResolvers<number>();
  let isOver = false;
  void reached.promise.then(() => {
    isOver = true;
  });
  while (!isOver) {
    const attempt = connect(CLOSED_PORT, address);
    attempt.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') reached.resolve(nowMs());
    });
    setTimeout(() => attempt.destroy(), 1_000).unref();
    await Promise.race([reached.promise, pause(INTERVAL_MS)]);
  }
  return reached.promise;
}

socket.bind(0, () => console.log('ready'));
process.stdin.once('end', () => process.exit());
for await (const line of createInterface({ input: process.stdin })) {
  const [wanted, name] = line.split(' ') as ['there' | 'gone', string];
  const { at, address } = await see(name, wanted);
  const reachedAt = wanted === 'there' ? await reach(address!) : at;
  console.log(JSON.stringify({ at, reachedAt }));
}
