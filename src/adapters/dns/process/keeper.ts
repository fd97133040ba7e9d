/**
 * The agent's side: sees to it that one process answers names, of this release, and that it does so. One that is there is
 * gone on with; one of another release hands over to a new one; one that ends, or says nothing for some time, is
 * followed by a new one.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { NamesCounts } from '../../../core/dns/names-counts.ts';
import { NAMES_PROTOCOL, type NamesNews, type NamesRequest } from '../../../core/dns/names-protocol.ts';
import { type ErrorCode, OverlaydError } from '../../../core/errors.ts';
import type { NamesProcess, NamesSession } from '../../../ports/names.ts';
import type { Clock, Logger } from '../../../ports/runtime.ts';
import { moveToOwnUnit, type OwnUnitDeps } from '../../own-unit.ts';
import { endHolder, findHolder, startProgram, untilEnded } from './program.ts';
import { type ControlRequest, type FromProcess, type ProgramStart, readLines, writeLine } from './wire.ts';

export interface NamesKeeperDeps extends OwnUnitDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface NamesKeeperOptions {
  /** Where the process is reached; its lock lies beside. */
  readonly socketPath: string;
  /** The program, as source (`.ts`) or bundled. */
  readonly programPath: string;
  readonly nodePath: string;
}

/** It makes little garbage that lasts, and needs few threads. With the third, a flood of questions leaves it half as large. */
const FLAGS = ['--max-semi-space-size=4', '--v8-pool-size=1', '--optimize-for-size'];
/** The weight is that of its niceness (`system/promptness.ts`), among units: containers are some, and so is the agent. */
const UNIT = { name: 'overlayd-names.scope', description: 'name answers of overlayd', cpuWeight: 300 };
/** From its start until it answers. */
const START_MS = 10_000;
const CONNECT_AGAIN_MS = 5;
/** It has so many turns for its first word, and for its last. */
const HELLO_TURN_MS = 1_000;
const HELLO_TURNS = 5;
const END_MS = 5_000;
/** Who asks how things are is not made to wait for long. */
const COUNT_MS = 1_000;
const REPLACE_MS = 40_000;
/** One that is asked and says nothing for so many turns has stalled. More than one: after a stall of ours its answer is read in the next. */
const PING_MS = 3_000;
const PINGS = 2;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
/** A process that ran for so long was well. */
const WELL_MS = 10_000;

interface Hello {
  readonly protocol: number;
  readonly build: string;
  readonly pid: number;
}

export class NamesKeeper implements NamesProcess {
  readonly #deps: NamesKeeperDeps;
  readonly #options: NamesKeeperOptions;
  readonly #lockPath: string;
  #line: Line | undefined;
  #problem: string | undefined;

  constructor(deps: NamesKeeperDeps, options: NamesKeeperOptions) {
    this.#deps = { ...deps, logger: deps.logger.child({ part: 'names' }) };
    this.#options = options;
    this.#lockPath = `${options.socketPath}.lock`;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  async run(onSession: (session: NamesSession) => void, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    let retryMs = FIRST_RETRY_MS;
    let cannotReplace = false;
    while (!signal.aborted) {
      const startedAt = clock.elapsed();
      try {
        const line = await this.#open(signal);
        if (!cannotReplace && this.#isOther(line.hello)) {
          cannotReplace = !(await this.#replace(line));
          continue;
        }
        this.#problem = undefined;
        void moveToOwnUnit(this.#deps, UNIT, line.hello.pid);
        logger.info({ pid: line.hello.pid }, 'names are answered by a process of their own');
        this.#line = line;
        onSession(line);
        await this.#watch(line, signal);
        if (signal.aborted) return;
        throw new Error('it ended');
      } catch (error) {
        if (signal.aborted) return;
        const message = error instanceof Error ? error.message : String(error);
        this.#problem = `the process that answers names does not run (${message}); it is started again`;
        logger.warn(
          { event: 'names-lost', reason: message },
          'the process that answers names is lost, starting another one',
        );
      }
      if (clock.elapsed() - startedAt >= WELL_MS) retryMs = FIRST_RETRY_MS;
      // The first follows at once: what was asked of it is asked again soon.
      else if (retryMs > FIRST_RETRY_MS) await clock.sleep(retryMs, signal).catch(() => undefined);
      retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
    }
  }

  /** What the process has counted since its start; `unknown`: one of another release, which does not say; undefined: it does not answer. */
  async counts(): Promise<NamesCounts | 'unknown' | undefined> {
    try {
      return this.#line && ((await this.#line.count(COUNT_MS)) ?? 'unknown');
    } catch {
      return undefined;
    }
  }

  /** Ends the process, whatever state it is in. To be called when nobody runs it any more. */
  async end(): Promise<void> {
    const line = await this.#connect().catch(() => undefined);
    await line?.ask({ kind: 'end' }, END_MS).catch(() => undefined);
    const holder = await findHolder(this.#lockPath);
    if (holder !== undefined) await endHolder(this.#lockPath, holder);
    if (line !== undefined) await untilEnded(line.hello.pid);
    rmSync(this.#options.socketPath, { force: true });
  }

  #program(): ProgramStart & { readonly build: string } {
    const { nodePath, programPath, socketPath } = this.#options;
    const build = createHash('sha256').update(process.version).update(readFileSync(programPath)).digest('hex');
    return { nodePath, flags: FLAGS, programPath, arguments: [socketPath, this.#lockPath, build], build };
  }

  /** A program that is not there any more, since its directory was moved, cannot take another one's place. */
  #isOther({ build }: Hello): boolean {
    try {
      return build !== this.#program().build;
    } catch (error) {
      this.#deps.logger.warn({ error }, 'the program that answers names cannot be read; what runs goes on');
      return false;
    }
  }

  /** Connected to the one that runs, or to one that is started. */
  async #open(signal: AbortSignal): Promise<Line> {
    // One that comes later is not ended for what one before it left undone.
    const holder = await findHolder(this.#lockPath);
    try {
      return await this.#connect();
    } catch (error) {
      if (error instanceof Unresponsive) await this.#endStalled(holder);
    }
    const { clock, logger } = this.#deps;
    let child = startProgram(this.#program());
    const deadline = clock.elapsed() + START_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        const line = await this.#connect();
        line.isNew = line.hello.pid === child.pid;
        return line;
      } catch (error) {
        const ended = child.ended();
        if (ended !== undefined && ended !== 'locked') throw new Error(ended);
        if (error instanceof Unresponsive || clock.elapsed() >= deadline) {
          logger.warn({ error }, 'the process that answers names does not get ready');
          await this.#endStalled(holder);
          throw error;
        }
        // Another one had the lock: it is just starting, or it was just ending, and then nobody answers.
        if (ended === 'locked') child = startProgram(this.#program());
      }
      await clock.sleep(CONNECT_AGAIN_MS);
    }
  }

  async #endStalled(pid: number | undefined): Promise<void> {
    if (pid === undefined || !(await endHolder(this.#lockPath, pid))) return;
    this.#deps.logger.warn({ pid }, 'the process that answers names had stalled and was ended');
  }

  async #connect(): Promise<Line> {
    const socket = connect(this.#options.socketPath);
    const line = new Line(socket, this.#deps.logger);
    await line.ready();
    return line;
  }

  /** Returns whether another one is to be connected to. */
  async #replace(line: Line): Promise<boolean> {
    const { logger } = this.#deps;
    const { build: _, ...program } = this.#program();
    const startedAt = performance.now();
    try {
      await line.ask({ kind: 'replace', program }, REPLACE_MS);
      const durationMs = Math.round(performance.now() - startedAt);
      logger.info({ pid: line.hello.pid, durationMs }, 'the process that answers names handed over to this release');
      return true;
    } catch (error) {
      logger.warn({ error }, 'the process that answers names could not hand over to one of this release');
      // Who speaks another language is of no use.
      if (line.hello.protocol !== NAMES_PROTOCOL) await endHolder(this.#lockPath, line.hello.pid);
      return line.hello.protocol !== NAMES_PROTOCOL;
    } finally {
      line.close();
    }
  }

  /** Until the connection ends, by whomever. */
  async #watch(line: Line, signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([line.ended, signal]);
    let silent = 0;
    while (!either.aborted) {
      await this.#deps.clock.sleep(PING_MS, either, 'loosely').catch(() => undefined);
      if (either.aborted) break;
      if (silent === 0) {
        silent = 1;
        line.ask({ kind: 'sync' }).then(
          () => {
            silent = 0;
          },
          () => undefined,
        );
      } else silent += 1;
      if (silent > PINGS) {
        await this.#endStalled(line.hello.pid);
        break;
      }
    }
    line.close();
  }
}

/** It takes connections and says nothing. */
class Unresponsive extends Error {}

/** One connection. */
class Line implements NamesSession {
  readonly #socket: Socket;
  readonly #hello = Promise.withResolvers<Hello>();
  readonly #asked = new Map<number, PromiseWithResolvers<NamesCounts | undefined>>();
  readonly #ended = new AbortController();
  isNew = false;
  #lastId = 0;
  #said: Hello | undefined;

  constructor(socket: Socket, logger: Logger) {
    this.#socket = socket;
    this.#hello.promise.catch(() => undefined);
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(undefined));
    readLines<FromProcess>(socket, (message) => {
      if ('hello' in message) this.#hello.resolve(message.hello);
      else if ('log' in message) logger[message.log.level](message.log.fields, message.log.message);
      else this.#settle(message);
    });
  }

  get hello(): Hello {
    return this.#said!;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Resolves when the process has said who it is. What came while we stalled ourselves is read before the next turn. */
  async ready(): Promise<void> {
    let turns = 0;
    const limit = setInterval(() => {
      turns += 1;
      if (turns === HELLO_TURNS) this.#hello.reject(new Unresponsive('it does not answer'));
    }, HELLO_TURN_MS);
    try {
      this.#said = await this.#hello.promise;
    } catch (error) {
      this.close();
      throw error;
    } finally {
      clearInterval(limit);
    }
  }

  tell(news: NamesNews): void {
    writeLine(this.#socket, { news });
  }

  async ask(request: NamesRequest | ControlRequest, limitMs?: number): Promise<void> {
    await this.#ask(request, limitMs);
  }

  /** Undefined: a process of another release, which does not know the question. Throws as `ask`. */
  count(limitMs: number): Promise<NamesCounts | undefined> {
    return this.#ask({ kind: 'count' }, limitMs);
  }

  async #ask(request: NamesRequest | ControlRequest, limitMs?: number): Promise<NamesCounts | undefined> {
    if (this.ended.aborted) throw lost();
    const id = ++this.#lastId;
    const asked = Promise.withResolvers<NamesCounts | undefined>();
    this.#asked.set(id, asked);
    const limit = limitMs && setTimeout(() => asked.reject(new Unresponsive('it does not answer')), limitMs);
    writeLine(this.#socket, { id, request });
    try {
      return await asked.promise;
    } finally {
      if (limit) clearTimeout(limit);
      this.#asked.delete(id);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #settle({ id, error, counts }: Extract<FromProcess, { readonly id: number }>): void {
    const asked = this.#asked.get(id);
    if (error === undefined) asked?.resolve(counts);
    else asked?.reject(new OverlaydError(error.code as ErrorCode, error.message, { retryable: true }));
  }

  #end(cause: Error | undefined): void {
    this.#hello.reject(cause ?? new Error('it ended'));
    this.#ended.abort();
    for (const { reject } of this.#asked.values()) reject(lost());
  }
}

function lost(): OverlaydError {
  return new OverlaydError(
    'data-path-failed',
    'the process that answers names ended; it is started again, and what was asked of it is tried again',
    { retryable: true },
  );
}
