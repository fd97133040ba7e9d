/**
 * Sockets inside of containers of an engine. Docker has containers ask 127.0.0.11, port 53, which rules of the container's
 * own namespace lead to a socket of the engine there. Ours stand beside it, at ports that the kernel chooses, and a rule of ours
 * before those leads questions to them (`netlink/redirect.ts`). It belongs to a socket of this process: however we end, the
 * engine's name server is asked again from that moment on, and nothing of the engine's was changed.
 *
 * Open sockets keep a namespace alive: they are closed when the container's process ends, whether an agent runs or not.
 */
import { stat } from 'node:fs/promises';
import type { InsideAsker } from '../../core/dns/names-protocol.ts';
import { OverlaydError } from '../../core/errors.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import type { DnsHandler, DnsInside } from '../../names/ports.ts';
import type { Logger } from '../../ports/runtime.ts';
import { whenProcessEnds } from '../native/process-end.ts';
import { holdRedirection } from '../netlink/redirect.ts';
import { doorInside } from './door.ts';
import { exchange } from './exchange.ts';
import { type GiveSocket, type OpenQuestion, type Place, SocketListeners } from './listeners.ts';
import { UpstreamSockets } from './upstream-sockets.ts';

export interface InsideListenersDeps {
  readonly handler: DnsHandler;
  readonly logger: Logger;
}

/** Where Docker's containers ask. */
const ENGINE = { address: '127.0.0.11', port: 53 } as const;
/** Of our own questions, which the engine is to get (`ovld`). */
const MARK = 0x6f766c64;
/** The engine asks one server after the other, for 4 s each; who asks gives up after 5. */
const ENGINE_MS = 4_500;

interface Served {
  asker: InsideAsker;
  /** By device and inode, as long as our sockets are open. */
  readonly identity: string;
  readonly engine: UpstreamSockets;
  stopWaiting: () => void;
  /** Undefined until both sockets are there. */
  release: (() => Promise<void>) | undefined;
}

/** A place inside of a container, as it is told to a successor. */
export interface PlaceInside extends Place {
  readonly asker: InsideAsker;
}

export function isInside(place: Place): place is PlaceInside {
  return 'asker' in place;
}

export class InsideListeners implements DnsInside {
  readonly #deps: InsideListenersDeps;
  readonly #listeners: SocketListeners;
  readonly #served = new Map<string, Served>();
  readonly #queue = new KeyedQueue();

  constructor(deps: InsideListenersDeps) {
    this.#deps = deps;
    const handler: DnsHandler = (query, { networkId: key, transport }) => {
      const asker = this.#served.get(key)?.asker;
      if (asker === undefined) return undefined;
      const { networkId, address, engineKnows } = asker;
      return deps.handler(query, { networkId, address, transport, inside: { key, engineKnows } });
    };
    this.#listeners = new SocketListeners({ ...deps, handler }, { port: 0 });
  }

  /** As of `SocketListeners`. */
  get dropped(): number {
    return this.#listeners.dropped;
  }

  get count(): number {
    return this.#served.size;
  }

  serve(asker: InsideAsker): Promise<void> {
    return this.#queue.run(asker.key, () => this.#serve(asker));
  }

  async #serve(asker: InsideAsker): Promise<void> {
    const { key, namespacePath } = asker;
    const identity = await identityOf(namespacePath);
    const before = this.#served.get(key);
    if (before?.identity === identity && before.release) {
      const isSameProcess = before.asker.process === asker.process;
      before.asker = asker;
      if (!isSameProcess) this.#await(before);
      return;
    }
    await this.#drop(key);
    const served: Served = {
      ...{ asker, identity, release: undefined, stopWaiting: () => undefined },
      engine: new UpstreamSockets({}, doorInside(namespacePath, MARK)),
    };
    this.#served.set(key, served);
    try {
      this.#await(served);
      await this.#listeners.ensure({ networkId: key, namespacePath, addresses: [ENGINE.address] });
      this.#redirect(served);
    } catch (error) {
      await this.#drop(key);
      throw error;
    }
  }

  leave(key: string): Promise<void> {
    return this.#queue.run(key, () => this.#drop(key));
  }

  async keep(keys: ReadonlySet<string>): Promise<void> {
    await Promise.all([...this.#served.keys()].map((key) => (keys.has(key) ? undefined : this.leave(key))));
  }

  async ask(key: string, query: Uint8Array): Promise<Uint8Array | undefined> {
    const engine = this.#served.get(key)?.engine;
    if (engine === undefined) return undefined;
    const signal = AbortSignal.timeout(ENGINE_MS);
    // The kernel may still lead a socket of ours to where the engine listened before it was started anew: once, and says so.
    const first = await exchange(engine, ENGINE, query, signal);
    const found = first ?? (signal.aborted ? undefined : await exchange(engine, ENGINE, query, signal));
    return found?.reply;
  }

  /** As of `SocketListeners`. */
  handOver(give: GiveSocket): ReturnType<SocketListeners['handOver']> {
    // One that leaves meanwhile leaves there as well: both of its sockets go the same way.
    const askers = new Map([...this.#served].map(([key, { asker }]) => [key, asker]));
    return this.#listeners.handOver((place, kind, socket) => {
      const asker = askers.get(place.networkId);
      const told: Place | PlaceInside = asker === undefined ? place : { ...place, asker };
      return give(told, kind, socket);
    });
  }

  /** Both sockets of a predecessor, one after the other. Its redirection leads here until it ends, ours from then on. */
  adopt({ asker, ...place }: PlaceInside, kind: 'udp' | 'tcp', socket: unknown): void {
    const { key, namespacePath } = asker;
    let served = this.#served.get(key);
    if (served === undefined) {
      const engine = new UpstreamSockets({}, doorInside(namespacePath, MARK));
      served = { asker, identity: place.identity, engine, release: undefined, stopWaiting: () => undefined };
      this.#served.set(key, served);
    }
    this.#listeners.adopt(place, kind, socket);
    if (!this.#listeners.ports(key, ENGINE.address)) return;
    try {
      this.#await(served);
      this.#redirect(served);
    } catch (error) {
      // Its namespace has just gone, as like as not. The agent asks for it again.
      this.#deps.logger.warn({ container: key, error }, 'a container could not be taken over');
      void this.leave(key);
    }
  }

  resume(question: OpenQuestion): boolean {
    if (!this.#served.has(question.networkId)) return false;
    this.#listeners.resume(question);
    return true;
  }

  #redirect(served: Served): void {
    const { key, namespacePath } = served.asker;
    const to = this.#listeners.ports(key, ENGINE.address)!;
    const table = `overlayd-names-${process.pid}`;
    served.release = holdRedirection(namespacePath, { table, ...ENGINE, to, exceptMark: MARK });
  }

  /** Throws `data-path-failed` where the process has ended. */
  #await(served: Served): void {
    const { key, process: pid } = served.asker;
    served.stopWaiting();
    served.stopWaiting = () => undefined;
    if (pid === undefined) return;
    try {
      served.stopWaiting = whenProcessEnds(pid, () => void this.leave(key));
    } catch (cause) {
      throw new OverlaydError('data-path-failed', `the container's process ${pid} has ended`, {
        cause,
        retryable: true,
      });
    }
  }

  async #drop(key: string): Promise<void> {
    const served = this.#served.get(key);
    if (served === undefined) return;
    served.stopWaiting();
    const { release } = served;
    served.release = undefined;
    // First: what is asked from here on the engine gets. Until then questions come here, and are answered.
    await release?.();
    this.#served.delete(key);
    await this.#listeners.close(key);
  }
}

/** Throws `data-path-failed` where there is none, and where it is our own. */
async function identityOf(namespacePath: string): Promise<string> {
  const [found, own] = await Promise.all(
    [namespacePath, '/proc/self/ns/net'].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  if (found !== undefined && found.ino !== own?.ino) return `${found.dev}:${found.ino}`;
  throw new OverlaydError('data-path-failed', `${namespacePath} is no container's namespace any more`, {
    retryable: true,
  });
}
