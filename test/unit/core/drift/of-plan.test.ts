/** Each damage that somebody can do to a kernel, read out of the plan that would mend it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { desired } from '../../../../src/core/desired.ts';
import type { Drift } from '../../../../src/core/drift/drift.ts';
import { driftOf, insideDrift } from '../../../../src/core/drift/of-plan.ts';
import { Directory } from '../../../../src/core/drift/why.ts';
import { HOST_CONTAINER } from '../../../../src/core/expose.ts';
import type { Op } from '../../../../src/core/host-state.ts';
import { portLinkOf } from '../../../../src/core/plan/naming.ts';
import { plan } from '../../../../src/core/plan.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import { drifts, shortDrift, toldDrifts } from '../../../contract/kernel-drifts.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';

const AT = 'ovl-4096';

let kernel: FakeKernel;
let world: World;
let web: NetworkRecord;
let api: LocalEndpoint;
let first: string;

beforeEach(async () => {
  kernel = new FakeKernel();
  world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  world.addNode('h2', '10.77.0.2');
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  world.addRemote(web, 'h2', '10.0.0.9');
  api = world.addLocal(web, '10.0.0.2', kernel.addContainer('/run/netns/c1'));
  first = portLinkOf(api.record.id);
  for (let pass = 0; pass < 3; pass++) await kernel.apply((await think()).planned);
  expect(await find()).toEqual([]);
});

const want = () => desired({ view: world, self: world.self, local: [...world.local.values()] });
const directory = () => new Directory(world, 'h1', world.local.values());

async function think() {
  const wanted = want();
  const containers = [...world.local.values()].map(({ container }) => container);
  const observed = await kernel.observe({ host: true, networks: [AT], containers, ports: [] });
  return { wanted, observed, planned: plan(wanted, observed, { provesAbsence: true }) };
}

async function find(): Promise<Drift[]> {
  const { wanted, observed, planned } = await think();
  return driftOf(planned, { desired: wanted, observed, directory: directory() });
}

async function damage(...ops: readonly Op[]): Promise<Drift[]> {
  for (const op of ops) kernel.interfere(op, { silent: true });
  return await find();
}

it.each(Object.keys(drifts(AT, '')))('%s is one thing that differs', async (name) => {
  const expected = toldDrifts(AT, first)[name]!;
  const found = (await damage(...drifts(AT, first)[name]!)).map(shortDrift);
  // Of a bridge that is gone its ports are told as well: they are in no bridge.
  if (name === 'the bridge') expect(found).toContain(expected);
  else expect(found).toEqual([expected]);
});

describe('what is told of it', () => {
  const of = async (name: string) => (await damage(...drifts(AT, first)[name]!))[0]!;

  it('is whom a row is for, and where it leads', async () => {
    const name = [...world.endpointRecords.values()][0]!.name;
    expect(await of('an FDB row that leads elsewhere')).toMatchObject({
      detail: 'dst 10.77.0.77 instead of dst 10.77.0.2',
      why: `${name} of web is on h2`,
    });
    expect(await of('a neighbour row with another MAC')).toMatchObject({
      detail: 'lladdr 02:42:0a:00:00:63 instead of lladdr 02:42:0a:00:00:09',
    });
  });

  it('is which flags differ, and of whose port', async () => {
    expect(await of('one flag of a port')).toMatchObject({
      detail: 'isolated on instead of off',
      why: `the port of ${api.record.name} (netns:/run/netns/c1) on web`,
    });
  });

  it('is how much is missing with it', async () => {
    expect((await of('the whole namespace')).detail).toMatch(/^with \d+ things that are part of it$/);
  });

  it('is that nothing has what is too much', async () => {
    expect(await of('an FDB row too many')).toMatchObject({ why: 'nothing that is wanted has it' });
  });
});

describe('in tables', () => {
  const filter = () => kernel.machine.snapshot(AT)!.filter!;

  it('elements are told one by one', async () => {
    const { elements, ...set } = filter().sets.find(({ name }) => name === 'leases')!;
    const lease = [...elements][0]!;
    const sets = [{ ...set, elements: new Set([lease]) }];
    const found = await damage({ kind: 'remove-elements', at: AT, family: 'bridge', sets });
    expect(found.map(shortDrift)).toEqual([
      `web ${AT} element ${lease} in set leases of table bridge overlayd: missing`,
    ]);
    expect(found[0]!.why).toBe('who may send what on web');
  });

  it('chains say which rules they lack', async () => {
    const chains = filter().chains.map((chain) => ({ ...chain, rules: chain.rules.slice(1) }));
    const [found, ...others] = await damage({ kind: 'set-filter', at: AT, filter: { ...filter(), chains } });
    expect(others).toEqual([]);
    expect(found).toMatchObject({ object: 'chain prerouting of table bridge overlayd', state: 'wrong' });
    expect(found!.detail).toMatch(/^without `ether type != /);
  });

  it('what is too many is told', async () => {
    const own = filter();
    const more = { ...own.chains[0]!, name: 'mine' };
    const found = await damage({ kind: 'set-filter', at: AT, filter: { ...own, chains: [...own.chains, more] } });
    expect(found.map(shortDrift)).toContain(`web ${AT} chain chain mine of table bridge overlayd: extra`);
  });
});

describe('of a host that is itself on the network', () => {
  const link = 'ovl4096';
  const address = { link, address: '10.0.0.7', prefix: 32 };

  beforeEach(async () => {
    world.addLocal(web, '10.0.0.7', HOST_CONTAINER, { ifname: link });
    for (let pass = 0; pass < 3; pass++) await kernel.apply((await think()).planned);
    expect(await find()).toEqual([]);
  });

  it('its address, with what the kernel takes along, its way in and its MAC are told', async () => {
    const whys = async (...ops: readonly Op[]) => (await damage(...ops)).map((each) => [shortDrift(each), each.why]);
    const isOn = 'this host itself is on web';
    expect(await whys({ kind: 'delete-address', at: '', address })).toContainEqual([
      'web host address 10.0.0.7/32 dev ovl4096: missing',
      isOn,
    ]);
    await kernel.apply((await think()).planned);
    const route = { destination: '10.0.0.7', gateway: '169.254.0.1', link: 'up0', protocol: '79' };
    expect(await whys({ kind: 'delete-route', at: AT, route })).toEqual([
      [`web ${AT} route 10.0.0.7 dev up0: missing`, isOn],
    ]);
    await kernel.apply((await think()).planned);
    const { filter } = kernel.machine.snapshot(AT)!;
    const chains = filter!.chains.map((chain) => (chain.name === 'inward' ? { ...chain, rules: [] } : chain));
    expect(await whys({ kind: 'set-filter', at: AT, filter: { ...filter!, chains } })).toContainEqual([
      `web ${AT} chain chain inward of table bridge overlayd: wrong`,
      isOn,
    ]);
  });

  it('a way in from another address is wrong', async () => {
    const route = { destination: '10.0.0.0/24', gateway: '10.0.0.1', link, protocol: '79' };
    const [found] = await damage({ kind: 'set-route', at: '', route });
    expect(found).toMatchObject({ kind: 'route', state: 'wrong' });
    expect(found!.detail).toBe('via 10.0.0.1 instead of via 10.0.0.1 src 10.0.0.7');
  });

  it('one address too many of the uplink is all that is told', async () => {
    for (const [id, { container }] of world.local) if (container === HOST_CONTAINER) world.remove(id);
    for (let pass = 0; pass < 3; pass++) await kernel.apply((await think()).planned);
    const found = await damage({ kind: 'add-address', at: '', address: { ...address, address: '10.9.9.9' } });
    expect(found.map(shortDrift)).toEqual(['web host address 10.9.9.9/32 dev ovl4096: extra']);
  });
});

describe('inside of a container', () => {
  async function inside(...ops: readonly Op[]): Promise<string[]> {
    for (const op of ops) kernel.interfere(op, { silent: true });
    const [network] = want().networks;
    const containers = [api.container];
    const observed = await kernel.observe({ host: false, networks: [], containers, ports: [] });
    const sources = { desired: want(), observed, directory: directory() };
    return insideDrift(network!, network!.ports, true, sources).map(shortDrift);
  }
  const at = '/run/netns/c1';
  const place = 'netns:/run/netns/c1';

  it('nothing is told where all is right', async () => {
    expect(await inside()).toEqual([]);
  });

  it('an address, a route and a link are told', async () => {
    const address = { link: 'eth0', address: '10.0.0.2', prefix: 24 };
    expect(await inside({ kind: 'delete-address', at, address })).toContain(
      `web ${place} address 10.0.0.2/24 dev eth0: missing`,
    );
    expect(await inside({ kind: 'set-link', at, name: 'eth0', set: { mtu: 1_280 } })).toContain(
      `web ${place} link eth0: wrong`,
    );
    expect(await inside({ kind: 'delete-link', at, name: 'eth0' })).toEqual([`web ${place} link eth0: missing`]);
  });

  it('one that is gone is no drift', async () => {
    kernel.killContainer(at);
    expect(await inside()).toEqual([]);
  });
});

it('what cannot be looked at is told with the cause', async () => {
  kernel.blind.add(AT);
  const [found] = await find();
  expect(found).toMatchObject({ kind: 'namespace', place: AT, state: 'wrong' });
  expect(found!.detail).toContain('cannot be looked at');
});
