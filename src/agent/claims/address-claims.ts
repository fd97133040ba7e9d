/**
 * Claims addresses for an endpoint, and with them the endpoint: one compare-and-create transaction that holds only while this
 * node is a member, the network active, and each of the addresses and the MAC free. A loser chooses anew what it lost
 * (automatic), after a moment that grows with every loss, or learns who holds it (static). The kernel is not touched before the
 * claim is etcd's.
 */
import { isOverlaydError, OverlaydError, removedNode } from '../../core/errors.ts';
import { MOST_CONTAINERS } from '../../core/host-state.ts';
import type { Family } from '../../core/ip.ts';
import type { AddressSpace } from '../../core/ipam/address.ts';
import { isKeptFromOthers, mayHave } from '../../core/ipam/kept.ts';
import { networkSettings } from '../../core/network-options.ts';
import { RecentIds } from '../../core/recent-ids.ts';
import { decodeClaim, decodeNode, decodeQuarantine } from '../../core/record-codec.ts';
import { addressList, type EndpointRecord, keys, type NetworkRecord } from '../../core/records.ts';
import { subnetsOf } from '../../core/subnets.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { type Change, type Commit, type Committed, unchanged } from '../view/commit.ts';
import { AddressChoice, type Chosen, type Wanted } from './address-choice.ts';
import { endpointEntries, heldEndpoint } from './endpoint-claims.ts';
import { lettingGo } from './kept-addresses.ts';
import { MacClaims, releaseMac } from './mac-claims.ts';
import type { Releases } from './releases.ts';

export interface AddressClaimsDeps {
  readonly store: Pick<ClusterStore, 'get' | 'grantLease'>;
  readonly commit: Commit;
  readonly state: ClusterState;
  readonly clock: Clock;
  readonly random: Random;
  readonly releases: Pick<Releases, 'abandon' | 'settle'>;
  readonly logger: Pick<Logger, 'info'>;
}

export interface AddressClaimsOptions {
  readonly selfId: string;
  readonly quarantineSeconds: number;
}

export interface Claim extends Pick<Committed, 'told'> {
  readonly record: EndpointRecord;
}

const ATTEMPTS = 64;

export class AddressClaims {
  readonly #deps: AddressClaimsDeps;
  readonly #selfId: string;
  readonly #quarantineSeconds: number;
  readonly #macs: MacClaims;
  /** By network and address: being claimed by this node now, and by which choice. */
  readonly #pending = new Map<string, Map<string, AddressChoice>>();
  /** Ids of the records that this run claimed, or tried to; undefined once nobody asks any more. */
  #claimed: Set<string> | undefined = new Set();
  /** Ids of records: their endpoints may still be being made. */
  readonly recent = new RecentIds();

  constructor(deps: AddressClaimsDeps, { selfId, quarantineSeconds }: AddressClaimsOptions) {
    this.#deps = deps;
    this.#macs = new MacClaims(deps);
    this.#selfId = selfId;
    this.#quarantineSeconds = quarantineSeconds;
  }

  /** Whether this run made the claim, since etcd fell back last; to be asked until `settleLeftovers`. */
  isOfThisRun(endpointId: string): boolean {
    return this.#claimed?.has(endpointId) ?? true;
  }

  get leftoversSettled(): boolean {
    return this.#claimed === undefined;
  }

  /** etcd holds what it held once: claims too that have been given back since. */
  expectLeftovers(): void {
    this.#claimed = new Set();
  }

  /** What earlier runs left has been released: from now on every claim of this node is this run's. */
  settleLeftovers(): void {
    this.#claimed = undefined;
  }

  /** The network's address space of one family, as far as this node knows it. `own`: what is pending of it is free. */
  space({ id, subnets }: NetworkRecord, family: Family, own?: AddressChoice): AddressSpace {
    const { view } = this.#deps.state;
    const pending = this.#pending.get(id);
    return {
      subnets: subnetsOf(subnets, family),
      claims: view.claims(id),
      endpoints: view.addresses(id),
      quarantine: view.quarantine(id),
      pending: { has: (address) => (pending?.get(address) ?? own) !== own },
      now: this.#deps.clock.now(),
    };
  }

  /**
   * `former`: claims of this node that end with the same transaction, so that their addresses can be asked for. Throws what
   * `AddressChoice` throws, `network-full`, `network-not-found`, `not-joined`, `conflict`, `store-unavailable`.
   */
  async claim(asked: NetworkRecord, wanted: Wanted, former: readonly EndpointRecord[] = []): Promise<Claim> {
    const { state, clock, random, releases } = this.#deps;
    if (wanted.name !== undefined && networkSettings(asked).sticky) await releases.settle(asked.id, wanted.name);
    const space = (network: NetworkRecord, family: Family) => without(this.space(network, family, choice), former);
    const choice: AddressChoice = new AddressChoice(
      // What is claimed anew has had what was kept for it.
      { state, random, selfId: this.#selfId, space, takesKept: former.length === 0 },
      wanted,
    );
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        // It may have got another subnet meanwhile.
        const network = state.view.network(asked.id) ?? asked;
        this.#refuseFull(network, choice);
        const chosen = choice.choose(network);
        this.#reserve(network.id, chosen, choice);
        const claim = await this.#tryClaim(network, wanted, chosen, former);
        if (claim) return claim;
        await this.#learnFormer(former);
        const isLost = await this.#learn(network, wanted, chosen, choice);
        if (!isLost && (await this.#isMacTaken(network, wanted, chosen))) choice.loseMac(chosen);
        const pauseMs = choice.pauseMs();
        if (pauseMs !== undefined) await clock.sleep(pauseMs);
      }
    } finally {
      this.#free(asked.id, choice);
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
  async #isMacTaken(network: NetworkRecord, wanted: Wanted, { mac }: Chosen): Promise<boolean> {
    try {
      return (await this.#macs.learn(network, mac)) !== undefined;
    } catch (error) {
      const isAsked = wanted.ip !== undefined || wanted.mac !== undefined;
      if (isAsked || !isOverlaydError(error, 'version-mismatch')) throw error;
      return true;
    }
  }

  /** A claim that the kernel has no port for would be undone again. */
  #refuseFull({ id, name }: NetworkRecord, claiming: AddressChoice): void {
    const { view } = this.#deps.state;
    const pending = this.#pending.get(id) ?? new Map<string, AddressChoice>();
    const addresses = view.addresses(id);
    const most = Math.min(addresses.size, view.endpointCount(this.#selfId));
    if (most + pending.size < MOST_CONTAINERS) return;
    let own = 0;
    for (const { nodeId } of view.endpointsOn(id)) if (nodeId === this.#selfId) own += 1;
    // What was claimed may be heard of before whoever claims it is told.
    const others = new Set<AddressChoice>();
    for (const [address, choice] of pending) if (addresses.get(address)?.nodeId !== this.#selfId) others.add(choice);
    others.delete(claiming);
    own += others.size;
    if (own < MOST_CONTAINERS) return;
    throw new OverlaydError(
      'network-full',
      `network ${name} has ${MOST_CONTAINERS.toLocaleString('en')} containers on this host, and can have no more here (ports of a Linux bridge): connect this one on another host, or to another network`,
    );
  }

  async #tryClaim(
    network: NetworkRecord,
    wanted: Wanted,
    chosen: Chosen,
    former: readonly EndpointRecord[],
  ): Promise<Claim | undefined> {
    const { commit, state, clock, random } = this.#deps;
    const selfKey = keys.node(this.#selfId);
    const selfRevision = state.revisionOf(selfKey);
    if (selfRevision === undefined || state.view.node(this.#selfId)?.left) return undefined;
    const networkKey = keys.network(network.id);
    const networkRevision = state.revisionOf(networkKey);
    if (networkRevision === undefined || state.view.network(network.id)?.state !== 'active') throw removed(network);
    const { choices } = chosen;
    const id = random.hex(32);
    this.#claimed?.add(id);
    this.recent.add(id);
    const record: EndpointRecord = {
      id,
      networkId: network.id,
      nodeId: this.#selfId,
      addresses: choices.map(({ subnet, address }) => ({ subnet, ip: address })),
      mac: chosen.mac,
      name: wanted.name ?? id.slice(0, 12),
      aliases: wanted.aliases,
      createdAt: clock.now(),
      ...(wanted.ports && { ports: wanted.ports }),
      ...(wanted.labels && { labels: wanted.labels }),
      ...(wanted.tool && { tool: wanted.tool }),
      ...(wanted.name !== undefined && networkSettings(network).sticky && { sticky: true }),
    };
    const entries = endpointEntries(record);
    const quarantines = choices.map(({ address, fromQuarantine }) => {
      const key = keys.quarantine(network.id, address);
      return { key, entry: fromQuarantine ? state.entryOf(key) : undefined };
    });
    const mac = this.#macs.claim(network, record);
    const ending = former.flatMap((each) => endpointEntries(each)).map(({ key }) => key);
    const unused = chosen.unused.length === 0 ? undefined : await this.#letGo(network, chosen.unused);
    const compares: Compare[] = [
      { kind: 'revision', key: networkKey, revision: networkRevision },
      ...ending.map((key) => unchanged(key, state.entryOf(key))),
      ...entries.filter(({ key }) => !ending.includes(key)).map(({ key }): Compare => ({ kind: 'absent', key })),
      // Removal marks the record before it lists the node's endpoints: no claim may succeed after that.
      { kind: 'revision', key: selfKey, revision: selfRevision },
      ...quarantines.map(({ key, entry }) => unchanged(key, entry)),
      ...mac.compares,
      ...(unused?.compares ?? []),
    ];
    const changes: Change[] = [
      ...entries.map((entry): Change => ({ kind: 'put', ...entry })),
      ...mac.changes,
      ...ending
        .filter((key) => !entries.some((entry) => entry.key === key))
        .map((key): Change => ({ kind: 'delete', key })),
      ...former.flatMap(releaseMac),
      ...quarantines.filter(({ entry }) => entry).map(({ key }): Change => ({ kind: 'delete', key })),
      ...(unused?.changes ?? []),
    ];
    const taken = choices.flatMap(({ address }) => {
      const resting = state.view.quarantine(network.id).get(address);
      return resting?.keptFor && isKeptFromOthers(resting, wanted.name) ? [{ address, ...resting.keptFor }] : [];
    });
    const committed = await commit(compares, changes).catch((error: unknown) => {
      // Its outcome is unknown (etcd fell silent): nothing of it stays.
      void this.#abandon(record, former);
      throw error;
    });
    if (!committed) return undefined;
    for (const { address, name } of taken) {
      this.#deps.logger.info(
        { network: network.name, address, name },
        'nothing else was free: an address is kept no more',
      );
    }
    return { record, told: committed.told };
  }

  /**
   * The former first: as long as they are as they were the claim may still be carried out, and what it has of them is theirs
   * until then, so that nothing of it would be found.
   */
  async #abandon(record: EndpointRecord, former: readonly EndpointRecord[]): Promise<void> {
    for (const each of [...former, record]) await this.#deps.releases.abandon(each).catch(() => false);
  }

  /** Kept for it, and not taken: nobody's then. */
  #letGo({ id }: NetworkRecord, addresses: readonly string[]) {
    const { state } = this.#deps;
    const found = addresses.map((address) => {
      const key = keys.quarantine(id, address);
      return { key, entry: state.entryOf(key), record: state.view.quarantine(id).get(address) };
    });
    return lettingGo(this.#deps, found, this.#quarantineSeconds);
  }

  /** Throws `conflict` when one of them is not what it was any more. */
  async #learnFormer(former: readonly EndpointRecord[]): Promise<void> {
    const { state, store } = this.#deps;
    for (const record of former) {
      const found = await Promise.all(endpointEntries(record).map(({ key }) => store.get(key)));
      const entries = found.filter((entry) => entry !== undefined);
      state.learn(entries);
      const { revision, addresses } = heldEndpoint(record, (key) => entries.find((entry) => entry.key === key));
      if (revision !== undefined && addresses.every(({ holder }) => holder === 'self')) continue;
      const message = `${addressList(record)}: the address was released meanwhile; try again`;
      throw new OverlaydError('conflict', message, { retryable: true });
    }
  }

  /** Why the claim failed: reads the keys that it compared. True when an address is somebody else's. */
  async #learn(
    network: NetworkRecord,
    { name }: Wanted,
    { choices, unused }: Chosen,
    choice: AddressChoice,
  ): Promise<boolean> {
    const { clock, store, state } = this.#deps;
    const compared = [...choices.map(({ address }) => address), ...unused];
    const [self, current, ...found] = await Promise.all([
      store.get(keys.node(this.#selfId)),
      store.get(keys.network(network.id)),
      ...compared.map(async (address) => await this.#read(network.id, address)),
    ]);
    if (!self || decodeNode(self.value)?.left) throw removedNode();
    if (!current) throw removed(network);
    const others = found.flatMap(({ claim, endpoint, quarantine }) => [claim, endpoint, quarantine]);
    state.learn([self, current, ...others].filter((entry) => entry !== undefined));
    let isLost = false;
    for (const { address, claim, quarantine } of found) {
      const resting = quarantine && decodeQuarantine(quarantine.value);
      if (claim || (quarantine && !(resting && mayHave(resting, name, clock.now())))) {
        isLost = true;
        choice.lose(address);
      } else if (!quarantine) choice.rest(address);
    }
    return isLost;
  }

  async #read(networkId: string, address: string) {
    const { store } = this.#deps;
    const [claim, quarantine] = await Promise.all([
      store.get(keys.address(networkId, address)),
      store.get(keys.quarantine(networkId, address)),
    ]);
    const of = claim && decodeClaim(claim.value);
    const endpoint = of && (await store.get(keys.endpoint({ nodeId: of.nodeId, id: of.endpointId })));
    return { address, claim, endpoint, quarantine };
  }

  /** In the place of what the same choice had before. */
  #reserve(networkId: string, { choices }: Chosen, choice: AddressChoice): void {
    this.#free(networkId, choice);
    const pending = this.#pending.get(networkId) ?? new Map<string, AddressChoice>();
    for (const { address } of choices) pending.set(address, choice);
    this.#pending.set(networkId, pending);
  }

  #free(networkId: string, choice: AddressChoice): void {
    const pending = this.#pending.get(networkId);
    if (!pending) return;
    for (const [address, by] of pending) if (by === choice) pending.delete(address);
    if (pending.size === 0) this.#pending.delete(networkId);
  }
}

/** What these endpoints have is free. */
function without(space: AddressSpace, former: readonly EndpointRecord[]): AddressSpace {
  if (former.length === 0) return space;
  const own = new Set(former.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)));
  const others = <T>(all: ReadonlyMap<string, T>) => new Map([...all].filter(([address]) => !own.has(address)));
  return { ...space, claims: others(space.claims), endpoints: others(space.endpoints) };
}

function removed(network: NetworkRecord): OverlaydError {
  return new OverlaydError('network-not-found', `network ${network.name} not found: it has just been removed`);
}
