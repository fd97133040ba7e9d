/**
 * Compares what etcd holds of addresses (records of endpoints, claims, MACs that were chosen, quarantines, numbers of WireGuard
 * keys) with itself, with networks and members, and with the endpoints that this host has. Everything is of one revision, so
 * nothing that is being written is seen by half. Scales: each record is looked at once.
 *
 * Only what is nobody's any more has a repair: of a node that is no member, or of this host and of no endpoint here. What
 * another member may have is its own: its agent puts most of it right by itself, and the rest is repaired there.
 */
import { hasMacClaim } from '../endpoint-mac.ts';
import { type ClaimRecord, type EndpointRecord, firstAddress, hasAddress, keys } from '../records.ts';
import { type Claimed, Inventory, isAt, type StoredRecord } from './inventory.ts';
import { checkNumbers } from './number-check.ts';

export type FindingKind = 'leaked' | 'missing' | 'duplicate' | 'foreign' | 'unreadable';

export interface Finding {
  readonly kind: FindingKind;
  readonly key: string;
  /** Undefined where it cannot be told. */
  readonly networkId: string | undefined;
  /** What is wrong, in words. */
  readonly what: string;
  /** Who may own it, in words; empty: nobody. */
  readonly owner: string;
  /** What repair does, or who puts it right else, in words. */
  readonly mend: string;
  readonly repair: Repair | undefined;
}

/** Holds only as long as all these keys are as they were found, or were not. */
export interface Repair {
  readonly asFound: readonly string[];
  readonly changes: readonly RepairChange[];
}

export type RepairChange =
  | { readonly kind: 'delete'; readonly key: string }
  /** An address rests: what used it may do so still. */
  | { readonly kind: 'rest'; readonly key: string }
  | { readonly kind: 'put'; readonly key: string; readonly record: ClaimRecord };

/** What this host has. */
export interface OwnEndpoints {
  readonly nodeId: string;
  /** Undefined while it does not know itself. */
  readonly byId: ReadonlyMap<string, EndpointRecord> | undefined;
  /** What is claimed or released at this moment is in one place before it is in the other. */
  readonly isUnderway: (endpointId: string) => boolean;
}

/** Findings in the order of their keys. */
export function checkAddresses(records: Iterable<StoredRecord>, own: OwnEndpoints): Finding[] {
  return new AddressCheck(new Inventory(records), own).run();
}

/** Whose something is: `gone`: of no member; `left`: of one that has left; `ours`, `not-ours`: of this host. */
type Ownership = 'gone' | 'left' | 'ours' | 'not-ours' | 'theirs';

class AddressCheck {
  readonly #held: Inventory;
  readonly #own: OwnEndpoints;
  readonly #findings = new Map<string, Finding>();
  readonly #leaked = new Set<EndpointRecord>();

  constructor(held: Inventory, own: OwnEndpoints) {
    this.#held = held;
    this.#own = own;
  }

  run(): Finding[] {
    for (const { key, networkId, noun } of this.#held.unreadable) {
      const what = `what is written here cannot be read: ${noun}`;
      const mend = 'left alone: `overlayd status` says what to do';
      this.#add({ kind: 'unreadable', key, networkId, what, owner: 'unknown', mend, repair: undefined });
    }
    for (const key of this.#held.strays) {
      const what = 'no record of this version has a key like this';
      const mend =
        'left alone: a newer overlayd may have written it, or something else writes there (`etcdctl get KEY`)';
      this.#add({ kind: 'foreign', key, networkId: undefined, what, owner: 'unknown', mend, repair: undefined });
    }
    this.#findLeaked();
    for (const claim of this.#held.claims) this.#checkClaim(claim);
    for (const endpoint of this.#held.endpoints.values()) {
      if (!this.#leaked.has(endpoint)) for (const { ip } of endpoint.addresses) this.#checkAddress(endpoint, ip);
    }
    for (const mac of this.#held.macs) this.#checkMac(mac);
    this.#checkChosenMacs();
    for (const { key, networkId, what, record } of this.#held.quarantines) {
      const isGone = this.#held.network(networkId) === undefined;
      if (!isGone && !this.#held.isOutside(networkId, what)) continue;
      const does = record.keptFor ? `is kept for ${record.keptFor.name}` : 'rests';
      const why = isGone ? `${does} on a network that is gone` : `${does}, and is in no subnet of its network`;
      // What is kept has no time.
      const asFound = [key, keys.network(networkId)];
      const repair: Repair | undefined = record.keptFor && { asFound, changes: [{ kind: 'delete', key }] };
      const mend = repair ? 'deletes it' : 'goes by itself when its time is over';
      this.#add({
        ...{ kind: isGone ? 'leaked' : 'foreign', key, networkId, what: `${what} ${why}` },
        ...{ owner: '', mend, repair },
      });
    }
    for (const finding of checkNumbers(this.#held, this.#own.nodeId)) this.#add(finding);
    return [...this.#findings.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** One finding a key: the first says most. */
  #add(finding: Finding): void {
    if (!this.#findings.has(finding.key)) this.#findings.set(finding.key, finding);
  }

  // ------------------------------------------------------------ records of nobody

  #findLeaked(): void {
    const { claims, endpoints, macs } = this.#held;
    const claimed = Map.groupBy([...claims, ...macs], ({ claim }) => `${claim.nodeId} ${claim.endpointId}`);
    for (const [id, endpoint] of endpoints) {
      const why = this.#whyLeaked(endpoint);
      if (why === undefined) continue;
      this.#leaked.add(endpoint);
      const key = keys.endpoint(endpoint);
      const theirs = claimed.get(id) ?? [];
      const repair = this.#isTakeable(endpoint) ? this.#taking(endpoint, [key], theirs) : undefined;
      this.#add({
        ...{ kind: 'leaked', key, networkId: endpoint.networkId, owner: this.#ownerOf(endpoint.nodeId) },
        what: `endpoint ${endpoint.name} (${endpoint.addresses.map(({ ip }) => ip).join(', ')}) ${why}`,
        ...this.#mend(endpoint.nodeId, endpoint.id, repair, 'it and its claims'),
      });
    }
  }

  #whyLeaked({ id, networkId, nodeId }: EndpointRecord): string | undefined {
    const ownership = this.#ownership(nodeId, id);
    if (ownership === 'gone') return 'is of a host that is no member';
    if (ownership === 'left') return 'is of a host that has left';
    if (ownership === 'not-ours') return 'is said to be on this host, which has no such endpoint';
    return this.#held.network(networkId) === undefined ? 'is on a network that is gone' : undefined;
  }

  // ------------------------------------------------------------ addresses

  #checkClaim(claimed: Claimed): void {
    const { key, networkId, what: ip, claim } = claimed;
    const { endpointId, nodeId } = claim;
    if (nodeId === '') {
      this.#checkServiceClaim(claimed);
      return;
    }
    const endpoint = this.#held.endpoint(claim);
    const endpointKey = keys.endpoint({ nodeId, id: endpointId });
    // What cannot be read may say anything; a record that goes takes its claims along.
    if ((!endpoint && this.#held.has(endpointKey)) || (endpoint && this.#leaked.has(endpoint))) return;
    const others = this.#living(networkId, ip).filter((each) => each !== endpoint);
    const owner = this.#ownerOf(nodeId);
    const isGone = this.#held.network(networkId) === undefined;
    if (endpoint && isAt(endpoint, claimed)) {
      this.#checkPlace(endpoint, ip);
      return;
    }
    if (!endpoint && this.#ownership(nodeId, endpointId) === 'ours' && !isGone) {
      const mend = "this host's agent writes it again by itself";
      const what = `the record of endpoint ${this.#owned(endpointId)!.name} is missing, its claim of ${ip} is there`;
      this.#add({ kind: 'missing', key: endpointKey, networkId, what, owner, mend, repair: undefined });
      return;
    }
    const whose = `endpoint ${endpointId.slice(0, 12)} of ${this.#hostName(nodeId)}`;
    const fault = endpoint ? 'which does not have it' : 'of which there is no record';
    const of = { id: endpointId, nodeId };
    const owned = this.#owned(endpointId);
    const isTakeable = this.#isTakeable(of, owned && !(owned.networkId === networkId && hasAddress(owned, ip)));
    const repair = isTakeable ? this.#taking(of, [], [claimed]) : undefined;
    const isForeign = others.length > 0 || this.#held.whyOutOfPlace(networkId, ip) !== undefined;
    const kind = isForeign ? 'foreign' : 'leaked';
    const elsewhere = others.length > 0 ? `; it is in the record of ${this.#names(others)}` : '';
    const place = isGone ? ', on a network that is gone' : '';
    this.#add({
      ...{ kind, key, networkId, owner, what: `${ip} is claimed for ${whose}, ${fault}${elsewhere}${place}` },
      ...this.#mend(nodeId, endpointId, repair, 'the claim'),
    });
  }

  /** Of a service that is there no more, its address would be nobody's for ever. */
  #checkServiceClaim({ key, networkId, what: ip, claim }: Claimed): void {
    const services = this.#held.services.get(networkId);
    if (services === 'unreadable' || services?.get(claim.endpointId)?.has(ip)) return;
    const asFound = [key, keys.services(networkId), keys.network(networkId)];
    this.#add({
      ...{
        kind: 'leaked',
        key,
        networkId,
        owner: '',
        what: `${ip} is claimed for a service of which there is no record`,
      },
      ...{ mend: 'deletes the claim', repair: { asFound, changes: [{ kind: 'delete', key }] } },
    });
  }

  /** Of an endpoint that may be there. */
  #checkAddress(endpoint: EndpointRecord, ip: string): void {
    const { networkId, nodeId, name } = endpoint;
    const key = keys.address(networkId, ip);
    const there = this.#living(networkId, ip);
    if (there.length > 1) {
      this.#add({
        ...{ kind: 'duplicate', key, networkId, what: `${ip} is in the records of ${this.#names(there)}` },
        owner: this.#names(there),
        mend: 'left alone: the one that the claim names keeps it, the agent of the other releases its endpoint by itself',
        repair: undefined,
      });
    } else if (!this.#checkPlace(endpoint, ip) && !this.#held.has(key)) {
      this.#add({
        ...{ kind: 'missing', key, networkId, owner: this.#ownerOf(nodeId), repair: undefined },
        what: `the claim of ${ip}, which endpoint ${name} of ${this.#hostName(nodeId)} has, is missing`,
        mend: `left alone: the agent of ${this.#hostName(nodeId)} claims it again by itself; nobody else gets it meanwhile`,
      });
    }
  }

  /** True when the endpoint cannot have that address. */
  #checkPlace({ name, networkId, nodeId }: EndpointRecord, ip: string): boolean {
    const why = this.#held.whyOutOfPlace(networkId, ip);
    if (why === undefined) return false;
    this.#add({
      ...{ kind: 'foreign', key: keys.address(networkId, ip), networkId, owner: this.#ownerOf(nodeId) },
      what: `${ip} of endpoint ${name} of ${this.#hostName(nodeId)} ${why}`,
      mend: 'left alone, its container may use it: disconnect the container there, and connect it anew',
      repair: undefined,
    });
    return true;
  }

  // ------------------------------------------------------------ MACs

  #checkMac(claimed: Claimed): void {
    const { key, networkId, what: mac, claim } = claimed;
    const { endpointId, nodeId } = claim;
    const endpoint = this.#held.endpoint(claim);
    const endpointKey = keys.endpoint({ nodeId, id: endpointId });
    if (endpoint && (this.#leaked.has(endpoint) || (endpoint.mac === mac && endpoint.networkId === networkId))) return;
    if (!endpoint && this.#held.has(endpointKey)) return;
    const owned = this.#owned(endpointId);
    // The record is written again with it.
    if (this.#ownership(nodeId, endpointId) === 'ours' && owned?.mac === mac && owned.networkId === networkId) return;
    const fault = endpoint ? `which has ${endpoint.mac}` : 'of which there is no record';
    const of = { id: endpointId, nodeId };
    const repair = this.#isTakeable(of, owned && owned.mac !== mac) ? this.#taking(of, [], [claimed]) : undefined;
    this.#add({
      ...{ kind: 'leaked', key, networkId, owner: this.#ownerOf(nodeId) },
      what: `MAC ${mac} is claimed for endpoint ${endpointId.slice(0, 12)} of ${this.#hostName(nodeId)}, ${fault}`,
      ...this.#mend(nodeId, endpointId, repair, 'the claim'),
    });
  }

  #checkChosenMacs(): void {
    const living = [...this.#held.endpoints.values()].filter((endpoint) => !this.#leaked.has(endpoint));
    const byMac = Map.groupBy(living, ({ networkId, mac }) => keys.mac(networkId, mac));
    for (const [key, endpoints] of byMac) {
      const { networkId, mac } = endpoints[0]!;
      // Those that have one address have one MAC as well.
      if (new Set(endpoints.map(firstAddress)).size > 1) {
        const names = this.#names(endpoints);
        const mend = 'left alone: disconnect one of them, and connect it anew';
        const what = `MAC ${mac} is that of ${names}`;
        this.#add({ kind: 'duplicate', key, networkId, what, owner: names, mend, repair: undefined });
      } else if (!this.#held.has(key)) {
        const endpoint = endpoints.find(hasMacClaim);
        if (endpoint) this.#addMissingMac(key, endpoint);
      }
    }
  }

  #addMissingMac(key: string, endpoint: EndpointRecord): void {
    const { id, mac, name, networkId, nodeId } = endpoint;
    const isOwn = this.#ownership(nodeId, id) === 'ours' && this.#owned(id)?.mac === mac;
    const record: ClaimRecord = { endpointId: id, nodeId };
    const asFound = [key, keys.endpoint(endpoint), keys.network(networkId)];
    this.#add({
      ...{ kind: 'missing', key, networkId, owner: this.#ownerOf(nodeId) },
      what: `the claim of MAC ${mac}, which endpoint ${name} of ${this.#hostName(nodeId)} has, is missing`,
      mend: isOwn ? 'writes the claim' : this.#there(nodeId),
      repair: isOwn ? { asFound, changes: [{ kind: 'put', key, record }] } : undefined,
    });
  }

  // ------------------------------------------------------------ whose it is

  #ownership(nodeId: string, endpointId: string): Ownership {
    const node = this.#held.node(nodeId);
    if (node === undefined) return 'gone';
    if (node !== 'unreadable' && node.left) return 'left';
    if (this.#own.nodeId !== nodeId || !this.#own.byId) return 'theirs';
    if (this.#own.byId.has(endpointId)) return 'ours';
    return this.#own.isUnderway(endpointId) ? 'theirs' : 'not-ours';
  }

  #owned(endpointId: string): EndpointRecord | undefined {
    return this.#own.byId?.get(endpointId);
  }

  /** `isLeftover`: of an endpoint of this host that has something else. */
  #isTakeable({ id, nodeId }: Pick<EndpointRecord, 'id' | 'nodeId'>, isLeftover = false): boolean {
    const ownership = this.#ownership(nodeId, id);
    return ownership === 'gone' || ownership === 'not-ours' || (ownership === 'ours' && isLeftover);
  }

  /**
   * Takes the claims away, and these keys. Addresses of a host that is no member rest, as a container there may still use
   * them, unless another endpoint has them: then its agent claims them.
   */
  #taking(
    endpoint: Pick<EndpointRecord, 'id' | 'nodeId'>,
    besides: readonly string[],
    claims: readonly Claimed[],
  ): Repair {
    const { nodeId } = endpoint;
    const resting = claims.filter(
      ({ key, networkId, what }) =>
        this.#held.node(nodeId) === undefined &&
        key === keys.address(networkId, what) &&
        this.#held.network(networkId) !== undefined &&
        this.#held.whyOutOfPlace(networkId, what) === undefined &&
        this.#living(networkId, what).length === 0,
    );
    const taken = [...besides, ...claims.map(({ key }) => key)];
    const networks = claims.map(({ networkId }) => keys.network(networkId));
    return {
      asFound: [...new Set([...taken, keys.endpoint(endpoint), keys.node(nodeId), ...networks])],
      changes: [
        ...taken.map((key) => ({ kind: 'delete', key }) as const),
        ...resting.map(({ networkId, what }) => ({ kind: 'rest', key: keys.quarantine(networkId, what) }) as const),
      ],
    };
  }

  #mend(
    nodeId: string,
    endpointId: string,
    repair: Repair | undefined,
    what: string,
  ): Pick<Finding, 'mend' | 'repair'> {
    if (!repair) return { mend: this.#elsewhere(nodeId, endpointId), repair };
    const rests = repair.changes.some(({ kind }) => kind === 'rest');
    return { mend: `deletes ${what}${rests ? '; the address rests' : ''}`, repair };
  }

  #elsewhere(nodeId: string, endpointId: string): string {
    const ownership = this.#ownership(nodeId, endpointId);
    if (ownership === 'left') return `left alone: \`overlayd node rm ${this.#hostName(nodeId)}\` takes it away`;
    if (ownership === 'ours')
      return 'left alone, its container may use it: disconnect the container, and connect it anew';
    return this.#there(nodeId);
  }

  #there(nodeId: string): string {
    if (this.#own.nodeId === nodeId) return "left alone: this host's agent is at it; look again in a moment";
    return `left alone: ${this.#hostName(nodeId)} may have it; its agent puts it right by itself, now or when it starts, and \`overlayd ipam repair\` there what is left`;
  }

  #living(networkId: string, ip: string): readonly EndpointRecord[] {
    return this.#held.at(networkId, ip).filter((endpoint) => !this.#leaked.has(endpoint));
  }

  #hostName(nodeId: string): string {
    const node = this.#held.node(nodeId);
    return node && node !== 'unreadable' ? node.name : nodeId.slice(0, 12);
  }

  #ownerOf(nodeId: string): string {
    const node = this.#held.node(nodeId);
    if (node === undefined) return `${this.#hostName(nodeId)}, which is no member`;
    const isLeft = node !== 'unreadable' && node.left;
    return `${this.#hostName(nodeId)}${isLeft ? ', which has left' : ''}`;
  }

  #names(endpoints: readonly EndpointRecord[]): string {
    return endpoints.map(({ name, nodeId }) => `${name} of ${this.#hostName(nodeId)}`).join(' and ');
  }
}
