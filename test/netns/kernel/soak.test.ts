/** Two thousand containers that come and go leave nothing behind: neither in the kernel nor in the process. */
import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

const PAIRS = 2_000;
/** Measured from then on: until then caches fill, and code is compiled. */
const WARM = 600;
const CONTAINERS = 4;
/** What a pair may leave behind of the heap, and of all memory of the process, other threads' garbage included. */
const MOST_HEAP_BYTES = (PAIRS - WARM) * 1_536;
const MOST_RESIDENT_BYTES = (PAIRS - WARM) * 8 * 1_024 + 16 * 2 ** 20;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let lab: Lab;
let host: Host;
let station: Station;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  station = new Station(host);
  station.world.addNode('h1', host.address);
  station.world.addNode('h2', '10.77.0.2');
  station.start();
});

afterAll(async () => {
  await station?.stop();
  await lab?.close();
});

/** How many namespaces the host has an id for. */
async function ids(): Promise<number> {
  return (JSON.parse(await host.must(['ip', '-json', 'netns', 'list-id'])) as readonly object[]).length;
}

/** What the process and the kernel hold of it, when nothing is going on. */
async function held() {
  await station.quiet();
  collect();
  const lines = async (...argv: readonly string[]) => (await host.must(argv)).split('\n').filter(Boolean).sort();
  return {
    kernel: {
      namespaces: await lines('ip', 'netns', 'list'),
      links: await lines('ip', '-o', 'link', 'show', 'type', 'veth').then((all) => all.length),
      inside: await lines('ip', '-n', 'ovl-4096', '-o', 'link').then((all) => all.length),
      rows: await lines('bridge', '-n', 'ovl-4096', 'fdb').then((all) => all.length),
      neighbours: await lines('ip', '-n', 'ovl-4096', 'neigh').then((all) => all.length),
    },
    ids: await ids(),
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    heapBytes: process.memoryUsage().heapUsed,
    residentBytes: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1_024,
  };
}

it(`${PAIRS} attaches and detaches`, async () => {
  const { world, reconciler } = station;
  const web = world.addNetwork('web', { vni: 4_096, cidr: '10.0.0.0/20', gateway: '10.0.0.1' });
  // Made with its first container, and taken apart with its last, again and again.
  const brief = world.addNetwork('brief', { vni: 4_097, cidr: '10.1.0.0/20', gateway: '10.1.0.1' });
  for (let each = 0; each <= CONTAINERS; each++) await host.container(`c${each}`);
  await station.attach(web, '10.0.0.2', 'c0');
  let pairs = 0;
  const pair = async (network: NetworkRecord, address: string, container: string) => {
    const { record } = await station.attach(network, address, container, 'eth1');
    world.remove(record.id);
    await reconciler.converge(network.id);
    pairs += 1;
  };
  const comeAndGo = async (each: number, count: number) => {
    for (let round = 0; round < count; round++) {
      const at = (pairs % 4_000) + 10;
      const network = each === 1 && round % 10 === 0 ? brief : web;
      const subnet = network === web ? '10.0' : '10.1';
      await pair(network, `${subnet}.${at >> 8}.${at & 255}`, `c${each}`);
    }
  };
  const some = (count: number) =>
    Promise.all(Array.from({ length: CONTAINERS }, (_, index) => comeAndGo(index + 1, count / CONTAINERS)));

  await some(WARM);
  const before = await held();
  await some(PAIRS - WARM);
  expect(pairs).toBe(PAIRS);
  // Contexts of nftables, and sockets of links that go, are let go of a moment later.
  const descriptors = () => readdirSync('/proc/self/fd').length;
  await until('the descriptors to be closed', async () => descriptors() <= before.descriptors);
  const after = await held();
  expect(after.kernel).toEqual(before.kernel);
  expect(after.threads).toBeLessThanOrEqual(before.threads);
  expect(after.heapBytes - before.heapBytes).toBeLessThan(MOST_HEAP_BYTES);
  expect(after.residentBytes - before.residentBytes).toBeLessThan(MOST_RESIDENT_BYTES);
  expect(reconciler.status()).toMatchObject({ problems: [], repairs: 0 });
  // A namespace ends a moment later than its name, and its id is taken until then.
  await until('the ids of namespaces to be given back', async () => (await ids()) <= before.ids);
});
