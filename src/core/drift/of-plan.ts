/**
 * A plan read as what differs: what the reconciler would do is what the kernel lacks, has otherwise or has too much. What is missing
 * together with the namespace or the link that it belongs to is counted there, and is nothing of its own.
 */

import {
  type Desired,
  type DesiredNetwork,
  type DesiredPort,
  HOST,
  type Observed,
  type Obstacle,
  type Op,
  type Place,
  type Plan,
  type PlannedOp,
} from '../host-state.ts';
import { containerOps } from '../plan/container.ts';
import { isNetworkNamespace, isUplink } from '../plan/naming.ts';
import { linkOf } from '../plan/op-link.ts';
import { singleOps } from '../plan/rows.ts';
import type { Owner } from '../plan/steps.ts';
import { type Drift, type DriftState, driftKey } from './drift.ts';
import { linkDetail, portDetail, SeenPlaces } from './seen.ts';
import { tableDrift } from './tables.ts';
import { type Directory, whyOf } from './why.ts';

export interface DriftSources {
  readonly desired: Pick<Desired, 'networks'>;
  readonly observed: Observed;
  readonly directory: Directory;
}

type Draft = Omit<Drift, 'place' | 'network' | 'why'>;

interface Group {
  readonly at: Place;
  readonly network: string | undefined;
  readonly endpointId: string | undefined;
  readonly draft: Draft;
  /** Things that are missing along with it. */
  with: number;
}

/** Each object once, in the order of the plan; first what could not be looked at. */
export function driftOf(
  { stages, obstacles = [] }: Pick<Plan, 'stages' | 'obstacles'>,
  sources: DriftSources,
): Drift[] {
  const reading = new PlanReading(sources);
  for (const obstacle of obstacles) reading.takeObstacle(obstacle);
  const ops = stages.flatMap((stage) => stage.ops);
  for (const planned of ops) reading.takeRoot(planned);
  for (const planned of ops) for (const op of singleOps(planned.op)) reading.take({ ...planned, op });
  return reading.drifts();
}

/** The same of insides of containers alone. `ports`: of those that were looked into. */
export function insideDrift(
  network: DesiredNetwork,
  ports: readonly DesiredPort[],
  provesAbsence: boolean,
  sources: DriftSources,
): Drift[] {
  const reading = new PlanReading(sources);
  for (const port of ports) {
    const { container, ifname, record } = port.endpoint;
    const owner = { network: network.namespace, endpointId: record.id };
    const error = sources.observed.unseen?.get(container.identity);
    if (error) reading.takeObstacle({ ...owner, error });
    const inside = sources.observed.containers.get(container.identity);
    // One that is gone is no drift: its endpoint is about to be.
    if (inside === undefined || inside === 'gone') continue;
    if (!inside.links.has(ifname)) reading.takeMissing({ ...owner, at: container.path }, ifname);
    for (const op of containerOps(port, network, inside, false, provesAbsence))
      reading.take({ ...owner, op, reason: 'update' });
  }
  return reading.drifts();
}

class PlanReading {
  readonly #sources: DriftSources;
  readonly #groups = new Map<string, Group>();
  /** Namespaces, and links as `place name`, that are made or taken away. */
  readonly #made = new Map<string, Group>();
  readonly #gone = new Set<string>();
  readonly #removed = new Set<string>();
  readonly #seen: SeenPlaces;

  constructor(sources: DriftSources) {
    this.#sources = sources;
    this.#seen = new SeenPlaces(sources.observed, sources.desired);
  }

  /** Namespaces and links come first: what else differs may be a part of them. */
  takeRoot(planned: PlannedOp): void {
    const { op } = planned;
    if (op.kind === 'delete-namespace') this.#gone.add(op.name);
    else if (op.kind === 'delete-link') this.#gone.add(linkKey(op.at, op.name));
    else if (op.kind === 'add-namespace') {
      // One without an id gets one; nothing in it is made anew.
      const isThere = this.#sources.observed.networks.has(op.name);
      const state = isThere || this.#gone.has(op.name) ? 'wrong' : 'missing';
      const detail = isThere ? 'without the id by which the kernel tells of it' : '';
      const group = this.#add(planned, op.name, { kind: 'namespace', object: op.name, state, detail });
      if (!isThere) this.#made.set(op.name, group);
    } else if (op.kind === 'add-bridge' || op.kind === 'add-vxlan') this.#makeLink(planned, op.at, op.name);
    else if (op.kind === 'add-veth') {
      const [end, { peer }] = [{ at: op.at, name: op.end.name }, op];
      // Of a container's two ends the port says whose it is.
      const shown = isNetworkNamespace(peer.at) && !isUplink(end.name) ? peer : end;
      const group = this.#makeLink(planned, shown.at, shown.name, isNetworkNamespace(peer.at) ? peer.at : end.at);
      for (const { at, name } of [end, peer]) this.#made.set(linkKey(at, name), group);
    }
  }

  takeObstacle({ network, endpointId, error }: Obstacle): void {
    const port = this.#sources.desired.networks
      .find(({ namespace }) => namespace === network)
      ?.ports.find(({ endpoint }) => endpoint.record.id === endpointId);
    const at = port?.endpoint.container.path ?? network ?? HOST;
    const detail = `what is there cannot be seen: ${error.message}`;
    this.#add({ network, endpointId }, at, {
      kind: 'namespace',
      object: at === HOST ? 'host' : at,
      state: 'wrong',
      detail,
    });
  }

  takeMissing({ at, ...owner }: Owner & { readonly at: Place }, link: string): void {
    this.#add(owner, at, { kind: 'link', object: link, state: 'missing', detail: '' });
  }

  take(planned: PlannedOp): void {
    const { op } = planned;
    if (op.kind === 'delete-namespace' || op.kind === 'delete-link') {
      this.#takeRemoval(planned);
      return;
    }
    if (op.kind.startsWith('add-') && op.kind !== 'add-address' && op.kind !== 'add-elements') return;
    const at = 'at' in op ? op.at : HOST;
    const whole = this.#made.get(at) ?? this.#made.get(linkKey(at, linkOf(op) ?? ''));
    if (whole) {
      if (op.kind !== 'forget-flows' && op.kind !== 'set-link') whole.with += 1;
      return;
    }
    if (this.#gone.has(at)) return;
    for (const draft of this.#draftsOf(op)) this.#add(planned, at, draft);
  }

  drifts(): Drift[] {
    const { directory } = this.#sources;
    const networks = new Map(this.#sources.desired.networks.map((each) => [each.namespace, each]));
    return [...this.#groups.values()].map(({ at, network, endpointId, draft, with: parts }) => {
      const wanted = networks.get(network ?? '');
      const more =
        parts > 0
          ? `with ${parts} ${parts === 1 ? 'thing' : 'things'} that ${parts === 1 ? 'is' : 'are'} part of it`
          : '';
      const detail = [draft.detail, more].filter((part) => part !== '').join('; ');
      const place = at === HOST ? 'host' : (directory.containerAt(at) ?? at);
      const why = whyOf({ ...draft, at }, wanted, endpointId, directory);
      // Of a pass that looked at the host alone no network is listed.
      const name = wanted ? directory.nameOf(wanted.networkId) : directory.networkOf(network);
      return { ...draft, place, network: name ?? '', detail, why };
    });
  }

  #takeRemoval(planned: PlannedOp): void {
    const { op } = planned;
    if (op.kind === 'delete-namespace') {
      if (!this.#groupAt(op.name, 'namespace', op.name))
        this.#add(planned, op.name, { kind: 'namespace', object: op.name, state: 'extra', detail: '' });
      return;
    }
    if (op.kind !== 'delete-link' || this.#gone.has(op.at) || this.#removed.has(linkKey(op.at, op.name))) return;
    this.#removed.add(linkKey(op.at, op.name));
    // What is made anew is told there.
    if (this.#made.has(linkKey(op.at, op.name)) || planned.reason === 'update') return;
    this.#add(planned, op.at, { kind: 'link', object: op.name, state: 'extra', detail: '' });
  }

  /** `namespace`: with which it would be made. */
  #makeLink(planned: PlannedOp, at: Place, name: string, namespace = at): Group {
    const key = linkKey(at, name);
    const whole = this.#made.get(namespace);
    if (whole) whole.with += 1;
    const isWrong = this.#gone.has(key);
    const detail = isWrong ? 'what differs cannot be changed in place' : '';
    const state = isWrong ? 'wrong' : 'missing';
    const group = whole ?? this.#add(planned, at, { kind: 'link', object: name, state, detail });
    this.#made.set(key, group);
    return group;
  }

  #draftsOf(op: Op): readonly Draft[] {
    const seen = 'at' in op ? this.#seen.at(op.at) : undefined;
    switch (op.kind) {
      case 'set-link': {
        const link = seen?.links.get(op.name);
        const detail = link ? linkDetail(op.set, link) : '';
        return detail === '' ? [] : [{ kind: 'link', object: op.name, state: 'wrong', detail }];
      }
      case 'set-port': {
        const detail = portDetail(op.flags, seen?.links.get(op.name)?.port);
        return [{ kind: 'port flags', object: op.name, state: 'wrong', detail }];
      }
      case 'set-sysctl': {
        const isOff =
          (op.key === 'net.ipv4.ip_forward' && seen?.forwarding === false) ||
          (op.key === 'net.ipv6.conf.all.forwarding' && op.value === '1' && seen?.forwarding6 === false);
        return isOff ? [{ kind: 'setting', object: op.key, state: 'wrong', detail: '0 instead of 1' }] : [];
      }
      case 'set-filter':
      case 'add-elements':
      case 'remove-elements':
      case 'delete-filter':
        return this.#ofTable(op);
      default: {
        const row = this.#seen.row(op);
        return row ? [row] : [];
      }
    }
  }

  #ofTable(
    op: Extract<Op, { kind: 'set-filter' | 'add-elements' | 'remove-elements' | 'delete-filter' }>,
  ): readonly Draft[] {
    const state = this.#seen.at(op.at);
    const family = op.kind === 'set-filter' ? op.filter.family : op.family;
    const isServices = isNetworkNamespace(op.at) && family === 'inet';
    const seen = isServices ? state?.services : state?.filter;
    if (op.kind === 'delete-filter') return tableDrift(undefined, seen ?? { family, sets: [], chains: [] });
    if (op.kind === 'set-filter') {
      const drifts = tableDrift(op.filter, seen);
      if (drifts.length > 0) return drifts;
      return [{ kind: 'table', object: `table ${family} overlayd`, state: 'wrong', detail: 'it does not act' }];
    }
    const listed: DriftState = op.kind === 'add-elements' ? 'missing' : 'extra';
    return op.sets.flatMap(({ name, elements }) =>
      [...elements].map(
        (element): Draft => ({
          ...{ kind: 'element', state: listed, detail: '' },
          object: `${element} in set ${name} of table ${family} overlayd`,
        }),
      ),
    );
  }

  /** Of one object that is both set and taken away it is wrong. */
  #add({ network, endpointId }: Owner, at: Place, draft: Draft): Group {
    const key = driftKey({ ...draft, place: at });
    const before = this.#groups.get(key);
    const detail = [...new Set([before?.draft.detail ?? '', draft.detail])].filter((part) => part !== '').join('; ');
    const state = before && before.draft.state !== draft.state ? 'wrong' : draft.state;
    const group = { at, network, endpointId, draft: { ...draft, state, detail }, with: before?.with ?? 0 };
    this.#groups.set(key, group);
    return group;
  }

  #groupAt(at: Place, kind: Drift['kind'], object: string): Group | undefined {
    return this.#groups.get(driftKey({ place: at, kind, object }));
  }
}

function linkKey(at: Place, name: string): string {
  return `${at} ${name}`;
}
