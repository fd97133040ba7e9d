import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Reconciler } from '../../../../src/agent/reconcile/reconcile.ts';
import { HOST, type Op } from '../../../../src/core/host-state.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { recordingLogger } from '../cluster/cluster-fixture.ts';

const AT = 'ovl-4096';
const INSIDE = '/run/netns/c1';

let kernel: FakeKernel;
let world: World;
let clock: VirtualClock;
let web: NetworkRecord;
let reconciler: Reconciler;
let quit: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  kernel = new FakeKernel();
  clock = new VirtualClock();
  world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  world.addNode('h2', '10.77.0.2');
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  world.addRemote(web, 'h2', '10.0.0.9');
  world.addLocal(web, '10.0.0.2', kernel.addContainer(INSIDE));
  quit = new AbortController();
  reconciler = new Reconciler(
    {
      ...{ kernel, clock, logger: recordingLogger([]), view: () => world, self: () => world.self },
      local: () => [...world.local.values()],
      onGone: async () => undefined,
    },
    // Nothing is found by the clock.
    { auditIntervalMs: 2 ** 31 - 1 },
  );
  ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
  await clock.advance(5_000);
});

afterEach(async () => {
  quit.abort();
  await ended;
});

const look = (networkId?: string) => clock.until(reconciler.drift.look(networkId, quit.signal));
const objects = async (networkId?: string) => (await look(networkId)).map(({ kind, object }) => `${kind} ${object}`);
const silently = (...ops: readonly Op[]) => {
  for (const op of ops) kernel.interfere(op, { silent: true });
};
const loseAddress: Op = {
  ...{ kind: 'delete-address', at: INSIDE },
  address: { link: 'eth0', address: '10.0.0.2', prefix: 24 },
};
const loseFilter: Op = { kind: 'delete-filter', at: AT, family: 'bridge' };
const loseNeighbour: Op = {
  ...{ kind: 'delete-neighbour', at: AT },
  neighbour: { link: 'vx0', address: '10.0.0.9', mac: '02:42:0a:00:00:09' },
};

describe('a look', () => {
  it('finds nothing where all is right, and writes nothing', async () => {
    const { writes } = kernel;
    expect(await look()).toEqual([]);
    expect(kernel.writes).toBe(writes);
  });

  it('finds what no event told of, on the host, in the network and inside of the container, and leaves it so', async () => {
    silently({ kind: 'set-sysctl', at: HOST, key: 'net.ipv4.ip_forward', value: '0' }, loseFilter, loseAddress);
    const { writes } = kernel;
    const found = await objects();
    expect(found.toSorted()).toEqual([
      'address 10.0.0.2/24 dev eth0',
      // It goes with the address.
      'route default dev eth0',
      'setting net.ipv4.ip_forward',
      'table table bridge overlayd',
    ]);
    expect(await objects(web.id)).toEqual([
      'table table bridge overlayd',
      'address 10.0.0.2/24 dev eth0',
      'route default dev eth0',
    ]);
    expect(kernel.writes).toBe(writes);
    expect(reconciler.status().repairs).toBe(0);
  });

  it('says since when, by what it saw before', async () => {
    silently(loseFilter);
    const [first] = await look();
    await clock.advance(60_000);
    silently(loseAddress);
    const again = new Map((await look()).map((each) => [each.kind, each.sinceMs]));
    expect(again.get('table')).toBe(first!.sinceMs);
    expect(again.get('address')! - first!.sinceMs).toBeGreaterThanOrEqual(60_000);
  });

  it('takes nothing for drift that is wanted since a moment ago and not written yet', async () => {
    const adding = Array.from({ length: 20 }, async (_, nth) => {
      world.addRemote(web, 'h2', `10.0.0.${100 + nth}`);
      reconciler.markDirty(web.id);
      expect(await reconciler.drift.look(undefined, quit.signal)).toEqual([]);
    });
    await clock.until(Promise.all(adding));
  });

  it('names what stands in the way of putting it right, and when that was met first', async () => {
    kernel.failNext(({ kind }) => kind === 'set-neighbour', Number.POSITIVE_INFINITY);
    kernel.interfere(loseNeighbour);
    await clock.advance(1_000);
    const failedBefore = clock.now();
    await clock.advance(600_000);
    const [found] = await look();
    expect(found).toMatchObject({
      kind: 'neighbour',
      object: '10.0.0.9 dev vx0',
      hindered: expect.stringMatching(/./),
    });
    expect(found!.sinceMs).toBeLessThanOrEqual(failedBefore);
  });

  it('dates what differs anew, once it was put right', async () => {
    kernel.failNext(({ kind }) => kind === 'set-neighbour', 1);
    kernel.interfere(loseNeighbour);
    await clock.advance(600_000);
    const before = clock.now();
    silently(loseNeighbour);
    const [found] = await look();
    expect(found).toMatchObject({ kind: 'neighbour', object: '10.0.0.9 dev vx0' });
    expect(found!.sinceMs).toBeGreaterThanOrEqual(before);
  });

  it('of somebody who goes is given up, and the next one is served', async () => {
    const gone = new AbortController();
    const given = reconciler.drift.look(undefined, gone.signal);
    gone.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    expect(await look()).toEqual([]);
  });

  it('ends with the agent', async () => {
    quit.abort();
    await ended;
    await expect(reconciler.drift.look(undefined, new AbortController().signal)).rejects.toMatchObject({
      code: 'cancelled',
    });
  });
});

describe('an audit', () => {
  it('puts right at once what differs, and counts it as repairs', async () => {
    silently(loseFilter, loseAddress);
    await clock.until(reconciler.audit(quit.signal));
    expect(await look()).toEqual([]);
    expect(reconciler.status().repairs).toBe(3);
    expect(reconciler.drift.memory.list(0).map(({ drift }) => drift.object)).toEqual([
      ...['default dev eth0', '10.0.0.2/24 dev eth0', 'table bridge overlayd'],
    ]);
  });

  it('writes nothing where all is right', async () => {
    const { writes } = kernel;
    await clock.until(reconciler.audit(quit.signal));
    expect(kernel.writes).toBe(writes);
  });
});

describe('what is put back by itself', () => {
  it('is remembered by object; what is put back again and again returns', async () => {
    for (let round = 0; round < 3; round++) {
      expect(reconciler.drift.memory.returning(clock.now())).toEqual([]);
      kernel.interfere(loseNeighbour);
      await clock.advance(1_000);
    }
    const [kept, ...others] = reconciler.drift.memory.list(0);
    expect(others).toEqual([]);
    expect(kept).toMatchObject({ times: 3, drift: { object: '10.0.0.9 dev vx0', state: 'missing', network: 'web' } });
    expect(reconciler.drift.memory.returning(clock.now())).toHaveLength(1);
  });

  it('is not what the agent itself wants otherwise', async () => {
    for (let nth = 0; nth < 5; nth++) {
      world.addRemote(web, 'h2', `10.0.0.${100 + nth}`);
      await clock.until(reconciler.converge(web.id));
    }
    expect(reconciler.drift.memory.list(0)).toEqual([]);
  });
});
