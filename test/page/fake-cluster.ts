/** An agent's data without an agent: a cluster of any size, which changes as it is told to. */
import { encodeRecord } from '../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord, type NodeRecord } from '../../src/core/records.ts';
import {
  type CopiedRecord,
  Diagnosis,
  type DriftRequest,
  type EventsReply,
  type EventsRequest,
  type HostDrift,
  type LookRequest,
  type RecordsPart,
  type RecordsRequest,
  Status,
} from '../../src/gen/overlayd/v1/control.ts';
import type { Drift } from '../../src/gen/overlayd/v1/drift.ts';
import type { Seen, SeenThing } from '../../src/gen/overlayd/v1/look.ts';
import { clusterRecord, endpointRecord, networkRecord, nodeRecord } from '../fixtures/records.ts';

export interface ClusterSize {
  readonly hosts: number;
  readonly networks: number;
  readonly endpoints: number;
}

const WORDS = ['api', 'web', 'db', 'cache', 'queue', 'mail', 'search', 'auth', 'shop', 'jobs'];
const AT = Date.parse('2026-03-01T12:00:00Z');

const id = (kind: string, number: number, length: number) =>
  Buffer.from(`${number}${kind}`)
    .toString('hex')
    .padEnd(length, String(number % 10))
    .slice(0, length);
const nodeId = (number: number) => id('n', number, 32);

export class FakeCluster {
  readonly size: ClusterSize;
  /** How often it was asked. */
  readonly asked = { status: 0, records: 0 };
  status: Status;
  #records = new Map<string, CopiedRecord>();
  #revision = 10;
  #tell: ((reply: EventsReply) => void) | undefined;
  #told = 0;
  /** By host: what differs there; which do not answer; what is seen of the data path from there, by node id. */
  readonly drifts = new Map<number, Drift[]>();
  readonly silent = new Set<number>();
  readonly seen = new Map<string, SeenThing>();
  /** Thrown instead of an answer. */
  refuses: Error | undefined;
  /** What a look waits for before it answers. */
  holdsUp: Promise<void> | undefined;

  constructor(size: ClusterSize) {
    this.size = size;
    this.put(keys.cluster, clusterRecord());
    for (let at = 0; at < size.hosts; at++) this.put(keys.node(nodeId(at)), this.node(at));
    for (let at = 0; at < size.networks; at++) this.put(keys.network(this.network(at).id), this.network(at));
    for (let at = 0; at < size.endpoints; at++) this.attach(at);
    this.put(keys.storeKeepers, { nodeIds: [nodeId(0), nodeId(1), nodeId(2)].slice(0, size.hosts) });
    this.status = this.#status();
  }

  node(at: number): NodeRecord {
    const address = `192.0.${Math.floor(at / 250)}.${(at % 250) + 1}`;
    return nodeRecord({
      ...{ id: nodeId(at), name: `host${at + 1}`, advertiseAddress: address, vtep: address, joinedAt: AT },
      ...{ version: '0.1.0', labels: { zone: `zone-${(at % 3) + 1}` } },
    });
  }

  network(at: number): NetworkRecord {
    const cidr = at === 0 ? '10.128.0.0/16' : `10.${Math.floor(at / 250)}.${at % 250}.0/24`;
    return networkRecord({
      ...{ id: id('w', at, 64), name: `${WORDS[at % WORDS.length]}-${at}`, vni: 4096 + at, createdAt: AT },
      ...{ internal: at % 7 === 3, options: at % 5 === 2 ? { encrypted: 'true' } : {} },
      subnets: [{ cidr, gateway: cidr.replace(/0\/\d+$/, '1'), auxAddresses: {} }],
    });
  }

  endpoint(at: number): EndpointRecord {
    const inFirst = at % this.size.networks === 0 || at >= this.size.networks * 200;
    const network = this.network(inFirst ? 0 : at % this.size.networks);
    const base = network.subnets[0]!.cidr.split('.');
    const number = inFirst ? at + 2 : Math.floor(at / this.size.networks) + 2;
    const ip = inFirst
      ? `10.128.${Math.floor(number / 256)}.${number % 256}`
      : `${base[0]}.${base[1]}.${base[2]}.${number % 254}`;
    return endpointRecord({
      ...{ id: id('e', at, 64), networkId: network.id, nodeId: nodeId(at % this.size.hosts), createdAt: AT },
      ...{ name: `${WORDS[at % WORDS.length]}-${at}`, aliases: at % 4 === 0 ? [WORDS[at % WORDS.length]!] : [] },
      ...{ addresses: [{ subnet: network.subnets[0]!.cidr, ip }], tool: ['docker', 'podman', 'netns'][at % 3]! },
      mac: `02:42:${ip
        .split('.')
        .map((part) => Number(part).toString(16).padStart(2, '0'))
        .join(':')}`,
    });
  }

  put(key: string, record: object): void {
    this.#records.set(key, { key, revision: ++this.#revision, value: encodeRecord(record) });
  }

  remove(key: string): void {
    this.#records.set(key, { key, revision: ++this.#revision, value: undefined });
  }

  attach(at: number): EndpointRecord {
    const record = this.endpoint(at);
    this.put(keys.endpoint(record), record);
    for (const { ip } of record.addresses) {
      this.put(keys.address(record.networkId, ip), { endpointId: record.id, nodeId: record.nodeId });
    }
    return record;
  }

  /** The path to a host becomes what is given. */
  setPath(at: number, parts: { state?: string; path?: string; lossPercent?: number }): void {
    const peer = this.status.peers.find((each) => each.nodeId === nodeId(at))!;
    if (parts.state) peer.state = parts.state;
    if (parts.path) peer.path!.state = parts.path;
    peer.path!.lossPercent = parts.lossPercent ?? peer.path!.lossPercent;
    peer.path!.changedMs = AT;
  }

  /** An event of that host. */
  happen(at: number, type: string, message: string, fields: object = {}): void {
    this.#told++;
    const event = { seq: this.#told, type, atMs: AT + this.#told * 1_000, level: 'info', message };
    const seen = { nodeId: nodeId(at), nodeName: `host${at + 1}`, event: { ...event, fields: JSON.stringify(fields) } };
    this.#tell?.({ events: [seen], leftOut: [], away: [] });
  }

  // ------------------------------------------------------------ as the agent's control service

  getStatus = async (): Promise<Status> => {
    this.asked.status++;
    if (this.refuses) throw this.refuses;
    return this.status;
  };

  getRecords = async ({ life, after }: RecordsRequest, onTold: (part: RecordsPart) => void): Promise<void> => {
    this.asked.records++;
    if (this.refuses) throw this.refuses;
    const whole = life !== 'run';
    const records = [...this.#records.values()].filter(({ revision }) => whole || revision > after);
    onTold({ life: 'run', whole, revision: this.#revision, records });
  };

  followEvents = async (
    _request: EventsRequest,
    onTold: (reply: EventsReply) => void,
    signal?: AbortSignal,
  ): Promise<void> => {
    this.#tell = onTold;
    onTold({ events: [], leftOut: [], away: [] });
    this.happen(0, 'agent-started', 'agent started', { version: '0.1.0' });
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
  };

  diagnose = async (): Promise<Diagnosis> =>
    Diagnosis.fromPartial({
      checks: [
        { name: 'data path', outcome: 'ok', detail: '1 host answered' },
        { name: 'clock', outcome: 'skipped', detail: 'behind NAT' },
      ],
    });

  lookFrom = async ({ node, look }: LookRequest): Promise<Seen> => {
    await this.holdsUp;
    const { endpoint = '', pathTo = '', reach = '', name } = look ?? {};
    const packet = `one got from inside of netns:c1 to ${reach}, and its answer back`;
    const things = [
      ...(endpoint ? [{ name: 'container', outcome: 'ok', detail: 'netns:c1, by eth0' }] : []),
      ...(pathTo ? [this.seen.get(node) ?? { name: 'data path', outcome: 'ok', detail: 'round trip 0.21 ms' }] : []),
      ...(reach ? [{ name: 'packet', outcome: 'ok', detail: packet }] : []),
      ...(name ? [{ name: 'names', outcome: 'ok', detail: 'answered' }] : []),
    ];
    const found = [...this.#records.values()]
      .filter(({ key, value }) => key.startsWith(keys.endpoints) && value)
      .map(({ value }) => JSON.parse(value!) as EndpointRecord)
      .filter((record) => record.name === name?.name);
    const answers = found.map(({ addresses }) => ({ type: 'A', ttlSeconds: 5, value: addresses[0]!.ip }));
    return {
      things,
      name: name && { code: found.length > 0 ? 'NOERROR' : 'NXDOMAIN', answers, tookMs: 1, from: '10.128.0.1:53' },
    };
  };

  findDrift = async ({ node, repair }: DriftRequest, onTold: (told: HostDrift) => void): Promise<void> => {
    for (let at = 0; at < this.size.hosts; at++) {
      if (node !== '' && node !== nodeId(at)) continue;
      const differs = this.drifts.get(at) ?? [];
      const reason = this.silent.has(at) ? 'it did not answer within 10 s' : '';
      const found = { differs: repair ? [] : differs, repaired: repair ? differs : [], putBack: [] };
      if (repair) this.drifts.delete(at);
      onTold({
        ...{ nodeId: nodeId(at), nodeName: `host${at + 1}`, reason },
        found: reason ? undefined : { ...found, leftOut: 0, isPartial: false },
      });
    }
  };

  #status(): Status {
    const peers = Array.from({ length: this.size.hosts - 1 }, (_, at) => ({
      ...{ nodeId: nodeId(at + 1), name: `host${at + 2}`, address: '192.0.2.1:7946', state: 'alive', heardMsAgo: 100 },
      path: { state: 'passes', lossPercent: 0, roundTripMs: 0.2 + (at % 9) / 10, mtu: 1450, changedMs: AT },
    }));
    return Status.fromPartial({
      ...{ version: '0.1.0', state: 'ready', clusterId: '3f0c2b1a4d5e6f708192a3b4c5d6e7f8', level: 5, peers },
      self: { id: nodeId(0), name: 'host1' },
      store: { reachable: true, keepers: ['host1', 'host2', 'host3'], wanted: 3 },
      reconcile: { repairs: 2 },
    });
  }
}
