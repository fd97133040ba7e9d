/**
 * The subnets that networks hold: what a new one must keep clear of, and another one for a network that is there. Whoever writes
 * a subnet compares the guard of all of them, so what was found free is free when it is written.
 */
import { type Cidr, formatCidr, requireCidr } from '../../core/cidr.ts';
import { unknownMembers } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { refuseTooSmallMtu } from '../../core/inner-mtu.ts';
import type { Family } from '../../core/ip.ts';
import { hostHolders } from '../../core/ipam/host-holders.ts';
import {
  checkSubnet,
  checkSubnets,
  chooseSubnet,
  type Holder,
  type Pool,
  refuseTooMany,
} from '../../core/ipam/subnet.ts';
import { drawUlaPrefix, ulaPools } from '../../core/ipam/ula.ts';
import { upstreamHolders } from '../../core/ipam/upstream-holders.ts';
import { IPV6_LEVEL, levelOf, requireLevel, unreadableRecord } from '../../core/levels.ts';
import { type NetworkDraft, type SubnetRequest, specifySubnets } from '../../core/network-request.ts';
import { decodeCluster, decodeNode } from '../../core/record-codec.ts';
import { keys, type NetworkRecord, PREFIX, SUBNET_GUARD } from '../../core/records.ts';
import type { Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Commit, unchanged } from '../view/commit.ts';

export interface SubnetsDeps {
  readonly store: ClusterStore;
  readonly state: ClusterState;
  readonly commit: Commit;
  readonly random: Pick<Random, 'hex'>;
  readonly logger: Pick<Logger, 'info'>;
}

const ATTEMPTS = 8;
const NETWORKS = `${PREFIX}networks/`;
const NODES = `${PREFIX}nodes/`;

/**
 * What a new subnet must keep clear of. `entries`: the claims, with the guard. Names of networks come from the view, or
 * from etcd for very new ones. The members are read after the guard: one that changes later changes the guard too.
 */
export async function subnetHolders(
  { state, store }: Pick<SubnetsDeps, 'state' | 'store'>,
  entries: readonly StoreEntry[],
): Promise<Holder[]> {
  const nodes = await store.list(NODES);
  const taken = entries.filter((entry) => entry.key !== SUBNET_GUARD);
  if (taken.some((entry) => state.view.network(entry.value) === undefined)) await state.read(store, NETWORKS);
  const networks = taken.map((entry): Holder => {
    const network = state.view.network(entry.value);
    const state_ = network?.state === 'deleting' ? ' (being removed)' : '';
    return {
      block: requireCidr(entry.key.slice(keys.subnets.length).replace('_', '/'), 'subnet'),
      who: `network ${network?.name ?? entry.value.slice(0, 12)}${state_}`,
      kind: 'network',
    };
  });
  // Of one that cannot be read what was known of it stands.
  const known = ({ key, value }: StoreEntry) => decodeNode(value) ?? state.view.node(key.slice(NODES.length)) ?? [];
  const active = [...state.view.networks()].filter((network) => network.state === 'active');
  return [...networks, ...hostHolders(nodes.entries.flatMap(known)), ...upstreamHolders(active)];
}

/**
 * The blocks of a new network: those asked for, and of a family of which none is one that is free. IPv4 comes first. Throws what
 * `checkSubnets`, `chooseSubnet` and {@link automaticPools} throw.
 */
export async function chooseBlocks(
  deps: SubnetsDeps,
  { families, internal }: Pick<NetworkDraft, 'families' | 'internal'>,
  subnets: readonly string[],
  holders: readonly Holder[],
): Promise<Cidr[]> {
  const asked = checkSubnets(subnets, holders, internal);
  const blocks: Cidr[] = [];
  for (const family of families) {
    const own = asked.filter(({ ip }) => ip.family === family);
    if (own.length > 0) blocks.push(...own);
    else blocks.push(chooseSubnet(await automaticPools(deps, family), holders, internal));
  }
  return blocks;
}

/** Throws `version-mismatch`, and `conflict` when the cluster's record is changed all the time. */
export async function automaticPools(deps: SubnetsDeps, family: Family): Promise<readonly Pool[]> {
  if (family === 6) return ulaPools(await ulaPrefix(deps));
  return deps.state.view.cluster()?.pools ?? [];
}

/** Clusters of before there was one get theirs when it is needed first: once, whoever needs it at the same moment. */
async function ulaPrefix({ commit, random, state, store }: SubnetsDeps): Promise<string> {
  const known = state.view.cluster()?.ulaPrefix;
  if (known !== undefined) return known;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const entry = await store.get(keys.cluster);
    const cluster = entry && decodeCluster(entry.value);
    if (!cluster) throw unreadableRecord(keys.cluster, 'no subnet of IPv6 can be chosen here');
    if (cluster.ulaPrefix !== undefined) return cluster.ulaPrefix;
    const drawn = drawUlaPrefix(random);
    const record = { ...cluster, ulaPrefix: drawn };
    if (await commit([unchanged(keys.cluster, entry)], [{ kind: 'put', key: keys.cluster, record }])) return drawn;
  }
  throw new OverlaydError('conflict', "the cluster's record is changed all the time; try again", { retryable: true });
}

/**
 * Throws `version-mismatch` or `conflict` when the cluster cannot have networks with IPv6 yet, and `invalid-argument` when
 * this one would be too narrow for it.
 */
export async function requireIpv6(
  { state, store }: Pick<SubnetsDeps, 'state' | 'store'>,
  network: Pick<NetworkRecord, 'options'>,
): Promise<void> {
  await requireSpoken({ state, store }, IPV6_LEVEL, 'networks with IPv6');
  refuseTooSmallMtu(state.view, network);
}

/** Throws what `requireLevel` throws, also where a member cannot be read and may be of any level. `what`: as there. */
export async function requireSpoken(
  { state, store }: Pick<SubnetsDeps, 'state' | 'store'>,
  level: number,
  what: string,
): Promise<void> {
  if (levelOf(state.view) >= level) return;
  // It may have risen since this host heard of it.
  await Promise.all([state.read(store, keys.cluster), state.read(store, NODES)]);
  const [unknown] = levelOf(state.view) < level ? unknownMembers(state.view) : [];
  if (unknown) throw unreadableRecord(keys.node(unknown), `${what} need to know what every member speaks`);
  requireLevel(level, levelOf(state.view), state.view.nodes(), what);
}

/** Nobody has written a subnet since `entries` were read. */
export function unchangedSubnets(entries: readonly StoreEntry[]): Compare {
  const guard = entries.find(({ key }) => key === SUBNET_GUARD);
  return guard
    ? { kind: 'revision', key: SUBNET_GUARD, revision: guard.revision }
    : { kind: 'absent', key: SUBNET_GUARD };
}

/**
 * Undefined: somebody changed the network, or subnets, meanwhile; it may be tried again. Throws what `checkSubnet`,
 * `specifySubnets` and {@link requireIpv6} throw, `network-not-found`, `version-mismatch`.
 */
export async function addSubnet(
  { commit, logger, state, store }: SubnetsDeps,
  { id, name }: Pick<NetworkRecord, 'id' | 'name'>,
  { subnet, gateway, ipRange }: SubnetRequest,
): Promise<NetworkRecord | undefined> {
  const key = keys.network(id);
  const { entries } = await store.list(keys.subnets);
  const holders = await subnetHolders({ state, store }, entries);
  const entry = await store.get(key);
  if (entry) state.learn([entry]);
  if (state.view.unreadable.has(key)) throw unreadableRecord(key, `network ${name} gets no subnet here`);
  const network = state.view.network(id);
  const revision = state.revisionOf(key);
  if (!entry || network?.state !== 'active' || revision === undefined) {
    throw new OverlaydError('network-not-found', `network ${name} not found: it has just been removed`);
  }
  refuseTooMany(network.subnets.length + 1);
  const block = checkSubnet(subnet, holders, network.internal);
  if (block.ip.family === 6) await requireIpv6({ state, store }, network);
  const added = specifySubnets([block], {
    gateways: gateway === undefined ? [] : [gateway],
    ipRanges: ipRange === undefined ? [] : [ipRange],
    auxAddresses: {},
  });
  const claim = keys.subnet(formatCidr(block));
  const record: NetworkRecord = { ...network, subnets: [...network.subnets, ...added] };
  const committed = await commit(
    [unchangedSubnets(entries), { kind: 'revision', key, revision }, { kind: 'absent', key: claim }],
    [
      { kind: 'put', key: SUBNET_GUARD, record: id },
      { kind: 'put', key: claim, record: id },
      { kind: 'put', key, record },
    ],
  );
  if (!committed) return undefined;
  await committed.told;
  logger.info({ event: 'subnet-added', network: name, subnet: formatCidr(block) }, 'network has another subnet');
  return record;
}
