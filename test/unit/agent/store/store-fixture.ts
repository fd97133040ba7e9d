/** A member whose store is to be restored or moved, over etcds in memory. */
import { createHash } from 'node:crypto';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import type { StoreChangeDeps } from '../../../../src/agent/store/restore.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../../../src/core/records.ts';
import type { ClusterStore } from '../../../../src/ports/store.ts';
import { clusterRecord, EPOCH, endpointRecord, networkRecord, nodeRecord } from '../../../fixtures/records.ts';
import { MemoryEtcd } from '../../../sim/memory-store.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

export const CLUSTER = clusterRecord({ level: 4, epoch: EPOCH });
export const WEB = networkRecord();
export const LATER = networkRecord({
  ...{ id: 'n2', name: 'later', vni: 4097 },
  subnets: [{ cidr: '10.0.2.0/24', gateway: '10.0.2.1', auxAddresses: {} }],
});
export const API = endpointRecord();
export const SHOP = endpointRecord({ id: 'f'.repeat(64), nodeId: 'h2', name: 'shop', address: '10.0.1.3' });

const text = (record: object | string) => (typeof record === 'string' ? record : encodeRecord(record));

/** What is written for these, as pairs of key and value. */
export function recordsOf(...records: (typeof WEB | typeof API)[]): [string, string][] {
  return records
    .flatMap((record): [string, object | string][] =>
      'vni' in record
        ? [
            [keys.network(record.id), record],
            [keys.networkName(record.name), record.id],
            [keys.vni(record.vni), record.id],
            ...record.subnets.map(({ cidr }): [string, string] => [keys.subnet(cidr), record.id]),
          ]
        : [
            [keys.endpoint(record), record],
            ...record.addresses.map(({ ip }): [string, object] => [
              keys.address(record.networkId, ip),
              { endpointId: record.id, nodeId: record.nodeId },
            ]),
          ],
    )
    .map(([key, record]) => [key, text(record)]);
}

/** Certificates are words here. */
const PKI: StoreChangeDeps['pki'] = {
  createCa: async (clusterId) => ({ certificate: `another CA of ${clusterId}`, key: 'another key' }),
  createCsr: async () => 'csr',
  digest: (certificate) => `digest of ${certificate}`,
  issue: async (ca, { nodeId, keeper }) => `${keeper ? 'keeper' : 'node'} ${nodeId} by ${ca.certificate}`,
  readCertificate: (certificate) => ({
    ...{ nodeId: 'h1', fingerprint: '', serial: '1', notBefore: 0, notAfter: 1 },
    isKeepers: certificate.startsWith('keeper'),
  }),
  revocationList: async (_, serials) => `list of ${serials.join()}`,
  sha256: () => '',
};

const HOSTS: [string, string][] = [
  [keys.cluster, text(CLUSTER)],
  [keys.node('h1'), text(nodeRecord({ holdsStore: true }))],
  [keys.nodeName('h1'), 'h1'],
  [keys.node('h2'), text(nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.2' }))],
  [keys.nodeName('h2'), 'h2'],
  [keys.storeKeepers, text({ nodeIds: ['h1'] })],
];

export class StoreFixture {
  readonly clock = new VirtualClock();
  readonly etcd = new MemoryEtcd({ clock: this.clock });
  /** By URL. */
  readonly others = new Map<string, MemoryEtcd>();
  /** Node ids. */
  readonly away = new Set<string>();
  bundled = false;
  keepers: readonly string[] = ['h1'];
  /** What the host has of the CA. */
  holds: Partial<Identity> = { caKey: 'key', certificate: 'keeper h1 by ca' };
  /** What the host knows; undefined: what the store holds. */
  known: Map<string, string> | undefined;
  /** After so many transactions the agent dies. */
  dies = Number.POSITIVE_INFINITY;
  /** The first transaction that was not answered happened all the same. */
  happens = false;
  readonly progress: string[] = [];

  constructor(...records: (typeof WEB | typeof API)[]) {
    this.put(this.etcd, [...HOSTS, ...recordsOf(...records)]);
  }

  put(etcd: MemoryEtcd, records: readonly (readonly [string, string])[]): void {
    for (const [key, value] of records) etcd.txn([], [{ kind: 'put', key, value }]);
  }

  held(etcd = this.etcd): Map<string, string> {
    return new Map(etcd.entries(PREFIX).map(({ key, value }) => [key, value]));
  }

  other(url: string): MemoryEtcd {
    const found = this.others.get(url) ?? new MemoryEtcd({ clock: this.clock });
    this.others.set(url, found);
    return found;
  }

  deps(): StoreChangeDeps {
    const store = this.store(this.etcd);
    const records = () => this.known ?? this.held();
    return {
      store,
      table: {
        records: () => [...records()].map(([key, value]) => ({ key, value, revision: 1 })),
        ...{ epoch: EPOCH, height: 500 },
      },
      etcd: {
        version: async () => '3.4.23',
        setAside: async () => void this.others.delete('https://192.0.2.1:2379'),
        ensure: async () => ({ endpoints: ['https://192.0.2.1:2379'] }),
      },
      openStore: ({ endpoints: [url] }) => {
        return { store: this.store(this.other(url!)), close: () => undefined };
      },
      identity: {
        ...{ clusterId: CLUSTER.id, nodeId: 'h1', name: 'h1', caCertificate: 'ca', ...this.holds },
        store: { endpoints: ['https://192.0.2.9:2379'], bundled: this.bundled },
      } as unknown as Identity,
      self: nodeRecord(),
      agent: { version: '0.1.0', levels: { from: 1, to: 4 } },
      isAway: (nodeId) => this.away.has(nodeId),
      keepers: this.keepers.map((id) => ({ id, name: `host-${id}` })),
      pki: { ...PKI, sha256: (of) => createHash('sha256').update(of).digest('hex') },
      clock: this.clock,
      random: seededRandom(1),
    };
  }

  /** As this host's agent asks it. */
  store(etcd: MemoryEtcd): ClusterStore {
    const store = etcd.store('h1');
    const txn: ClusterStore['txn'] = async (compares, writes) => {
      const isAnswered = this.dies-- > 0;
      if (!isAnswered && this.happens) await store.txn(compares, writes);
      if (!isAnswered) this.happens = false;
      if (!isAnswered) throw new OverlaydError('store-unavailable', 'the agent is dead', { retryable: true });
      return store.txn(compares, writes);
    };
    const reading = { get: (key: string) => store.get(key), list: (prefix: string) => store.list(prefix) };
    return { ...reading, txn } as ClusterStore;
  }
}
