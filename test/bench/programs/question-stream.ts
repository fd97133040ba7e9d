/**
 * `node question-stream.ts FILE RATE`, on a host: asks name servers from within containers, one question after the other
 * at a steady rate (per second), and tells which had no right answer. FILE is JSON, a list of `StreamTarget`s, which are
 * asked in turn.
 *
 * Says "ready" when every target has answered. `count N` on standard input asks N questions, `begin` goes on until `end`;
 * either ends in a line with a `StreamResult` as JSON. `missing`, meanwhile, says how many targets' last questions have no
 * answer yet.
 */
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { decode, encode } from 'dns-packet';
import { insideNamespace } from '../../../src/adapters/native/namespace.ts';
import { AF, openSocket, SOCK } from '../../../src/adapters/native/socket.ts';
import { nowMs } from '../clock.ts';

export interface StreamTarget {
  /** Of `ip netns`. */
  readonly container: string;
  readonly server: string;
  readonly name: string;
  /** Results are by kind. */
  readonly kind: string;
}

export interface StreamResult {
  /** Without an address for an answer within `LATE_MS`, by kind. */
  readonly lost: Readonly<Record<string, number>>;
  readonly sent: number;
  /** When the last of the names that had lost one was asked and answered again, by kind; 0 when none was lost. */
  readonly backAt: Readonly<Record<string, number>>;
  /** The longest that an answer took, in milliseconds. */
  readonly slowestMs: number;
}

interface Asked {
  readonly target: StreamTarget;
  readonly sentAt: number;
  answeredAt?: number;
}

/** A program asks again, or gives up, some seconds after it asked; a person notices before. */
const LATE_MS = 1_000;

const [file, rate] = process.argv.slice(2) as [string, string];
const targets = JSON.parse(readFileSync(file, 'utf8')) as readonly StreamTarget[];
const sockets = new Map<string, Socket>();
let asked: Asked[] = [];
let first = 0;

function socketOf(container: string): Socket {
  const known = sockets.get(container);
  if (known !== undefined) return known;
  const fd = insideNamespace(`/run/netns/${container}`, () => openSocket(AF.INET, SOCK.DGRAM));
  const socket = createSocket('udp4');
  socket.bind({ fd });
  socket.on('message', (message) => {
    const { id = 0, answers = [] } = decode(message);
    // Numbers go round; a question's is the one nearest to the end.
    const last = first + asked.length - 1;
    const question = asked[last - ((last - id) & 0xffff) - first];
    if (answers.length > 0 && question !== undefined) question.answeredAt ??= nowMs();
  });
  // Nobody listens at this moment.
  socket.on('error', () => undefined);
  sockets.set(container, socket);
  return socket;
}

function ask(target: StreamTarget): void {
  const id = (first + asked.length) & 0xffff;
  asked.push({ target, sentAt: nowMs() });
  const question = encode({ id, flags: 0x0100, questions: [{ type: 'A', name: target.name, class: 'IN' }] });
  socketOf(target.container).send(question, 53, target.server, () => undefined);
}

/** Asks at the rate until `isOver`, given how many were asked, then waits for what is late. */
async function stream(isOver: (count: number) => boolean): Promise<void> {
  first = (first + asked.length) & 0xffff;
  asked = [];
  const begin = nowMs();
  while (!isOver(asked.length)) {
    const due = ((nowMs() - begin) / 1_000) * Number(rate);
    while (asked.length < due && !isOver(asked.length)) ask(targets[asked.length % targets.length]!);
    await pause(1);
  }
  await pause(LATE_MS);
}

/** The last question of each target that is older than an answer may take. */
function missing(): number {
  const last = new Map<StreamTarget, Asked>();
  for (const question of asked) if (question.sentAt < nowMs() - LATE_MS) last.set(question.target, question);
  return targets.length - [...last.values()].filter(({ answeredAt }) => answeredAt !== undefined).length;
}

function result(): StreamResult {
  const lost: Record<string, number> = {};
  const backAt: Record<string, number> = {};
  const open = new Set<StreamTarget>();
  let slowestMs = 0;
  for (const { kind } of targets) lost[kind] = backAt[kind] = 0;
  for (const { target, sentAt, answeredAt = Number.POSITIVE_INFINITY } of asked) {
    if (answeredAt - sentAt > LATE_MS) {
      lost[target.kind]! += 1;
      open.add(target);
    } else if (open.delete(target)) {
      backAt[target.kind] = Math.max(backAt[target.kind]!, answeredAt);
    }
    if (answeredAt < Number.POSITIVE_INFINITY) slowestMs = Math.max(slowestMs, answeredAt - sentAt);
  }
  return { lost, sent: asked.length, backAt, slowestMs };
}

for (const target of targets) {
  do {
    asked = [];
    ask(target);
    for (let waited = 0; waited < 100 && asked[0]!.answeredAt === undefined; waited++) await pause(1);
  } while (asked[0]!.answeredAt === undefined);
}
console.log('ready');

let isEnded = false;
process.stdin.once('end', () => process.exit());
for await (const line of createInterface({ input: process.stdin })) {
  const [order, count] = line.split(' ');
  if (order === 'missing') console.log(missing());
  if (order === 'end') isEnded = true;
  if (order === 'count' || order === 'begin') {
    isEnded = false;
    void stream((sent) => (order === 'begin' ? isEnded : sent >= Number(count))).then(() => {
      console.log(JSON.stringify(result()));
    });
  }
}
