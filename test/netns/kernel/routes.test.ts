/** Routes and addresses of the host's own that stand before overlayd's: what is said of them. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { askRouting } from '../../../src/adapters/kernel/host-routing.ts';
import { createHostFacts } from '../../../src/adapters/system/host-facts.ts';
import { ReturnWays } from '../../../src/agent/host/return-ways.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let host: Host;
let station: Station;
let web: NetworkRecord;
let ways: ReturnWays;
let warnings: number;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  station = new Station(host);
  const { world } = station;
  world.addNode('h1', host.address);
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  const quiet = world.addNetwork('quiet', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1', internal: true });
  const ignore = () => undefined;
  const count = () => {
    warnings += 1;
  };
  const logger = { error: ignore, info: ignore, debug: ignore, child: () => logger, warn: count };
  const facts = createHostFacts({
    routing: async (question) => askRouting(question, `/proc/${host.pid}/ns/net`),
    nameServers: async () => [],
  });
  const local = { all: () => [...world.local.values()] };
  ways = new ReturnWays({ facts, local, logger, view: world, made: station.reconciler });
  for (const name of ['c1', 'c2', 'c3']) await host.container(name);
  await host.must(['ip', 'link', 'add', 'tun0', 'type', 'bridge']);
  await host.must(['ip', 'link', 'set', 'tun0', 'up']);
  station.start();
  await station.attach(web, '10.0.0.2', 'c1');
  await station.attach(quiet, '10.0.1.2', 'c2');
});

beforeEach(() => {
  warnings = 0;
});

afterAll(async () => {
  await station?.stop();
  await lab?.close();
});

const ip = (...words: readonly string[]) => host.must(['ip', ...words]);

it.each([
  ['as wide as the subnet', ['route', 'add', '10.0.0.0/24', 'dev', 'tun0'], /route 10\.0\.0\.0\/24 by tun0/],
  ['narrower', ['route', 'add', '10.0.0.0/25', 'dev', 'tun0'], /route 10\.0\.0\.0\/25 by tun0/],
  ['that leads nowhere', ['route', 'add', 'blackhole', '10.0.0.0/28'], /route 10\.0\.0\.0\/28 stands/],
  ['of another table', ['rule', 'add', 'to', '10.0.0.0/8', 'lookup', '52'], /rule or a table .*tun0/],
] as const)('a route %s is named, once in the log, with what to do', async (_, words, cause) => {
  await ip('route', 'replace', '10.0.0.0/8', 'dev', 'tun0', 'table', '52');
  expect(await ways.problems()).toEqual([]);
  await ip(...words);
  for (let time = 0; time < 2; time++) {
    const [problem, ...others] = await ways.problems();
    expect(problem).toMatch(/containers of network web \(10\.0\.0\.2\) send to the outside is not answered/);
    expect(problem).toMatch(cause);
    expect(problem).not.toMatch(/RTNETLINK|Error:/);
    expect(others).toEqual([]);
  }
  expect(warnings).toBe(1);
  await ip(words[0], 'del', ...words.slice(2));
  expect(await ways.problems()).toEqual([]);
});

it('of IPv6 a narrower route and an address of the host’s own are named as well', async () => {
  const six = station.world.addNetwork('six', { vni: 4100, cidr: 'fd00:6::/64', gateway: 'fd00:6::1' });
  await host.container('six');
  await station.attach(six, 'fd00:6::2', 'six');
  expect(await ways.problems()).toEqual([]);
  await ip('route', 'add', 'fd00:6::/80', 'dev', 'tun0');
  expect(await ways.problems()).toEqual([
    expect.stringMatching(/network six \(fd00:6::2\).*route fd00:6::\/80 by tun0/),
  ]);
  await ip('route', 'del', 'fd00:6::/80', 'dev', 'tun0');
  await ip('address', 'add', 'fd00:6::2/128', 'dev', 'tun0', 'nodad');
  // Of IPv6 the kernel makes an address the host's own a moment later.
  await until('it to be', async () => (await ip('-6', 'route', 'show', 'table', 'local', 'fd00:6::2')) !== '');
  expect(await ways.problems()).toEqual([expect.stringMatching(/this host has the address fd00:6::2 itself/)]);
  await ip('address', 'del', 'fd00:6::2/128', 'dev', 'tun0');
  await ip('route', 'add', 'fd00::/16', 'dev', 'tun0');
  expect(await ways.problems()).toEqual([]);
  await ip('route', 'del', 'fd00::/16', 'dev', 'tun0');
});

it('a wider route does no harm', async () => {
  await ip('route', 'add', '10.0.0.0/8', 'dev', 'tun0');
  expect(await ways.problems()).toEqual([]);
  await ip('route', 'del', '10.0.0.0/8', 'dev', 'tun0');
});

it('an address of a container that the host has itself is named', async () => {
  await ip('address', 'add', '10.0.0.2/32', 'dev', 'tun0');
  expect(await ways.problems()).toEqual([expect.stringMatching(/this host has the address 10\.0\.0\.2 itself/)]);
  await ip('address', 'del', '10.0.0.2/32', 'dev', 'tun0');
});

it('the gateway’s address that the host has itself is named, without the kernel’s phrase', async () => {
  await ip('address', 'add', '10.0.2.1/32', 'dev', 'eth0');
  const api = station.world.addNetwork('api', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1' });
  const refused = station.attach(api, '10.0.2.2', 'c3');
  await expect(refused).rejects.toThrow(/this host has the address of the gateway, 10\.0\.2\.1, itself/);
  await expect(refused).rejects.not.toThrow(/Nexthop/);
  expect(station.reconciler.status().problems).toEqual([expect.stringMatching(/^network api: there is no route/)]);
  await ip('address', 'del', '10.0.2.1/32', 'dev', 'eth0');
});
