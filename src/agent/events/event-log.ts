/**
 * This host's events: remembered, told to whoever follows them, and kept in a file by itself. What comes when nothing was
 * written for a while is written at once, what follows within half a second together; nobody waits for it. A disk that
 * takes nothing costs what was not written, when the agent ends: the log says so once.
 */
import { asOverlaydError } from '../../core/errors.ts';
import { EventHistory, type Selected } from '../../core/events/event-history.ts';
import type { EventType } from '../../core/events/event-types.ts';
import { eventFields, type HostEvent } from '../../core/events/host-event.ts';
import type { LineFile } from '../../ports/files.ts';
import type { EventQuery } from '../../ports/members.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface EventLogDeps {
  readonly file: LineFile;
  readonly clock: Clock;
  /** Of itself it makes no events. */
  readonly logger: Logger;
}

const GATHER_MS = 500;
/** Written anew when so much more was appended than is remembered: each byte is written twice at most. */
const APPENDED_BYTES = 1024 * 1024;
/** Who follows is slow or many: at most so many a step. */
const FOLLOWED_AT_ONCE = 500;
const FOLLOWED_MS = 200;

export class EventLog {
  readonly #deps: EventLogDeps;
  readonly #history: EventHistory;
  readonly #ending = new AbortController();
  #loaded = false;
  #writing: Promise<void> = Promise.resolve();
  #isWaiting = false;
  #written = 0;
  #appended = 0;
  #failing = false;
  #wake = Promise.withResolvers<void>();

  constructor(deps: EventLogDeps, history = new EventHistory()) {
    this.#deps = deps;
    this.#history = history;
  }

  /** Before the first one is recorded. */
  async load(): Promise<void> {
    try {
      const lines = await this.#deps.file.load();
      this.#history.restore(lines);
      this.#appended = lines.reduce((bytes, line) => bytes + line.length, 0);
    } catch (error) {
      this.#deps.logger.warn({ reason: asOverlaydError(error).message }, 'former events of this host cannot be read');
    }
    this.#written = this.#history.cursor;
    this.#loaded = true;
  }

  record(level: HostEvent['level'], type: EventType, fields: object, message: string): void {
    this.#history.add({ type, at: Math.round(this.#deps.clock.now()), level, message, fields: eventFields(fields) });
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    if (this.#isWaiting || !this.#loaded) return;
    this.#isWaiting = true;
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** What fits, in steps; the first has what is remembered. `host`: name and id of this one. */
  async *tell(
    { follow, after, limit, ...filter }: EventQuery,
    host: () => readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<Selected> {
    let cursor = after;
    let most = limit;
    while (!signal.aborted) {
      const woken = this.#wake.promise;
      const selected = this.#history.select(filter, host(), { after: cursor, limit: most });
      if (selected.events.length > 0 || most === limit) yield selected;
      if (!follow) return;
      cursor = selected.cursor;
      most = FOLLOWED_AT_ONCE;
      await untilAborted(woken, signal);
      // One step for what comes together.
      if (!signal.aborted) await this.#deps.clock.sleep(FOLLOWED_MS, signal).catch(() => undefined);
    }
  }

  /** Resolves when all is written that can be. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#writing;
    await this.#flush();
  }

  /** This host is of no cluster any more: what it saw of one is nobody else's. */
  async clear(): Promise<void> {
    await this.#writing;
    this.#history.clear();
    this.#written = this.#history.cursor;
    this.#appended = 0;
    await this.#deps.file.remove();
  }

  async #write(): Promise<void> {
    await this.#flush();
    await this.#deps.clock.sleep(GATHER_MS, this.#ending.signal).catch(() => undefined);
    this.#isWaiting = false;
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const { file, logger } = this.#deps;
    const { cursor } = this.#history;
    if (cursor === this.#written) return;
    const isFull = this.#appended > APPENDED_BYTES;
    const lines = this.#history.linesAfter(isFull ? 0 : this.#written);
    try {
      if (isFull) await file.replace(lines);
      else await file.append(lines);
      const bytes = lines.reduce((sum, line) => sum + line.length, 0);
      this.#appended = isFull ? 0 : this.#appended + bytes;
      this.#written = cursor;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) logger.warn({ reason: asOverlaydError(error).message }, 'events of this host cannot be kept');
      this.#failing = true;
    }
  }
}

async function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const abort = () => resolve();
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (!signal.aborted) await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
