/** A plan that begins from what the last one left is the one that begins from the same seen anew. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { desired } from '../../../../src/core/desired.ts';
import type { NamespaceState, Observed, Plan } from '../../../../src/core/host-state.ts';
import { singleOps } from '../../../../src/core/plan/rows.ts';
import { plan } from '../../../../src/core/plan.ts';
import { type EndpointRecord, keys } from '../../../../src/core/records.ts';
import { fdbRows, neighbourRows } from '../../../../src/core/row-table.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../../fixtures/records.ts';
import { type ToldView, toldView } from '../../../fixtures/told-view.ts';

const AT = 'ovl-4096';
const SUBNETS = [
  { cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} },
  { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} },
];

type Records = ReadonlyMap<string, object>;

const step = fc.record({
  what: fc.constantFrom('come', 'come', 'come', 'go', 'go', 'move', 'replace', 'remote', 'mtu', 'nothing'),
  which: fc.nat({ max: 40 }),
  /** Of several endpoints, as older releases let them be. */
  mac: fc.option(fc.nat({ max: 3 }), { freq: 8 }),
  hasIpv6: fc.boolean(),
  isLooked: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const macOf = (last: number) => `02:42:0a:00:01:${last.toString(16).padStart(2, '0')}`;

function record(id: number, nodeId: string, { mac, hasIpv6 }: Step): EndpointRecord {
  const addresses = [
    { subnet: SUBNETS[0]!.cidr, ip: `10.0.1.${id + 2}` },
    ...(hasIpv6 ? [{ subnet: SUBNETS[1]!.cidr, ip: `fd00:1::${id + 2}` }] : []),
  ];
  const text = `${id}`.padStart(12, '0').padEnd(64, 'e');
  return endpointRecord({ id: text, name: `c${id}`, nodeId, addresses, mac: macOf(mac === null ? id + 2 : mac + 200) });
}

function localOf(endpoint: EndpointRecord, turn = 0): LocalEndpoint {
  const container = { text: `netns:${endpoint.name}`, path: `/run/netns/${endpoint.name}`, identity: endpoint.name };
  return { record: endpoint, container, ifname: `eth${turn}` };
}

function tellAll({ tell }: ToldView, records: Records): void {
  tell([...records].map(([key, value]) => ({ key, value: JSON.stringify(value) })));
}

function planOf({ view }: ToldView, local: readonly LocalEndpoint[], state: NamespaceState | undefined): Plan {
  const insides = local.filter(({ record }) => !state?.links.has(`e${record.id.slice(0, 12)}`));
  const empty = { forwarding: false, forwarding6: false, links: new Map(), addresses: [], routes: [] };
  const inside: NamespaceState = { ...empty, neighbours: [], fdb: [], filter: undefined };
  const observed: Observed = {
    namespaces: undefined,
    host: undefined,
    networks: new Map(state && [[AT, state]]),
    containers: new Map(insides.map(({ container }) => [container.identity, inside])),
  };
  return plan(desired({ view, self: view.node('h1')!, local }), observed, { provesAbsence: true });
}

/** In no order: rows and elements have none. */
const opsOf = ({ stages }: Plan) =>
  stages.map(({ ops }) =>
    ops
      .flatMap(({ op, network, endpointId, reason }) =>
        singleOps(op).map((each) => textOf({ ...each, network, endpointId, reason })),
      )
      .sort(),
  );

function textOf(value: object): string {
  return JSON.stringify(value, (_, each) => (each instanceof Set ? [...each].sort() : each));
}

function contentOf({ links, neighbours, fdb, filter, ...rest }: NamespaceState): object {
  const texts = (rows: readonly object[]) => rows.map(textOf).sort();
  const all = [...links].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = { neighbours: texts(neighbourRows(neighbours)), fdb: texts(fdbRows(fdb)) };
  return { ...rest, ...rows, links: all, filter: filter && textOf(filter) };
}

/** As a look tells it: the same, and nothing that was compared before. */
function anew(state: NamespaceState): NamespaceState {
  const rows = { neighbours: [...neighbourRows(state.neighbours)], fdb: [...fdbRows(state.fdb)].reverse() };
  return structuredClone({ ...state, ...rows });
}

describe.each([
  { options: {}, internal: false },
  { options: { multicast: 'true' }, internal: true },
])('ports that come and go, %o', ({ options, internal }) => {
  it('are planned the same, whatever is remembered of the others', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 25 }), (steps) => {
        let network = networkRecord({ subnets: SUBNETS, options, internal });
        const records = new Map<string, object>([
          [keys.node('h1'), nodeRecord()],
          [keys.node('h2'), nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.2', advertiseAddress: '192.0.2.2' })],
          [keys.network('n1'), network],
        ]);
        const told = toldView();
        const local = new Map<string, LocalEndpoint>();
        let state: NamespaceState | undefined;
        for (const [turn, each] of steps.entries()) {
          const own = record(each.which, 'h1', each);
          const there = [...local.values()][each.which % Math.max(1, local.size)];
          if (each.what === 'come' && !local.has(own.id)) local.set(own.id, localOf(own));
          if (each.what === 'go' && there) local.delete(there.record.id);
          if (each.what === 'move' && there) local.set(there.record.id, localOf(there.record, turn));
          if (each.what === 'replace' && there) {
            local.delete(there.record.id);
            if (!local.has(own.id)) local.set(own.id, localOf(own));
          }
          const remote = record(each.which + 50, 'h2', each);
          if (each.what === 'remote') records.set(keys.endpoint(remote), remote);
          if (each.what === 'mtu') {
            network = { ...network, options: { ...options, mtu: `${1400 + each.which}` } };
            records.set(keys.network('n1'), network);
          }
          tellAll(told, records);
          const again = toldView();
          tellAll(again, records);
          const locals = [...local.values()];
          const planned = planOf(told, locals, state);
          // Ports that were made before are not known for these.
          const fresh = planOf(again, structuredClone(locals), state && anew(state));
          expect(opsOf(planned)).toEqual(opsOf(fresh));
          const [now, other] = [planned, fresh].map((of) => of.outcomes?.get(AT) ?? of.settled?.get(AT));
          expect(now && contentOf(now)).toEqual(other && contentOf(other));
          state = each.isLooked && now ? anew(now) : now;
        }
      }),
      { numRuns: 40 },
    );
  });
});
