/** Reads the kernel: per namespace one `ip`, one `bridge` and one `nft`, all namespaces side by side. */
import { type ContainerRef, isHandedOver } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import {
  type Filter,
  HOST,
  type NamespaceState,
  type Observed,
  type Place,
  type Scope,
  TABLE,
} from '../../core/host-state.ts';
import { isNetworkNamespace, isUplink } from '../../core/plan/naming.ts';
import type { Run } from './exec.ts';
import * as iproute2 from './iproute2.ts';
import { parseFilter } from './nftables.ts';

export interface ObserveDeps {
  readonly run: Run;
  /** Listings of the filters in the networks' namespaces as they were last seen, by namespace. */
  readonly listings: Map<string, string>;
  readonly isAlive: (container: ContainerRef) => Promise<boolean>;
}

export async function observe(deps: ObserveDeps, scope: Scope, signal: AbortSignal | undefined): Promise<Observed> {
  const networks = new Map<string, NamespaceState>();
  const containers = new Map<string, NamespaceState | 'gone'>();
  const lookInside = async (refs: readonly ContainerRef[]) => {
    const each = new Map(refs.filter((ref) => !isHandedOver(ref)).map((ref) => [ref.identity, ref]));
    await Promise.all(
      [...each.values()].map(async (container) => {
        const state = await observeContainer(deps, container, signal);
        if (state) containers.set(container.identity, state);
      }),
    );
  };
  const [host] = await Promise.all([
    scope.host ? observeHost(deps.run, signal) : undefined,
    lookInside(scope.containers),
    ...scope.networks.map(async (name) => {
      const state = await observeNetwork(deps, name, signal);
      if (state) networks.set(name, state);
    }),
  ]);
  const missing = scope.ports.filter(
    ({ namespace, link, container }) =>
      networks.get(namespace)?.links.get(link)?.kind !== 'veth' && !containers.has(container.identity),
  );
  await lookInside(missing.map(({ container }) => container));
  return { namespaces: host?.namespaces, host: host?.state, networks, containers };
}

async function observeHost(run: Run, signal: AbortSignal | undefined) {
  const [dump, filter] = await Promise.all([
    dumpOf(run, inPlace(HOST, 'ip'), iproute2.DUMP_HOST, signal),
    listFilter(run, HOST, 'inet', signal),
  ]);
  if (!dump) throw new OverlaydError('internal', 'the namespace of this process cannot be gone');
  const [loopback, links, addresses, routes, neighbours, netconf, namespaces] = dump;
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
  const ours = iproute2.parseNamespaces(namespaces).filter(([name]) => isNetworkNamespace(name));
  return { state, namespaces: new Map(ours) };
}

async function observeNetwork(
  { run, listings }: ObserveDeps,
  name: string,
  signal: AbortSignal | undefined,
): Promise<NamespaceState | undefined> {
  const [dump, fdb, filter] = await Promise.all([
    dumpOf(run, inPlace(name, 'ip'), iproute2.DUMP_NETWORK, signal),
    run([...inPlace(name, 'bridge'), '-j', 'fdb', 'show'], { signal }),
    listFilter(run, name, 'bridge', signal),
  ]);
  if (!dump) {
    listings.delete(name);
    return undefined;
  }
  listings.set(name, filter);
  const [links, addresses, routes, neighbours, netconf] = dump;
  return {
    forwarding: iproute2.parseForwarding(netconf),
    links: iproute2.parseLinks(links),
    addresses: iproute2.parseAddresses(addresses),
    routes: iproute2.parseRoutes(routes),
    neighbours: iproute2.parseNeighbours(neighbours),
    fdb: iproute2.parseFdb(iproute2.parseDump(fdb.stdout)[0]),
    filter: parseFilter(filter),
  };
}

/** Undefined when it cannot be entered though nothing proves that it is gone. */
async function observeContainer(
  { run, isAlive }: ObserveDeps,
  container: ContainerRef,
  signal: AbortSignal | undefined,
): Promise<NamespaceState | 'gone' | undefined> {
  if (!(await isAlive(container))) return 'gone';
  const dump = await dumpOf(run, inPlace(container.path, 'ip'), iproute2.DUMP_CONTAINER, signal);
  if (!dump) return (await isAlive(container)) ? undefined : 'gone';
  const [links, addresses, routes] = dump;
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
  if (place.startsWith('/')) return ['nsenter', `--net=${place}`, tool];
  return tool === 'ip' || tool === 'bridge' ? [tool, '-netns', place] : ['nsenter', `--net=/run/netns/${place}`, tool];
}

/** Undefined when the namespace does not exist. */
async function dumpOf(run: Run, tool: readonly string[], lines: readonly string[], signal: AbortSignal | undefined) {
  const argv = [...tool, '-4', '-json', '-details', '-force', '-batch', '-'];
  const result = await run(argv, { input: `${lines.join('\n')}\n`, signal });
  if (/Cannot open network namespace|cannot open |setting the network namespace/.test(result.stderr)) return undefined;
  if (result.code !== 0) throw readFailed(argv, result.stderr);
  return iproute2.parseDump(result.stdout);
}

/** Those of the namespaces whose filter is not as it was last seen. */
export async function probe(
  { run, listings }: ObserveDeps,
  namespaces: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const same = await Promise.all(
    namespaces.map(async (name) => (await listFilter(run, name, 'bridge', signal)) === listings.get(name)),
  );
  return namespaces.filter((_, index) => !same[index]);
}

/** The listing of our table without counters; empty when there is none. */
async function listFilter(
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
