/** Who builds on the reconciler's work hears of it: what it says when, over a kernel in memory. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HOST_PART } from '../../../../src/agent/reconcile/announcements.ts';
import { Reconciler } from '../../../../src/agent/reconcile/reconcile.ts';
import { HOST, LOOPBACK, SERVICE_ADDRESS } from '../../../../src/core/host-state.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const ignore = () => undefined;
const silent: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore, child: () => silent };

let kernel: FakeKernel;
let clock: VirtualClock;
let world: World;
let web: NetworkRecord;
let reconciler: Reconciler;
let serviceAddress: boolean;
/** Ids that were announced since last looked at. */
let heard: string[];
/** Networks that are being made, and whether they are already when that is told. */
let coming: [string, boolean][];
/** Namespaces that were to be let go of. */
let letGo: string[];
/** Announcements fail. */
let failing: boolean;
let quit: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  kernel = new FakeKernel();
  clock = new VirtualClock();
  world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  serviceAddress = false;
  heard = [];
  coming = [];
  letGo = [];
  failing = false;
  quit = new AbortController();
  reconciler = new Reconciler(
    {
      kernel,
      view: () => world,
      self: () => world.self,
      local: () => [...world.local.values()],
      serviceAddress: () => serviceAddress,
      clock,
      logger: silent,
      onGone: async () => undefined,
      letGo: async (namespaces) => void letGo.push(...namespaces),
      onComing: (networkId, made) => {
        coming.push([networkId, reconciler.isMade(networkId)]);
        void made.then(() => coming.push([networkId, reconciler.isMade(networkId)]));
      },
      onApplied: async (networkId) => {
        heard.push(networkId);
        if (failing) throw new Error('not yet');
      },
    },
    { auditIntervalMs: 3_000 },
  );
  world.addLocal(web, '10.0.0.2', kernel.addContainer('/run/netns/c1'));
  ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
  await clock.advance(20_000);
});

afterEach(async () => {
  quit.abort();
  await ended;
});

const news = () => new Set(heard.splice(0));
const service = { link: LOOPBACK, address: SERVICE_ADDRESS, prefix: 32 };

it('what is right and stays so is told once', async () => {
  expect(news()).toEqual(new Set([HOST_PART, web.id]));
  reconciler.markDirty('all');
  await clock.advance(20_000);
  expect(news()).toEqual(new Set());
});

it('a network is told to be coming while it is made, and no other time', async () => {
  expect(coming).toEqual([
    [web.id, false],
    [web.id, false],
  ]);
  world.addLocal(web, '10.0.0.3', kernel.addContainer('/run/netns/c2'));
  reconciler.markDirty('all');
  await clock.advance(1_000);
  expect(coming).toHaveLength(2);
});

it('the service address is told to everybody, though it be in the kernel already', async () => {
  kernel.interfere({ kind: 'add-address', at: HOST, address: service }, { silent: true });
  kernel.interfere({ kind: 'add-address', at: 'ovl-4096', address: { ...service, link: 'br0' } });
  news();
  const { writes } = kernel;
  serviceAddress = true;
  reconciler.markDirty('all');
  await clock.advance(1_000);
  // The host's filter, which keeps neighbours from it.
  expect(kernel.writes).toBe(writes + 1);
  expect(news()).toEqual(new Set([HOST_PART, web.id]));
});

it('a way to another host is told though its rows be there already, and once', async () => {
  world.addNode('h2', '10.77.0.2');
  const remote = world.addRemote(web, 'h2', '10.0.0.9');
  reconciler.markDirty(web.id);
  await clock.advance(20_000);
  news();
  // As a new agent finds it, which hears of the other host later than it looks at its own.
  world.isWhole = false;
  world.remove(remote.id);
  reconciler.markDirty(web.id);
  await clock.advance(20_000);
  expect(news()).toEqual(new Set());
  expect(reconciler.ways.reaches(web.id, '10.0.0.9')).toBe(false);
  const { writes } = kernel;
  world.addRemote(web, 'h2', '10.0.0.9');
  reconciler.markDirty(web.id);
  await clock.advance(20_000);
  expect(kernel.writes).toBe(writes);
  expect(reconciler.ways.reaches(web.id, '10.0.0.9')).toBe(true);
  expect(heard.splice(0)).toEqual([web.id]);
});

it('the ways to all are there when those of that moment were made, and not before', async () => {
  world.addNode('h2', '10.77.0.2');
  world.addRemote(web, 'h2', '10.0.0.9');
  const moment = vi.spyOn(world, 'momentOfOthers').mockReturnValue(7);
  let isRefused = true;
  kernel.failNext(({ kind }) => isRefused && kind === 'set-neighbour', 1_000);
  reconciler.markDirty(web.id);
  await clock.advance(1_000);
  expect(reconciler.ways.reachesAll(web.id, 7)).toBe(false);
  isRefused = false;
  await clock.advance(60_000);
  expect(reconciler.ways.reachesAll(web.id, 7)).toBe(true);
  moment.mockReturnValue(8);
  world.addRemote(web, 'h2', '10.0.0.10');
  expect(reconciler.ways.reachesAll(web.id, 8)).toBe(false);
  reconciler.markDirty(web.id);
  await clock.advance(1_000);
  expect(reconciler.ways.reachesAll(web.id, 8)).toBe(true);
});

it('a way to another host is told though a container of this one cannot be looked at', async () => {
  world.addNode('h2', '10.77.0.2');
  world.addLocal(web, '10.0.0.3', kernel.addContainer('/run/netns/c2'));
  kernel.blind.add('/run/netns/c2');
  world.addRemote(web, 'h2', '10.0.0.9');
  reconciler.markDirty('all');
  await clock.advance(1_000);
  expect(reconciler.status().problems).toHaveLength(1);
  expect(reconciler.ways.reaches(web.id, '10.0.0.9')).toBe(true);
  expect(news()).toContain(web.id);
});

it('what is told to no avail is told again', async () => {
  news();
  failing = true;
  serviceAddress = true;
  reconciler.markDirty('all');
  await clock.advance(1_000);
  expect(news()).toEqual(new Set([HOST_PART, web.id]));
  failing = false;
  await clock.advance(20_000);
  expect(news()).toEqual(new Set([HOST_PART, web.id]));
  await clock.advance(20_000);
  expect(news()).toEqual(new Set());
});

it('the host’s part is told when its address had to be put back, at once', async () => {
  serviceAddress = true;
  reconciler.markDirty('all');
  await clock.advance(5_000);
  news();
  kernel.interfere({ kind: 'delete-address', at: HOST, address: service });
  await clock.advance(1_000);
  expect(kernel.machine.hostSnapshot().addresses).toEqual([service]);
  expect(news()).toEqual(new Set([HOST_PART]));
  // The address, and with it that ports where nobody listens are told to be closed.
  expect(reconciler.status().repairs).toBe(2);
});

it('who holds a namespace is told before it is made anew, and before it is removed', async () => {
  expect(letGo.splice(0)).toEqual(['ovl-4096']);
  kernel.interfere({ kind: 'delete-namespace', name: 'ovl-4096' });
  await clock.advance(20_000);
  expect(letGo.splice(0)).toEqual(['ovl-4096']);
  for (const id of [...world.local.keys()]) world.remove(id);
  world.local.clear();
  reconciler.markDirty('all');
  await clock.advance(20_000);
  expect(letGo).toEqual(['ovl-4096']);
});
