import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ClusterState } from '../../../src/core/page/contract.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { keys } from '../../../src/core/records.ts';
import type { RecordsPart, Status } from '../../../src/gen/overlayd/v1/control.ts';
import type { Clock } from '../../../src/ports/runtime.ts';
import { Follower } from '../../../src/ui/follower.ts';
import { endpointRow, networkRow } from '../../../src/ui/rows.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';

const NETWORKS = ['n1', 'n2'];
const IPS = ['10.0.1.2', '10.0.1.3', '10.0.1.4'];
const of = <T>(values: readonly T[]) => fc.constantFrom(...values);
const isGone = fc.integer({ min: 0, max: 2 }).map((nth) => nth === 0);
const whose = { nodeId: of(['h1', 'h2']), nth: fc.nat(2) };
/** Ids are of one host each. */
const idOf = (nodeId: string, nth: number) => `${nodeId}e${nth}`;

const endpoint = fc
  .record({ ...whose, createdAt: fc.nat(2), name: of(['api', 'web']), ips: fc.subarray(IPS, { minLength: 1 }), isGone })
  .map(({ nodeId, nth, ips, isGone: gone, ...parts }) => {
    const addresses = ips.map((ip) => ({ subnet: '10.0.1.0/24', ip }));
    const record = endpointRecord({
      ...parts,
      nodeId,
      id: idOf(nodeId, nth),
      networkId: NETWORKS[nth % 2]!,
      addresses,
    });
    return { key: keys.endpoint(record), value: gone ? undefined : encodeRecord(record) };
  });
const claim = fc.record({ ...whose, ip: of(IPS), isGone }).map(({ nodeId, nth, ip, isGone: gone }) => ({
  key: keys.address(NETWORKS[nth % 2]!, ip),
  value: gone ? undefined : encodeRecord({ endpointId: idOf(nodeId, nth), nodeId }),
}));
/** Without its subnet its endpoints are at addresses which are none. */
const network = fc
  .record({ id: of(NETWORKS), hasSubnet: fc.boolean(), isGone })
  .map(({ id, hasSubnet, isGone: gone }) => {
    const { subnets } = networkRecord();
    const other = { cidr: '10.0.9.0/24', gateway: '10.0.9.1', auxAddresses: {} };
    const record = networkRecord({ id, name: id, subnets: hasSubnet ? subnets : [other] });
    return { key: keys.network(id), value: gone ? undefined : encodeRecord(record) };
  });
const told = fc.array(fc.oneof(endpoint, claim, network), { minLength: 1, maxLength: 5 });

/** Of an agent that tells what it is told to tell next. */
function followed() {
  let now = 0;
  let next: RecordsPart;
  const agent = {
    getStatus: async () => ({ peers: [], findings: [] }) as unknown as Status,
    getRecords: async (_: unknown, onTold: (part: RecordsPart) => void) => onTold(next),
  };
  const clock: Clock = { now: () => now, elapsed: () => now, sleep: async () => undefined };
  const follower = new Follower({ agent, clock }, { run: 'r1', writable: false });
  const look = async (part: RecordsPart): Promise<ClusterState> => {
    next = part;
    now += 60_000;
    return JSON.parse(await follower.state());
  };
  return { look, view: follower.view };
}

it('publishes after each change all that the view shows then', async () => {
  let most = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(told, { minLength: 1, maxLength: 15 }), async (steps) => {
      const { look, view } = followed();
      let revision = 2;
      const begin = { key: keys.network('n1'), revision, value: encodeRecord(networkRecord({ id: 'n1', name: 'n1' })) };
      await look({ life: 'l', whole: true, revision, records: [begin] });
      for (const changes of steps) {
        const records = changes.map(({ key, value }) => ({ key, value, revision: ++revision }));
        const { endpoints, networks } = await look({ life: 'l', whole: false, revision, records });
        const there = [...view().networks()];
        expect(byId(networks)).toEqual(byId(there.map((each) => networkRow(view(), each))));
        // What is known of a network that has no record yet nobody has asked for.
        const shown = endpoints.filter(({ network: of }) => there.some(({ id }) => id === of));
        expect(byId(shown)).toEqual(byId(there.flatMap(({ id }) => [...view().endpointsOn(id)].map(endpointRow))));
        most = Math.max(most, shown.length);
      }
    }),
    { numRuns: 300 },
  );
  // Else nothing was tried.
  expect(most).toBeGreaterThan(1);
});

function byId<T extends { readonly id: string }>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
