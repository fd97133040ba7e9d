/** Two thousand containers that come and go leave nothing behind: neither in the kernel nor in the process. */
import { readdirSync, readlinkSync } from 'node:fs';
import { getHeapSnapshot, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { allocatedBytes, heldBytes } from '../../lab/heap.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

const PAIRS = 2_000;
/** Measured from then on: until then caches fill, and each address has been in use once, of which its text is kept. */
const WARM = 600;
const CONTAINERS = 4;
/** Then memory is measured twice more: what leaks grows both times, where a table that becomes larger, or garbage that waits, does so once. */
const HALF = (PAIRS - WARM) / 2;
/** What a pair may leave behind on the heap of this thread, and on that of the kernel's. */
const MOST_HEAP_BYTES = [100, 20].map((each) => HALF * each);
/** Texts of addresses, of which so many are kept (`netlink/attributes.ts`). V8 tells their names of the kernel's thread alone. */
const BOUNDED = ['ipv4Texts', 'macTexts'];
/** Of the libraries' memory; what the heap's garbage has there, and comes and goes by the megabyte, included. */
const MOST_ALLOCATED_BYTES = HALF * 1_024;
/** In the midst of one there is more in memory, and a few descriptors are open: the least of several looks counts. */
const AUDIT_MS = 2_000;
const LOOKS = { heap: 3, descriptors: 50 } as const;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let lab: Lab;
let host: Host;
let station: Station;
const threads: Worker[] = [];

beforeAll(async () => {
  process.on('worker', (worker) => threads.push(worker));
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  station = new Station(host, { auditIntervalMs: AUDIT_MS });
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

/** Word for word what the kernel lists, of the host and of the network's namespace. */
async function listed(): Promise<Readonly<Record<string, string>>> {
  const COMMANDS = [
    ...['ip netns list', 'ip -o link', 'ip -o address', 'ip route show table all', 'ip -6 route show table all'],
    ...['ip neigh', 'ip rule', 'bridge fdb', 'nft -s list ruleset', 'cat /proc/sys/net/netfilter/nf_conntrack_count'],
  ];
  const answers = ['', 'ip netns exec ovl-4096 '].flatMap((inside) =>
    COMMANDS.map(async (command) => {
      const lines = (await host.must(['sh', '-c', inside + command])).split('\n');
      return [inside + command, lines.sort().join('\n')] as const;
    }),
  );
  return Object.fromEntries(await Promise.all(answers));
}

/** Kinds of what the process has open, and of each how many. */
function descriptors(): Readonly<Record<string, number>> {
  const kinds: Record<string, number> = {};
  for (const name of readdirSync('/proc/self/fd')) {
    const kind = open(name)?.replace(/\d+/g, 'N');
    if (kind !== undefined) kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** Undefined: that by which the directory was read, and what has been closed since. */
function open(descriptor: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return undefined;
  }
}

/** The least of many looks. */
async function leastDescriptors(): Promise<ReturnType<typeof descriptors>> {
  const count = (kinds: ReturnType<typeof descriptors>) => Object.values(kinds).reduce((sum, each) => sum + each, 0);
  let least = descriptors();
  for (let look = 1; look < LOOKS.descriptors; look++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = descriptors();
    if (count(now) < count(least)) least = now;
  }
  return least;
}

/** What the process and the kernel hold of it, when nothing is going on. */
async function held() {
  await station.quiet();
  const looks: (readonly number[])[] = [];
  for (let look = 0; look < LOOKS.heap; look++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    const allocated = allocatedBytes();
    const heaps = [getHeapSnapshot(), ...(await Promise.all(threads.map((thread) => thread.getHeapSnapshot())))];
    looks.push([allocated, ...(await Promise.all(heaps.map((heap) => heldBytes(heap, BOUNDED))))]);
  }
  return {
    kernel: await listed(),
    ids: await ids(),
    tasks: readdirSync('/proc/self/task').length,
    memory: looks[0]!.map((_, at) => Math.min(...looks.map((look) => look[at]!))),
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
    // The more garbage there has been at once, the larger weak maps are for ever.
    if (pairs % 50 === 0) collect();
  };
  const comeAndGo = async (each: number, count: number) => {
    for (let round = 0; round < count; round++) {
      const at = (pairs % (WARM / 2)) + 10;
      const network = each === 1 && round % 10 === 0 ? brief : web;
      const subnet = network === web ? '10.0' : '10.1';
      await pair(network, `${subnet}.${at >> 8}.${at & 255}`, `c${each}`);
    }
  };
  const some = (count: number) =>
    Promise.all(Array.from({ length: CONTAINERS }, (_, index) => comeAndGo(index + 1, count / CONTAINERS)));

  await some(WARM / 2);
  // To measure takes memory, some of which stays.
  await held();
  await some(WARM / 2);
  const before = { ...(await held()), descriptors: await leastDescriptors() };
  await some(HALF);
  const middle = await held();
  await some(HALF);
  expect(pairs).toBe(PAIRS);
  const after = await held();
  await until('the kernel to hold the same', async () => {
    expect(await listed()).toEqual(before.kernel);
    return true;
  });
  await until('the same descriptors to be open', () => {
    expect(descriptors()).toEqual(before.descriptors);
    return true;
  });
  expect(after.tasks).toBeLessThanOrEqual(before.tasks);
  const [allocated, ...heaps] = middle.memory.map((bytes, at) =>
    Math.min(bytes - before.memory[at]!, after.memory[at]! - bytes),
  );
  expect(allocated).toBeLessThan(MOST_ALLOCATED_BYTES);
  expect(heaps.length).toBe(MOST_HEAP_BYTES.length);
  for (const [thread, bytes] of heaps.entries()) expect(bytes).toBeLessThan(MOST_HEAP_BYTES[thread]!);
  expect(reconciler.status()).toMatchObject({ problems: [], repairs: 0 });
  // A namespace ends a moment later than its name, and its id is taken until then.
  await until('the ids of namespaces to be given back', async () => (await ids()) <= before.ids);
});
