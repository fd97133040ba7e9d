/**
 * A kernel in memory that carries out ops as strictly as the real one refuses them: nothing is made in a namespace that
 * does not exist, no name is taken twice, no route goes through a link that is down.
 */
import { createInbox, type Inbox } from '../../src/adapters/kernel/inbox.ts';
import { meansOf, placeOf } from '../../src/adapters/kernel/means.ts';
import { parseCidr } from '../../src/core/cidr.ts';
import { type ContainerRef, isHandedOver } from '../../src/core/container.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import {
  type ApplyResult,
  HOST,
  type NamespaceState,
  type Observed,
  type Op,
  type OpFailure,
  type Place,
  type Plan,
  type PlannedOp,
  type Scope,
} from '../../src/core/host-state.ts';
import { formatIp } from '../../src/core/ip.ts';
import type { KernelChange, RowEvent } from '../../src/core/kernel-change.ts';
import type { NetworkTables } from '../../src/core/packet-filter.ts';
import { isNetworkNamespace } from '../../src/core/plan/naming.ts';
import { Obstacles } from '../../src/core/plan/obstacles.ts';
import { isOfRows, singleOps } from '../../src/core/plan/rows.ts';
import { WIREGUARD_PLACE } from '../../src/core/wireguard/state.ts';
import type { Kernel } from '../../src/ports/kernel.ts';
import { FakeMachine } from './fake-machine.ts';

export class FakeKernel implements Kernel {
  readonly machine = new FakeMachine();
  /** Ops carried out since the start. */
  writes = 0;
  /** Processes that the real one would have needed are not counted; observations are. */
  observations = 0;
  /** Paths of containers that were looked into. */
  readonly looks: string[] = [];
  /** Places that cannot be looked at. */
  readonly blind = new Set<Place>();
  /** Names of namespaces that lead to none. */
  readonly deadNames = new Set<string>();
  /** Namespaces that were never given an id of ours. */
  readonly foreign = new Set<string>();
  /** Whether the path still leads to the container that was meant; else there may be another one. */
  isAlive: (container: ContainerRef) => boolean = () => true;
  /** Containers that were looked into. */
  readonly #followed = new Set<string>();
  readonly #listeners = new Set<Inbox<KernelChange>>();
  #faults: { readonly match: (op: Op) => boolean; left: number }[] = [];

  /** WireGuard's namespace is there, whoever made it. */
  constructor() {
    this.machine.addPlace(WIREGUARD_PLACE);
  }

  // ------------------------------------------------------------ the port

  async observe(scope: Scope): Promise<Observed> {
    this.observations += 1;
    const networks = new Map<string, NamespaceState>();
    const containers = new Map<string, NamespaceState | 'gone'>();
    const unseen = new Map<string, Error>();
    const isBlind = (place: Place, key = place) => {
      if (!this.blind.has(place)) return false;
      unseen.set(key, new OverlaydError('data-path-failed', `${place} cannot be looked at`, { retryable: true }));
      return true;
    };
    const bare = scope.host ? [...this.deadNames, ...this.foreign] : [];
    for (const name of new Set([...scope.networks, ...bare])) {
      if (isBlind(name)) continue;
      const state = this.machine.snapshot(name);
      if (!state) continue;
      networks.set(name, state);
    }
    const lookInside = (container: ContainerRef) => {
      if (isHandedOver(container) || isBlind(container.path, container.identity)) return;
      const inside = this.isAlive(container) ? this.machine.snapshot(container.path) : undefined;
      containers.set(container.identity, inside ?? 'gone');
      if (!inside) return;
      this.looks.push(container.path);
      this.#followed.add(container.path);
    };
    scope.containers.forEach(lookInside);
    for (const { namespace, link, container } of scope.ports) {
      const there = networks.get(namespace)?.links.get(link)?.kind === 'veth';
      if (!there && !unseen.has(namespace) && !containers.has(container.identity)) lookInside(container);
    }
    if (!scope.host || isBlind(HOST)) return { namespaces: undefined, host: undefined, networks, containers, unseen };
    const ours = this.machine.places().filter(isNetworkNamespace);
    const namespaces = new Map<string, 'ours' | 'none'>(ours.map((name) => [name, 'ours']));
    for (const name of bare) namespaces.set(name, 'none');
    return { namespaces, host: this.machine.hostSnapshot(), networks, containers, unseen };
  }

  async apply(plan: Plan): Promise<ApplyResult> {
    const failures: OpFailure[] = [];
    const obstacles = new Obstacles(plan);
    let writes = 0;
    for (const stage of plan.stages) {
      const { ready, kept } = obstacles.divide(stage);
      const failed: OpFailure[] = [];
      for (const planned of worstOrder(ready).flatMap(eachRow)) {
        try {
          this.#checkFaults(planned.op);
          this.#checkName(planned.op);
          for (const place of this.machine.carryOut(planned.op)) this.#emit(place, planned.op, true);
          writes += 1;
        } catch (error) {
          failed.push({ planned, error: error as Error });
        }
      }
      obstacles.add(stage, failed);
      failures.push(...failed, ...kept);
    }
    this.writes += writes;
    return { writes, failures };
  }

  async *changes(signal: AbortSignal): AsyncGenerator<KernelChange> {
    const inbox = createInbox<KernelChange>((change) => JSON.stringify(change));
    const close = () => inbox.close();
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted) inbox.close();
    this.#listeners.add(inbox);
    inbox.push({ kind: 'all' });
    try {
      yield* inbox.items();
    } finally {
      this.#listeners.delete(inbox);
      signal.removeEventListener('abort', close);
    }
  }

  async filters(namespaces: readonly string[]): Promise<ReadonlyMap<string, NetworkTables>> {
    const tablesOf = (at: string) => {
      const { filter, services } = this.machine.snapshot(at) ?? {};
      return { filter, services };
    };
    return new Map(namespaces.map((name) => [name, tablesOf(name)]));
  }

  async inside(path: string): Promise<NamespaceState> {
    this.looks.push(path);
    this.#followed.add(path);
    const state = this.machine.snapshot(path);
    if (state) return state;
    throw new OverlaydError('namespace-unusable', `the namespace ${path} cannot be entered`);
  }

  // ------------------------------------------------------------ what tests do to it

  addContainer(path: string): ContainerRef {
    this.machine.addPlace(path);
    return { text: `netns:${path}`, path, identity: path };
  }

  hasContainer(path: string): boolean {
    return this.machine.places().includes(path);
  }

  /** The namespace ends, and with it both ends of its links. */
  killContainer(path: string): void {
    for (const place of [...this.machine.deletePlace(path), path]) this.#emit(place);
  }

  /** As a container engine does: takes a link from the host into the container, renames it, addresses it, ups it. */
  takeOver(
    link: string,
    path: string,
    {
      ifname,
      cidr: ipv4,
      ipv6,
    }: { readonly ifname: string; readonly cidr?: string | undefined; readonly ipv6?: string | undefined },
  ): void {
    for (const place of this.machine.moveLink(HOST, link, path, ifname)) this.#emit(place);
    const set = ipv6 === undefined ? { up: true as const } : { ipv6: true as const, up: true as const };
    this.interfere({ kind: 'set-link', at: path, name: ifname, set });
    for (const cidr of [ipv4, ipv6]) {
      if (cidr === undefined) continue;
      const { ip, prefix } = parseCidr(cidr)!;
      this.interfere({ kind: 'add-address', at: path, address: { link: ifname, address: formatIp(ip), prefix } });
    }
  }

  /** Something else changes the kernel. `silent`: no event tells. */
  interfere(op: Op, options: { readonly silent?: boolean } = {}): void {
    const places = this.machine.carryOut(op);
    if (!options.silent) for (const place of places) this.#emit(place, op);
  }

  /** The next `times` ops that match fail. */
  failNext(match: (op: Op) => boolean, times = 1): void {
    this.#faults.push({ match, left: times });
  }

  /** WireGuard's namespace goes, as its devices and the names of namespaces do, or comes back. */
  setWireguard(isThere: boolean): void {
    if (this.machine.places().includes(WIREGUARD_PLACE) === isThere) return;
    if (isThere) {
      this.machine.addPlace(WIREGUARD_PLACE);
      this.tell({ kind: 'all' });
    } else for (const place of this.machine.deletePlace(WIREGUARD_PLACE)) this.#emit(place);
  }

  /** The host was switched off and on. */
  reset(): void {
    this.machine.clear();
    this.machine.addPlace(WIREGUARD_PLACE);
    this.#faults = [];
    for (const inbox of this.#listeners) inbox.push({ kind: 'all' });
  }

  tell(change: KernelChange): void {
    for (const inbox of this.#listeners) inbox.push(change);
  }

  #checkName(op: Op): void {
    if (op.kind === 'delete-namespace') this.deadNames.delete(op.name);
    if (op.kind === 'add-namespace' && this.deadNames.has(op.name))
      throw new OverlaydError('data-path-failed', `${op.name}: File exists`, { retryable: true });
  }

  /** `isEcho`: by our own writing. */
  #emit(place: Place, op?: Op, isEcho = false): void {
    const echo = isEcho ? ({ echo: true } as const) : {};
    if (place === HOST) this.tell({ kind: 'host', ...echo });
    else if (isNetworkNamespace(place))
      this.tell({ kind: 'network', namespace: place, ...echo, rows: op && rowsOf(op) });
    else if (this.#followed.has(place)) this.tell({ kind: 'container', path: place, ...echo });
  }

  #checkFaults(op: Op): void {
    const fault = this.#faults.find(({ match, left }) => left > 0 && match(op));
    if (!fault) return;
    fault.left -= 1;
    throw new OverlaydError('data-path-failed', `${op.kind}: made to fail`, { retryable: true });
  }
}

/** As the kernel tells of rows. */
function rowsOf(op: Op): readonly RowEvent[] | undefined {
  const none = { index: 0, address: undefined, vtep: undefined, port: undefined };
  switch (op.kind) {
    case 'set-neighbour':
    case 'delete-neighbour':
      return [{ ...none, ...op.neighbour, what: op.kind === 'set-neighbour' ? 'written' : 'gone' }];
    case 'set-fdb':
    case 'delete-fdb':
      return [{ ...none, ...op.row, what: op.kind === 'set-fdb' ? 'written' : 'gone' }];
    default:
      return undefined;
  }
}

/** Rows that are written together are written one by one. */
function eachRow(planned: PlannedOp): readonly PlannedOp[] {
  return isOfRows(planned.op) ? singleOps(planned.op).map((op) => ({ ...planned, op })) : [planned];
}

/** In a stage, ops of one place and means are in order; of the others' order nothing is said. */
function worstOrder(ops: readonly PlannedOp[]): PlannedOp[] {
  return [...Map.groupBy(ops, ({ op }) => `${meansOf(op)} ${placeOf(op)}`).values()].reverse().flat();
}
