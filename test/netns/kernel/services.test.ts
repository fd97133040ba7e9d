/** Service addresses over the data path that the reconciler makes, across two hosts, in both families. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import type { EndpointRecord, NetworkRecord } from '../../../src/core/records.ts';
import { Lab } from '../../lab/lab.ts';
import { type Asker, byName, serve, startAsking } from '../../lab/service-peers.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

const VIP = { 4: '10.70.0.100', 6: 'fd00:70::100' } as const;
const FAMILIES = [4, 6] as const;
const LASTS = { a1: 11, a2: 12, b1: 21, b2: 22, b3: 23 } as const;
type Name = keyof typeof LASTS;
/** All but `b3`, which only asks. */
const BEHIND = ['a1', 'a2', 'b1', 'b2'] as const;

let lab: Lab;
let a: Station;
let b: Station;
let web: NetworkRecord;
const endpoints = new Map<Name, LocalEndpoint>();
const askers = new Map<Name, Asker>();

const addressOf = (name: Name, family: 4 | 6) => `${family === 4 ? '10.70.0.' : 'fd00:70::'}${LASTS[name]}`;
const stationOf = (name: Name) => (name.startsWith('a') ? a : b);
const both = <T>(task: (station: Station) => T) => [a, b].map(task);

async function converge(): Promise<void> {
  for (const { reconciler } of [a, b]) reconciler.markDirty(web.id);
  await Promise.all(both(({ reconciler }) => reconciler.converge(web.id)));
}

async function attach(name: Name): Promise<void> {
  const at = stationOf(name);
  await at.host.container(name);
  const { record, ...rest } = await at.attach(web, addressOf(name, 4), name);
  const six = { subnet: 'fd00:70::/64', ip: addressOf(name, 6) };
  const aliases = name === 'b3' ? [] : ['Pool'];
  const endpoint = { ...rest, record: { ...record, aliases, addresses: [...record.addresses, six] } };
  at.world.local.set(record.id, endpoint);
  endpoints.set(name, endpoint);
  tell(endpoint.record);
}

function tell(record: EndpointRecord): void {
  for (const { world } of [a, b]) world.endpointRecords.set(record.id, record);
}

function setService(isThere: boolean): void {
  const addresses = [
    { subnet: '10.70.0.0/24', ip: VIP[4] },
    { subnet: 'fd00:70::/64', ip: VIP[6] },
  ];
  const services = isThere ? [{ id: 'f'.repeat(64), name: 'pool', addresses, createdAt: 0 }] : [];
  for (const { world } of [a, b]) world.serviceRecords.set(web.id, { networkId: web.id, services });
}

/** What is as it should be is not written again. */
async function expectQuiet(): Promise<void> {
  await Promise.all(both((station) => station.quiet()));
  const before = both(({ reconciler }) => reconciler.status().writes);
  await converge();
  expect(both(({ reconciler }) => reconciler.status().writes)).toEqual(before);
  expect(both(({ reconciler }) => reconciler.status().problems)).toEqual([[], []]);
}

const listed = async (station: Station, ...table: readonly string[]) =>
  (await station.host.run(['nsenter', '--net=/run/netns/ovl-4170', 'nft', 'list', 'table', ...table])).code === 0;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  [a, b] = [new Station(lab.host(1)), new Station(lab.host(2))];
  for (const { world } of [a, b]) {
    for (const host of lab.hosts) world.addNode(host.name, host.address);
    const record = world.addNetwork('web', { vni: 4170, cidr: '10.70.0.0/24', gateway: '10.70.0.1' });
    const six = { cidr: 'fd00:70::/64', gateway: 'fd00:70::1', auxAddresses: {} };
    web = { ...record, subnets: [...record.subnets, six] };
    world.networkRecords.set(web.id, web);
  }
  a.start();
  b.start();
  for (const name of Object.keys(LASTS) as Name[]) await attach(name);
  setService(true);
  await converge();
  for (const name of BEHIND) await serve(stationOf(name).host, name);
  for (const name of ['a1', 'b3'] as const) askers.set(name, await startAsking(stationOf(name).host, name));
}, 120_000);

afterAll(async () => {
  for (const asker of askers.values()) asker.end();
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

it.each(FAMILIES.flatMap((family) => (['tcp', 'udp'] as const).map((protocol) => [protocol, family] as const)))(
  '%s over IPv%i goes to each in turn, on all hosts, with the address of who asks; who is behind it itself is asked as well',
  async (protocol, family) => {
    for (const name of ['a1', 'b3'] as const) {
      const own = addressOf(name, family);
      const counts = await askers.get(name)!.ask(protocol, VIP[family], 20);
      const seen = BEHIND.map((each) => [`${each} ${each === name ? VIP[family] : own} 10`, 5]);
      expect(counts).toEqual(Object.fromEntries(seen));
    }
  },
);

it('datagrams in fragments go to one, whole, and so do its answers', async () => {
  for (const family of FAMILIES) {
    const counts = await askers.get('b3')!.ask('udp', VIP[family], 8, 5_000);
    expect(counts).toEqual(Object.fromEntries(BEHIND.map((each) => [`${each} ${addressOf('b3', family)} 5000`, 2])));
  }
});

it('10,000 connections are spread within 5 % of equal', async () => {
  const counts = byName(await askers.get('b3')!.ask('tcp', VIP[4], 10_000));
  expect(Object.keys(counts).sort()).toEqual([...BEHIND]);
  for (const count of Object.values(counts)) expect(Math.abs(count - 2_500)).toBeLessThanOrEqual(125);
}, 120_000);

it('it can be pinged, and whoever is behind it can be reached as before', async () => {
  for (const family of FAMILIES) {
    for (const to of [VIP[family], addressOf('b1', family), addressOf('a2', family)]) {
      const outcome = await a.host.exec('a1', ['ping', '-q', '-c', '4', '-i', '0.2', '-W', '2', to]);
      expect(outcome.stdout).toMatch(/ 4 received/);
    }
    const counts = await askers.get('a1')!.ask('tcp', addressOf('b1', family), 3);
    expect(counts).toEqual({ [`b1 ${addressOf('a1', family)} 10`]: 3 });
  }
});

it('who goes or is unwell gets nothing new; connections to who is unwell stay, datagrams go elsewhere', async () => {
  const asker = askers.get('b3')!;
  const [kept] = await asker.one('open', VIP[4]);
  const [sentTo] = await asker.one('socket', VIP[6]);
  const [gone] = BEHIND.filter((name) => name !== kept && name !== sentTo);
  const unwell = [kept, sentTo].filter((name, at, all) => all.indexOf(name) === at) as Name[];
  for (const name of unwell) tell({ ...endpoints.get(name)!.record, health: 'unhealthy' });
  for (const { world } of [a, b]) world.endpointRecords.delete(endpoints.get(gone!)!.record.id);
  await converge();
  const rest = BEHIND.filter((name) => name !== gone && !unwell.includes(name));
  for (const family of FAMILIES)
    expect(Object.keys(byName(await asker.ask('tcp', VIP[family], 12))).sort()).toEqual([...rest]);
  expect((await asker.again('say')).slice(0, 2)).toEqual([kept, addressOf('b3', 4)]);
  await until('datagrams to go elsewhere', async () => rest.includes((await asker.again('send'))[0] as never));
  // Whoever is left is better than nobody, well or not.
  for (const name of rest) tell({ ...endpoints.get(name)!.record, health: 'unhealthy' });
  await converge();
  const all = byName(await asker.ask('tcp', VIP[4], 12));
  expect(Object.keys(all).sort()).toEqual(BEHIND.filter((name) => name !== gone));
  for (const { record } of endpoints.values()) tell(record);
  await converge();
  expect(Object.keys(byName(await asker.ask('tcp', VIP[4], 8))).sort()).toEqual([...BEHIND]);
});

it('where nobody is behind it that is said at once', async () => {
  for (const name of BEHIND) tell({ ...endpoints.get(name)!.record, aliases: [] });
  await converge();
  for (const family of FAMILIES)
    expect(await askers.get('a1')!.ask('tcp', VIP[family], 2)).toEqual({ ECONNREFUSED: 2 });
  for (const name of BEHIND) tell(endpoints.get(name)!.record);
  await converge();
});

it('is put back when somebody takes it away, and a new agent adopts it without a word', async () => {
  await a.host.must(['nsenter', '--net=/run/netns/ovl-4170', 'nft', 'delete', 'table', 'inet', 'overlayd']);
  await until('the table to be back', () => listed(a, 'inet', 'overlayd'));
  await expectQuiet();
  const asker = askers.get('a1')!;
  const [kept] = await asker.one('open', VIP[6]);
  await a.restart();
  await converge();
  expect((await asker.again('say'))[0]).toBe(kept);
  expect(a.reconciler.status().writes).toBe(0);
});

it('an agent that does not know yet what there is leaves it as it is', async () => {
  for (const { world } of [a]) world.serviceRecords.delete(web.id);
  a.world.isWhole = false;
  await a.restart();
  await a.reconciler.converge(web.id);
  expect(Object.keys(byName(await askers.get('a1')!.ask('tcp', VIP[4], 8))).sort()).toEqual([...BEHIND]);
  expect(a.reconciler.status().writes).toBe(0);
  a.world.isWhole = true;
  setService(true);
  await converge();
  await expectQuiet();
});

it('is gone without a trace when it is removed', async () => {
  setService(false);
  await converge();
  expect(await Promise.all(both((station) => listed(station, 'inet', 'overlayd')))).toEqual([false, false]);
  for (const family of FAMILIES)
    expect((await a.host.exec('a1', ['ping', '-c', '1', '-W', '1', VIP[family]])).code).not.toBe(0);
  await expectQuiet();
});
