/** Prints the bytes that the Node.js process PID of this host holds on its heap, but for what is APART (`heldBytes`). Its inspector is opened for it, and closed again. */
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { heldBytes } from './heap.ts';

const INSPECTOR = 'http://127.0.0.1:9229/json/list';
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

/** Of the inspector, once it listens. */
async function address(): Promise<string> {
  for (;;) {
    const answer = await fetch(INSPECTOR).catch(() => undefined);
    if (answer) return ((await answer.json()) as { webSocketDebuggerUrl: string }[])[0]!.webSocketDebuggerUrl;
    await pause(20);
  }
}

function ask(method: string, params: object = {}): Promise<unknown> {
  const id = waiting.size + 1;
  socket.send(JSON.stringify({ id, method, params }));
  return new Promise((resolve) => waiting.set(id, resolve));
}
