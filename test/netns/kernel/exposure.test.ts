/** A host that is itself on networks, over the data path that the reconciler makes, across two hosts, in both families. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HOST_CONTAINER } from '../../../src/core/expose.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { call, startEchoing } from '../../lab/echoing.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

const PORT = 8_000;
/** Of host a on each network; containers are at .11 of host a and at .21 of host b. */
const OWN = 5;

let lab: Lab;
let a: Station;
let b: Station;
let web: NetworkRecord;
let vault: NetworkRecord;

const addressOf = ({ subnets }: NetworkRecord, last: number) =>
  subnets.map(({ gateway }) => gateway.replace(/1$/, String(last)));
const [FOUR, SIX] = [0, 1] as const;

function network(station: Station, name: string, vni: number, internal: boolean): NetworkRecord {
  const nth = vni - 4_100;
  const four = { vni, cidr: `10.${nth}.0.0/24`, gateway: `10.${nth}.0.1`, internal };
  const record = station.world.addNetwork(name, four);
  const six = { cidr: `fd00:${nth}::/64`, gateway: `fd00:${nth}::1`, auxAddresses: {} };
  const both = { ...record, subnets: [...record.subnets, six] };
  station.world.networkRecords.set(both.id, both);
  return both;
}

/** With an address of IPv6 as well, and known to the other one. */
function complete(of: NetworkRecord, at: Station, id: string, last: number): void {
  const { record, ...rest } = at.world.local.get(id)!;
  const six = { subnet: of.subnets[SIX]!.cidr, ip: addressOf(of, last)[SIX]! };
  const whole = { ...record, addresses: [record.addresses[0]!, six] };
  at.world.local.set(id, { ...rest, record: whole });
  for (const { world } of [a, b]) world.endpointRecords.set(id, whole);
}

async function attach(of: NetworkRecord, at: Station, last: number): Promise<void> {
  const container = `${of.name}${last}`;
  await at.host.container(container);
  const { record } = await at.attach(of, addressOf(of, last)[FOUR]!, container);
  complete(of, at, record.id, last);
}

function expose(of: NetworkRecord, at: Station): string {
  const link = { ifname: `ovl${of.vni}` };
  const { record } = at.world.addLocal(of, addressOf(of, OWN)[FOUR]!, HOST_CONTAINER, link);
  complete(of, at, record.id, OWN);
  return record.id;
}

async function converge(): Promise<void> {
  for (const { reconciler } of [a, b]) {
    for (const { id } of [web, vault]) {
      reconciler.markDirty(id);
      await reconciler.converge(id);
    }
  }
}

async function expectQuiet(): Promise<void> {
  await Promise.all([a.quiet(), b.quiet()]);
  const writes = () => [a, b].map(({ reconciler }) => reconciler.status().writes);
  const before = writes();
  for (const { reconciler } of [a, b]) reconciler.markDirty('all');
  await converge();
  expect(writes()).toEqual(before);
  expect([a, b].map(({ reconciler }) => reconciler.status().problems)).toEqual([[], []]);
}

async function pings(host: Host, address: string, container?: string, ...options: string[]): Promise<boolean> {
  const argv = ['ping', '-n', '-q', '-c', '1', '-W', '2', ...options, address];
  const { code } = await (container === undefined ? host.run(argv) : host.exec(container, argv));
  return code === 0;
}

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  const options = { auditIntervalMs: 3_600_000 };
  [a, b] = [new Station(lab.host(1), options), new Station(lab.host(2), options)];
  for (const station of [a, b]) {
    for (const host of lab.hosts) station.world.addNode(host.name, host.address);
    web = network(station, 'web', 4180, false);
    vault = network(station, 'vault', 4181, true);
  }
  // As strictly as a host may ask where a packet comes from.
  for (const link of ['all', 'default']) await a.host.must(['sysctl', '-qw', `net.ipv4.conf.${link}.rp_filter=1`]);
  a.start();
  b.start();
  for (const of of [web, vault]) {
    await attach(of, a, 11);
    await attach(of, b, 21);
    await startEchoing(a.host, `${of.name}11`, PORT);
    await startEchoing(b.host, `${of.name}21`, PORT);
    expose(of, a);
  }
  await startEchoing(a.host, undefined, PORT);
  await converge();
}, 120_000);

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

const NETWORKS = ['web', 'vault'] as const;
const of = (name: (typeof NETWORKS)[number]) => (name === 'web' ? web : vault);
const CASES = NETWORKS.flatMap((name) => [FOUR, SIX].map((family) => [name, family === FOUR ? 4 : 6, family] as const));

it.each(CASES)('the host calls containers of both hosts on %s by IPv%i, and is who calls', async (name, _, family) => {
  const own = addressOf(of(name), OWN)[family];
  for (const last of [11, 21]) {
    const address = addressOf(of(name), last)[family]!;
    for (const protocol of ['tcp', 'udp'] as const) {
      await until(
        `${address} to answer by ${protocol}`,
        async () => (await call(a.host, protocol, address, PORT)) !== undefined,
      );
      expect(await call(a.host, protocol, address, PORT), `${protocol} ${address}`).toBe(own);
    }
    expect(await pings(a.host, address, undefined, '-s', '4000')).toBe(true);
  }
});

it.each(CASES)('containers of both hosts call it on %s by IPv%i, and are who calls', async (name, _, family) => {
  const own = addressOf(of(name), OWN)[family]!;
  for (const [station, last] of [
    [a, 11],
    [b, 21],
  ] as const) {
    const caller = addressOf(of(name), last)[family];
    for (const protocol of ['tcp', 'udp'] as const)
      expect(await call(station.host, protocol, own, PORT, `${name}${last}`), `${protocol} ${last}`).toBe(caller);
    expect(await pings(station.host, own, `${name}${last}`, '-s', '4000')).toBe(true);
  }
});

it('is not known by the address of the network elsewhere, and a neighbour entry that is asked for again stays', async () => {
  const own = addressOf(web, OWN);
  for (const [family, address] of own.entries()) {
    await b.host.exec('web21', ['ip', 'neighbour', 'flush', 'dev', 'eth0']);
    expect(await pings(b.host, address, 'web21')).toBe(true);
    const options = family === FOUR ? ['-4'] : ['-6'];
    const { stdout } = await b.host.exec('web21', ['ip', ...options, 'neighbour', 'show', 'to', address]);
    const { mac } = [...a.world.local.values()].find(({ record }) => record.addresses[0]!.ip === own[FOUR])!.record;
    expect(stdout).toContain(mac);
  }
});

it('it asks services, and is behind one, for containers of both hosts and for itself', async () => {
  const vip = addressOf(web, 100);
  const behind = [...a.world.endpointRecords.values()].filter(({ networkId }) => networkId === web.id);
  for (const record of behind)
    for (const { world } of [a, b]) world.endpointRecords.set(record.id, { ...record, aliases: ['pool'] });
  const addresses = web.subnets.map(({ cidr: subnet }, family) => ({ subnet, ip: vip[family]! }));
  const services = [{ id: 'f'.repeat(64), name: 'pool', addresses, createdAt: 0 }];
  for (const { world } of [a, b]) world.serviceRecords.set(web.id, { networkId: web.id, services });
  await converge();
  for (const family of [FOUR, SIX]) {
    const asks = async (station: Station, container?: string) => {
      const callers: (string | undefined)[] = [];
      for (let nth = 0; nth < 6; nth++) callers.push(await call(station.host, 'tcp', vip[family]!, PORT, container));
      return callers.sort();
    };
    // Each of three is asked twice; one that gets to itself sees the service.
    const expected = (own: string) => [own, own, own, own, vip[family]!, vip[family]!].sort();
    expect(await asks(a)).toEqual(expected(addressOf(web, OWN)[family]!));
    expect(await asks(a, 'web11')).toEqual(expected(addressOf(web, 11)[family]!));
    expect(await asks(b, 'web21')).toEqual(expected(addressOf(web, 21)[family]!));
  }
  await expectQuiet();
  for (const { world } of [a, b]) world.serviceRecords.delete(web.id);
  await converge();
});

it('between networks nothing is forwarded by it, nor into the one without a way out, nor out of it', async () => {
  const inner = addressOf(vault, 11);
  const open = addressOf(web, 11);
  for (const family of [FOUR, SIX]) {
    expect(await pings(a.host, inner[family]!, 'web11')).toBe(false);
    // By hand, where there is no way of its own.
    const [version, gateway] = [family === FOUR ? '-4' : '-6', vault.subnets[family]!.gateway];
    await a.host.exec('vault11', ['ip', version, 'route', 'add', 'default', 'via', gateway]);
    expect(await pings(a.host, open[family]!, 'vault11')).toBe(false);
  }
  expect(await pings(a.host, b.host.address, 'vault11')).toBe(false);
  expect(await pings(a.host, b.host.address, 'web11')).toBe(true);
  // From outside, by whoever takes the host for a router.
  await b.host.must(['ip', 'route', 'add', '192.0.2.99/32', 'via', a.host.address]);
  await b.host.must(['ip', 'route', 'replace', vault.subnets[FOUR]!.cidr, 'via', a.host.address]);
  expect(await pings(b.host, inner[FOUR]!)).toBe(false);
  await b.host.must(['ip', 'route', 'del', vault.subnets[FOUR]!.cidr]);
});

it('nobody reaches it but by the network, and nobody gets on by it', async () => {
  for (const of of [web, vault]) {
    const own = addressOf(of, OWN)[FOUR]!;
    await b.host.must(['ip', 'route', 'add', `${own}/32`, 'via', a.host.address]);
    expect(await pings(b.host, own), `${of.name} from the underlay`).toBe(false);
    await b.host.must(['ip', 'route', 'del', `${own}/32`]);
    expect(await call(a.host, 'tcp', own, PORT), `${of.name} from the host itself`).toBeDefined();
  }
  const other = addressOf(vault, OWN)[FOUR]!;
  expect(await pings(a.host, other, 'web11'), 'from another network').toBe(false);
  const way = ['ip', 'route', 'add', b.host.address, 'via', addressOf(web, OWN)[FOUR]!];
  await a.host.exec('web11', way);
  expect(await pings(a.host, b.host.address, 'web11')).toBe(false);
  await a.host.exec('web11', ['ip', 'route', 'del', b.host.address]);
  expect(await pings(a.host, b.host.address, 'web11')).toBe(true);
});

it('what is right is not written again, and what somebody takes away is put back', async () => {
  await expectQuiet();
  const inside = ['nsenter', '--net=/run/netns/ovl-4181'];
  const [own4, own6] = addressOf(vault, OWN) as [string, string];
  for (const damage of [
    ['ip', 'address', 'del', `${own4}/32`, 'dev', 'ovl4181'],
    ['ip', 'address', 'del', `${own6}/128`, 'dev', 'ovl4181'],
    ['ip', 'route', 'del', vault.subnets[FOUR]!.cidr, 'dev', 'ovl4181'],
    ['ip', 'link', 'del', 'ovl4181'],
    ['nft', 'flush', 'chain', 'inet', 'overlayd', 'forward'],
    [...inside, 'ip', 'route', 'del', own4],
    [...inside, 'ip', 'link', 'del', 'up0'],
    [...inside, 'nft', 'flush', 'chain', 'bridge', 'overlayd', 'inward'],
    [...inside, 'nft', 'flush', 'chain', 'bridge', 'overlayd', 'outward'],
  ]) {
    await a.host.must(damage);
    await until(`${damage.join(' ')} to be mended`, async () => {
      const calls = await Promise.all([own4, own6].map((own) => call(b.host, 'tcp', own, PORT, 'vault21')));
      return calls.every((caller) => caller !== undefined);
    });
    const far = addressOf(vault, 21);
    for (const [family, own] of [own4, own6].entries())
      await until(`${far[family]} to see ${own}`, async () => (await call(a.host, 'tcp', far[family]!, PORT)) === own);
  }
  await expectQuiet();
});

it('goes without a trace', async () => {
  // What leaves the network goes on meanwhile.
  const repairs = a.reconciler.status().repairs;
  for (const of of [web, vault]) {
    const own = [...a.world.local.values()].find(
      ({ record, container }) => container === HOST_CONTAINER && record.networkId === of.id,
    )!;
    const arrived = a.reconciler.expect(of.id);
    for (const { world } of [a, b]) world.remove(own.record.id);
    await a.reconciler.converge(of.id);
    arrived();
    const ways = await a.host.must(['ip', 'route', 'show', 'proto', '79']);
    expect(ways.includes(of.subnets[FOUR]!.cidr)).toBe(of === web);
  }
  await a.quiet();
  expect(a.reconciler.status().repairs).toBe(repairs);
  await converge();
  const links = await a.host.must(['ip', '-o', 'link', 'show']);
  expect([/ovl4180/.test(links), /ovl4181/.test(links)]).toEqual([true, false]);
  expect(await a.host.must(['ip', '-o', 'address', 'show', 'dev', 'ovl4180'])).toBe('');
  expect(await a.host.must(['nft', 'list', 'table', 'inet', 'overlayd'])).not.toContain('sealed');
  const table = await a.host.must([
    'nsenter',
    '--net=/run/netns/ovl-4180',
    'nft',
    'list',
    'table',
    'bridge',
    'overlayd',
  ]);
  expect(table).not.toMatch(/inward|outward/);
  expect(await pings(a.host, addressOf(web, 11)[FOUR]!)).toBe(true);
  await expectQuiet();
});
