/**
 * Claims an address for an endpoint, and with it the endpoint: one compare-and-create transaction that holds only while this node is a member,
 * the network active and the address free. A loser chooses again (automatic) or learns who holds it (static). Hosts
 * that claim at the same moment choose the same address, so a loser spreads out: with every loss over twice as many
 * addresses and a longer moment. The kernel is not touched before the claim is etcd's.
 */
import { derivedMac } from '../../core/endpoint-mac.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { MOST_CONTAINERS } from '../../core/host-state.ts';
import { type AddressSpace, type Choice, checkAddress, chooseAddress } from '../../core/ipam/address.ts';
import { unreadableRecord } from '../../core/levels.ts';
import { RecentIds } from '../../core/recent-ids.ts';
import { decodeClaim, decodeNode, decodeQuarantine } from '../../core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../core/records.ts';
import type { Clock, Random } from '../../ports/runtime.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Change, type Commit, type Committed, unchanged } from '../view/commit.ts';
import { endpointEntries } from './endpoint-claims.ts';
import { refuseTakenMac } from './mac-choice.ts';
import { hasMac, MacClaims } from './mac-claims.ts';

export interface AddressClaimsDeps {
  readonly store: Pick<ClusterStore, 'get'>;
  readonly commit: Commit;
  readonly state: ClusterState;
  readonly clock: Clock;
  readonly random: Random;
  /** A claim whose outcome is unknown (etcd fell silent): see to it that nothing stays. */
  readonly abandon: (record: EndpointRecord) => void;
}

export interface Wanted extends Pick<EndpointRecord, 'ports' | 'labels'> {
  /** Undefined: its own short id, until it gets one. */
  readonly name: string | undefined;
  readonly aliases: readonly string[];
  /** Static address; undefined: automatic. */
  readonly ip: string | undefined;
  readonly mac: string | undefined;
}

export interface Claim extends Pick<Committed, 'told'> {
  readonly record: EndpointRecord;
}

const ATTEMPTS = 64;
/** How far apart losers spread at most, in addresses and in milliseconds. */
const MOST_SKIPPED = 256;
const LONGEST_PAUSE_MS = 32;

export class AddressClaims {
  readonly #deps: AddressClaimsDeps;
  readonly #selfId: string;
  readonly #macs: MacClaims;
  /** By network: being claimed by this node now. */
  readonly #pending = new Map<string, Set<string>>();
  /** Ids of the records that this run claimed, or tried to; undefined once nobody asks any more. */
  #claimed: Set<string> | undefined = new Set();
  /** Ids of records: their endpoints may still be being made. */
  readonly recent = new RecentIds();

  constructor(deps: AddressClaimsDeps, options: { readonly selfId: string }) {
    this.#deps = deps;
    this.#macs = new MacClaims(deps);
    this.#selfId = options.selfId;
  }

  /** Whether this run made the claim; to be asked until `settleLeftovers`. */
  isOfThisRun(endpointId: string): boolean {
    return this.#claimed?.has(endpointId) ?? true;
  }

  get leftoversSettled(): boolean {
    return this.#claimed === undefined;
  }

  /** What earlier runs left has been released: from now on every claim of this node is this run's. */
  settleLeftovers(): void {
    this.#claimed = undefined;
  }

  /** The network's address space, as far as this node knows it. */
  space(network: NetworkRecord): AddressSpace {
    const { view } = this.#deps.state;
    return {
      subnets: network.subnets,
      claims: view.claims(network.id),
      endpoints: view.addresses(network.id),
      quarantine: view.quarantine(network.id),
      pending: this.#pending.get(network.id) ?? new Set(),
    };
  }

  /**
   * Throws what `chooseAddress` and `checkAddress` throw, `network-full`, `network-not-found`, `not-joined`, `conflict`,
   * `store-unavailable`.
   */
  async claim(asked: NetworkRecord, wanted: Wanted): Promise<Claim> {
    /** Addresses that turned out taken, and quarantines that turned out over, before the watch said so. */
    const lost = new Set<string>();
    const rested = new Set<string>();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // It may have got another subnet meanwhile.
      const network = this.#deps.state.view.network(asked.id) ?? asked;
      this.#refuseFull(network);
      const choice = this.#choose(network, wanted, lost, rested);
      const pending = this.#reserve(network.id, choice.address);
      try {
        const claim = await this.#tryClaim(network, wanted, choice);
        if (claim) return claim;
        await this.#learn(network, choice.address, lost, rested);
        if (!lost.has(choice.address) && (await this.#isMacTaken(network, wanted, choice))) lost.add(choice.address);
      } finally {
        pending.delete(choice.address);
      }
      if (lost.size > 0) await this.#deps.clock.sleep(this.#spread(lost.size, LONGEST_PAUSE_MS));
    }
    throw new OverlaydError(
      'conflict',
      `no address on network ${asked.name} could be claimed: too many claims at once; try again`,
      {
        retryable: true,
      },
    );
  }

  /** An automatic choice passes over what it cannot tell. */
  async #isMacTaken(network: NetworkRecord, { ip, mac }: Wanted, { address }: Choice): Promise<boolean> {
    try {
      return (await this.#macs.learn(network, mac ?? derivedMac(address))) !== undefined;
    } catch (error) {
      if (ip !== undefined || mac !== undefined || !isOverlaydError(error, 'version-mismatch')) throw error;
      return true;
    }
  }

  /** A claim that the kernel has no port for would be undone again. */
  #refuseFull({ id, name }: NetworkRecord): void {
    const { view } = this.#deps.state;
    const pending = this.#pending.get(id) ?? new Set();
    const addresses = view.addresses(id);
    if (addresses.size + pending.size < MOST_CONTAINERS) return;
    let own = 0;
    for (const { networkId } of view.endpointsOf(this.#selfId).values()) if (networkId === id) own += 1;
    // What was claimed may be heard of before whoever claims it is told.
    for (const address of pending) if (addresses.get(address)?.nodeId !== this.#selfId) own += 1;
    if (own < MOST_CONTAINERS) return;
    throw new OverlaydError(
      'network-full',
      `network ${name} has ${MOST_CONTAINERS.toLocaleString('en')} containers on this host, and can have no more here (ports of a Linux bridge): connect this one on another host, or to another network`,
    );
  }

  /** What another version wrote may say anything: that the network is being removed, that this node has left. */
  #refuseUnreadable({ id, name }: NetworkRecord, ip: string | undefined): void {
    const { unreadable } = this.#deps.state.view;
    const self = keys.node(this.#selfId);
    if (unreadable.has(self)) throw unreadableRecord(self, 'this node can claim no address');
    const network = keys.network(id);
    if (unreadable.has(network)) throw unreadableRecord(network, `network ${name} gives no address to this host`);
    const taken = ip === undefined ? undefined : keys.address(id, ip);
    if (taken !== undefined && unreadable.has(taken)) {
      throw unreadableRecord(taken, `address ${ip} on network ${name} belongs to an endpoint; choose another`);
    }
  }

  #choose(network: NetworkRecord, wanted: Wanted, lost: ReadonlySet<string>, rested: ReadonlySet<string>): Choice {
    const { view } = this.#deps.state;
    const space = this.space(network);
    this.#refuseUnreadable(network, wanted.ip);
    if (wanted.mac !== undefined) refuseTakenMac(view, network, wanted.mac);
    const quarantine = new Map([...space.quarantine].filter(([address]) => !rested.has(address)));
    if (wanted.ip !== undefined) {
      const holder = (nodeId: string) => view.node(nodeId)?.name ?? nodeId.slice(0, 12);
      const choice = checkAddress({ ...space, quarantine }, wanted.ip, holder);
      refuseTakenMac(view, network, wanted.mac ?? derivedMac(choice.address));
      return choice;
    }
    const passed = new Set([...space.pending, ...lost]);
    const skip = Math.floor(this.#spread(lost.size, MOST_SKIPPED));
    for (;;) {
      const choice = chooseAddress({ ...space, quarantine, pending: passed }, network.name, skip);
      // Hardly ever is the MAC that follows from it another endpoint's.
      if (wanted.mac !== undefined || !hasMac(view.addresses(network.id).values(), derivedMac(choice.address)))
        return choice;
      passed.add(choice.address);
    }
  }

  /** Random, from a range that doubles with every loss; below 1 before the first. */
  #spread(losses: number, most: number): number {
    return this.#deps.random.next() * Math.min(2 ** losses, most);
  }

  async #tryClaim(network: NetworkRecord, wanted: Wanted, choice: Choice): Promise<Claim | undefined> {
    const { commit, state, clock, random } = this.#deps;
    const selfKey = keys.node(this.#selfId);
    const selfRevision = state.revisionOf(selfKey);
    if (selfRevision === undefined || state.view.node(this.#selfId)?.left) return undefined;
    const networkKey = keys.network(network.id);
    const networkRevision = state.revisionOf(networkKey);
    if (networkRevision === undefined || state.view.network(network.id)?.state !== 'active') throw removed(network);
    const { address } = choice;
    const id = random.hex(32);
    this.#claimed?.add(id);
    this.recent.add(id);
    const record: EndpointRecord = {
      id,
      networkId: network.id,
      nodeId: this.#selfId,
      addresses: [{ subnet: choice.subnet, ip: address }],
      mac: wanted.mac ?? derivedMac(address),
      name: wanted.name ?? id.slice(0, 12),
      aliases: wanted.aliases,
      createdAt: clock.now(),
      ...(wanted.ports && { ports: wanted.ports }),
      ...(wanted.labels && { labels: wanted.labels }),
    };
    const entries = endpointEntries(record);
    const quarantineKey = keys.quarantine(network.id, address);
    const quarantined = choice.fromQuarantine ? state.entryOf(quarantineKey) : undefined;
    const mac = this.#macs.claim(network, record);
    const compares: Compare[] = [
      { kind: 'revision', key: networkKey, revision: networkRevision },
      ...entries.map(({ key }): Compare => ({ kind: 'absent', key })),
      // Removal marks the record before it lists the node's endpoints: no claim may succeed after that.
      { kind: 'revision', key: selfKey, revision: selfRevision },
      unchanged(quarantineKey, quarantined),
      ...mac.compares,
    ];
    const changes: Change[] = [
      ...entries.map((entry): Change => ({ kind: 'put', ...entry })),
      ...mac.changes,
      ...(quarantined ? [{ kind: 'delete', key: quarantineKey } as const] : []),
    ];
    const committed = await commit(compares, changes).catch((error: unknown) => {
      this.#deps.abandon(record);
      throw error;
    });
    return committed && { record, told: committed.told };
  }

  /** Why the claim failed: reads the keys that it compared. */
  async #learn(network: NetworkRecord, address: string, lost: Set<string>, rested: Set<string>): Promise<void> {
    const { store, state } = this.#deps;
    const [self, current, claimed, quarantine] = await Promise.all([
      store.get(keys.node(this.#selfId)),
      store.get(keys.network(network.id)),
      store.get(keys.address(network.id, address)),
      store.get(keys.quarantine(network.id, address)),
    ]);
    if (!self || decodeNode(self.value)?.left) {
      throw new OverlaydError(
        'not-joined',
        'this node was removed from the cluster; `overlayd status` says what to do',
      );
    }
    if (!current) throw removed(network);
    const claim = claimed && decodeClaim(claimed.value);
    const endpoint = claim && (await store.get(keys.endpoint({ nodeId: claim.nodeId, id: claim.endpointId })));
    state.learn([self, current, claimed, endpoint, quarantine].filter((entry) => entry !== undefined));
    if (claimed) lost.add(address);
    else if (quarantine && !decodeQuarantine(quarantine.value)?.clean) lost.add(address);
    else if (!quarantine) rested.add(address);
  }

  #reserve(networkId: string, address: string): Set<string> {
    let pending = this.#pending.get(networkId);
    if (!pending) {
      pending = new Set();
      this.#pending.set(networkId, pending);
    }
    pending.add(address);
    return pending;
  }
}

function removed(network: NetworkRecord): OverlaydError {
  return new OverlaydError('network-not-found', `network ${network.name} not found: it has just been removed`);
}
