import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Reconciler } from '../../../../src/agent/reconcile/reconcile.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { HOST } from '../../../../src/core/host-state.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import { neighbourRows } from '../../../../src/core/row-table.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const silent: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silent,
};

let kernel: FakeKernel;
let world: World;
let clock: VirtualClock;
let web: NetworkRecord;
let reconciler: Reconciler;
let gone: LocalEndpoint[];
let hostChanges: number;
let quit: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  kernel = new FakeKernel();
  clock = new VirtualClock();
  world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  world.addNode('h2', '10.77.0.2');
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  gone = [];
  hostChanges = 0;
  quit = new AbortController();
  reconciler = create();
  ended = reconciler.run(quit.signal);
  reconciler.markDirty('all');
  await clock.advance(5_000);
});

afterEach(async () => {
  quit.abort();
  await ended;
});

function create(): Reconciler {
  return new Reconciler(
    {
      kernel,
      view: () => world,
      self: () => world.self,
      local: () => [...world.local.values()],
      clock,
      logger: silent,
      onGone: async (endpoints) => {
        gone.push(...endpoints);
      },
      onHostChange: () => {
        hostChanges += 1;
      },
    },
    { auditIntervalMs: 3_000 },
  );
}

function attach(address: string, name: string): { endpoint: LocalEndpoint; converged: Promise<void> } {
  const endpoint = world.addLocal(web, address, kernel.addContainer(`/run/netns/${name}`));
  return { endpoint, converged: reconciler.converge(web.id, { endpoint }) };
}

describe('converging', () => {
  it('means that the kernel has it', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    expect([...(await kernel.inside('/run/netns/c1')).links.values()]).toContainEqual(
      expect.objectContaining({ name: 'eth0' }),
    );
    expect(reconciler.status()).toMatchObject({ lastError: undefined, repairs: 0 });
  });

  it('of many at once takes few passes', async () => {
    const { passes } = reconciler.status();
    const all = Array.from({ length: 64 }, (_, index) => attach(`10.0.0.${index + 2}`, `c${index}`).converged);
    await clock.until(Promise.all(all));
    expect(reconciler.status().passes - passes).toBeLessThan(4);
  });

  it('does not look into a container of which it is told what is inside', async () => {
    const endpoint = world.addLocal(web, '10.0.0.2', kernel.addContainer('/run/netns/c1'));
    const inside = await kernel.inside('/run/netns/c1');
    kernel.looks.length = 0;
    await clock.until(reconciler.converge(web.id, { endpoint, inside }));
    expect(kernel.looks).toEqual([]);
    expect(kernel.machine.snapshot('/run/netns/c1')!.links.has('eth0')).toBe(true);
  });

  it('looks itself when what it was told is wrong', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(1_000);
    const container = kernel.addContainer('/run/netns/c2');
    const inside = await kernel.inside(container.path);
    const endpoint = world.addLocal(web, '10.0.0.3', container);
    const end = { name: 'veth9', mac: '0e:00:00:00:00:09' };
    kernel.interfere({
      kind: 'add-veth',
      at: HOST,
      mtu: 1_500,
      end,
      peer: { at: container.path, name: 'eth1', mac: '0e:00:00:00:00:08' },
    });
    const foreign = { destination: 'default', gateway: '10.9.0.1', link: 'eth1', protocol: 'static' };
    kernel.interfere({ kind: 'set-link', at: container.path, name: 'eth1', set: { up: true } });
    kernel.interfere({ kind: 'set-route', at: container.path, route: foreign });
    kernel.failNext(({ kind }) => kind === 'add-veth');
    await clock.until(reconciler.converge(web.id, { endpoint, inside }));
    expect(kernel.machine.snapshot(container.path)!.routes).toEqual([foreign]);
  });

  it('rejects with the cause, and the reconciler goes on trying', async () => {
    kernel.failNext(({ kind }) => kind === 'add-vxlan');
    await expect(clock.until(attach('10.0.0.2', 'c1').converged)).rejects.toMatchObject({ code: 'data-path-failed' });
    await clock.advance(10_000);
    expect(kernel.machine.snapshot('ovl-4096')!.links.has('vx0')).toBe(true);
    expect(reconciler.status().lastError).toBeUndefined();
  });

  it('does not suffer from what fails for other endpoints', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    const other = attach('10.0.0.3', 'c2');
    kernel.failNext((op) => op.kind === 'add-veth' && op.peer.at === '/run/netns/c2', 5);
    const fine = attach('10.0.0.4', 'c3');
    await expect(clock.until(other.converged)).rejects.toMatchObject({ code: 'data-path-failed' });
    await clock.until(fine.converged);
  });

  it('of a network without endpoints means that nothing of it is left', async () => {
    const { endpoint, converged } = attach('10.0.0.2', 'c1');
    await clock.until(converged);
    world.remove(endpoint.record.id);
    await clock.until(reconciler.converge(web.id));
    expect(kernel.machine.snapshot('ovl-4096')).toBeUndefined();
    expect(kernel.machine.hostSnapshot().links.size).toBe(0);
  });

  it('ends with the agent', async () => {
    const pending = reconciler.converge(web.id);
    quit.abort();
    await expect(pending).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('drift', () => {
  it('that tells of itself is repaired at once, and counted', async () => {
    const { endpoint, converged } = attach('10.0.0.2', 'c1');
    await clock.until(converged);
    await clock.advance(1_000);
    kernel.interfere({ kind: 'delete-link', at: 'ovl-4096', name: `e${endpoint.record.id.slice(0, 12)}` });
    await clock.advance(500);
    expect([...(await kernel.inside('/run/netns/c1')).links.values()]).toContainEqual(
      expect.objectContaining({ name: 'eth0' }),
    );
    expect(reconciler.status().repairs).toBeGreaterThan(0);
  });

  it('that does not is found in its turn', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(4_000);
    const address = { link: 'eth0', address: '10.0.0.2', prefix: 24 };
    kernel.interfere({ kind: 'delete-address', at: '/run/netns/c1', address }, { silent: true });
    kernel.interfere({ kind: 'delete-filter', at: 'ovl-4096', family: 'bridge' }, { silent: true });
    await clock.advance(4_000);
    expect(kernel.machine.snapshot('/run/netns/c1')!.addresses).toContainEqual(address);
    expect(kernel.machine.snapshot('ovl-4096')!.filter).toBeDefined();
    // The default route had gone with the address.
    expect(reconciler.status().repairs).toBe(3);
  });

  it("in the services' table is found as well, be it gone or changed", async () => {
    const services = [
      { id: 'f'.repeat(64), name: 'pool', addresses: [{ subnet: '10.0.0.0/24', ip: '10.0.0.99' }], createdAt: 0 },
    ];
    world.serviceRecords.set(web.id, { networkId: web.id, services });
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(4_000);
    const table = () => kernel.machine.snapshot('ovl-4096')!.services;
    const right = table();
    expect(right?.sets.find(({ name }) => name === 'services')?.elements).toEqual(new Set(['10.0.0.99']));
    kernel.interfere({ kind: 'delete-filter', at: 'ovl-4096', family: 'inet' }, { silent: true });
    expect(table()).toBeUndefined();
    await clock.advance(4_000);
    expect(table()).toEqual(right);
    kernel.interfere({ kind: 'set-filter', at: 'ovl-4096', filter: { ...right!, chains: [] } }, { silent: true });
    expect(table()).not.toEqual(right);
    await clock.advance(4_000);
    expect(table()).toEqual(right);
  });

  it('in a filter is found each time, in every network at once', async () => {
    const more = Array.from({ length: 40 }, (_, index) => {
      const cidr = `10.1.${index}.0/24`;
      return world.addNetwork(`n${index}`, { vni: 5000 + index, cidr, gateway: `10.1.${index}.1` });
    });
    for (const [index, network] of more.entries()) {
      world.addLocal(network, `10.1.${index}.2`, kernel.addContainer(`m${index}`));
    }
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(4_000);
    const places = ['ovl-4096', ...more.map(({ vni }) => `ovl-${vni}`)];
    const filters = () => places.filter((at) => kernel.machine.snapshot(at)?.filter !== undefined);
    reconciler.markDirty('all');
    await clock.advance(1_000);
    expect(filters()).toEqual(places);
    for (let round = 0; round < 3; round++) {
      for (const at of places) kernel.interfere({ kind: 'delete-filter', at, family: 'bridge' }, { silent: true });
      // Right after the repair comes the next round, before anything looks again.
      for (let waited = 0; waited < 4_000 && filters().length < places.length; waited += 50) await clock.advance(50);
      expect(filters()).toEqual(places);
    }
  });

  it('is not what is about to be asked for', async () => {
    const { endpoint, converged } = attach('10.0.0.2', 'c1');
    await clock.until(Promise.all([converged, attach('10.0.0.3', 'c2').converged]));
    await clock.advance(4_000);
    // Its names go first; meanwhile something else has the network looked at.
    const arrived = reconciler.expect(web.id);
    world.remove(endpoint.record.id);
    kernel.tell({ kind: 'network', namespace: 'ovl-4096' });
    await clock.advance(2_000);
    expect(kernel.machine.snapshot('ovl-4096')!.links.has(`e${endpoint.record.id.slice(0, 12)}`)).toBe(false);
    await clock.until(reconciler.converge(web.id));
    arrived();
    expect(reconciler.status().repairs).toBe(0);
  });

  it('is not what the agent itself writes', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    world.addRemote(web, 'h2', '10.0.0.9');
    reconciler.markDirty(web.id);
    await clock.advance(10_000);
    const { writes, repairs } = reconciler.status();
    expect(repairs).toBe(0);
    expect(kernel.writes).toBe(writes);
  });
});

describe('endpoints of others', () => {
  it('that come one after the other cost their rows, and few looks at all of them; drift meanwhile is found', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(4_000);
    const observe = vi.spyOn(kernel, 'observe');
    const { passes } = reconciler.status();
    const addresses = Array.from({ length: 40 }, (_, index) => `10.0.0.${index + 10}`);
    for (const [index, address] of addresses.entries()) {
      world.addRemote(web, 'h2', address);
      reconciler.markDirty(web.id);
      await clock.advance(5);
      if (index !== 20) continue;
      const neighbour = { link: 'vx0', address: addresses[0]!, mac: '02:42:0a:00:00:0a' };
      kernel.interfere({ kind: 'delete-neighbour', at: 'ovl-4096', neighbour });
      await clock.advance(20);
      expect(reconciler.status().repairs).toBe(1);
    }
    expect(reconciler.status().passes - passes).toBeGreaterThanOrEqual(addresses.length);
    const looks = observe.mock.calls.filter(([scope]) => scope.networks.length > 0);
    expect(looks.length).toBeLessThan(addresses.length / 4);
    await clock.advance(500);
    const there = kernel.machine.snapshot('ovl-4096')!.neighbours.map(({ address }) => address);
    expect(there).toEqual(expect.arrayContaining(addresses));
    expect(reconciler.status().repairs).toBe(1);
  });
});

describe('changes of the host itself', () => {
  it('are told, a burst of them once', async () => {
    for (let each = 0; each < 20; each++) kernel.tell({ kind: 'underlay' });
    await clock.advance(400);
    kernel.tell({ kind: 'underlay' });
    await clock.advance(600);
    expect(hostChanges).toBe(1);
    kernel.tell({ kind: 'underlay' });
    await clock.advance(600);
    expect(hostChanges).toBe(2);
  });
});

describe('when events were lost', () => {
  it('everything is looked at, insides of containers too', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(1_000);
    const inside = '/run/netns/c1';
    const [address] = kernel.machine.snapshot(inside)!.addresses;
    kernel.interfere({ kind: 'delete-address', at: inside, address: address! }, { silent: true });
    kernel.interfere({ kind: 'delete-filter', at: 'ovl-4096', family: 'bridge' }, { silent: true });
    kernel.tell({ kind: 'all' });
    await clock.advance(100);
    expect(kernel.machine.snapshot(inside)!.addresses).toEqual([address]);
    expect(kernel.machine.snapshot('ovl-4096')!.filter).toBeDefined();
  });
});

describe('containers', () => {
  it('that end are told', async () => {
    const { endpoint, converged } = attach('10.0.0.2', 'c1');
    await clock.until(converged);
    kernel.killContainer('/run/netns/c1');
    await clock.advance(500);
    expect(gone.map(({ record }) => record.id)).toContain(endpoint.record.id);
    expect(reconciler.status().lastError).toBeUndefined();
  });
});

describe("an engine's container", () => {
  const inside = '/run/netns/d1';
  const address = { link: 'eth0', address: '10.0.0.9', prefix: 24 };

  /** The engine took the link into its container, which the agent has learnt. */
  async function start(): Promise<LocalEndpoint> {
    const endpoint = world.addHandedOver(web, '10.0.0.9');
    await clock.until(reconciler.converge(web.id, { endpoint }));
    const container = kernel.addContainer(inside);
    kernel.takeOver(endpoint.ifname, inside, { ifname: 'eth0', cidr: '10.0.0.9/24' });
    await clock.advance(10_000);
    world.learn(endpoint, container, 'eth0');
    reconciler.markDirty(web.id);
    await clock.advance(10_000);
    return endpoint;
  }

  it('is not looked into, nor set right', async () => {
    await start();
    const { writes } = kernel;
    kernel.interfere({ kind: 'delete-address', at: inside, address }, { silent: true });
    kernel.looks.length = 0;
    await clock.advance(30_000);
    expect(kernel.looks).toEqual([]);
    expect(kernel.writes).toBe(writes);
    expect(reconciler.status().repairs).toBe(0);
    expect(gone).toEqual([]);
  });

  it('is set up when its port was lost, and told when it ended', async () => {
    const endpoint = await start();
    kernel.interfere({ kind: 'delete-link', at: 'ovl-4096', name: `e${endpoint.record.id.slice(0, 12)}` });
    await clock.advance(1_000);
    expect(kernel.machine.snapshot(inside)!.addresses).toEqual([address]);
    kernel.killContainer(inside);
    await clock.advance(1_000);
    expect(gone.map(({ record }) => record.id)).toContain(endpoint.record.id);
  });

  it('that nobody has learnt of is never told to be gone', async () => {
    const endpoint = world.addHandedOver(web, '10.0.0.9');
    await clock.until(reconciler.converge(web.id, { endpoint }));
    kernel.interfere({ kind: 'delete-link', at: 'ovl-4096', name: `e${endpoint.record.id.slice(0, 12)}` });
    await clock.advance(10_000);
    expect(gone).toEqual([]);
    expect(kernel.machine.snapshot(HOST)!.links.has(endpoint.ifname)).toBe(true);
  });
});

it('a row that becomes the kernel’s own in the midst of a look is put back', async () => {
  const neighbour = { link: 'vx0', address: '10.0.0.9', mac: world.addRemote(web, 'h2', '10.0.0.9').mac };
  await clock.until(attach('10.0.0.2', 'c1').converged);
  await clock.advance(1_000);
  const observe = kernel.observe.bind(kernel);
  kernel.observe = async (scope) => {
    const seen = await observe(scope);
    kernel.observe = observe;
    kernel.interfere({ kind: 'delete-neighbour', at: 'ovl-4096', neighbour }, { silent: true });
    const row = { index: 0, vtep: undefined, port: undefined, ...neighbour };
    kernel.tell({ kind: 'network', namespace: 'ovl-4096', rows: [{ ...row, what: 'unwritten' }] });
    await clock.sleep(1);
    return seen;
  };
  kernel.tell({ kind: 'network', namespace: 'ovl-4096' });
  await clock.advance(500);
  expect(neighbourRows(kernel.machine.snapshot('ovl-4096')!.neighbours)).toContainEqual(neighbour);
});

describe('another agent', () => {
  it('adopts what it finds and writes nothing', async () => {
    await clock.until(attach('10.0.0.2', 'c1').converged);
    await clock.advance(5_000);
    const { writes } = kernel;
    quit.abort();
    await ended;
    quit = new AbortController();
    reconciler = create();
    ended = reconciler.run(quit.signal);
    reconciler.markDirty('all');
    await clock.advance(20_000);
    expect(kernel.writes).toBe(writes);
    expect(reconciler.status().passes).toBeGreaterThan(0);
  });
});
