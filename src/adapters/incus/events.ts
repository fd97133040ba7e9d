/**
 * Lifecycle events of Incus, by its WebSocket, for as long as anybody wants them and over its restarts. What happened while there was no
 * connection nobody tells: so the first thing that is told of each connection is that all may be otherwise.
 */
import { existsSync } from 'node:fs';
import type { Clock } from '../../ports/runtime.ts';
import { isChange } from './messages.ts';

const PATH = '/1.0/events?type=lifecycle&all-projects=true';
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 5_000;
/** Incus pings every ten seconds. */
const SILENCE_MS = 40_000;
const MAX_BYTES = 4 * 1024 * 1024;

export async function* incusChanges(socketPath: string, clock: Clock, signal: AbortSignal): AsyncGenerator<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    // A socket that is not there yet costs a look each time, and loads nothing.
    if (existsSync(socketPath)) {
      for await (const _ of connection(socketPath, clock, signal)) {
        pauseMs = FIRST_PAUSE_MS;
        yield;
      }
    }
    await clock.sleep(pauseMs, signal, 'loosely').catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS);
  }
}

/** Ends with the connection. */
async function* connection(socketPath: string, clock: Clock, signal: AbortSignal): AsyncGenerator<void> {
  const { WebSocket } = await import('ws');
  let isChanged = false;
  let isOver = false;
  let wake = () => {};
  const quiet = { since: clock.elapsed() };
  const socket = new WebSocket(`ws+unix:${socketPath}:${PATH}`, { perMessageDeflate: false, maxPayload: MAX_BYTES });
  const say = (changed: boolean) => {
    quiet.since = clock.elapsed();
    isChanged ||= changed;
    wake();
  };
  socket.on('open', () => say(true));
  socket.on('ping', () => say(false));
  socket.on('message', (data) => say(isChange(data.toString())));
  socket.on('error', () => {});
  socket.on('close', () => {
    isOver = true;
    wake();
  });
  const end = () => socket.terminate();
  signal.addEventListener('abort', end);
  const watching = new AbortController();
  const watch = async () => {
    while (!isOver && clock.elapsed() - quiet.since < SILENCE_MS) await clock.sleep(SILENCE_MS, watching.signal);
    end();
  };
  void watch().catch(() => undefined);
  try {
    while (!isOver) {
      if (isChanged) {
        isChanged = false;
        yield;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    watching.abort();
    signal.removeEventListener('abort', end);
    end();
  }
}
