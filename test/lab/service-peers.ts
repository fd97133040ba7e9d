/** Those behind a service, and those that ask it, in containers of a lab host. */
import type { Host } from './host.ts';
import { type InsideProcess, startInside } from './inside-process.ts';

export const SERVICE_PORT = 8_000;

/** Answers each connection and each datagram: its own name, who asked, and how many bytes it got so far. */
const SERVE = `
  const [, name] = process.argv;
  const { createServer } = require('node:net');
  const { createSocket } = require('node:dgram');
  const from = (address) => address.replace('::ffff:', '');
  const server = createServer((socket) => {
    let bytes = 0;
    socket.on('data', (part) => socket.write(JSON.stringify([name, from(socket.remoteAddress), bytes += part.length]) + '\\n'));
    socket.on('error', () => {});
  });
  server.listen({ port: ${SERVICE_PORT}, host: '::', backlog: 4096 }, () => {
    const socket = createSocket({ type: 'udp6', recvBufferSize: 1 << 20 });
    socket.on('message', (part, { address, port }) => {
      const text = JSON.stringify([name, from(address), part.length]) + '\\n';
      // As long as the question was, so that what comes back is as many fragments.
      socket.send(text.padEnd(part.length, ' '), port, address);
    });
    socket.bind(${SERVICE_PORT}, () => console.log('ready'));
  });
  process.stdin.on('end', () => process.exit()).resume();
`;

/**
 * Orders: `tcp|udp ADDRESS COUNT BYTES`: so many connections, or sockets, one after the other. `open ADDRESS`: one
 * connection that stays, `say` asks on it; `socket ADDRESS`, `send`: the same of UDP. Says what was answered, as JSON.
 */
const ASK = `
  const { connect } = require('node:net');
  const { createSocket } = require('node:dgram');
  const once = (emitter, event, limitMs = 2000) => new Promise((resolve) => {
    const timer = setTimeout(() => resolve(['', '', 'timed out']), limitMs);
    const end = (value) => { clearTimeout(timer); resolve(value); };
    emitter.once(event, (data) => end(JSON.parse(data.toString())));
    emitter.once('error', (error) => end(['', '', error.code]));
  });
  const tcp = async (address, bytes) => {
    const socket = connect({ host: address, port: ${SERVICE_PORT} }, () => socket.write('x'.repeat(bytes)));
    const answer = await once(socket, 'data');
    socket.resetAndDestroy();
    return answer;
  };
  const udp = async (address, bytes) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.send('x'.repeat(bytes), ${SERVICE_PORT}, address);
    const answer = await once(socket, 'message');
    socket.close();
    return answer;
  };
  let kept;
  let datagrams;
  const obey = async ([what, address, count, bytes]) => {
    if (what === 'open') {
      kept = connect({ host: address, port: ${SERVICE_PORT} }, () => kept.write('x'));
      return await once(kept, 'data');
    }
    if (what === 'say') {
      kept.write('x');
      return await once(kept, 'data');
    }
    if (what === 'socket') {
      datagrams = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      await new Promise((resolve) => datagrams.connect(${SERVICE_PORT}, address, resolve));
    }
    if (what === 'socket' || what === 'send') {
      datagrams.send('x');
      return await once(datagrams, 'message');
    }
    const counts = {};
    for (let nth = 0; nth < Number(count); nth++) {
      const [name, from, got] = await (what === 'tcp' ? tcp : udp)(address, Number(bytes));
      const text = name === '' ? got : name + ' ' + from + ' ' + got;
      counts[text] = (counts[text] ?? 0) + 1;
    }
    return counts;
  };
  let last = Promise.resolve();
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    last = last.then(async () => console.log(JSON.stringify(await obey(line.split(' ')))));
  }).on('close', () => process.exit());
  console.log('ready');
`;

const inside = (container: string, program: string, ...args: readonly string[]) =>
  ['ip', 'netns', 'exec', container, process.execPath, '-e', program, '--', ...args] as const;

/** `name` is what it says it is. */
export function serve(host: Host, container: string, name = container): Promise<InsideProcess> {
  return startInside(host, inside(container, SERVE, name));
}

export interface Asker {
  /** How often each answer came: who answered, whom it saw ask, and how many bytes it got; or what went wrong. */
  ask(protocol: 'tcp' | 'udp', address: string, count: number, bytes?: number): Promise<Record<string, number>>;
  /** One connection that stays, and what it is answered; `socket` and `send` do so by UDP. */
  one(
    order: 'open' | 'socket',
    address: string,
  ): Promise<readonly [name: string, from: string, bytes: number | string]>;
  again(order: 'say' | 'send'): Promise<readonly [name: string, from: string, bytes: number | string]>;
  end(): void;
}

export async function startAsking(host: Host, container: string): Promise<Asker> {
  const program = await startInside(host, inside(container, ASK));
  const tell = async (order: string) => {
    program.order(order);
    return JSON.parse(await program.line());
  };
  return {
    ask: (protocol, address, count, bytes = 10) => tell(`${protocol} ${address} ${count} ${bytes}`),
    one: (order, address) => tell(`${order} ${address}`),
    again: tell,
    end: () => program.end(),
  };
}

/** Of {@link Asker.ask}: how often who answered, whomever it saw. */
export function byName(counts: Readonly<Record<string, number>>): Record<string, number> {
  const names: Record<string, number> = {};
  for (const [text, count] of Object.entries(counts)) {
    const [name = ''] = text.split(' ');
    names[name] = (names[name] ?? 0) + count;
  }
  return names;
}
