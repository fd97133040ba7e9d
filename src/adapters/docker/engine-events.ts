/**
 * The engine's events for as long as anybody wants them, over its restarts. The stream is open before `connected` is
 * said: who looks at everything then misses nothing. It is read at once, whatever the consumer does: the engine drops
 * events for those who do not keep up, without a word.
 */

import { existsSync, type FSWatcher, watch } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { basename, dirname } from 'node:path';
import type { EngineEvent } from '../../core/engine/engine.ts';
import { asOverlaydError } from '../../core/errors.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { EngineConnection } from './engine-connection.ts';
import { EVENT_FILTERS, parseEvent } from './engine-messages.ts';

export interface EngineEventsOptions {
  readonly socketPath: string;
  readonly limitMs: number;
}

const PATH = `/events?${new URLSearchParams({ filters: JSON.stringify(EVENT_FILTERS) })}`;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** Where the kernel tells of the socket's directory. That may be another one by then, which it does not tell. */
const WATCHED_PAUSE_MS = 20_000;
/** A container's labels are in its events. */
const MAX_LINE_CHARACTERS = 4 * 1024 * 1024;

export async function* engineEvents(
  { connection, clock }: { readonly connection: EngineConnection; readonly clock: Clock },
  { socketPath, limitMs }: EngineEventsOptions,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  let pauseMs = FIRST_PAUSE_MS;
  let reported = false;
  while (!signal.aborted) {
    let reason = 'the Docker Engine ended the stream of events';
    try {
      const { engine } = await connection.version(limitMs, signal);
      const events = readEvents(await connection.open(PATH, limitMs, signal));
      try {
        reported = false;
        yield { kind: 'connected', version: engine };
        pauseMs = FIRST_PAUSE_MS;
        yield* events.items();
      } finally {
        events.close();
      }
    } catch (error) {
      reason = asOverlaydError(error).message;
    }
    if (signal.aborted) return;
    if (!reported) yield { kind: 'unreachable', reason };
    reported = true;
    do {
      const appeared = await waitForSocket(socketPath, pauseMs, clock, signal);
      // A socket is there a little before somebody listens on it.
      pauseMs = appeared ? FIRST_PAUSE_MS : Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      // On a host without an engine there is nobody to ask.
    } while (!signal.aborted && !existsSync(socketPath));
  }
}

interface EventReader {
  /** Ends with the stream, and throws with it. */
  items(): AsyncGenerator<EngineEvent>;
  close(): void;
}

function readEvents(response: IncomingMessage): EventReader {
  const pending: EngineEvent[] = [];
  let wake = () => {};
  let end: { readonly error?: Error } | undefined;
  let line = '';
  const finish = (error?: Error) => {
    end ??= error === undefined ? {} : { error };
    wake();
  };
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const lines = (line + chunk).split('\n');
    line = lines.pop() ?? '';
    try {
      if (line.length > MAX_LINE_CHARACTERS) throw new Error('an event of the Docker Engine is too large');
      for (const text of lines) {
        const event = text.trim() === '' ? undefined : parseEvent(JSON.parse(text));
        if (event !== undefined) pending.push(event);
      }
      wake();
    } catch (error) {
      // What was lost is unknown: as if the engine had ended.
      response.destroy(error as Error);
    }
  });
  response.once('end', () => finish());
  response.once('close', () => finish());
  response.on('error', finish);
  return {
    async *items() {
      while (true) {
        while (pending.length > 0) yield pending.shift()!;
        if (end !== undefined) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (end.error !== undefined) throw end.error;
    },
    close: () => response.destroy(),
  };
}

/** Resolves after the pause, or with true as soon as somebody makes the socket. */
async function waitForSocket(path: string, pauseMs: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const appeared = new AbortController();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(dirname(path), (_, name) => {
      if (name === basename(path)) appeared.abort();
    });
    watcher.on('error', () => {});
  } catch {
    // No directory yet, or no watch to be had: the pause has to do.
  }
  const watched = watcher && pauseMs === LONGEST_PAUSE_MS;
  await clock
    .sleep(watched ? WATCHED_PAUSE_MS : pauseMs, AbortSignal.any([signal, appeared.signal]), 'loosely')
    .catch(() => {});
  watcher?.close();
  return appeared.signal.aborted;
}
