import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ClusterView } from '../../../src/core/cluster-view.ts';
import { countAddresses } from '../../../src/core/ipam/address.ts';
import { addressCounts, familyCounts } from '../../../src/core/ipam/address-counts.ts';
import { NetworkTallies } from '../../../src/core/network-tallies.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../../src/core/records.ts';
import { subnetsOf } from '../../../src/core/subnets.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';
import { toldView } from '../../fixtures/told-view.ts';

const SUBNETS = [
  { cidr: '10.0.1.0/29', gateway: '10.0.1.1', auxAddresses: { router: '10.0.1.3' } },
  { cidr: '10.0.2.0/30', gateway: '10.0.2.1', auxAddresses: {} },
  { cidr: 'fd00::/126', gateway: 'fd00::1', auxAddresses: {} },
];
/** Of each subnet some, reserved ones among them; one that is in none. */
const PLACES = [
  ...['10.0.1.1', '10.0.1.2', '10.0.1.3', '10.0.1.4'].map((ip) => ({ subnet: SUBNETS[0]!.cidr, ip })),
  ...['10.0.2.2', '10.9.9.9'].map((ip) => ({ subnet: SUBNETS[1]!.cidr, ip })),
  ...['fd00::2', 'fd00::3'].map((ip) => ({ subnet: SUBNETS[2]!.cidr, ip })),
];
const NETWORKS = ['n1', 'n2'];

const of = <T>(values: readonly T[]) => fc.constantFrom(...values);
const isGone = fc.integer({ min: 0, max: 2 }).map((nth) => nth === 0);
const whose = { nodeId: of(['h1', 'h2']), id: of(['e1', 'e2', 'e3']) };
const endpoint = fc
  .record({
    ...{ ...whose, networkId: of(NETWORKS), createdAt: fc.nat(3), isGone },
    ...{ addresses: fc.shuffledSubarray(PLACES, { minLength: 1, maxLength: 3 }) },
    mac: of(['02:42:0a:00:01:02', '02:42:0a:00:01:04', '62:00:00:00:00:01']),
  })
  .map(({ isGone: gone, ...parts }) => {
    const record = endpointRecord(parts);
    return { key: keys.endpoint(record), value: gone ? undefined : encodeRecord(record) };
  });
const claim = fc
  .record({ networkId: of(NETWORKS), place: of(PLACES), ...whose, isGone })
  .map(({ networkId, place: { ip }, nodeId, id, isGone: gone }) => ({
    key: keys.address(networkId, ip),
    value: gone ? undefined : encodeRecord({ endpointId: id, nodeId }),
  }));
const resting = fc
  .record({ networkId: of(NETWORKS), place: of(PLACES), isKept: fc.boolean(), clean: fc.boolean(), isGone })
  .map(({ networkId, place: { ip }, isKept, clean, isGone: gone }) => ({
    key: keys.quarantine(networkId, ip),
    value: gone
      ? undefined
      : encodeRecord({ releasedAt: 1, by: 'h1', clean, ...(isKept && { keptFor: { name: 'api', endpointId: 'e9' } }) }),
  }));
const network = fc
  .record({ id: of(NETWORKS), subnets: fc.subarray(SUBNETS, { minLength: 1 }) })
  .map(({ id, subnets }) => ({ key: keys.network(id), value: encodeRecord(networkRecord({ id, name: id, subnets })) }));
const step = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.oneof(endpoint, claim, resting, network), { minLength: 1, maxLength: 4 }) },
  { weight: 2, arbitrary: fc.constant('rest' as const) },
);

function countedAnew(view: ClusterView, id: string, subnets: NetworkRecord['subnets']) {
  const space = { claims: view.claims(id), endpoints: view.addresses(id), quarantine: view.quarantine(id) };
  return countAddresses({ ...space, subnets, pending: new Set(), now: 0 });
}

function sharedAnew(view: ClusterView, id: string) {
  const shown = new Set(view.addresses(id).values());
  return new Map([...Map.groupBy(shown, ({ mac }) => mac)].filter(([, all]) => all.length > 1).map(setsOf));
}

const setsOf = ([mac, all]: readonly [string, Iterable<EndpointRecord>]) => [mac, new Set(all)] as const;

it('says after each change what counting anew would say', () => {
  let [shared, kept] = [0, 0];
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), fc.boolean(), (steps, isWanted) => {
      const { view, tell } = toldView(() => isWanted);
      tell(
        NETWORKS.map((id) => ({
          key: keys.network(id),
          value: encodeRecord(networkRecord({ id, name: id, subnets: SUBNETS })),
        })),
      );
      for (const each of steps) {
        if (each === 'rest') view.rest();
        else tell(each);
        // Nobody asks of the second one before it is let go of.
        for (const { id, subnets } of each === 'rest' ? [view.network('n1')!] : view.networks()) {
          for (const family of [4, 6] as const) {
            const counts = familyCounts(view, { id, subnets }, family);
            expect(counts).toEqual(countedAnew(view, id, subnetsOf(subnets, family)));
            kept += counts.kept;
          }
          for (const subnet of subnets)
            expect(addressCounts(view, id, [subnet])).toEqual(countedAnew(view, id, [subnet]));
          expect(new Map([...view.sharedMacs(id)].map(setsOf))).toEqual(sharedAnew(view, id));
          shared += view.sharedMacs(id).size;
        }
      }
    }),
    { numRuns: 200 },
  );
  // Else nothing was tried.
  expect(shared).toBeGreaterThan(0);
  expect(kept).toBeGreaterThan(0);
});

/** Counts how often somebody goes through it. */
class Watched<T> extends Map<string, T> {
  looks = 0;
  override keys() {
    this.looks++;
    return super.keys();
  }
  override values() {
    this.looks++;
    return super.values();
  }
}

it('goes through the endpoints of a network once, and not again when some of them change', () => {
  const shown = new Watched<EndpointRecord>();
  const tallies = new NetworkTallies({ shown: () => shown, claims: () => new Map(), quarantine: () => new Map() });
  const come = (nth: number) => {
    const address = `10.0.1.${nth}`;
    tallies.around('n1', address, () => shown.set(address, endpointRecord({ id: `e${nth}`, address })));
  };
  const told = () => [tallies.subnet('n1', '10.0.1.0/24').taken, tallies.sharedMacs('n1').values().next().value?.size];
  come(2);
  come(3);
  expect(told()).toEqual([2, 2]);
  const looks = shown.looks;
  expect(looks).toBeGreaterThan(0);
  come(4);
  tallies.around('n1', '10.0.1.2', () => shown.delete('10.0.1.2'));
  come(5);
  expect(told()).toEqual([3, 3]);
  expect(shown.looks).toBe(looks);
});
