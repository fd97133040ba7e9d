/**
 * The process that answers names on one host, which outlives its agents: what it is really made of, without sockets. All
 * that it is told goes through the text that goes over the line.
 */
import type { InsideAsker, NamesNews, NamesRequest } from '../../src/core/dns/names-protocol.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { Answering } from '../../src/names/answering.ts';
import type { DnsHandler } from '../../src/names/ports.ts';
import type { NamesProcess, NamesSession } from '../../src/ports/names.ts';
import type { Clock, Random } from '../../src/ports/runtime.ts';
import type { Life } from './mortal.ts';

export class FakeNames {
  /** Addresses at which names are answered, by network id. */
  readonly listening = new Map<string, readonly string[]>();
  /** Containers that are answered inside of them, by key. */
  readonly inside = new Map<string, InsideAsker>();
  /** All that was told, in order. */
  readonly told: NamesNews[] = [];
  /** What becomes of what an agent tells; tests replace it to have agents that tell less. */
  hears: (news: NamesNews) => NamesNews | undefined = (news) => news;
  readonly #clock: Clock;
  readonly #random: Random;
  #answering: Answering;
  #session = new AbortController();
  /** Starts a session of the agent that runs now. */
  #connect: (() => void) | undefined;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#answering = this.#start();
  }

  get handler(): DnsHandler {
    return this.#answering.responder.handler;
  }

  /** It dies; the agent, if one runs, starts another one. */
  kill(): void {
    this.listening.clear();
    this.inside.clear();
    this.#answering = this.#start();
    this.#session.abort();
    this.#connect?.();
  }

  /** Its agent's side. */
  processFor(life: Life): NamesProcess {
    return {
      problem: undefined,
      run: async (onSession, signal) => {
        const connect = () => {
          if (life.over || signal.aborted) return;
          this.#session.abort();
          this.#session = new AbortController();
          this.#answering.beginSession();
          onSession(this.#sessionOf(this.#session.signal, life));
        };
        this.#connect = connect;
        connect();
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        if (this.#connect === connect) this.#connect = undefined;
      },
    };
  }

  #start(): Answering {
    return new Answering({
      clock: this.#clock,
      random: this.#random,
      forward: () => ({ ask: async () => undefined }),
      serveInside: () => ({
        serve: async (container) => void this.inside.set(container.key, container),
        leave: async (key) => void this.inside.delete(key),
        keep: async (keys) => {
          for (const key of this.inside.keys()) if (!keys.has(key)) this.inside.delete(key);
        },
        ask: async () => undefined,
      }),
      listen: () => ({
        ensure: async ({ networkId, addresses }) => void this.listening.set(networkId, addresses),
        close: async (networkId) => void this.listening.delete(networkId),
        keep: async (networkIds) => {
          for (const id of this.listening.keys()) if (!networkIds.has(id)) this.listening.delete(id);
        },
        release: async () => undefined,
      }),
    });
  }

  #sessionOf(ended: AbortSignal, life: Life): NamesSession {
    const lost = () => ended.aborted || life.over;
    return {
      ended,
      tell: (news) => {
        if (lost()) return;
        const heard = this.hears(news);
        if (!heard) return;
        this.told.push(heard);
        this.#answering.take(overTheLine(heard));
      },
      ask: async (request) => {
        if (lost()) throw new OverlaydError('data-path-failed', 'the process ended', { retryable: true });
        await this.#answering.handle(overTheLine(request));
      },
    };
  }
}

function overTheLine<T extends NamesNews | NamesRequest>(message: T): T {
  return JSON.parse(JSON.stringify(message));
}
