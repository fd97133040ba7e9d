/** Prints the bytes that the Node.js process PID of this host holds on its heap, but for what is APART (`heldBytes`). Its inspector is opened for it, and closed again. */
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { heldBytes } from './heap.ts';

const INSPECTOR = 'http://127.0.0.1:9229/json/list';
/** There to end what cannot succeed, not to measure. */
const LIMIT_MS = 120_000;
const CLOSE = "process.getBuiltinModule('node:inspector').close()";

const [pid, ...apart] = process.argv.slice(2);
process.kill(Number(pid), 'SIGUSR1');
const socket = new WebSocket(await address());
await new Promise((resolve, reject) => {
  socket.addEventListener('open', resolve, { once: true });
  socket.addEventListener('error', reject, { once: true });
});
const ended = new Promise((resolve) => socket.addEventListener('close', resolve, { once: true }));
const waiting = new Map<number, (answer: unknown) => void>();
const chunks: string[] = [];
socket.addEventListener('message', ({ data }) => {
  const { id, method, params, error } = JSON.parse(data);
  if (method === 'HeapProfiler.addHeapSnapshotChunk') chunks.push(params.chunk);
  if (error) throw new Error(error.message);
  waiting.get(id)?.(undefined);
});
await ask('HeapProfiler.collectGarbage');
await ask('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
void ask('Runtime.evaluate', { expression: CLOSE });
await ended;
console.log(await heldBytes(Readable.from(chunks), apart));

/** Of the inspector, once it listens. Throws when the process has gone, or is deaf to the signal. */
async function address(): Promise<string> {
  const end = performance.now() + LIMIT_MS;
  while (performance.now() < end) {
    const answer = await fetch(INSPECTOR).catch(() => undefined);
    if (answer) return ((await answer.json()) as { webSocketDebuggerUrl: string }[])[0]!.webSocketDebuggerUrl;
    if (!isThere()) throw new Error(`process ${pid} has gone before its inspector listened`);
    await pause(20);
  }
  throw new Error(`the inspector of process ${pid} does not listen after ${LIMIT_MS} ms`);
}

function isThere(): boolean {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}

function ask(method: string, params: object = {}): Promise<unknown> {
  const id = waiting.size + 1;
  socket.send(JSON.stringify({ id, method, params }));
  return new Promise((resolve) => waiting.set(id, resolve));
}
