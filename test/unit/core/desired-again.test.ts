/** What is wanted is made anew only where something has become another: thousands of rows are compared once. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, expect, it, vi } from 'vitest';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import { desired, momentOfWhole } from '../../../src/core/desired.ts';
import type { DesiredNetwork, Observed } from '../../../src/core/host-state.ts';
import { networkRows } from '../../../src/core/plan/network-rows.ts';
import { plan } from '../../../src/core/plan.ts';
import { type EndpointRecord, keys } from '../../../src/core/records.ts';
import { ALL_ZEROS, fdbRows, neighbourRows } from '../../../src/core/row-table.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../fixtures/records.ts';
import { type ToldView, toldView } from '../../fixtures/told-view.ts';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

const put = (key: string, record: object) => ({ key, value: JSON.stringify(record) });
const remote = (id: string, last: number): EndpointRecord =>
  endpointRecord({ id, nodeId: 'h2', address: `10.0.1.${last}`, mac: `02:42:0a:00:01:0${last}` });

let view: ToldView['view'];
let tell: ToldView['tell'];
let local: LocalEndpoint[];
let isWanted: boolean;

const want = () => desired({ view, self: view.node('h1')!, local });
const network = () => want().networks[0] as DesiredNetwork;
const rows = () => networkRows(network(), network().ports, want());
const add = (record: EndpointRecord) => tell([put(keys.endpoint(record), record)]);

beforeEach(() => {
  isWanted = true;
  ({ view, tell } = toldView(() => isWanted, 'h1'));
  const own = endpointRecord();
  tell([
    put(keys.node('h1'), nodeRecord()),
    put(keys.node('h2'), nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.2', advertiseAddress: '192.0.2.2' })),
    put(keys.network('n1'), networkRecord()),
    put(keys.endpoint(own), own),
  ]);
  add(remote('a', 3));
  local = [
    {
      record: view.endpoint(own)!,
      container: { text: 'netns:c1', path: '/run/netns/c1', identity: 'c1' },
      ifname: 'eth0',
    },
  ];
});

it('is the same while nothing changes, and while something else does', () => {
  const before = { network: network(), rows: rows() };
  const other = endpointRecord({ id: 'x', networkId: 'n2', nodeId: 'h2', address: '10.0.2.2' });
  tell([put(keys.network('n2'), networkRecord({ id: 'n2', name: 'api', vni: 4097 }))]);
  add(other);
  expect(network().remotes).toBe(before.network.remotes);
  expect(network().ports[0]).toBe(before.network.ports[0]);
  expect(rows()).toBe(before.rows);
});

it('has the same endpoints of others when one of this host comes or goes', () => {
  const { remotes } = network();
  const second = endpointRecord({ id: 'second', address: '10.0.1.9', mac: '02:42:0a:00:01:09' });
  add(second);
  expect(network().remotes).toBe(remotes);
  tell([{ key: keys.endpoint(second), value: undefined }]);
  expect(network().remotes).toBe(remotes);
  expect(momentOfWhole(remotes)).toBe(view.momentOfOthers('n1'));
  add(remote('b', 4));
  expect(network().remotes).not.toBe(remotes);
  expect(momentOfWhole(remotes)).not.toBe(view.momentOfOthers('n1'));
});

it('knows whether it has all endpoints of others with all of their addresses', () => {
  const isWhole = () => momentOfWhole(network().remotes) === view.momentOfOthers('n1');
  expect(isWhole()).toBe(true);
  tell([put(keys.node('h2'), nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.2', left: true }))]);
  expect(isWhole()).toBe(false);
});

it('is another when an endpoint comes or goes, a member moves, or the subnet does', () => {
  const addresses = () => neighbourRows(rows().neighbours).map(({ address }) => address);
  const vteps = () => network().remotes.map(({ vtep }) => vtep);
  expect(addresses()).toEqual(['10.0.1.2', '10.0.1.3', expect.anything()]);
  add(remote('b', 4));
  expect(addresses()).toContain('10.0.1.4');
  tell([{ key: keys.endpoint(remote('a', 3)), value: undefined }]);
  expect(addresses()).not.toContain('10.0.1.3');
  tell([put(keys.node('h2'), nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.9' }))]);
  expect(vteps()).toEqual(['192.0.2.9']);
  tell([put(keys.node('h2'), nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.9', left: true }))]);
  expect(vteps()).toEqual([]);
  const subnets = [{ cidr: '10.0.1.0/25', gateway: '10.0.1.126', auxAddresses: {} }];
  tell([put(keys.network('n1'), networkRecord({ subnets }))]);
  expect(rows().addresses).toMatchObject([{ address: '10.0.1.126', prefix: 25 }]);
});

it('goes through the members as often, however many networks this host has', () => {
  const nodes = vi.spyOn(view, 'nodes');
  const asked = () => {
    nodes.mockClear();
    expect(want().networks.every(({ mtu }) => mtu === 1_450)).toBe(true);
    return nodes.mock.calls.length;
  };
  const before = asked();
  for (let nth = 2; nth < 30; nth++) {
    const own = endpointRecord({ id: `e${nth}`, networkId: `n${nth}`, address: `10.0.${nth}.2` });
    const [cidr, gateway] = [`10.0.${nth}.0/24`, `10.0.${nth}.1`];
    const subnets = [{ cidr, gateway, auxAddresses: {} }];
    tell([
      put(keys.network(`n${nth}`), networkRecord({ id: `n${nth}`, name: `web${nth}`, vni: 4_096 + nth, subnets })),
      put(keys.endpoint(own), own),
    ]);
    local = [...local, { ...local[0]!, record: own }];
  }
  expect(asked()).toBe(before);
  expect(want().networks).toHaveLength(29);
});

it('has a port that is another when its claim is, or its way out', () => {
  const before = network().ports[0];
  tell([put(keys.network('n2'), networkRecord({ id: 'n2', name: 'api', vni: 4097 }))]);
  const second = endpointRecord({
    id: 'f'.repeat(64),
    networkId: 'n2',
    addresses: [{ subnet: '10.0.1.0/24', ip: '10.0.1.7' }],
  });
  local.push({ ...local[0]!, record: second, ifname: 'eth1' });
  expect(before?.defaultGateways).toEqual(['10.0.1.1']);
  expect(want().networks.find(({ networkId }) => networkId === 'n1')?.ports[0]?.defaultGateways).toEqual([]);
  local.pop();
  expect(network().ports[0]?.defaultGateways).toEqual(['10.0.1.1']);
});

it('is planned from tables that were compared before as from those that were not', () => {
  const none: Observed = { namespaces: new Map(), host: undefined, networks: new Map(), containers: new Map() };
  const state = plan(want(), none, { provesAbsence: true }).outcomes!.get('ovl-4096')!;
  const planned = () =>
    plan(want(), { ...none, networks: new Map([['ovl-4096', state]]) }, { provesAbsence: true }).stages.flatMap(
      ({ ops }) => ops.flatMap(({ op }) => (op.kind === 'set-neighbour' ? [op.neighbour.address] : [])),
    );
  expect([planned(), planned()]).toEqual([[], []]);
  add(remote('b', 4));
  expect([planned(), planned()]).toEqual([['10.0.1.4'], ['10.0.1.4']]);
});

it('has one flood row of a tunnel end that two members have, as the device does', () => {
  tell([
    put(keys.network('n1'), networkRecord({ options: { multicast: 'true' } })),
    put(keys.node('h3'), nodeRecord({ id: 'h3', name: 'h3', vtep: '192.0.2.2' })),
  ]);
  add({ ...remote('b', 4), nodeId: 'h3' });
  const floods = fdbRows(rows().fdb).filter(({ mac }) => mac === ALL_ZEROS);
  expect(floods.map(({ vtep }) => vtep)).toEqual(['192.0.2.2']);
});

it('goes with what the view lets go of, when nobody here wants the network any more', async () => {
  const made = new WeakRef(network().remotes);
  isWanted = false;
  local = [];
  for (let time = 0; time < 2; time++) view.rest();
  // What a turn of the event loop has asked of a weak reference stays until its end.
  await new Promise(setImmediate);
  collect();
  expect(made.deref()).toBeUndefined();
});
