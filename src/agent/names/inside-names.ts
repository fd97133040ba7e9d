/**
 * Containers of the host's engine that are answered inside of them, where they ask the engine's own name server: which ones, and
 * as whom. Told to the process that answers names whenever it changes; that process goes on without us, and lets go of a
 * container by itself when its process ends.
 *
 * A container is answered before it runs: the engine says at its joining where its namespace will be, and makes it long before it
 * starts the process in there. Which process that is it says later.
 */
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import type { InsideAsker, NamesRequest } from '../../core/dns/names-protocol.ts';
import { asOverlaydError } from '../../core/errors.ts';
import type { Containers } from '../../ports/host.ts';
import type { NamesSession } from '../../ports/names.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';

export interface InsideNamesDeps {
  readonly local: Pick<LocalEndpoints, 'all' | 'unreadable'>;
  readonly networkName: (networkId: string) => string | undefined;
  readonly containers: Pick<Containers, 'resolve' | 'isAlive'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** The namespace is there some ten milliseconds after the joining, or not at all. */
const SEEK_MS = 5;
const SEEK_TURNS = 400;
const SEEK_SLOWLY_MS = 100;
const MOST_SEEK_TURNS = 1_000;
/** What the kernel refuses it may do later. */
const AGAIN_MS = 30_000;
const PROCESS = /^\/proc\/(\d+)\/ns\/net$/;

/** A container's endpoints on networks of ours, in the order in which its engine goes by them. */
type Group = readonly [LocalEndpoint, ...LocalEndpoint[]];

export class InsideNames {
  readonly #deps: InsideNamesDeps;
  readonly #enabled: boolean;
  #session: NamesSession | undefined;
  /** By key, as text. */
  readonly #told = new Map<string, string>();
  /** By key: the container, and why it is not answered. */
  readonly #problems = new Map<string, string>();
  #kept = false;
  /** As text; undefined: nothing was said yet. */
  #naming: string | undefined;
  readonly #seeking = new Set<string>();
  /** Sandboxes whose namespace is there. */
  readonly #found = new Set<string>();

  /** `enabled`: none is answered otherwise, and who is, by an earlier run, is let go of. */
  constructor(deps: InsideNamesDeps, enabled: boolean) {
    this.#deps = deps;
    this.#enabled = enabled;
  }

  begin(session: NamesSession): void {
    this.#session = session;
    this.#told.clear();
    this.#problems.clear();
    this.#kept = false;
    this.#naming = undefined;
    this.look();
  }

  lose(session: NamesSession): void {
    if (this.#session === session) this.#session = undefined;
  }

  problems(): readonly string[] {
    return [...this.#problems.values()];
  }

  /** Endpoints of this host came, changed or went. */
  look(): void {
    const session = this.#session;
    if (session === undefined) return;
    const groups = this.#enabled ? this.#groups() : new Map<string, Group>();
    for (const key of this.#told.keys()) {
      if (groups.has(key)) continue;
      this.#told.delete(key);
      this.#problems.delete(key);
      this.#tell(session, { kind: 'leave', key });
    }
    for (const sandbox of this.#found) if (!groups.has(sandbox)) this.#found.delete(sandbox);
    for (const [key, group] of groups) {
      const asker = this.#askerOf(key, group);
      if (asker === undefined) {
        void this.#seek(key);
        continue;
      }
      const text = JSON.stringify(asker);
      if (this.#told.get(key) === text) continue;
      this.#told.set(key, text);
      void this.#serve(session, asker, group[0]);
    }
    this.#tellNaming(session);
    if (this.#kept || this.#deps.local.unreadable !== undefined) return;
    this.#kept = true;
    this.#tell(session, { kind: 'keep-inside', keys: [...groups.keys()] });
  }

  /** An engine knows its containers' names at their joining, and we a moment later. */
  #tellNaming(session: NamesSession): void {
    const nameless = this.#deps.local.all().filter(({ engine }) => engine && engine.containerId === undefined);
    const networkIds = [...new Set(nameless.map(({ record }) => record.networkId))].sort();
    const text = JSON.stringify(networkIds);
    if (text === this.#naming) return;
    this.#naming = text;
    session.tell({ kind: 'naming', networkIds });
  }

  #groups(): Map<string, Group> {
    const { local, networkName } = this.#deps;
    const named = local.all().flatMap((endpoint) => {
      const { container, engine, record } = endpoint;
      const network = networkName(record.networkId);
      const key = engine?.sandbox ?? (isHandedOver(container) ? undefined : container.identity);
      return engine && network !== undefined && key !== undefined ? [{ endpoint, network, key }] : [];
    });
    named.sort((a, b) => (a.network < b.network ? -1 : a.network > b.network ? 1 : 0));
    const groups = new Map<string, Group>();
    for (const { endpoint, key } of named) {
      const before = groups.get(key);
      groups.set(key, before ? [...before, endpoint] : [endpoint]);
    }
    return groups;
  }

  /** Undefined while its namespace is not there. */
  #askerOf(key: string, group: Group): InsideAsker | undefined {
    const running = group.find(({ container }) => !isHandedOver(container))?.container;
    const namespacePath = running?.path ?? (this.#found.has(key) ? key : undefined);
    if (namespacePath === undefined) return undefined;
    const { record } = group[0];
    const pid = PROCESS.exec(namespacePath)?.[1];
    return {
      ...{ key, namespacePath, process: pid === undefined ? undefined : Number(pid) },
      ...{ networkId: record.networkId, address: record.addresses[0]!.ip },
      // Where nothing is known yet, it may.
      engineKnows: group.some(({ engine }) => engine?.engineKnows ?? true),
    };
  }

  async #serve(session: NamesSession, asker: InsideAsker, { record, container }: LocalEndpoint): Promise<void> {
    const { key } = asker;
    const isDue = () => this.#session === session && this.#told.get(key) === JSON.stringify(asker);
    const isThere = () => isHandedOver(container) || this.#deps.containers.isAlive(container);
    try {
      // Its process id may be another one's by now.
      if (!(await isThere()) || !isDue()) return;
      await session.ask({ kind: 'serve', container: asker });
      this.#problems.delete(key);
    } catch (error) {
      if (session.ended.aborted || !isDue() || !(await isThere()) || !isDue()) return;
      const why = asOverlaydError(error).message;
      this.#problems.set(
        key,
        `names are not answered inside of container ${record.name}, its engine's name server passes questions on: ${why}`,
      );
      void this.#again(key);
    }
  }

  async #again(key: string): Promise<void> {
    await this.#deps.clock.sleep(AGAIN_MS).catch(() => undefined);
    if (!this.#problems.has(key)) return;
    this.#told.delete(key);
    this.look();
  }

  async #seek(sandbox: string): Promise<void> {
    if (this.#seeking.has(sandbox)) return;
    this.#seeking.add(sandbox);
    const { clock, containers } = this.#deps;
    const isWanted = () => {
      const group = this.#session && this.#groups().get(sandbox);
      return group?.every(({ container }) => isHandedOver(container)) ?? false;
    };
    try {
      for (let turn = 0; turn < MOST_SEEK_TURNS && isWanted(); turn++) {
        const found = await containers.resolve(`netns:${sandbox}`).catch(() => undefined);
        if (found) {
          this.#found.add(sandbox);
          break;
        }
        await clock.sleep(turn < SEEK_TURNS ? SEEK_MS : SEEK_SLOWLY_MS);
      }
    } catch {
      // The agent ends.
    } finally {
      this.#seeking.delete(sandbox);
    }
    if (this.#found.has(sandbox)) this.look();
  }

  /** Lost with the session, the next one tells it anew. */
  #tell(session: NamesSession, request: NamesRequest): void {
    session.ask(request).catch(() => undefined);
  }
}
