/** Static names of networks: adding and removing them by one transaction over the network and all that it has of them. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { namesOf } from '../../core/dns/names-protocol.ts';
import {
  parseStaticSet,
  parseStaticValues,
  type StaticRequest,
  staticName,
  staticType,
  withoutStatic,
  withStaticSet,
} from '../../core/dns/static-names.ts';
import { OverlaydError } from '../../core/errors.ts';
import { unreadableRecord } from '../../core/levels.ts';
import { decodeNetwork, decodeStaticNames } from '../../core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord, type StaticSet } from '../../core/records.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { Networks } from '../networks/networks.ts';
import type { Commit } from '../view/commit.ts';

export interface StaticNamesDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly view: Pick<ClusterView, 'endpointsOn' | 'node' | 'services' | 'staticNames'>;
  readonly networks: Pick<Networks, 'find' | 'list'>;
}

export interface ListedSet {
  readonly network: NetworkRecord;
  readonly set: StaticSet;
  /** In words, the container that goes by the name, and is answered instead; undefined: none does. */
  readonly takenBy: string | undefined;
}

const ATTEMPTS = 16;

/** Returns what the name has of that type then. Throws what `parseStaticSet` and `withStaticSet` throw, `name-in-use`. */
export async function addStaticNames(deps: StaticNamesDeps, ref: string, request: StaticRequest): Promise<ListedSet> {
  const { network, sets, asked } = await change(deps, ref, (held, of) => {
    const added = parseStaticSet(request, of);
    const holder = holderOf(deps.view, of, added.name);
    const service = deps.view.services(of.id)?.services.find((each) => each.name === added.name);
    if (holder === undefined && service) {
      throw new OverlaydError(
        'name-in-use',
        `${added.name} is a service of network ${of.name}, which would be answered alone; remove it first (overlayd service rm ${of.name} ${added.name}), or choose another name`,
      );
    }
    if (holder !== undefined) {
      throw new OverlaydError(
        'name-in-use',
        `${added.name} is the name of ${holder} on network ${of.name}, which would be answered alone; choose another name, or an alias for that container (overlayd network connect --alias)`,
      );
    }
    return { sets: withStaticSet(held, added), asked: added };
  });
  const set = sets.find(({ name, type }) => name === asked.name && type === asked.type)!;
  return { network, set, takenBy: undefined };
}

export interface StaticRemoval {
  readonly name: string;
  /** Undefined: all of the name. */
  readonly type?: string | undefined;
  /** Empty: all of them. */
  readonly values: readonly string[];
}

/** Throws `name-not-found`, and what is said of a name, type or value that is none. */
export async function removeStaticNames(deps: StaticNamesDeps, ref: string, request: StaticRemoval): Promise<string> {
  const { network, asked } = await change(deps, ref, (held, of) => {
    const name = staticName(request.name, of, 'name');
    const type = request.type === undefined ? undefined : staticType(request.type);
    const values = type === undefined ? [] : parseStaticValues(type, request.values, of);
    return { sets: withoutStatic(held, { name, type, values }), asked: name };
  });
  return `${asked}.${network.name}`;
}

/** Of a network, or of all, by network, name and type. */
export async function listStaticNames(deps: StaticNamesDeps, ref: string | undefined): Promise<ListedSet[]> {
  const networks = ref === undefined ? deps.networks.list() : [await deps.networks.find(ref)];
  return networks.flatMap((network) => {
    const sets = [...(deps.view.staticNames(network.id)?.sets ?? [])];
    sort(sets);
    return sets.map((set) => ({ network, set, takenBy: holderOf(deps.view, network, set.name) }));
  });
}

function sort(sets: StaticSet[]): void {
  const key = ({ name, type }: StaticSet) => `${name} ${type}`;
  sets.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

interface Changed<T> {
  readonly sets: readonly StaticSet[];
  readonly asked: T;
}

async function change<T>(
  { store, commit, networks }: StaticNamesDeps,
  ref: string,
  decide: (sets: readonly StaticSet[], network: NetworkRecord) => Changed<T>,
): Promise<Changed<T> & { readonly network: NetworkRecord }> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { id, name } = await networks.find(ref);
    const key = keys.staticNames(id);
    const [held, of] = await Promise.all([store.get(key), store.get(keys.network(id))]);
    const network = of && decodeNetwork(of.value);
    if (of && !network) throw unreadableRecord(of.key, `static names of network ${name} cannot be changed here`);
    if (!of || network?.state !== 'active') {
      throw new OverlaydError('network-not-found', `network ${name} not found: it has just been removed`);
    }
    const record = held && decodeStaticNames(held.value);
    if (held && !record) throw unreadableRecord(key, `static names of network ${name} cannot be changed here`);
    const changed = decide(record?.sets ?? [], network);
    const committed = await commit(
      [
        { kind: 'revision', key: of.key, revision: of.revision },
        held ? { kind: 'revision', key, revision: held.revision } : { kind: 'absent', key },
      ],
      [{ kind: 'put', key, record: { ...record, networkId: id, sets: changed.sets } }],
    );
    if (!committed) continue;
    await committed.told;
    return { ...changed, network };
  }
  throw new OverlaydError('conflict', 'too many static names are being changed at once; try again', {
    retryable: true,
  });
}

function holderOf(view: StaticNamesDeps['view'], network: NetworkRecord, name: string): string | undefined {
  for (const endpoint of view.endpointsOn(network.id)) {
    if (namesOf(endpoint).includes(name)) return describe(view, endpoint);
  }
  return undefined;
}

function describe(view: StaticNamesDeps['view'], { name, nodeId }: EndpointRecord): string {
  return `container ${name} on host ${view.node(nodeId)?.name ?? nodeId.slice(0, 12)}`;
}
