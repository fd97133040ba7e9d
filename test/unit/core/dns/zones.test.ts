import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterIndex } from '../../../../src/core/cluster-index.ts';
import { recordsOf } from '../../../../src/core/dns/zone.ts';
import { buildZone, createZones } from '../../../../src/core/dns/zones.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';

const NETWORKS = ['w', 'd'];
const TTL = { ttlSeconds: 5 };

const network = (id: string, name: string) => networkRecord({ id, name });

const endpoint = (host: number, parts: Partial<EndpointRecord> = {}) =>
  endpointRecord({
    ...{ id: 'f'.repeat(64), networkId: 'w', address: `10.0.1.${host}`, name: `n${host}` },
    ...parts,
  });

/** A view, who is hidden and who is not reached, and zones kept of them; every change is told. */
function setUp() {
  const view = new ClusterIndex({ whole: true, behind: false, complete: 1 });
  const hidden = new Set<string>();
  const unreached = new Set<string>();
  const sources = { view, hidden: () => hidden, reaches: ({ address }: EndpointRecord) => !unreached.has(address) };
  const zones = createZones(sources, TTL);
  const change = (key: string, record: object | undefined, networkId: string) => {
    view.apply([{ key, value: record && encodeRecord(record) }]);
    zones.invalidate(networkId);
  };
  const put = (record: EndpointRecord) =>
    change(keys.endpoint(record.networkId, record.address), record, record.networkId);
  const remove = (networkId: string, address: string) =>
    change(keys.endpoint(networkId, address), undefined, networkId);
  const setNetwork = (id: string, record: NetworkRecord | undefined) => change(keys.network(id), record, id);
  for (const id of NETWORKS) setNetwork(id, network(id, id));
  return { sources, zones, hidden, unreached, put, remove, setNetwork };
}

type Step = (world: ReturnType<typeof setUp>) => void;

/** Few names, hosts and addresses, so that they meet. */
const arbitrary = {
  networkId: fc.constantFrom(...NETWORKS),
  host: fc.integer({ min: 2, max: 6 }),
  nodeId: fc.constantFrom('h1', 'h2', 'h3'),
  name: fc.constantFrom('a', 'b', 'A', 'a.w', 'tasks'),
  id: fc.constantFrom('1', '2', '3').map((digit) => digit.repeat(64)),
};
const aliases = fc.array(arbitrary.name, { maxLength: 3 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ ...arbitrary, aliases }).map(putStep), weight: 6 },
  {
    arbitrary: fc.record({ networkId: arbitrary.networkId, host: arbitrary.host }).map(removeStep),
    weight: 2,
  },
  arbitrary.nodeId.map(
    (nodeId): Step =>
      (world) =>
        toggle(world, world.hidden, nodeId),
  ),
  arbitrary.host.map(
    (host): Step =>
      (world) =>
        toggle(world, world.unreached, `10.0.1.${host}`),
  ),
  fc.record({ id: arbitrary.networkId, name: fc.option(fc.constantFrom('w', 'd', 'Other')) }).map(
    ({ id, name }): Step =>
      ({ setNetwork }) =>
        setNetwork(id, name === null ? undefined : network(id, name)),
  ),
  // a question: what is kept is of this moment
  arbitrary.networkId.map(
    (networkId): Step =>
      ({ zones }) =>
        void zones.get(networkId),
  ),
);

function putStep({ host, ...parts }: { host: number } & Partial<EndpointRecord>): Step {
  return ({ put }) => put(endpoint(host, parts));
}

function removeStep({ networkId, host }: { networkId: string; host: number }): Step {
  return ({ remove }) => remove(networkId, `10.0.1.${host}`);
}

function toggle({ zones }: ReturnType<typeof setUp>, set: Set<string>, value: string): void {
  if (!set.delete(value)) set.add(value);
  zones.invalidate('all');
}

describe('a zone that is kept', () => {
  it('equals one built from nothing after any changes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = setUp();
        for (const take of steps) take(world);
        for (const id of NETWORKS) expect(world.zones.get(id)).toEqual(buildZone(world.sources, id, TTL));
      }),
      { numRuns: 500 },
    );
  });

  it('keeps the encoded answers of names that did not change', () => {
    const { zones, put, remove, hidden } = setUp();
    put(endpoint(2, { aliases: ['both'] }));
    put(endpoint(3, { aliases: ['both'], nodeId: 'h2' }));
    const answer = (name: string) => {
      const zone = zones.get('w')!;
      return recordsOf(zone, zone.names.get(name)!);
    };
    const [one, both] = [answer('n2'), answer('both')];
    put(endpoint(4, { aliases: ['both'] }));
    expect(answer('n2')).toBe(one);
    expect(answer('both')).not.toBe(both);
    expect(answer('both')).toHaveLength((3 * both.length) / 2);
    hidden.add('h2');
    zones.invalidate('all');
    expect(answer('n2')).toBe(one);
    expect(zones.get('w')!.names.get('n3')!.kind).toBe('hidden');
    remove('w', '10.0.1.3');
    expect(answer('n2')).toBe(one);
    expect(zones.get('w')!.names.has('n3')).toBe(false);
  });

  it('is not looked at again before it is told of a change', () => {
    const { zones, sources, setNetwork } = setUp();
    let looks = 0;
    const look = () => {
      looks += 1;
      return new Set<string>();
    };
    const counted = createZones({ ...sources, hidden: look }, TTL);
    counted.get('w');
    counted.get('w');
    counted.invalidate('d');
    counted.get('w');
    expect(looks).toBe(1);
    counted.invalidate('w');
    counted.get('w');
    expect(looks).toBe(2);
    setNetwork('w', undefined);
    expect(zones.get('w')).toBeUndefined();
  });
});
