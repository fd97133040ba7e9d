/**
 * What the kernel's thread sees, as the planner wants it: host, networks and containers by one question, and by another what
 * the first answer made worth a look. What is as it was in the last answer is the same value as then.
 */
import { type ContainerRef, isHandedOver } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import { HOST, type Link, type NamespaceState, type Observed, type Scope } from '../../core/host-state.ts';
import { isUplink } from '../../core/plan/naming.ts';
import { type FdbTable, type NeighbourTable, type RowKind, type RowTable, rowsOfLinks } from '../../core/row-table.ts';
import type { HostPart, InsidePart, LookAnswer, NetworkPart, Seen } from './jobs.ts';
import type { KernelThread } from './kernel-thread.ts';
import type { Inside } from './monitor.ts';
import { vniOfNamespaceId } from './namespace-ids.ts';
import { failure } from './plain-error.ts';

export interface ObserverDeps {
  readonly thread: Pick<KernelThread, 'ask'>;
  readonly isAlive: (container: ContainerRef) => Promise<boolean>;
  /** These have been looked into; what was seen is told when that resolves. */
  readonly onInsides: (insides: readonly Inside[]) => Promise<void>;
}

/** A network's namespace as it was last seen. */
interface LookedAt {
  /** Of the thread's answer. */
  readonly number: number;
  readonly state: NamespaceState & { readonly neighbours: NeighbourTable; readonly fdb: FdbTable };
}

type Networks = Map<string, NamespaceState>;
type Insides = Map<string, NamespaceState | 'gone'>;
type Unseen = Map<string, Error>;

export class Observer {
  readonly #deps: ObserverDeps;
  readonly #lookedAt = new Map<string, LookedAt>();

  constructor(deps: ObserverDeps) {
    this.#deps = deps;
  }

  async observe(scope: Scope, signal: AbortSignal | undefined): Promise<Observed> {
    const seen = { networks: new Map(), containers: new Map(), unseen: new Map() };
    const { networks, containers, unseen } = seen;
    const part = await this.#look(scope, seen, signal);
    // Under such a name there may be nothing, or something of somebody else's.
    const bare = part?.namespaces.flatMap(([name, whose]) => (whose === 'ours' ? [] : [name])) ?? [];
    const missing = scope.ports.filter(
      ({ namespace, link, container }) =>
        networks.get(namespace)?.links.get(link)?.kind !== 'veth' &&
        !unseen.has(namespace) &&
        !unseen.has(container.identity) &&
        !containers.has(container.identity),
    );
    const rest = {
      host: false,
      networks: bare.filter((name) => !scope.networks.includes(name)),
      containers: missing.map(({ container }) => container),
    };
    if (rest.networks.length + rest.containers.length > 0) await this.#look(rest, seen, signal);
    const host = part && hostState(part);
    return { namespaces: part && new Map(part.namespaces), host, networks, containers, unseen };
  }

  /** Throws `namespace-unusable`. */
  async inside(path: string, signal?: AbortSignal): Promise<NamespaceState> {
    const answer = await this.#deps.thread.ask('look', { host: false, networks: [], insides: [path] }, signal);
    await this.#tellIds(answer, [path]);
    // By whatever path it was named.
    if (vniOfNamespaceId(answer.ids[0] ?? 0) > 0)
      throw new OverlaydError('namespace-unusable', `the namespace ${path} belongs to a network of overlayd`);
    const value = seenValue(answer.insides[0]);
    if (value) return insideState(value);
    throw noEntry(path);
  }

  /** A namespace of that name comes or goes. */
  forget(name: string): void {
    this.#lookedAt.delete(name);
  }

  async #look(
    { host, networks: names, containers: refs }: Pick<Scope, 'host' | 'networks' | 'containers'>,
    { networks, containers, unseen }: { networks: Networks; containers: Insides; unseen: Unseen },
    signal: AbortSignal | undefined,
  ): Promise<HostPart | undefined> {
    const alive = await this.#alive(refs, containers);
    const answer = await this.#deps.thread.ask(
      'look',
      {
        host,
        networks: names.map((name) => ({ name, known: this.#lookedAt.get(name)?.number ?? 0 })),
        insides: alive.map(({ path }) => path),
      },
      signal,
    );
    await this.#tellIds(
      answer,
      alive.map(({ path }) => path),
    );
    for (const [at, name] of names.entries()) {
      const part = valueIn(answer.networks[at], name, unseen);
      if (part) networks.set(name, this.#networkState(name, part));
      else this.#lookedAt.delete(name);
    }
    for (const [at, container] of alive.entries()) {
      const part = valueIn(answer.insides[at], container.identity, unseen);
      if (part) containers.set(container.identity, insideState(part));
      else if (!(await this.#deps.isAlive(container))) {
        unseen.delete(container.identity);
        containers.set(container.identity, 'gone');
      } else if (!unseen.has(container.identity)) unseen.set(container.identity, noEntry(container.path));
    }
    return host ? valueIn(answer.host, HOST, unseen) : undefined;
  }

  async #tellIds({ ids }: LookAnswer, paths: readonly string[]): Promise<void> {
    const insides = paths.flatMap((path, at) => {
      const nsid = ids[at];
      return nsid === undefined ? [] : [{ nsid, path }];
    });
    if (insides.length > 0) await this.#deps.onInsides(insides);
  }

  /** Those that may be looked into, each once; the others that are asked for are `gone`. */
  async #alive(refs: readonly ContainerRef[], containers: Insides): Promise<ContainerRef[]> {
    const each = new Map(refs.filter((ref) => !isHandedOver(ref)).map((ref) => [ref.identity, ref]));
    const alive: ContainerRef[] = [];
    await Promise.all(
      [...each.values()].map(async (container) => {
        if (await this.#deps.isAlive(container)) alive.push(container);
        else containers.set(container.identity, 'gone');
      }),
    );
    return alive;
  }

  #networkState(name: string, part: NetworkPart): NamespaceState {
    const last = this.#lookedAt.get(name);
    const links = part.links ? linksByName(part.links) : (last?.state.links ?? new Map());
    const names = new Map([...links.values()].map((link) => [link.index ?? 0, link.name]));
    const kept = last && sameNames(last.state.links, links) ? last.state : undefined;
    const state = {
      forwarding: part.forwarding,
      forwarding6: part.forwarding6,
      links,
      addresses: part.addresses ?? last?.state.addresses ?? [],
      routes: part.routes ?? last?.state.routes ?? [],
      neighbours: tableOf('neighbour', part.neighbours, names, kept?.neighbours, last?.state.neighbours),
      fdb: tableOf('fdb', part.fdb, names, kept?.fdb, last?.state.fdb),
      filter: part.filter === undefined ? last?.state.filter : (part.filter ?? undefined),
      services: part.services === undefined ? last?.state.services : (part.services ?? undefined),
    };
    this.#lookedAt.set(name, { number: part.number, state });
    return state;
  }
}

/** `kept`: the last one, as long as its links have the same names. */
function tableOf<K extends RowKind>(
  kind: K,
  words: Uint32Array | undefined,
  links: ReadonlyMap<number, string>,
  kept: RowTable<K> | undefined,
  last: RowTable<K> | undefined,
): RowTable<K> {
  if (words === undefined && kept) return kept;
  return { kind, links, words: words ?? last?.words ?? new Uint32Array() };
}

function sameNames(a: ReadonlyMap<string, Link>, b: ReadonlyMap<string, Link>): boolean {
  if (a === b) return true;
  return a.size === b.size && [...b.values()].every(({ name, index }) => a.get(name)?.index === index);
}

function hostState(part: HostPart): NamespaceState {
  const links = linksByName(part.links);
  const names = new Map(part.links.map((link) => [link.index ?? 0, link.name]));
  const all: NeighbourTable = { kind: 'neighbour', links: names, words: part.neighbours };
  return {
    forwarding: part.forwarding,
    forwarding6: part.forwarding6,
    advertised: part.advertised,
    links,
    addresses: part.addresses,
    routes: part.routes,
    neighbours: rowsOfLinks(all, isUplink),
    fdb: [],
    filter: part.filter,
  };
}

function insideState({ links, addresses, routes }: InsidePart): NamespaceState {
  return {
    forwarding: false,
    forwarding6: false,
    links: linksByName(links),
    addresses,
    routes,
    neighbours: [],
    fdb: [],
    filter: undefined,
  };
}

function linksByName(links: readonly Link[]): Map<string, Link> {
  return new Map(links.map((link) => [link.name, link]));
}

/** Notes in `unseen` what cannot be looked at. Throws what no repetition would mend. */
function valueIn<T>(seen: Seen<T> | undefined, place: string, unseen: Unseen): T | undefined {
  try {
    return seenValue(seen);
  } catch (error) {
    if (error instanceof OverlaydError && error.code === 'tool-missing') throw error;
    unseen.set(place, error as Error);
    return undefined;
  }
}

function seenValue<T>(seen: Seen<T> | undefined): T | undefined {
  if (seen === undefined || seen.ok) return seen?.value;
  throw failure("reading the kernel's state failed", seen.error);
}

function noEntry(path: string): OverlaydError {
  return new OverlaydError('namespace-unusable', `the namespace ${path} cannot be entered; is it there?`);
}
