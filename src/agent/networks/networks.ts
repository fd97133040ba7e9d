/**
 * Making and removing networks.
 *
 * Create is one transaction over name, VNI and subnets; a loser chooses again or learns who won. So is another subnet. Remove is a state
 * machine: `deleting` (the name is free, nobody can attach) -> every member acknowledges that its part is torn down ->
 * VNI and subnet are free. Both can be cut short at any line: what is left is finished by whoever sees it.
 */
import { requireCidr } from '../../core/cidr.ts';
import { unknownMembers } from '../../core/cluster-view.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { refuseTooLargeMtu } from '../../core/inner-mtu.ts';
import type { Family } from '../../core/ip.ts';
import { checkSubnet, chooseSubnet, type Holder } from '../../core/ipam/subnet.ts';
import { refuseCoveredUpstreams, upstreamHolders } from '../../core/ipam/upstream-holders.ts';
import { MULTICAST_LEVEL, SERVICE_LEVEL, STICKY_LEVEL, unreadableRecord } from '../../core/levels.ts';
import { hasServiceAddresses, networkSettings } from '../../core/network-options.ts';
import {
  draftNetwork,
  type NetworkDraft,
  type NetworkRequest,
  type SubnetRequest,
  specifySubnets,
} from '../../core/network-request.ts';
import {
  keys,
  type NetworkRecord,
  type NodeRecord,
  PREFIX,
  SUBNET_GUARD,
  type SubnetSpec,
} from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore, Compare, StoreEntry } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Change, type Commit, type Committed, GATE_OPEN } from '../view/commit.ts';
import { asClusterSays, type CanEncrypt, requireEncryption } from './encryption.ts';
import { withoutServices } from './network-services.ts';
import {
  addSubnet,
  automaticPools,
  chooseBlocks,
  requireIpv6,
  requireSpoken,
  subnetHolders,
  unchangedSubnets,
} from './network-subnets.ts';
import { learnUsers, refuseIfUsed } from './network-users.ts';

export interface NetworksDeps {
  readonly store: ClusterStore;
  readonly state: ClusterState;
  readonly commit: Commit;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly canEncrypt: CanEncrypt;
  /** Resolves when this host has nothing of the network left. */
  readonly tearDown: (networkId: string, signal: AbortSignal) => Promise<void>;
}

export interface NetworksOptions {
  readonly selfId: string;
}

export interface Removed {
  readonly network: NetworkRecord;
  /** Names of members whose acknowledgement is outstanding. */
  readonly waitingFor: readonly string[];
}

const ATTEMPTS = 32;
/** How long a removal waits for the members before it reports them. */
const REMOVE_WAIT_MS = 3_000;
const NETWORKS = `${PREFIX}networks/`;

export class Networks {
  readonly #deps: NetworksDeps;
  readonly #options: NetworksOptions;

  constructor(deps: NetworksDeps, options: NetworksOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** All that are not being removed, by name. */
  list(): NetworkRecord[] {
    const active = [...this.#deps.state.view.networks()].filter((network) => network.state === 'active');
    return active.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** By name, id or unique id prefix. What this node has not heard of yet is looked up in etcd. */
  async find(ref: string): Promise<NetworkRecord> {
    const known = this.list();
    if (!known.some((network) => network.name === ref || network.id === ref)) {
      await this.#deps.state.read(this.#deps.store, NETWORKS).catch((error: unknown) => {
        // An id prefix can be answered from memory when etcd is away; anything else is better told the cause.
        if (!known.some((network) => network.id.startsWith(ref))) throw error;
      });
    }
    return resolveRef(this.list(), ref, 'network');
  }

  /** The one with that subnet (CIDR), if there is one. What this node has not heard of yet is looked up in etcd. */
  async withSubnet(cidr: string): Promise<NetworkRecord | undefined> {
    const find = () => this.list().find(({ subnets }) => subnets.some((subnet) => subnet.cidr === cidr));
    const known = find();
    if (known) return known;
    await this.#deps.state.read(this.#deps.store, NETWORKS);
    return find();
  }

  /**
   * Throws what `asClusterSays`, `draftNetwork`, `requireIpv6`, `requireSpoken`, `requireEncryption` and `chooseBlocks` throw,
   * `network-exists`, `vni-in-use`, `conflict`.
   */
  async create(asked: NetworkRequest): Promise<NetworkRecord> {
    const request = await asClusterSays(this.#deps, asked);
    const draft = draftNetwork(request);
    if (draft.families.includes(6)) await requireIpv6(this.#deps, draft);
    const { encrypted, multicastRate, sticky } = networkSettings(draft);
    if (multicastRate !== undefined) await requireSpoken(this.#deps, MULTICAST_LEVEL, 'networks with multicast');
    if (sticky) await requireSpoken(this.#deps, STICKY_LEVEL, 'sticky addresses');
    if (hasServiceAddresses(draft)) await requireSpoken(this.#deps, SERVICE_LEVEL, 'service addresses');
    if (encrypted) await requireEncryption(this.#deps, this.#options.selfId);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const network = await this.#tryCreate(draft, request);
      if (network) return network;
      await this.#deps.clock.sleep(this.#deps.random.next() * 20 * (attempt + 1));
    }
    throw new OverlaydError(
      'conflict',
      `network ${draft.name}: too many networks are being created at once; try again`,
      {
        retryable: true,
      },
    );
  }

  /**
   * A subnet that a new network could have: that one, or a free one of the family apart from `besides`. Claims nothing.
   * Throws what `checkSubnet`, `chooseSubnet` and `automaticPools` throw.
   */
  async propose(subnet: string | undefined, besides: readonly string[], family: Family = 4): Promise<SubnetSpec> {
    const { store } = this.#deps;
    const { entries } = await store.list(keys.subnets);
    const others = besides.map(
      (cidr): Holder => ({
        block: requireCidr(cidr, 'subnet'),
        who: 'a network that is being created',
        kind: 'network',
      }),
    );
    const holders = [...(await subnetHolders(this.#deps, entries)), ...others];
    const block =
      subnet === undefined
        ? chooseSubnet(await automaticPools(this.#deps, family), holders)
        : checkSubnet(subnet, holders);
    return specifySubnets([block], { gateways: [], ipRanges: [], auxAddresses: {} })[0]!;
  }

  /**
   * Another subnet for a network that is there, behind those that it has. Throws what `checkSubnets` and `specifySubnets` throw,
   * `network-not-found`, `conflict`.
   */
  async addSubnet(ref: string, request: SubnetRequest): Promise<NetworkRecord> {
    const { id, name } = await this.find(ref);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const added = await addSubnet(this.#deps, { id, name }, request);
      if (added) return added;
      await this.#deps.clock.sleep(this.#deps.random.next() * 20 * (attempt + 1));
    }
    const message = `network ${name} could not be given subnet ${request.subnet}: too many networks are being changed at once; try again`;
    throw new OverlaydError('conflict', message, { retryable: true });
  }

  /** Throws `network-not-found`, `network-in-use`. */
  async remove(ref: string, signal: AbortSignal): Promise<Removed> {
    const network = await this.find(ref);
    const { told } = await this.#beginRemoval(network);
    await told;
    const deadline = this.#deps.clock.elapsed() + REMOVE_WAIT_MS;
    return { network, waitingFor: await this.#awaitRemoval(network, deadline, signal) };
  }

  /** From then on it has no name, and every member that hears of it takes its part down. */
  async #beginRemoval(network: NetworkRecord): Promise<Committed> {
    const { commit, state, store } = this.#deps;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      refuseIfUsed(state.view, network);
      const key = keys.network(network.id);
      const revision = state.revisionOf(key);
      const current = state.view.network(network.id);
      if (revision === undefined || !current) break;
      if (state.view.unreadable.has(key)) throw unreadableRecord(key, `network ${network.name} cannot be removed here`);
      const services = await withoutServices(this.#deps, network);
      const committed = await commit(
        [{ kind: 'revision', key, revision }, ...services.compares],
        [
          { kind: 'put', key, record: { ...current, state: 'deleting' } },
          { kind: 'delete', key: keys.networkName(network.name) },
          ...services.changes,
        ],
      );
      if (committed) return committed;
      await Promise.all([state.read(store, NETWORKS), learnUsers(state, store, network)]);
    }
    throw new OverlaydError('network-not-found', `network ${network.name} not found: it has just been removed`);
  }

  /**
   * Removes networks without endpoints for which `selects` holds; networks that get used meanwhile stay. Members have
   * the same moment for all of them: one that is down holds up the command no longer for many than for one.
   */
  async prune(selects: (network: NetworkRecord) => boolean, signal: AbortSignal): Promise<Removed[]> {
    const begun: NetworkRecord[] = [];
    const told: Promise<void>[] = [];
    for (const network of this.list().filter(selects)) {
      if (this.#deps.state.view.addresses(network.id).size > 0) continue;
      try {
        told.push((await this.#beginRemoval(network)).told);
        begun.push(network);
      } catch (error) {
        // Somebody uses it now, or has removed it.
        if (!isOverlaydError(error, 'network-in-use') && !isOverlaydError(error, 'network-not-found')) throw error;
      }
    }
    await Promise.all(told);
    const pruned: Removed[] = [];
    const deadline = this.#deps.clock.elapsed() + REMOVE_WAIT_MS;
    for (const network of begun) {
      pruned.push({ network, waitingFor: await this.#awaitRemoval(network, deadline, signal) });
    }
    return pruned;
  }

  /** Does this member's part for every network that is being removed. Called whenever the view may hold one. */
  async finishRemovals(signal: AbortSignal): Promise<void> {
    const { view } = this.#deps.state;
    const removed = [...view.networks()].filter(
      ({ id, state }) => state === 'deleting' && !view.unreadable.has(keys.network(id)),
    );
    const results = await Promise.allSettled(removed.map((network) => this.#acknowledge(network, signal)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #tryCreate(draft: NetworkDraft, request: NetworkRequest): Promise<NetworkRecord | undefined> {
    const { commit, store, state, clock, random } = this.#deps;
    const [subnets, vnis] = await Promise.all([store.list(keys.subnets), store.list(keys.vnis)]);
    // After those: whoever holds the subnet asked for may be the network of that name, made at this moment.
    const name = await store.get(keys.networkName(draft.name));
    if (name) {
      throw new OverlaydError(
        'network-exists',
        `network with name ${draft.name} already exists (id ${name.value.slice(0, 12)})`,
      );
    }
    const holders = await subnetHolders(this.#deps, subnets.entries);
    refuseCoveredUpstreams(draft, holders);
    holders.push(...upstreamHolders([draft]));
    const cluster = state.view.cluster();
    refuseTooLargeMtu(state.view, draft);
    const blocks = await chooseBlocks(this.#deps, draft, request.subnets, holders);
    const network: NetworkRecord = {
      id: random.hex(32),
      name: draft.name,
      vni: this.#chooseVni(draft, vnis.entries, cluster?.vniRange ?? [4096, 16_777_215]),
      subnets: specifySubnets(blocks, request),
      internal: draft.internal,
      attachable: draft.attachable,
      labels: draft.labels,
      options: draft.options,
      createdAt: clock.now(),
      state: 'active',
    };
    const key = keys.network(network.id);
    const committed = await commit(
      [
        unchangedSubnets(subnets.entries),
        ...claimKeys(network).map((claimed): Compare => ({ kind: 'absent', key: claimed })),
      ],
      [
        { kind: 'put', key: SUBNET_GUARD, record: network.id },
        ...claimKeys(network).map((claimed): Change => ({ kind: 'put', key: claimed, record: network.id })),
        { kind: 'put', key, record: network },
      ],
    );
    if (!committed) return undefined;
    await committed.told;
    const told = { network: network.name, vni: network.vni, subnets: network.subnets.map(({ cidr }) => cidr) };
    this.#deps.logger.info({ event: 'network-created', ...told }, 'network created');
    return network;
  }

  #chooseVni(draft: NetworkDraft, entries: readonly StoreEntry[], [first, last]: readonly [number, number]): number {
    const taken = new Map(entries.map((entry) => [Number(entry.key.slice(keys.vnis.length)), entry.value]));
    if (draft.vni !== undefined) {
      const holder = taken.get(draft.vni);
      if (holder === undefined) return draft.vni;
      const name = this.#deps.state.view.network(holder)?.name ?? holder.slice(0, 12);
      throw new OverlaydError(
        'vni-in-use',
        `VNI ${draft.vni} is in use by network ${name}; choose another one, or leave the option out`,
      );
    }
    const inRange = [...taken.keys()].filter((vni) => vni >= first && vni <= last);
    // Next-fit as for addresses: a freed VNI is used again as late as possible.
    const start = inRange.length === 0 ? first : Math.max(...inRange) + 1;
    for (let i = 0; i <= last - first; i++) {
      const vni = first + ((start - first + i) % (last - first + 1));
      if (!taken.has(vni)) return vni;
    }
    throw new OverlaydError(
      'vni-in-use',
      `all VNIs from ${first} to ${last} are in use; remove networks (overlayd network prune)`,
    );
  }

  /** Waits for the members; returns the names of those that did not answer in time. */
  async #awaitRemoval(network: NetworkRecord, deadline: number, signal: AbortSignal): Promise<string[]> {
    const { clock, state, store } = this.#deps;
    for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 250)) {
      if (!state.view.network(network.id)) return [];
      if (clock.elapsed() >= deadline) {
        const acknowledged = await this.#acknowledgements(network.id).catch(() => new Set<string>());
        return this.#members()
          .filter((node) => !acknowledged.has(node.id))
          .map((node) => node.name);
      }
      await clock.sleep(pauseMs, signal);
      // The last acknowledgement frees the network, whoever gave it: look, rather than wait for the watch.
      if (!(await store.get(keys.network(network.id)))) return [];
    }
  }

  async #acknowledge(network: NetworkRecord, signal: AbortSignal): Promise<void> {
    const { commit, store, tearDown, state } = this.#deps;
    await tearDown(network.id, signal);
    const own = keys.networkAck(network.id, this.#options.selfId);
    const key = keys.network(network.id);
    const revision = state.revisionOf(key);
    if (revision === undefined) return;
    // No commit: members count what etcd lists, and a thousand of them would tell each other a million times.
    await store.txn([GATE_OPEN, { kind: 'revision', key, revision }], [{ kind: 'put', key: own, value: '1' }]);
    const acknowledged = await this.#acknowledgements(network.id);
    if (!this.#members().every((node) => acknowledged.has(node.id))) return;
    const freed = await commit(
      [{ kind: 'revision', key, revision }],
      [
        { kind: 'delete', key },
        { kind: 'delete', key: keys.staticNames(network.id) },
        ...ownedKeys(network).map((owned): Change => ({ kind: 'delete', key: owned })),
        { kind: 'delete-prefix', prefix: keys.networkAcks(network.id) },
        { kind: 'delete-prefix', prefix: keys.quarantineOn(network.id) },
        { kind: 'delete-prefix', prefix: keys.macs(network.id) },
      ],
    );
    if (!freed) return;
    const { name, vni } = network;
    this.#deps.logger.info(
      { event: 'network-removed', network: name, vni },
      'network removed, VNI and subnet are free',
    );
  }

  async #acknowledgements(networkId: string): Promise<Set<string>> {
    const prefix = keys.networkAcks(networkId);
    const { entries } = await this.#deps.store.list(prefix);
    return new Set(entries.map((entry) => entry.key.slice(prefix.length)));
  }

  /** Those of whom nothing can be read may have a part as well. */
  #members(): readonly Pick<NodeRecord, 'id' | 'name'>[] {
    const { view } = this.#deps.state;
    const unknown = unknownMembers(view).map((id) => ({ id, name: id.slice(0, 12) }));
    return [...[...view.nodes()].filter((node) => !node.left), ...unknown];
  }
}

function ownedKeys(network: NetworkRecord): string[] {
  return [keys.vni(network.vni), ...network.subnets.map((subnet: SubnetSpec) => keys.subnet(subnet.cidr))];
}

function claimKeys(network: NetworkRecord): string[] {
  return [keys.networkName(network.name), ...ownedKeys(network)];
}
