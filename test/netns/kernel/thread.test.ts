/** The kernel's thread in a host of the lab: ended in the middle of a job, its namespaces taken away, thousands of rows. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createKernel } from '../../../src/adapters/kernel/kernel.ts';
import { KernelThread } from '../../../src/adapters/kernel/kernel-thread.ts';
import { HOST, type Op, type Plan, TUNNEL } from '../../../src/core/host-state.ts';
import type { KernelChange } from '../../../src/core/kernel-change.ts';
import { fdbRows, fdbTable, neighbourRows, neighbourTable } from '../../../src/core/row-table.ts';
import type { Kernel } from '../../../src/ports/kernel.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { workerPath } from './kernel-host.ts';

const AT = 'ovl-4096';
const ROWS = 2_000;

let lab: Lab;
let host: Host;
let thread: KernelThread;
let kernel: Kernel;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
});
afterAll(() => lab?.close());

beforeEach(async () => {
  thread = new KernelThread({ workerPath, hostPid: host.pid });
  kernel = createKernel({ thread, isAlive: async () => true, hostPid: host.pid });
  const vxlan = { vni: 4096, local: host.address, port: 4789, socketAt: HOST, learning: false, proxy: true };
  await write(
    { kind: 'add-namespace', name: AT, id: 4096 },
    { kind: 'add-vxlan', at: AT, name: TUNNEL, mac: '0a:6f:76:00:10:00', mtu: 1450, vxlan },
  );
});

afterEach(async () => {
  await write({ kind: 'delete-link', at: AT, name: TUNNEL }, { kind: 'delete-namespace', name: AT });
  await thread.close();
});

function planOf(ops: readonly Op[]): Plan {
  const planned = ops.map((op) => ({ op, reason: 'create' as const, network: AT, endpointId: undefined }));
  return { stages: planned.map((op) => ({ essential: false, ops: [op] })), gone: [] };
}

async function write(...ops: readonly Op[]): Promise<void> {
  expect((await kernel.apply(planOf(ops))).failures).toEqual([]);
}

const mac = (n: number) =>
  `02:42:0a:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
const rows = Array.from({ length: ROWS }, (_, n): readonly Op[] => [
  { kind: 'set-neighbour', at: AT, neighbour: { link: TUNNEL, address: `10.0.${n >> 8}.${n & 255}`, mac: mac(n) } },
  { kind: 'set-fdb', at: AT, row: { link: TUNNEL, mac: mac(n), vtep: '10.77.0.9' } },
]).flat();
/** The same as two ops. */
const tables: readonly Op[] = [
  { kind: 'set-rows', at: AT, rows: neighbourTable(rows.flatMap((op) => ('neighbour' in op ? op.neighbour : []))) },
  { kind: 'set-rows', at: AT, rows: fdbTable(rows.flatMap((op) => ('row' in op ? op.row : []))) },
];
const stage = (ops: readonly Op[]) => {
  const planned = ops.map((op) => ({ op, reason: 'create' as const, network: AT, endpointId: undefined }));
  return { stages: [{ essential: false, ops: planned }], gone: [] };
};
const look = async () => {
  const { networks } = await kernel.observe({ host: false, networks: [AT], containers: [], ports: [] });
  return networks.get(AT);
};

it.each([
  ['by an op for each', rows],
  ['by an op for all', tables],
])('writes thousands of rows as one batch, %s, and tells of each as the tools do', async (_, ops) => {
  expect(await kernel.apply(stage(ops))).toEqual({ writes: rows.length, failures: [] });
  const seen = (await look())!;
  const neighbours = JSON.parse(await host.must(['ip', '-j', '-netns', AT, 'neighbour', 'show', 'nud', 'permanent']));
  const fdb = JSON.parse(await host.must(['bridge', '-j', '-netns', AT, 'fdb', 'show', 'dev', TUNNEL]));
  const texts = (all: readonly string[]) => [...all].sort();
  expect(texts(neighbourRows(seen.neighbours).map(({ link, address, mac }) => `${link} ${address} ${mac}`))).toEqual(
    texts(neighbours.map((row: Record<string, string>) => `${row.dev} ${row.dst} ${row.lladdr}`)),
  );
  expect(neighbourRows(seen.neighbours)).toHaveLength(ROWS);
  expect(texts(fdbRows(seen.fdb).map(({ mac, vtep }) => `${mac} ${vtep}`))).toEqual(
    texts(fdb.flatMap((row: Record<string, string>) => (row.dst === undefined ? [] : `${row.mac} ${row.dst}`))),
  );
  expect(fdbRows(seen.fdb)).toHaveLength(ROWS);
  const again = (await look())!;
  expect(again.neighbours).toBe(seen.neighbours);
  expect(again.fdb).toBe(seen.fdb);
});

it('that ends in the middle of a job fails it, and another one goes on', async () => {
  const cut = kernel.apply(stage(rows));
  const closed = thread.close();
  const { writes, failures } = await cut;
  expect([writes, failures.length]).toEqual([0, rows.length]);
  expect(failures[0]!.error).toMatchObject({ code: 'data-path-failed', retryable: true });
  await closed;
  expect(await kernel.apply(stage(rows))).toEqual({ writes: rows.length, failures: [] });
  expect(fdbRows((await look())!.fdb)).toHaveLength(ROWS);
});

it('that is another one for each job, for each leaves too much on the heap, does and tells the same', async () => {
  const large = new KernelThread({ workerPath, hostPid: host.pid, heapBytes: 1 });
  const each = createKernel({ thread: large, isAlive: async () => true, hostPid: host.pid });
  const places = { host: false, networks: [AT], containers: [], ports: [] };
  expect(await each.apply(stage(rows))).toEqual({ writes: rows.length, failures: [] });
  for (let turn = 0; turn < 3; turn++)
    expect(fdbRows((await each.observe(places)).networks.get(AT)!.fdb)).toHaveLength(ROWS);
  await large.close();
});

it('what another thread told is not taken for what this one told to nobody', async () => {
  expect(fdbRows((await look())!.fdb)).toHaveLength(0);
  await thread.close();
  expect((await kernel.apply(stage(rows.slice(0, 2)))).failures).toEqual([]);
  // Whoever asked this has given up.
  await thread.ask('look', { host: false, networks: [{ name: AT, known: 0 }], insides: [] });
  expect(fdbRows((await look())!.fdb)).toHaveLength(1);
});

it('of a namespace that was made anew nothing is known any more, and of one that is gone nothing is kept', async () => {
  const ask = async (known: number) => {
    const [seen] = (await thread.ask('look', { host: false, networks: [{ name: AT, known }], insides: [] })).networks;
    if (!seen?.ok) throw new Error('not seen');
    return seen.value;
  };
  const { number } = await ask(0);
  const { number: same, addresses } = await ask(number);
  expect(addresses).toBeUndefined();
  await write({ kind: 'delete-namespace', name: AT }, { kind: 'add-namespace', name: AT, id: 4096 });
  expect((await ask(same)).addresses).toEqual([]);
});

it('says of a namespace that was deleted meanwhile that nothing was done in it', async () => {
  await host.must(['ip', 'netns', 'delete', AT]);
  expect(await look()).toBe(undefined);
  const { writes, failures } = await kernel.apply(stage(rows));
  expect([writes, failures.length]).toEqual([0, rows.length]);
  expect(failures[0]!.error).toMatchObject({ code: 'data-path-failed', message: expect.stringContaining(AT) });
  const removal: readonly Op[] = [
    { kind: 'delete-link', at: AT, name: TUNNEL },
    { kind: 'delete-namespace', name: AT },
  ];
  await write(...removal);
});

it('leaves no descriptor behind, whatever it was asked', async () => {
  const open = async () => Number(await host.must(['sh', '-c', 'cat /proc/net/netlink | wc -l']));
  await kernel.inside(HOST);
  const before = await open();
  for (let turn = 0; turn < 20; turn++) {
    await look();
    await kernel.apply(stage(rows.slice(0, 20)));
    await kernel.filters([AT]);
    await kernel.inside(HOST);
  }
  // What nftables was asked by is closed a moment later.
  await until('the sockets to be closed', async () => (await open()) <= before);
});

/** What the kernel tells of from now on, until the end. */
async function listen() {
  const stop = new AbortController();
  const told: KernelChange[] = [];
  const listening = (async () => {
    for await (const change of kernel.changes(stop.signal)) told.push(change);
  })();
  await until('changes to be heard', async () => told.length > 0);
  told.length = 0;
  const end = async () => {
    stop.abort();
    await listening;
  };
  return { told, end };
}

it('tells of thousands of its own rows once, and of a row after them by itself', async () => {
  const { told, end } = await listen();
  expect((await kernel.apply(stage(rows))).failures).toEqual([]);
  await until('the rows to be told of', async () => told.length > 0);
  expect(told).toEqual([{ kind: 'network', namespace: AT, echo: true }]);
  await host.must(['ip', '-netns', AT, 'neighbour', 'delete', '10.0.0.7', 'dev', TUNNEL]);
  const isGone = (change: KernelChange) =>
    change.kind === 'network' && change.rows?.some(({ address, what }) => address === '10.0.0.7' && what === 'gone');
  await until('the row to be told of', async () => told.slice(1).some(isGone));
  expect(told.slice(1)).not.toContainEqual(expect.objectContaining({ echo: true }));
  await end();
});

it('tells of the end of links that it deleted as of its own doing, though that comes later', async () => {
  const names = Array.from({ length: 8 }, (_, nth) => `port${nth}`);
  const lines = names.flatMap((name) => [
    `link add ${name} type veth peer name in${name}`,
    `link set ${name} master br0 up`,
    `link set in${name} up`,
  ]);
  await host.must(['ip', '-netns', AT, '-batch', '-'], { input: ['link add br0 up type bridge', ...lines].join('\n') });
  const { told, end } = await listen();
  for (const name of names) await write({ kind: 'delete-link', at: AT, name });
  // Waits for the kernel's lock, as who deletes a link has it until its end has been told.
  await host.must(['ip', 'address', 'add', '192.0.2.9/32', 'dev', 'lo']);
  await until('the host to be told of', async () => told.some(({ kind }) => kind === 'underlay'));
  await end();
  await host.must(['ip', 'address', 'delete', '192.0.2.9/32', 'dev', 'lo']);
  const ofNetwork = told.filter(({ kind }) => kind === 'network');
  expect(ofNetwork).not.toEqual([]);
  expect(ofNetwork).toEqual(ofNetwork.map((change) => ({ ...change, echo: true })));
});
