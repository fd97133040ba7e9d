/**
 * The nodes as they are believed. A node writes its own record, and may write into it what is not so; what is somebody else's
 * is not taken from it (docs/adr/0024-a-node-writes-what-is-its-own.md):
 *
 * - An address of the tunnel, or a WireGuard key, that another node has: whose it was first it stays as long as that one's record
 *   says so. Who starts and finds two goes by the older record: a thief's is newer, and it can make it newer only. An address
 *   whose node is not there may be given to another host, as DHCP does; a key may not.
 * - A name that another node has.
 * - That it keeps the store: keepers say that.
 *
 * The host's own record is left alone. Scales: a change costs a look at those nodes that have the same address or key.
 */
import type { LiveRecord, NodeRecord } from './records.ts';

export class NodeRecords {
  readonly #selfId: string;
  /** As etcd has them. */
  readonly #said = new Map<string, NodeRecord>();
  readonly #believed = new Map<string, NodeRecord>();
  readonly #live = new Map<string, LiveRecord>();
  /** By name, and by node. */
  readonly #names = new Map<string, string>();
  readonly #claims = new Map<string, string>();
  /** Ids of the nodes that say so, by address of the tunnel, public key and name. */
  readonly #byPlace = new Map<string, Set<string>>();
  /** Whose a place is, of those that more than one says to have. */
  readonly #holders = new Map<string, string>();
  /** Of the records, by node. */
  readonly #revisions = new Map<string, number>();
  #keepers: ReadonlySet<string> | undefined;
  readonly #refusals = new Map<string, readonly string[]>();

  constructor(selfId: string) {
    this.#selfId = selfId;
  }

  /** In words what is not believed, by node. */
  get refusals(): ReadonlyMap<string, readonly string[]> {
    return this.#refusals;
  }

  get(nodeId: string): NodeRecord | undefined {
    return this.#believed.get(nodeId);
  }

  all(): Iterable<NodeRecord> {
    return this.#believed.values();
  }

  said(nodeId: string): NodeRecord | undefined {
    return this.#said.get(nodeId);
  }

  live(nodeId: string): LiveRecord | undefined {
    return this.#live.get(nodeId);
  }

  /** `revision`: of the record. */
  set(nodeId: string, record: NodeRecord | undefined, revision: number): void {
    const before = this.#said.get(nodeId);
    if (record) this.#said.set(nodeId, record);
    else this.#said.delete(nodeId);
    this.#revisions.set(nodeId, revision);
    const [had, has] = [new Set(placesOf(before)), new Set(placesOf(record))];
    for (const place of had) if (!has.has(place)) this.#leave(place, nodeId);
    for (const place of has) if (!had.has(place)) this.#enter(place, nodeId);
    this.#judgeWith(nodeId, [...had, ...has]);
  }

  /** True: what is believed of a node changed by it. */
  setLive(nodeId: string, record: LiveRecord | undefined): boolean {
    const isNews = (record === undefined) !== (this.#live.get(nodeId) === undefined);
    if (record) this.#live.set(nodeId, record);
    else this.#live.delete(nodeId);
    const places = placesOf(this.#said.get(nodeId)).filter((place) => this.#byPlace.get(place)!.size > 1);
    if (!isNews || places.length === 0) return false;
    this.#judgeWith(nodeId, places);
    return true;
  }

  /** Whose a name is. True: what is believed of a node changed by it. */
  setName(name: string, nodeId: string | undefined): boolean {
    const before = this.#names.get(name);
    if (before !== undefined && this.#claims.get(before) === name) this.#claims.delete(before);
    if (nodeId === undefined) this.#names.delete(name);
    else {
      this.#names.set(name, nodeId);
      this.#claims.set(nodeId, name);
    }
    let changed = false;
    for (const id of new Set([before, nodeId, ...(this.#byPlace.get(placeOfName(name)) ?? [])])) {
      const said = id === undefined ? undefined : this.#said.get(id);
      if (!said) continue;
      const was = this.#believed.get(said.id);
      this.#judgeWith(said.id, placesOf(said));
      changed ||= this.#believed.get(said.id) !== was;
    }
    return changed;
  }

  /** Undefined: nobody has said so yet. */
  setKeepers(nodeIds: readonly string[] | undefined): void {
    if (nodeIds?.join() === (this.#keepers && [...this.#keepers].join())) return;
    this.#keepers = nodeIds && new Set(nodeIds);
    for (const id of this.#said.keys()) this.#judge(id);
  }

  #enter(place: string, nodeId: string): void {
    const ids = this.#byPlace.get(place) ?? new Set();
    this.#byPlace.set(place, ids.add(nodeId));
    if (ids.size > 1) this.#holders.set(place, this.#first([this.#holders.get(place) ?? [...ids][0]!, nodeId]));
  }

  #leave(place: string, nodeId: string): void {
    const ids = this.#byPlace.get(place)!;
    ids.delete(nodeId);
    if (ids.size === 0) this.#byPlace.delete(place);
    if (ids.size < 2) this.#holders.delete(place);
    else if (this.#holders.get(place) === nodeId) this.#holders.set(place, this.#first([...ids]));
  }

  /** Whoever comes later has written later, but where all are told of at once. What is this host's own is its own. */
  #first(ids: readonly string[]): string {
    if (ids.includes(this.#selfId)) return this.#selfId;
    const revisionOf = (id: string) => this.#revisions.get(id)!;
    return ids.toSorted((a, b) => revisionOf(a) - revisionOf(b) || (a < b ? -1 : 1))[0]!;
  }

  /** That node, and those that say the same of one of the places. */
  #judgeWith(nodeId: string, places: Iterable<string>): void {
    const ids = new Set([nodeId]);
    for (const place of places) for (const id of this.#byPlace.get(place) ?? []) ids.add(id);
    for (const id of ids) this.#judge(id);
  }

  #judge(nodeId: string): void {
    const said = this.#said.get(nodeId);
    const why: string[] = [];
    const believed = said && (nodeId === this.#selfId ? said : this.#believable(said, why));
    if (believed) this.#believed.set(nodeId, believed);
    else this.#believed.delete(nodeId);
    if (why.length > 0) this.#refusals.set(nodeId, why);
    else this.#refusals.delete(nodeId);
  }

  #believable(said: NodeRecord, why: string[]): NodeRecord | undefined {
    const { id, left, nat, vtep, wireguard } = said;
    const claimed = this.#names.get(said.name);
    const name = claimed === undefined || claimed === id ? said.name : (this.#claims.get(id) ?? id.slice(0, 12));
    if (name !== said.name) why.push(`calls itself ${said.name}, which is the name of node ${claimed!.slice(0, 12)}`);
    const first = left || nat ? undefined : this.#otherAt(vtep, id, (other) => this.#live.has(other));
    if (first) {
      why.push(`has tunnel address ${vtep} in its record, which is node ${first.name}'s: it is treated as no member`);
      return undefined;
    }
    const own = wireguard?.keys.filter(({ publicKey }) => !this.#otherAt(publicKey, id, () => true));
    const lacks = wireguard !== undefined && own!.length < wireguard.keys.length;
    if (lacks) why.push('has the WireGuard key of another node in its record');
    const isDoubtful = said.holdsStore === true && this.#keepers?.has(id) === false;
    if (isDoubtful) why.push('says that it keeps the store, which no keeper says of it');
    if (why.length === 0) return said;
    const { holdsStore, wireguard: _, ...rest } = said;
    return {
      ...rest,
      name,
      ...(holdsStore && !isDoubtful && { holdsStore }),
      ...(wireguard && own!.length > 0 && { wireguard: { ...wireguard, keys: own! } }),
    };
  }

  /** Whose the place is, where it is not this node's. */
  #otherAt(place: string, nodeId: string, counts: (id: string) => boolean): NodeRecord | undefined {
    const holder = this.#holders.get(place);
    return holder === undefined || holder === nodeId || !counts(holder) ? undefined : this.#said.get(holder);
  }
}

/** What can only be one node's. */
function placesOf(record: NodeRecord | undefined): string[] {
  if (!record || record.left) return [];
  const { name, nat, vtep, wireguard } = record;
  return [placeOfName(name), ...(nat ? [] : [vtep]), ...(wireguard?.keys ?? []).map(({ publicKey }) => publicKey)];
}

function placeOfName(name: string): string {
  return `name ${name}`;
}
