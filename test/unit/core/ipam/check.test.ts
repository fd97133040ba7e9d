/** What etcd holds of addresses: a healthy cluster has no findings, and of each damage that one is found alone. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasMacClaim, proposedMac } from '../../../../src/core/endpoint-mac.ts';
import { isIpv4, macOf, requireIp } from '../../../../src/core/ip.ts';
import { countAddresses } from '../../../../src/core/ipam/address.ts';
import { checkAddresses, type Finding, type OwnEndpoints } from '../../../../src/core/ipam/check.ts';
import type { StoredRecord } from '../../../../src/core/ipam/inventory.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { type EndpointRecord, keys } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../../fixtures/records.ts';

const SELF = 'h1';
const NETWORKS = ['n1', 'n2', 'n3'];
const HOSTS = ['h1', 'h2', 'h3'];

const macAt = (ip: string) => macOf(requireIp(ip, 'address'));
const subnetAt = (at: number) => ({ cidr: `10.0.${at + 1}.0/24`, gateway: `10.0.${at + 1}.1`, auxAddresses: {} });
const ipv6SubnetAt = (at: number) => ({ cidr: `fd00:${at + 1}::/64`, gateway: `fd00:${at + 1}::1`, auxAddresses: {} });

/** Of `h1`, as whose agent looks, those that are its own are live. */
class Cluster {
  readonly records = new Map<string, string>();
  readonly live = new Map<string, EndpointRecord>();

  constructor(endpoints: readonly EndpointRecord[]) {
    for (const id of HOSTS) this.put(keys.node(id), nodeRecord({ id, name: `host-${id}` }));
    for (const [at, id] of NETWORKS.entries()) {
      this.put(keys.network(id), networkRecord({ id, name: `net-${id}`, subnets: [subnetAt(at), ipv6SubnetAt(at)] }));
    }
    for (const each of endpoints) this.add(each);
  }

  put(key: string, record: object): void {
    this.records.set(key, encodeRecord(record));
  }

  add(endpoint: EndpointRecord): void {
    const { id: endpointId, networkId, nodeId, mac } = endpoint;
    this.put(keys.endpoint(endpoint), endpoint);
    for (const { ip } of endpoint.addresses) this.put(keys.address(networkId, ip), { endpointId, nodeId });
    if (hasMacClaim(endpoint)) this.put(keys.mac(networkId, mac), { endpointId, nodeId });
    if (nodeId === SELF) this.live.set(endpoint.id, endpoint);
  }

  check(own: Partial<OwnEndpoints> = {}): Finding[] {
    const entries = [...this.records].map(([key, value]): StoredRecord => ({ key, value }));
    return checkAddresses(entries, { nodeId: SELF, byId: this.live, isUnderway: () => false, ...own });
  }

  /** What the repairs leave. Each address that is to rest is free. */
  repair(): void {
    for (const { repair } of this.check()) {
      for (const change of repair?.changes ?? []) {
        if (change.kind === 'delete') expect(this.records.delete(change.key), change.key).toBe(true);
        else if (change.kind === 'put') this.put(change.key, change.record);
        else this.put(change.key, { releasedAt: 1, by: SELF, clean: false });
      }
    }
  }
}

/** Kind and key of each. */
const found = (cluster: Cluster) => cluster.check().map(({ kind, key }) => `${kind} ${key}`);

interface Place {
  readonly network: number;
  readonly host: string;
  readonly chosen: boolean;
  readonly has: 'one' | 'several' | 'both' | 'six';
}

const places = fc.array(
  fc.record({
    network: fc.nat(NETWORKS.length - 1),
    host: fc.constantFrom(...HOSTS),
    chosen: fc.boolean(),
    has: fc.constantFrom('one', 'several', 'both', 'six'),
  }),
  { minLength: 1, maxLength: 40 },
);

function endpointsAt(all: readonly Place[]): EndpointRecord[] {
  return all.map(({ network, host, chosen, has }, at) => {
    const subnet = `10.0.${network + 1}.0/24`;
    const ip = `10.0.${network + 1}.${2 + at}`;
    const ip6 = `fd00:${network + 1}::${(2 + at).toString(16)}`;
    const mac = chosen ? `02:00:00:00:00:${(16 + at).toString(16)}` : has === 'six' ? proposedMac(ip6) : macAt(ip);
    const addresses = [
      ...(has === 'six' ? [] : [{ subnet, ip }]),
      ...(has === 'several' ? [{ subnet, ip: `10.0.${network + 1}.${102 + at}` }] : []),
      ...(has === 'both' || has === 'six' ? [{ subnet: `fd00:${network + 1}::/64`, ip: ip6 }] : []),
    ];
    return endpointRecord({
      ...{ id: at.toString(16).padStart(64, 'e'), networkId: NETWORKS[network]!, nodeId: host, addresses, mac },
      name: `c${at}`,
    });
  });
}

const addressKey = ({ networkId, addresses }: EndpointRecord) => keys.address(networkId, addresses[0]!.ip);

/** A damage, done to the cluster and one of its endpoints, with what is to be found of it, and whether repair mends it here. */
interface Damage {
  readonly does: (cluster: Cluster, endpoint: EndpointRecord) => string | undefined;
  readonly mends: (endpoint: EndpointRecord) => boolean;
}

const isOwn = ({ nodeId }: EndpointRecord) => nodeId === SELF;
const never = () => false;
const always = () => true;

const DAMAGES: Record<string, Damage> = {
  'the claim is gone': {
    does: (cluster, endpoint) => {
      cluster.records.delete(addressKey(endpoint));
      return `missing ${addressKey(endpoint)}`;
    },
    mends: never,
  },
  'the claim cannot be read': {
    does: (cluster, endpoint) => {
      cluster.records.set(addressKey(endpoint), '?');
      return `unreadable ${addressKey(endpoint)}`;
    },
    mends: never,
  },
  'the record cannot be read': {
    does: (cluster, endpoint) => {
      cluster.records.set(keys.endpoint(endpoint), '{}');
      return `unreadable ${keys.endpoint(endpoint)}`;
    },
    mends: never,
  },
  'the claim says another host': {
    does: (cluster, endpoint) => {
      cluster.put(addressKey(endpoint), { endpointId: endpoint.id, nodeId: 'h9' });
      return `foreign ${addressKey(endpoint)}`;
    },
    mends: never,
  },
  'a claim of an endpoint that is not there': {
    does: (cluster, endpoint) => {
      const key = keys.address(endpoint.networkId, '10.0.1.250'.replace('.1.', `.${endpoint.networkId.slice(1)}.`));
      cluster.put(key, { endpointId: 'f'.repeat(64), nodeId: endpoint.nodeId });
      return `leaked ${key}`;
    },
    mends: isOwn,
  },
  'a claim of a host that is no member': {
    does: (cluster, endpoint) => {
      const key = keys.address(endpoint.networkId, '10.0.1.250'.replace('.1.', `.${endpoint.networkId.slice(1)}.`));
      cluster.put(key, { endpointId: 'f'.repeat(64), nodeId: 'h9' });
      return `leaked ${key}`;
    },
    mends: always,
  },
  'a claim of a network that is gone': {
    does: (cluster, { nodeId }) => {
      const key = keys.address('n9', '10.0.9.2');
      cluster.put(key, { endpointId: 'f'.repeat(64), nodeId });
      return `leaked ${key}`;
    },
    mends: isOwn,
  },
  'a second claim': {
    does: (cluster, { id: endpointId, networkId, nodeId }) => {
      const key = keys.address(networkId, '10.0.1.250'.replace('.1.', `.${networkId.slice(1)}.`));
      cluster.put(key, { endpointId, nodeId });
      return `leaked ${key}`;
    },
    mends: isOwn,
  },
  'a claim outside of the subnets': {
    does: (cluster, { networkId, nodeId }) => {
      const key = keys.address(networkId, '172.16.0.2');
      cluster.put(key, { endpointId: 'f'.repeat(64), nodeId });
      return `foreign ${key}`;
    },
    mends: isOwn,
  },
  'an endpoint outside of the subnets': {
    does: (cluster, { networkId, nodeId }) => {
      const outside = endpointRecord({ id: 'f'.repeat(64), networkId, nodeId, address: '172.16.0.2' });
      cluster.add({ ...outside, mac: macAt('172.16.0.2') });
      return `foreign ${keys.address(networkId, '172.16.0.2')}`;
    },
    mends: never,
  },
  'an endpoint at the gateway': {
    does: (cluster, { networkId, nodeId }) => {
      const address = `10.0.${networkId.slice(1)}.1`;
      cluster.add(endpointRecord({ id: 'f'.repeat(64), networkId, nodeId, address, mac: macAt(address) }));
      return `foreign ${keys.address(networkId, address)}`;
    },
    mends: never,
  },
  'an endpoint of a host that is no member': {
    does: (cluster, { networkId }) => {
      const ip = '10.0.1.250'.replace('.1.', `.${networkId.slice(1)}.`);
      const stray = endpointRecord({
        id: 'f'.repeat(64),
        networkId,
        nodeId: 'h9',
        address: ip,
        mac: '02:00:00:00:00:01',
      });
      cluster.add(stray);
      return `leaked ${keys.endpoint(stray)}`;
    },
    mends: always,
  },
  'an endpoint of this host that it does not have': {
    does: (cluster, { networkId }) => {
      const ip = '10.0.1.250'.replace('.1.', `.${networkId.slice(1)}.`);
      const stray = endpointRecord({ id: 'f'.repeat(64), networkId, nodeId: SELF, address: ip, mac: macAt(ip) });
      cluster.add(stray);
      cluster.live.delete(stray.id);
      return `leaked ${keys.endpoint(stray)}`;
    },
    mends: always,
  },
  'an endpoint that has the address of another': {
    does: (cluster, endpoint) => {
      const second = { ...endpoint, id: 'f'.repeat(64), nodeId: 'h2' };
      cluster.put(keys.endpoint(second), second);
      // One that has several addresses is found at each.
      return endpoint.addresses.length === 1 ? `duplicate ${addressKey(endpoint)}` : undefined;
    },
    mends: never,
  },
  'a MAC that is another’s': {
    does: (cluster, { networkId, nodeId, mac }) => {
      const ip = '10.0.1.250'.replace('.1.', `.${networkId.slice(1)}.`);
      const twin = endpointRecord({ id: 'f'.repeat(64), networkId, nodeId, address: ip, mac });
      cluster.put(keys.endpoint(twin), twin);
      cluster.put(keys.address(networkId, ip), { endpointId: twin.id, nodeId });
      if (nodeId === SELF) cluster.live.set(twin.id, twin);
      return `duplicate ${keys.mac(networkId, mac)}`;
    },
    mends: never,
  },
  'a MAC claim of no endpoint': {
    does: (cluster, { networkId, nodeId }) => {
      const key = keys.mac(networkId, '02:00:00:00:00:02');
      cluster.put(key, { endpointId: 'f'.repeat(64), nodeId });
      return `leaked ${key}`;
    },
    mends: isOwn,
  },
  'a MAC claim is gone': {
    does: (cluster, endpoint) => {
      const { networkId, mac } = endpoint;
      if (!cluster.records.delete(keys.mac(networkId, mac))) return undefined;
      return `missing ${keys.mac(networkId, mac)}`;
    },
    mends: isOwn,
  },
  'an address rests on a network that is gone': {
    does: (cluster) => {
      const key = keys.quarantine('n9', '10.0.9.2');
      cluster.put(key, { releasedAt: 1, by: 'h1', clean: true });
      return `leaked ${key}`;
    },
    mends: never,
  },
};

describe('a cluster that is whole', () => {
  it('has no findings, whatever rests', () => {
    fc.assert(
      fc.property(places, (all) => {
        const cluster = new Cluster(endpointsAt(all));
        cluster.put(keys.quarantine('n1', '10.0.1.200'), { releasedAt: 1, by: 'h9', clean: false });
        expect(cluster.check()).toEqual([]);
      }),
    );
  });
});

it('where nothing is found, what is counted as used is what is claimed', () => {
  fc.assert(
    fc.property(places, (all) => {
      const endpoints = endpointsAt(all);
      const cluster = new Cluster(endpoints);
      for (const [at, id] of NETWORKS.entries()) {
        const prefix = keys.addressesOn(id);
        const claimed = [...cluster.records.keys()]
          .filter((key) => key.startsWith(prefix))
          .map((key) => key.slice(prefix.length));
        const on = endpoints.filter(({ networkId }) => networkId === id);
        const space = {
          claims: new Map(claimed.map((ip) => [ip, { endpointId: 'e', nodeId: 'h' }])),
          endpoints: new Map(on.flatMap((each) => each.addresses.map(({ ip }) => [ip, each] as const))),
          ...{ quarantine: new Map(), pending: new Set<string>(), now: 0 },
        };
        const [four, six] = [claimed.filter(isIpv4).length, claimed.filter((ip) => !isIpv4(ip)).length];
        expect(countAddresses({ ...space, subnets: [subnetAt(at)] })).toEqual({
          ...{ total: 256, used: four, reserved: 3, quarantined: 0, kept: 0, free: 253 - four },
        });
        const most = Number.MAX_SAFE_INTEGER;
        expect(countAddresses({ ...space, subnets: [ipv6SubnetAt(at)] })).toEqual({
          ...{ total: most, used: six, reserved: 2, quarantined: 0, kept: 0, free: most },
        });
      }
    }),
  );
});

describe('of what is damaged, that is found and nothing else, and repair mends what is nobody’s:', () => {
  it.each(Object.entries(DAMAGES))('%s', (_, { does, mends }) => {
    fc.assert(
      fc.property(places, fc.nat(), (all, at) => {
        const endpoints = endpointsAt(all);
        const cluster = new Cluster(endpoints);
        const endpoint = endpoints[at % endpoints.length]!;
        const finding = does(cluster, endpoint);
        fc.pre(finding !== undefined);
        expect(found(cluster)).toEqual([finding]);
        const before = new Map(cluster.records);
        cluster.repair();
        if (mends(endpoint)) {
          expect(cluster.check()).toEqual([]);
        } else if (finding !== undefined && !finding.startsWith('foreign')) {
          expect(cluster.records).toEqual(before);
        }
        // Whatever it does, no endpoint that is a member's, or is here, loses anything of its own.
        for (const each of endpoints) {
          expect(cluster.records.get(keys.endpoint(each))).toBe(before.get(keys.endpoint(each)));
        }
      }),
    );
  });
});

describe('repair', () => {
  const one = endpointRecord({ nodeId: 'h9', mac: '02:00:00:00:00:01' });

  it('compares all that it goes by, and lets addresses of a lost host rest', () => {
    const cluster = new Cluster([one]);
    const [finding] = cluster.check();
    const claim = keys.address('n1', '10.0.1.2');
    expect(finding!.repair).toEqual({
      asFound: [keys.endpoint(one), claim, keys.mac('n1', one.mac), keys.node('h9'), keys.network('n1')],
      changes: [
        ...[keys.endpoint(one), claim, keys.mac('n1', one.mac)].map((key) => ({ kind: 'delete', key })),
        { kind: 'rest', key: keys.quarantine('n1', '10.0.1.2') },
      ],
    });
    expect(finding).toMatchObject({
      what: 'endpoint api (10.0.1.2) is of a host that is no member',
      owner: 'h9, which is no member',
      mend: 'deletes it and its claims; the address rests',
    });
  });

  it('does not let an address rest that another endpoint has: its agent claims it', () => {
    const cluster = new Cluster([endpointRecord({ nodeId: 'h2' })]);
    const key = keys.address('n1', '10.0.1.2');
    cluster.put(key, { endpointId: 'f'.repeat(64), nodeId: 'h9' });
    const [finding] = cluster.check();
    expect([finding!.kind, finding!.repair!.changes]).toEqual(['foreign', [{ kind: 'delete', key }]]);
  });

  it('leaves to a host that has left, that is another, or that does not know what it has', () => {
    const stray = endpointRecord({ nodeId: SELF });
    const cluster = new Cluster([stray]);
    expect(cluster.check({ byId: undefined })).toEqual([]);
    cluster.live.clear();
    expect(cluster.check({ isUnderway: () => true })).toEqual([]);
    cluster.records.delete(keys.endpoint(stray));
    const [elsewhere] = cluster.check({ nodeId: 'h2' });
    expect(elsewhere).toMatchObject({ kind: 'leaked', repair: undefined });
    expect(elsewhere!.mend).toContain('`overlayd ipam repair` there');
    cluster.put(keys.node(SELF), nodeRecord({ id: SELF, name: 'host-h1', left: true }));
    const [left] = cluster.check();
    expect(left).toMatchObject({ kind: 'leaked', repair: undefined });
    expect(left!.mend).toContain('`overlayd node rm host-h1`');
  });

  it('takes nothing by a host or network that cannot be read', () => {
    const cluster = new Cluster([endpointRecord({ nodeId: 'h2', address: '172.16.0.2', mac: '02:42:ac:10:00:02' })]);
    cluster.records.set(keys.node('h2'), '?');
    cluster.records.set(keys.network('n1'), '?');
    expect(found(cluster)).toEqual([`unreadable ${keys.network('n1')}`, `unreadable ${keys.node('h2')}`]);
  });

  it('leaves an endpoint that this host has alone where its record or its network is gone', () => {
    const endpoint = endpointRecord({ nodeId: SELF });
    const cluster = new Cluster([endpoint]);
    cluster.records.delete(keys.endpoint(endpoint));
    expect(cluster.check()).toMatchObject([{ kind: 'missing', key: keys.endpoint(endpoint), repair: undefined }]);
    const other = new Cluster([endpoint]);
    other.records.delete(keys.network('n1'));
    expect(other.check()).toMatchObject([{ kind: 'leaked', key: keys.endpoint(endpoint), repair: undefined }]);
  });
});
