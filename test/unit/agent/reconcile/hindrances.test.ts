/** What one part fails at is that part's alone: what the reconciler does and says of it, over a kernel in memory. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Reconciler } from '../../../../src/agent/reconcile/reconcile.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { HOST } from '../../../../src/core/host-state.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

let kernel: FakeKernel;
let world: World;
let clock: VirtualClock;
let web: NetworkRecord;
let reconciler: Reconciler;
let warnings: number;
let quit: AbortController;
let ended: Promise<void>;

const ignore = () => undefined;
const logger: Logger = {
  error: ignore,
  warn: () => {
    warnings += 1;
  },
  info: ignore,
  debug: ignore,
  child: () => logger,
};

beforeEach(async () => {
  kernel = new FakeKernel();
  clock = new VirtualClock();
  world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  warnings = 0;
  quit = new AbortController();
  const deps = { kernel, clock, logger, view: () => world, self: () => world.self, onGone: async () => undefined };
  reconciler = new Reconciler({ ...deps, local: () => [...world.local.values()] }, { auditIntervalMs: 3_000 });
  ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
  await clock.advance(5_000);
});

afterEach(async () => {
  quit.abort();
  await ended;
});

function attach(address: string, name: string): { endpoint: LocalEndpoint; converged: Promise<void> } {
  const endpoint = world.addLocal(web, address, kernel.addContainer(`/run/netns/${name}`));
  return { endpoint, converged: reconciler.converge(web.id, { endpoint }) };
}

describe('what fails for one network', () => {
  let api: NetworkRecord;
  let other: LocalEndpoint;

  beforeEach(() => {
    api = world.addNetwork('api', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
    other = world.addLocal(api, '10.0.1.2', kernel.addContainer('/run/netns/c9'));
  });

  const both = () => {
    const one = attach('10.0.0.2', 'c1').converged;
    const two = reconciler.converge(api.id, { endpoint: other });
    return clock.until(Promise.allSettled([one, two]));
  };
  const linksOf = (namespace: string) => [...(kernel.machine.snapshot(namespace)?.links.keys() ?? [])];
  const whole = ['lo', 'br0', 'vx0', 'up0'];

  it('before anything of it is made does not keep the others back', async () => {
    kernel.failNext((op) => op.kind === 'add-namespace' && op.name === 'ovl-4096', 3);
    const [one, two] = await both();
    expect(one).toMatchObject({ status: 'rejected', reason: { code: 'data-path-failed' } });
    expect(two).toMatchObject({ status: 'fulfilled' });
    expect(linksOf('ovl-4097')).toEqual(expect.arrayContaining(whole));
    expect(reconciler.status().problems).toEqual([expect.stringMatching(/^network web: /)]);
    await clock.advance(10_000);
    expect(linksOf('ovl-4096')).toEqual(expect.arrayContaining(whole));
    expect(reconciler.status().problems).toEqual([]);
  });

  it('in the host is told to those who wait for it alone', async () => {
    kernel.failNext((op) => op.kind === 'set-route' && op.at === HOST && op.route.link === 'ovl4096', 3);
    const [one, two] = await both();
    expect([one.status, two.status]).toEqual(['rejected', 'fulfilled']);
  });

  it.each([
    ['its namespace', 'ovl-4096'],
    ['its container', '/run/netns/c1'],
  ])('because %s cannot be looked at is its own', async (_, place) => {
    kernel.blind.add(place);
    const [one, two] = await both();
    expect(one).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining(place) } });
    expect(two.status).toBe('fulfilled');
    expect(reconciler.status().problems).toEqual([expect.stringMatching(/^network web: /)]);
    kernel.blind.clear();
    await clock.advance(10_000);
    expect(linksOf('ovl-4096')).toEqual(expect.arrayContaining(whole));
    expect(reconciler.status().problems).toEqual([]);
  });

  it('is said until that network is right, whatever becomes of others', async () => {
    kernel.failNext((op) => op.kind === 'add-vxlan' && op.at === 'ovl-4096', 100);
    await both();
    for (let index = 0; index < 20; index++) {
      await clock.until(reconciler.converge(api.id));
      expect(reconciler.status().problems).toHaveLength(1);
    }
    await clock.advance(60_000);
    expect(warnings).toBe(1);
  });

  it('is a name that leads to no namespace: it goes, and the network is made', async () => {
    kernel.deadNames.add('ovl-4096');
    kernel.deadNames.add('ovl-4711');
    expect((await both()).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    expect(linksOf('ovl-4096')).toEqual(expect.arrayContaining(whole));
    expect(kernel.deadNames.size).toBe(0);
  });

  it("is somebody else's namespace under its name: that is left alone, and named", async () => {
    for (const name of ['ovl-4096', 'ovl-4711']) {
      kernel.machine.addPlace(name);
      kernel.foreign.add(name);
      kernel.interfere({ kind: 'add-bridge', at: name, name: 'theirs', mac: '02:00:00:00:00:01', mtu: 1500 });
    }
    const [one, two] = await both();
    expect(one).toMatchObject({ status: 'rejected', reason: { message: expect.stringMatching(/ovl-4096.*theirs/) } });
    expect(two.status).toBe('fulfilled');
    // Also when nothing new is wanted of the host.
    await expect(clock.until(reconciler.converge(web.id))).rejects.toMatchObject({ code: 'data-path-failed' });
    expect([linksOf('ovl-4096'), linksOf('ovl-4711')]).toEqual([
      ['lo', 'theirs'],
      ['lo', 'theirs'],
    ]);
  });
});

describe("what fails of the host's part", () => {
  it.each(['cannot be written', 'cannot be looked at'])('because it %s keeps back what needs it', async (how) => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    const api = world.addNetwork('api', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
    const endpoint = world.addLocal(api, '10.0.1.2', kernel.addContainer('/run/netns/c9'));
    world.addNode('h3', '10.77.0.3');
    world.addRemote(web, 'h3', '10.0.0.9');
    if (how === 'cannot be looked at') kernel.blind.add(HOST);
    else kernel.failNext((op) => op.kind === 'add-elements' && op.at === HOST, 100);
    reconciler.markDirty('all');
    const made = reconciler.converge(api.id, { endpoint });
    await expect(clock.until(made)).rejects.toMatchObject({ code: 'data-path-failed' });
    expect(kernel.machine.snapshot('ovl-4097')?.links.has('vx0') ?? false).toBe(false);
    expect(kernel.machine.snapshot('ovl-4096')!.neighbours).toContainEqual(
      expect.objectContaining({ address: '10.0.0.9' }),
    );
    expect(reconciler.status().problems).toHaveLength(1);
    await clock.until(reconciler.converge(web.id));
  });
});
