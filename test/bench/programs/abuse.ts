/**
 * `node abuse.ts KIND HOST PORT AMOUNT`: what somebody without a certificate or a token can do to a member's port.
 * `idle`: so many connections, held open for a while. `resets`: for so many seconds, HTTP/2 streams that
 * are opened and reset as fast as they go. `guesses`: for so many seconds, 500 wrong tokens a second. Says "ready" when
 * it is under way, and at the end what became of it, as JSON.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { JoinClient, JoinRequest } from '../../../src/gen/overlayd/v1/join.ts';
import { nowMs } from '../clock.ts';

const [kind, host, portText, amountText] = process.argv.slice(2) as [string, string, string, string];
const port = Number(portText);
const amount = Number(amountText);
const GUESSES_PER_SECOND = 500;
const HOLD_MS = 8_000;

/** Until one of these, and an error, happens. */
async function first(socket: Socket, ...events: readonly string[]): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const event of [...events, 'error']) socket.once(event, () => resolve());
  });
}

async function idle(): Promise<object> {
  const sockets: Socket[] = [];
  for (let i = 0; i < amount; i++) {
    const socket = connect({ host, port }).on('error', () => undefined);
    sockets.push(socket);
    // Not more at once than a listening socket has room for.
    if (i % 50 === 49) await first(socket, 'connect', 'close');
  }
  console.log('ready');
  await pause(HOLD_MS);
  return { open: sockets.filter(({ destroyed, readyState }) => !destroyed && readyState === 'open').length };
}

/** HEADERS of a request, and RST_STREAM, for one stream after another (RFC 9113, 6.2 and 6.4). */
function pairs(first: number, count: number): Buffer {
  // :method POST, :scheme https, :path /, of the static table.
  const block = Buffer.from([0x83, 0x87, 0x84]);
  const all: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const headers = Buffer.alloc(9);
    headers.writeUIntBE(block.length, 0, 3);
    headers.writeUInt8(1, 3);
    headers.writeUInt8(0x04, 4);
    headers.writeUInt32BE(first + 2 * i, 5);
    const reset = Buffer.alloc(13);
    reset.writeUIntBE(4, 0, 3);
    reset.writeUInt8(3, 3);
    reset.writeUInt32BE(first + 2 * i, 5);
    reset.writeUInt32BE(8, 9);
    all.push(headers, block, reset);
  }
  return Buffer.concat(all);
}

async function resets(): Promise<object> {
  const end = nowMs() + amount * 1_000;
  const BATCH = 100;
  let connections = 0;
  let streams = 0;
  console.log('ready');
  while (nowMs() < end) {
    const socket = connectTls({ host, port, ALPNProtocols: ['h2'], rejectUnauthorized: false });
    socket.on('error', () => undefined).resume();
    await first(socket, 'secureConnect', 'close');
    if (socket.destroyed || !socket.writable) {
      await pause(1);
      continue;
    }
    connections++;
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    for (let id = 1; nowMs() < end && !socket.destroyed && socket.writable; id += 2 * BATCH) {
      streams += BATCH;
      if (socket.write(pairs(id, BATCH))) await pause(0);
      else await first(socket, 'drain', 'close');
    }
    socket.destroy();
  }
  return { connections, streams };
}

async function guesses(): Promise<object> {
  const answers: Record<string, number> = {};
  const options = {
    'grpc.ssl_target_name_override': 'join.overlayd',
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 100,
  };
  const blind = credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  const clients = Array.from({ length: 8 }, () => new JoinClient(`${host}:${port}`, blind, options));
  const request = JoinRequest.create({ tokenId: 'abcdefgh', tokenSecret: 'guessed', nodeName: 'guesser' });
  let sent = 0;
  console.log('ready');
  for (const begin = nowMs(); nowMs() < begin + amount * 1_000; await pause(5)) {
    for (const due = ((nowMs() - begin) / 1_000) * GUESSES_PER_SECOND; sent < due; sent++) {
      clients[sent % clients.length]!.join(request, (error) => {
        const answer = String(error?.metadata?.get('overlayd-code')[0] ?? error?.code ?? 'admitted');
        answers[answer] = (answers[answer] ?? 0) + 1;
      });
    }
  }
  await pause(500);
  return { sent, answers };
}

console.log(JSON.stringify(await { idle, resets, guesses }[kind]!()));
process.exit();
