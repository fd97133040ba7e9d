/**
 * What an engine's containers had before the host lost power. The claims are still this host's, and the engine starts the containers
 * again: so they get their addresses again where it is certain whose each is. An engine says nothing of that while it starts
 * (Docker 29 and newer: a name); then what stands for it is the address that is asked for, that we have the engine start this one, or
 * that the network has one such claim left and nobody but the engine starts containers. Once the engine has answered, and
 * what it gave up on has been started, the rest is let go of.
 */
import type { LocalEndpoint } from '../../core/container.ts';
import { isOverlaydError } from '../../core/errors.ts';
import { isSameName } from '../../core/ipam/kept.ts';
import { type EndpointAddress, type EndpointRecord, hasAddress } from '../../core/records.ts';
import type { EndpointChangeDeps } from '../endpoints/endpoint-change.ts';
import type { LocalEndpoints } from '../endpoints/local-endpoints.ts';
import { encodedEntries } from '../endpoints/own-holdings.ts';
import type { WantedAddress } from './reservations.ts';

export interface FormerAddressesDeps {
  readonly selfId: string;
  readonly state: EndpointChangeDeps['state'];
  readonly local: Pick<LocalEndpoints, 'forgetFormer' | 'former'>;
  /** Whether the engine has been told an address of it. */
  readonly isReserved: (record: EndpointRecord) => boolean;
  /** There is something to let go of. */
  readonly onLeft: () => void;
}

export class FormerAddresses {
  readonly #deps: FormerAddressesDeps;
  /** The engine has still to start what ran before; then by the ids of those that it gave up on. */
  #awaited: 'all' | ReadonlySet<string> = new Set();
  /** The engine's id of the container that it starts because we asked it to. */
  #starting: string | undefined;
  /** Ids of records whose addresses are being claimed anew. */
  readonly #taking = new Set<string>();

  constructor(deps: FormerAddressesDeps) {
    this.#deps = deps;
  }

  /** There is an engine, which has not answered yet. To be called before the first call of a driver. */
  expectEngine(): void {
    this.#awaited = 'all';
  }

  /** The engine starts nothing by itself any more; `givenUp`: ids of containers that it will be told to start. */
  await(givenUp: Iterable<string>): void {
    this.#awaited = new Set(givenUp);
    if (this.unclaimed().length > 0) this.#deps.onLeft();
  }

  /** Whatever the engine has not told by now: it is not about to start what ran before the host did. */
  awaitAllNoLonger(): void {
    if (this.#awaited === 'all') this.await([]);
  }

  /** While the task has the engine start this container, what is asked without more words is asked for it. */
  async whileStarting<T>(containerId: string, task: () => Promise<T>): Promise<T> {
    this.#starting = containerId;
    try {
      return await task();
    } finally {
      this.#starting = undefined;
    }
  }

  /**
   * Is certainly what is asked for, names and all. It is ours until somebody removed it, and etcd need not be asked as long as
   * nothing that is known says so; should somebody have, the endpoint is dropped when etcd tells.
   */
  find(networkId: string, { ip, name }: Pick<WantedAddress, 'ip' | 'name'>): EndpointRecord | undefined {
    const isMeant = ({ record, engine }: LocalEndpoint) => {
      if (ip !== undefined) return hasAddress(record, ip);
      if (this.#starting !== undefined) return engine?.containerId === this.#starting;
      return name !== undefined && isSameName(record.name, name);
    };
    const record = this.#on(networkId).find(isMeant)?.record;
    return record && this.#isOurs(record) ? record : undefined;
  }

  /**
   * The only one of the network while the engine starts what ran before. A container may be asking that somebody had stopped: it is
   * to have the address, and no name. `claim`: in the place of that record.
   */
  async takeSole(
    networkId: string,
    { ip, name }: Pick<WantedAddress, 'ip' | 'name'>,
    claim: (former: EndpointRecord) => Promise<EndpointRecord>,
  ): Promise<EndpointRecord | undefined> {
    if (this.#awaited !== 'all' || this.#starting !== undefined || ip !== undefined || name !== undefined)
      return undefined;
    const [sole, ...more] = this.#on(networkId);
    if (!sole || more.length > 0 || !this.#isOurs(sole.record)) return undefined;
    const { record } = sole;
    this.#taking.add(record.id);
    try {
      const claimed = await claim(record);
      // It has taken effect, whether that could be saved or not.
      await this.#deps.local.forgetFormer([sole]).catch(() => undefined);
      return claimed;
    } catch (error) {
      // It is somebody else's by now.
      if (isOverlaydError(error, 'address-in-use') || isOverlaydError(error, 'conflict')) return undefined;
      throw error;
    } finally {
      this.#taking.delete(record.id);
    }
  }

  /** One of them is not used after all. */
  giveBack(): void {
    if (this.unclaimed().length > 0) this.#deps.onLeft();
  }

  /** Those that no container is about to take. */
  unclaimed(): LocalEndpoint[] {
    const awaited = this.#awaited;
    if (awaited === 'all') return [];
    return this.#free().filter(({ engine }) => !awaited.has(engine?.containerId ?? ''));
  }

  #on(networkId: string): LocalEndpoint[] {
    return this.#free().filter(({ record }) => record.networkId === networkId);
  }

  #free(): LocalEndpoint[] {
    const { isReserved, local } = this.#deps;
    return local.former().filter(({ record }) => !isReserved(record) && !this.#taking.has(record.id));
  }

  #isOurs(record: EndpointRecord): boolean {
    const { selfId, state } = this.#deps;
    state.seed(encodedEntries(record));
    const { view } = state;
    const has = ({ ip }: EndpointAddress) =>
      view.addresses(record.networkId).get(ip)?.id === record.id && !view.quarantine(record.networkId).has(ip);
    return record.addresses.every(has) && view.node(selfId)?.left === false;
  }
}
