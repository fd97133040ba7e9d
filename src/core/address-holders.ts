/**
 * Who is at which address of a network: of the endpoints whose record has it, the one that the claim names; where there is
 * no claim, the oldest, so that every host says the same. A claim that another node writes over the one of an endpoint that is
 * still there is not believed: addresses change hands when their endpoint has gone. Scales: a change costs constant work.
 */
import type { Refusal } from './cluster-view.ts';
import { type ClaimRecord, type EndpointRecord, hasAddress, keys } from './records.ts';

interface Network {
  /** By address. */
  readonly shown: Map<string, EndpointRecord>;
  readonly claims: Map<string, ClaimRecord>;
}

/** Does `act`, which changes what is at that address of the network. */
type Around = (networkId: string, ip: string, act: () => void) => void;

const NONE = new Map<string, never>();

export class AddressHolders {
  readonly #onChange: (record: EndpointRecord) => void;
  readonly #around: Around;
  readonly #networks = new Map<string, Network>();
  /** Endpoints that have an address at which another one is shown, or none; by `<network id> <address>`. Hardly ever any. */
  readonly #passedOver = new Map<string, ReadonlySet<EndpointRecord>>();
  /** Claims over those of others, by the same. */
  readonly #disputed = new Map<string, ClaimRecord>();

  /** `onChange`: it is shown somewhere now, or no longer. `around`: is given all that changes what is at an address. */
  constructor(onChange: (record: EndpointRecord) => void, around: Around) {
    this.#onChange = onChange;
    this.#around = around;
  }

  shown(networkId: string): ReadonlyMap<string, EndpointRecord> {
    return this.#networks.get(networkId)?.shown ?? NONE;
  }

  claims(networkId: string): ReadonlyMap<string, ClaimRecord> {
    return this.#networks.get(networkId)?.claims ?? NONE;
  }

  get refusals(): readonly Refusal[] {
    return [...this.#disputed].map(([place, { nodeId }]) => {
      const [networkId = '', ip = ''] = place.split(' ');
      const whose = this.shown(networkId).get(ip)?.name;
      return {
        key: keys.address(networkId, ip),
        nodeId,
        what: `claims ${ip}, where endpoint ${whose} of another node is`,
      };
    });
  }

  /** The claims of a network of which nothing is known; its endpoints come after them. */
  begin(networkId: string, claims: Iterable<readonly [ip: string, claim: ClaimRecord]>): void {
    const all = new Map(claims);
    if (all.size > 0) this.#networks.set(networkId, { shown: new Map(), claims: all });
  }

  /** Nothing is known of the network from now on. */
  forget(networkId: string): void {
    this.#networks.delete(networkId);
    for (const place of this.#passedOver.keys()) if (place.startsWith(`${networkId} `)) this.#passedOver.delete(place);
    for (const place of this.#disputed.keys()) if (place.startsWith(`${networkId} `)) this.#disputed.delete(place);
  }

  /** The record of one endpoint, as it was and as it is. */
  replace(before: EndpointRecord | undefined, after: EndpointRecord | undefined): void {
    for (const { ip } of after?.addresses ?? []) {
      const wasThere = before?.networkId === after!.networkId && hasAddress(before, ip);
      this.#settle(after!.networkId, ip, wasThere ? before : undefined, after);
    }
    for (const { ip } of before?.addresses ?? []) {
      const isThere = after?.networkId === before!.networkId && hasAddress(after, ip);
      if (!isThere) this.#settle(before!.networkId, ip, before, undefined);
    }
  }

  setClaim(networkId: string, ip: string, claim: ClaimRecord | undefined): void {
    this.#around(networkId, ip, () => this.#setClaim(networkId, ip, claim));
  }

  #setClaim(networkId: string, ip: string, claim: ClaimRecord | undefined): void {
    const { claims, shown } = this.#network(networkId);
    const [place, held, holder] = [`${networkId} ${ip}`, claims.get(ip), shown.get(ip)];
    if (claim && held && holder && isOf(held, holder) && claim.nodeId !== holder.nodeId) {
      this.#disputed.set(place, claim);
      return;
    }
    this.#disputed.delete(place);
    if (claim) claims.set(ip, claim);
    else claims.delete(ip);
    this.#settleNow(networkId, ip, undefined, undefined);
  }

  #settle(networkId: string, ip: string, went: EndpointRecord | undefined, came: EndpointRecord | undefined): void {
    this.#around(networkId, ip, () => this.#settleNow(networkId, ip, went, came));
  }

  #settleNow(networkId: string, ip: string, went: EndpointRecord | undefined, came: EndpointRecord | undefined): void {
    const network = this.#network(networkId);
    const shown = network.shown.get(ip);
    if (this.#disputed.size > 0 && shown && shown === went && !isSame(went, came)) this.#yield(network, networkId, ip);
    const claim = network.claims.get(ip);
    const stays = shown === went ? undefined : shown;
    const only = came ?? stays;
    const isContested =
      this.#passedOver.size > 0 || (came && stays && came !== stays) || (only && claim && !isOf(claim, only));
    const next = isContested ? this.#choose(`${networkId} ${ip}`, claim, went, [stays, came]) : only;
    if (next !== shown) this.#show(network, ip, shown, next);
    // Of ten thousand endpoints the same texts twice take two megabytes.
    if (claim && next && isOf(claim, next)) network.claims.set(ip, { endpointId: next.id, nodeId: next.nodeId });
    if (network.shown.size === 0 && network.claims.size === 0) this.#networks.delete(networkId);
  }

  /** Who had the address has gone: the claim that was not believed is the only one. */
  #yield({ claims }: Network, networkId: string, ip: string): void {
    const place = `${networkId} ${ip}`;
    const claim = this.#disputed.get(place);
    if (claim) claims.set(ip, claim);
    this.#disputed.delete(place);
  }

  #choose(
    place: string,
    claim: ClaimRecord | undefined,
    went: EndpointRecord | undefined,
    there: readonly (EndpointRecord | undefined)[],
  ): EndpointRecord | undefined {
    const records = new Set(this.#passedOver.get(place));
    if (went) records.delete(went);
    for (const record of there) if (record) records.add(record);
    const chosen = claim ? [...records].find((record) => isOf(claim, record)) : oldest(records);
    if (chosen) records.delete(chosen);
    if (records.size > 0) this.#passedOver.set(place, records);
    else this.#passedOver.delete(place);
    return chosen;
  }

  #show(network: Network, ip: string, before: EndpointRecord | undefined, after: EndpointRecord | undefined): void {
    if (after) network.shown.set(ip, after);
    else network.shown.delete(ip);
    for (const record of [before, after]) if (record) this.#onChange(record);
  }

  #network(networkId: string): Network {
    let network = this.#networks.get(networkId);
    if (!network) {
      network = { shown: new Map(), claims: new Map() };
      this.#networks.set(networkId, network);
    }
    return network;
  }
}

function isSame(a: EndpointRecord, b: EndpointRecord | undefined): boolean {
  return a.id === b?.id && a.nodeId === b.nodeId;
}

/** Whether the claim is this endpoint's. */
export function isOf(claim: ClaimRecord, { id, nodeId }: Pick<EndpointRecord, 'id' | 'nodeId'>): boolean {
  return claim.endpointId === id && claim.nodeId === nodeId;
}

function oldest(records: Iterable<EndpointRecord>): EndpointRecord | undefined {
  let first: EndpointRecord | undefined;
  for (const record of records) if (!first || precedes(record, first)) first = record;
  return first;
}

function precedes(a: EndpointRecord, b: EndpointRecord): boolean {
  return a.createdAt === b.createdAt ? keys.endpoint(a) < keys.endpoint(b) : a.createdAt < b.createdAt;
}
