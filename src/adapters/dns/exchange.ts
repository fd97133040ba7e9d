/** One question to one upstream server: by UDP, and by TCP when the reply is cut or somebody else's answer came first. */
import { randomInt } from 'node:crypto';
import { judgeReply } from '../../core/dns/forward.ts';
import { putUint16 } from '../../core/dns/wire.ts';
import type { Door, Server } from './door.ts';
import type { UpstreamSockets } from './upstream-sockets.ts';

/** `willing` false: the server cannot answer this, another may. Undefined: no reply. */
export type Exchange = { readonly reply: Uint8Array; readonly willing: boolean } | undefined;

/** Resolves undefined on any failure and when the signal aborts; the signal is the only time limit. */
export async function exchange(
  sockets: UpstreamSockets,
  server: Server,
  query: Uint8Array,
  signal: AbortSignal,
): Promise<Exchange> {
  const first = await sockets.ask(server, query, signal);
  if (first !== 'suspicious' && first?.verdict !== 'truncated') {
    return first && { reply: first.reply, willing: first.verdict === 'answer' };
  }
  const second = await exchangeTcp(sockets.door, server, query, signal);
  if (second !== undefined) return second;
  // cut as it is, the reply still sends the client to TCP
  return first === 'suspicious' ? undefined : { reply: first.reply, willing: false };
}

function exchangeTcp(door: Door, server: Server, query: Uint8Array, signal: AbortSignal): Promise<Exchange> {
  const message = withRandomId(query);
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    const socket = opened(door, server);
    if (socket === undefined) return resolve(undefined);
    const finish = (result: Exchange) => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(result);
    };
    const onAbort = () => finish(undefined);
    signal.addEventListener('abort', onAbort);
    socket.on('error', () => finish(undefined));
    socket.on('close', () => finish(undefined));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      if (received.length < 2) return;
      const end = 2 + received.readUInt16BE(0);
      if (received.length < end) return;
      const reply = received.subarray(2, end);
      const verdict = judgeReply(message, reply);
      finish(verdict === 'foreign' ? undefined : { reply, willing: verdict === 'answer' });
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    socket.write(Buffer.concat([length, message]));
  });
}

/** Undefined where there is no way to it any more. */
function opened(door: Door, server: Server) {
  try {
    return door.tcp(server);
  } catch {
    return undefined;
  }
}

function withRandomId(query: Uint8Array): Uint8Array {
  const message = new Uint8Array(query);
  putUint16(message, 0, randomInt(0x10000));
  return message;
}
