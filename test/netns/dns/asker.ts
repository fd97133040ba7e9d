/**
 * `node asker.ts SERVER RATE LEAST NAME…`: asks the server for the names' addresses (those that end in `.arpa`: for their
 * pointers) in turn, RATE times a second, each question once. Prints `ready` after the first answer. For a line on
 * its standard input it stops, when it has asked LEAST questions, waits for the last answers and prints how many were asked,
 * answered, and what was lost or wrong.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { decode, encode } from 'dns-packet';

const [server = '', rate = '', least = '', ...names] = process.argv.slice(2);
/** Longer than an answer ever takes that was not lost. */
const PATIENCE_MS = 6_000;
const MOST_AT_ONCE = 32;

const socket = createSocket('udp4');
const open = new Map<number, { name: string; at: number }>();
const wrong: string[] = [];
let asked = 0;
let answered = 0;
let slowestMs = 0;
let isOver = false;

socket.on('message', (message) => {
  const { id = 0, answers = [], flags = 0 } = decode(message);
  const question = open.get(id);
  if (question === undefined) return;
  open.delete(id);
  answered += 1;
  slowestMs = Math.max(slowestMs, performance.now() - question.at);
  if (answers.length === 0) wrong.push(`${question.name}: code ${flags & 15}`);
  if (answered === 1) process.stdout.write('ready\n');
});
socket.on('error', () => undefined);

async function report(): Promise<void> {
  if (isOver) return;
  while (asked < Number(least)) await pause(20);
  isOver = true;
  for (const endAt = performance.now() + PATIENCE_MS; open.size > 0 && performance.now() < endAt; ) await pause(20);
  const lost = [...open.values()].map(({ name }) => name);
  if (lost.length > 0) {
    const words = `the slowest answer took ${slowestMs} ms, and for ${withoutRoom()} the asker itself had no room`;
    process.stderr.write(`asker: ${lost.length} of ${asked} questions are lost; ${words}\n`);
  }
  process.stdout.write(`${JSON.stringify({ asked, answered, lost, wrong, slowestMs })}\n`);
  process.exit();
}

/** Answers that the kernel dropped at this socket, for this process did not read (proc(5), `net/udp`). */
function withoutRoom(): number {
  const port = `:${socket.address().port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/self/net/udp', 'utf8').split('\n');
  const own = lines.map((line) => line.trim().split(/\s+/)).find(([, local]) => local?.endsWith(port));
  return Number(own?.at(-1));
}

createInterface({ input: process.stdin })
  .on('line', () => void report())
  .on('close', () => void report());
const startedAt = performance.now();
while (!isOver) {
  // As many as are due, for a timer is late at times; and no more than the answers of which there is room for.
  const due = ((performance.now() - startedAt) * Number(rate)) / 1_000;
  for (let turn = 0; turn < MOST_AT_ONCE && asked < due; turn++, asked++) {
    const name = names[asked % names.length]!;
    const id = asked % 65_536;
    open.set(id, { name, at: performance.now() });
    const type = name.endsWith('.arpa') ? 'PTR' : 'A';
    socket.send(encode({ id, flags: 0x0100, questions: [{ type, name, class: 'IN' }] }), 53, server, () => undefined);
  }
  await pause(1);
}
