/**
 * Reads the kernel: per namespace one `ip`, one `bridge` and one `nft`, all namespaces side by side. What the tools say
 * of a network as they said it the last time is not read again: with thousands of rows that is most of the work.
 */
import { type ContainerRef, isHandedOver } from '../../core/container.ts';
import { asOverlaydError, isOverlaydError, OverlaydError } from '../../core/errors.ts';
import {
  type Address,
  type FdbRow,
  type Filter,
  HOST,
  type Link,
  type NamespaceState,
  type Neighbour,
  type Observed,
  type Place,
  type Route,
  type Scope,
  TABLE,
} from '../../core/host-state.ts';
import { isUplink } from '../../core/plan/naming.ts';
import type { Run, RunResult } from './exec.ts';
import * as iproute2 from './iproute2.ts';
import { parseFilter } from './nftables.ts';

export interface ObserveDeps {
  readonly run: Run;
  /** The networks' namespaces as they were last seen, by name. */
  readonly lookedAt: Map<string, LookedAt>;
  readonly isAlive: (container: ContainerRef) => Promise<boolean>;
}

/** What the tools said of a namespace, and what that means. */
export interface LookedAt {
  readonly links: Read<Map<string, Link>>;
  readonly addresses: Read<readonly Address[]>;
  readonly routes: Read<readonly Route[]>;
  readonly neighbours: Read<readonly Neighbour[]>;
  readonly forwarding: Read<boolean>;
  readonly fdb: Read<readonly FdbRow[]>;
  readonly filter: Read<Filter | undefined>;
}

interface Read<T> {
  readonly text: string;
  readonly value: T;
}

function read<T>(text: string, last: Read<T> | undefined, parse: (text: string) => T): Read<T> {
  return last?.text === text ? last : { text, value: parse(text) };
}

export async function observe(deps: ObserveDeps, scope: Scope, signal: AbortSignal | undefined): Promise<Observed> {
  const networks = new Map<string, NamespaceState>();
  const containers = new Map<string, NamespaceState | 'gone'>();
  const unseen = new Map<string, Error>();
  /** What goes wrong with one place is that place's. */
  const lookAt = async <T>(place: string, looking: Promise<T>): Promise<T | undefined> => {
    try {
      return await looking;
    } catch (error) {
      if (isOverlaydError(error, 'cancelled') || isOverlaydError(error, 'tool-missing')) throw error;
      unseen.set(place, asOverlaydError(error));
      return undefined;
    }
  };
  const lookInside = async (refs: readonly ContainerRef[]) => {
    const each = new Map(refs.filter((ref) => !isHandedOver(ref)).map((ref) => [ref.identity, ref]));
    await Promise.all(
      [...each.values()].map(async (container) => {
        const state = await lookAt(container.identity, observeContainer(deps, container, signal));
        if (state) containers.set(container.identity, state);
      }),
    );
  };
  const lookAtNetworks = async (names: readonly string[]) => {
    await Promise.all(
      names.map(async (name) => {
        const state = await lookAt(name, observeNetwork(deps, name, signal));
        if (state) networks.set(name, state);
      }),
    );
  };
  const [host] = await Promise.all([
    scope.host ? lookAt(HOST, observeHost(deps.run, signal)) : undefined,
    lookInside(scope.containers),
    lookAtNetworks(scope.networks),
  ]);
  // Under such a name there may be nothing, or something of somebody else's.
  const bare = [...(host?.namespaces ?? [])].flatMap(([name, id]) => (id === 'ours' ? [] : [name]));
  await lookAtNetworks(bare.filter((name) => !scope.networks.includes(name)));
  const missing = scope.ports.filter(
    ({ namespace, link, container }) =>
      networks.get(namespace)?.links.get(link)?.kind !== 'veth' &&
      !unseen.has(namespace) &&
      !unseen.has(container.identity) &&
      !containers.has(container.identity),
  );
  await lookInside(missing.map(({ container }) => container));
  return { namespaces: host?.namespaces, host: host?.state, networks, containers, unseen };
}

async function observeHost(run: Run, signal: AbortSignal | undefined) {
  const [output, filter] = await Promise.all([
    dumpOf(run, inPlace(HOST, 'ip'), iproute2.DUMP_HOST, signal),
    listFilter(run, HOST, 'inet', signal),
  ]);
  if (output === undefined) throw new OverlaydError('internal', 'the namespace of this process cannot be gone');
  const [loopback, links, addresses, routes, neighbours, netconf, namespaces] = output.map(iproute2.parseRows);
  const state: NamespaceState = {
    forwarding: iproute2.parseForwarding(netconf),
    links: new Map([...iproute2.parseLinks(links)].filter(([name]) => isUplink(name))),
    addresses: [
      ...iproute2.parseAddresses(addresses).filter(({ link }) => isUplink(link)),
      ...iproute2.parseAddresses(loopback),
    ],
    routes: iproute2.parseRoutes(routes).filter(({ link }) => isUplink(link)),
    neighbours: iproute2.parseNeighbours(neighbours).filter(({ link }) => isUplink(link)),
    fdb: [],
    filter: parseFilter(filter),
  };
  return { state, namespaces: iproute2.parseNamespaces(namespaces) };
}

async function observeNetwork(
  { run, lookedAt }: ObserveDeps,
  name: string,
  signal: AbortSignal | undefined,
): Promise<NamespaceState | undefined> {
  const showFdb = [...inPlace(name, 'bridge'), '-j', 'fdb', 'show'];
  const [dumped, shown, listed] = await Promise.allSettled([
    dumpOf(run, inPlace(name, 'ip'), iproute2.DUMP_NETWORK, signal),
    run(showFdb, { signal, large: true }),
    listFilter(run, name, 'bridge', signal),
  ]);
  if (dumped.status === 'fulfilled' && dumped.value === undefined) {
    // Of what is not there the others have nothing to say.
    lookedAt.delete(name);
    return undefined;
  }
  const [dump, shownFdb, filter] = [required(dumped), required(shown), required(listed)];
  const last = lookedAt.get(name);
  const [links = '', addresses = '', routes = '', neighbours = '', netconf = ''] = dump;
  const [fdb = ''] = linesOf(showFdb, shownFdb, 1);
  const now: LookedAt = {
    links: read(links, last?.links, (text) => iproute2.parseLinks(iproute2.parseRows(text))),
    addresses: read(addresses, last?.addresses, (text) => iproute2.parseAddresses(iproute2.parseRows(text))),
    routes: read(routes, last?.routes, (text) => iproute2.parseRoutes(iproute2.parseRows(text))),
    neighbours: read(neighbours, last?.neighbours, (text) => iproute2.parseNeighbours(iproute2.parseRows(text))),
    forwarding: read(netconf, last?.forwarding, (text) => iproute2.parseForwarding(iproute2.parseRows(text))),
    fdb: read(fdb, last?.fdb, (text) => iproute2.parseFdb(iproute2.parseRows(text))),
    filter: read(filter, last?.filter, parseFilter),
  };
  lookedAt.set(name, now);
  return {
    forwarding: now.forwarding.value,
    links: now.links.value,
    addresses: now.addresses.value,
    routes: now.routes.value,
    neighbours: now.neighbours.value,
    fdb: now.fdb.value,
    filter: now.filter.value,
  };
}

async function observeContainer(
  { run, isAlive }: ObserveDeps,
  container: ContainerRef,
  signal: AbortSignal | undefined,
): Promise<NamespaceState | 'gone'> {
  if (!(await isAlive(container))) return 'gone';
  try {
    return await inside(run, container.path, signal);
  } catch (error) {
    if (!isOverlaydError(error, 'cancelled') && !(await isAlive(container))) return 'gone';
    throw error;
  }
}

export async function inside(run: Run, path: string, signal?: AbortSignal): Promise<NamespaceState> {
  const dump = await dumpOf(run, inPlace(path, 'ip'), iproute2.DUMP_CONTAINER, signal);
  if (dump !== undefined) return parseInside(dump);
  throw new OverlaydError('namespace-unusable', `the namespace ${path} cannot be entered; is it there?`);
}

function parseInside(dump: readonly string[]): NamespaceState {
  const [links, addresses, routes] = dump.map(iproute2.parseRows);
  return {
    forwarding: false,
    links: iproute2.parseLinks(links),
    addresses: iproute2.parseAddresses(addresses),
    routes: iproute2.parseRoutes(routes),
    neighbours: [],
    fdb: [],
    filter: undefined,
  };
}

/** The command line of a tool inside a namespace. `ip` and `bridge` enter named ones by themselves, one exec cheaper. */
export function inPlace(place: Place, tool: iproute2.Tool): string[] {
  if (place === HOST) return [tool];
  const name = place.startsWith(NAMED) ? place.slice(NAMED.length) : place;
  if ((tool === 'ip' || tool === 'bridge') && !name.includes('/')) return [tool, '-netns', name];
  return ['nsenter', `--net=${place.startsWith('/') ? place : `${NAMED}${place}`}`, tool];
}

const NAMED = '/run/netns/';

function required<T>(result: PromiseSettledResult<T | undefined>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value!;
}

/** What each line of the batch said; undefined when there is no such namespace. */
async function dumpOf(
  run: Run,
  tool: readonly string[],
  lines: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string[] | undefined> {
  const argv = [...tool, '-4', '-json', '-details', '-force', '-batch', '-'];
  const result = await run(argv, { input: `${lines.join('\n')}\n`, signal, large: true });
  if (iproute2.isNoNamespace(result.stderr)) return undefined;
  return linesOf(argv, result, lines.length - (lines.at(-1) === iproute2.LIST_NAMESPACES ? 1 : 0));
}

/** The tools do not notice when what they write is not taken, and nothing written would read as nothing there. */
function linesOf(argv: readonly string[], { code, stdout, stderr }: RunResult, least: number): string[] {
  if (code !== 0) throw readFailed(argv, stderr);
  const lines = iproute2.splitDump(stdout);
  if (lines.length >= least && stdout.endsWith('\n')) return lines;
  throw readFailed(argv, 'its output is cut short; if /run is full, make room there');
}

/** The listing of our table without counters; empty when there is none. */
export async function listFilter(
  run: Run,
  place: Place,
  family: Filter['family'],
  signal: AbortSignal | undefined,
): Promise<string> {
  const argv = [...inPlace(place, 'nft'), '-s', '-j', 'list', 'table', family, TABLE];
  const result = await run(argv, { signal });
  if (result.code === 0) return result.stdout;
  // No table, or no namespace: the latter is told by `ip`.
  if (result.stderr.includes('No such file or directory')) return '';
  throw readFailed(argv, result.stderr);
}

function readFailed(argv: readonly string[], stderr: string): OverlaydError {
  const message = `reading the kernel's state failed: ${argv.join(' ')}: ${stderr.trim()}`;
  return new OverlaydError('data-path-failed', message, { retryable: true });
}
