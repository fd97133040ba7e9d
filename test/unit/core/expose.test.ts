import { describe, expect, it, test } from 'vitest';
import { desired, hostKeyOf } from '../../../src/core/desired.ts';
import { HOST_CONTAINER, inTheWay } from '../../../src/core/expose.ts';
import type { Filter } from '../../../src/core/packet-filter.ts';
import { networkFilter } from '../../../src/core/plan/filter.ts';
import { hostFilter } from '../../../src/core/plan/host-filter.ts';
import type { Publication } from '../../../src/core/publish.ts';
import { World } from '../../contract/kernel-world.ts';

const container = { text: 'netns:c1', path: '/run/netns/c1', identity: 'c1' };

function makeWorld({ internal = false } = {}) {
  const world = new World('h1');
  for (const nth of [1, 2, 3]) world.addNode(`h${nth}`, `10.77.0.${nth}`);
  const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1', internal });
  return { world, web };
}

function want(world: World, publications: readonly Publication[] = [], hidden: ReadonlySet<string> = new Set()) {
  return desired({ view: world, self: world.self, local: [...world.local.values()], publications, hidden });
}

describe('the host as an endpoint', () => {
  it('is no port, and no default route’s, but an address of the uplink', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.2', container);
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER, { ifname: 'ovl4096' });
    const { networks, uplinks } = want(world);
    expect(networks[0]?.ports.map(({ addresses }) => addresses[0]?.address)).toEqual(['10.0.0.2']);
    expect(networks[0]?.exposed).toEqual({ mac: '02:42:0a:00:00:09', addresses: ['10.0.0.9'] });
    expect(uplinks).toMatchObject([{ exposed: ['10.0.0.9'], sealed: false, masqueraded: ['10.0.0.0/24'] }]);
  });

  it('alone has its network here, and on one without a way out an uplink for itself', () => {
    const { world, web } = makeWorld({ internal: true });
    expect(want(world).uplinks).toEqual([]);
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER, { ifname: 'ovl4096' });
    const wanted = want(world);
    expect(wanted.uplinks).toMatchObject([{ exposed: ['10.0.0.9'], sealed: true, masqueraded: [] }]);
    expect(wanted.networks).toMatchObject([{ internal: true, ports: [] }]);
    const { chains } = hostFilter(wanted, true);
    const forward = chains.find(({ name }) => name === 'forward')!.rules;
    const [first] = forward.filter((rule) => rule.includes('@uplinks'));
    expect(forward.indexOf('oifname @sealed counter drop')).toBeLessThan(forward.indexOf(first!));
  });

  it('is called from the network and by itself, and hands on nothing that is for others', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER, { ifname: 'ovl4096' });
    const wanted = want(world);
    const rulesOf = ({ chains }: Filter, name: string) => chains.find((each) => each.name === name)!.rules;
    expect(rulesOf(hostFilter(wanted, true), 'prerouting')).toContain(
      'iifname != { "lo", "ovl4096" } ip daddr 10.0.0.9 counter drop',
    );
    const inward = rulesOf(networkFilter(wanted.networks[0]!, []), 'inward');
    expect(inward).toEqual([
      expect.stringMatching(/^ether daddr 02:42:0a:00:00:09 ip daddr 10\.0\.0\.9 ether daddr set /),
    ]);
  });

  it('goes by etcd where that gives the address to another one', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER, { published: false });
    world.addRemote(web, 'h2', '10.0.0.9');
    expect(want(world)).toMatchObject({ networks: [], uplinks: [] });
  });

  it('is another thing to want of the host', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.2', container);
    const before = hostKeyOf(want(world), true);
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER);
    expect(hostKeyOf(want(world), true)).not.toBe(before);
  });
});

describe('a port that leads to another host', () => {
  const of = (networkId: string, name: string): Publication => ({
    ...{ networkId, name, protocol: 'tcp', hostPort: 80, port: 8080 },
  });

  it('is called from this one’s address on the network, and not at all without one', () => {
    const { world, web } = makeWorld();
    const far = world.addRemote(web, 'h2', '10.0.0.20');
    const publications = [of(web.id, far.name)];
    world.addLocal(web, '10.0.0.2', container);
    expect(want(world, publications).published).toEqual([]);
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER);
    const wanted = want(world, publications);
    expect(wanted.published).toMatchObject([
      { address: '10.0.0.20', port: 8080, away: { link: 'ovl4096', source: '10.0.0.9' } },
    ]);
    const around = hostFilter(wanted, true).chains.find(({ name }) => name === 'around')!.rules;
    expect(around).toContain(
      'oifname "ovl4096" ct status dnat ip daddr . meta l4proto . th dport @away snat ip to 10.0.0.9',
    );
  });

  it('leads to an own container before that, and to the oldest of hosts that answer', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.9', HOST_CONTAINER);
    for (const [nodeId, address, createdAt] of [
      ['h2', '10.0.0.20', 1],
      ['h3', '10.0.0.30', 2],
    ] as const) {
      const record = { ...world.addRemote(web, nodeId, address), name: 'api', createdAt };
      world.endpointRecords.set(record.id, record);
    }
    const publications = [of(web.id, 'API')];
    const led = (hidden?: ReadonlySet<string>) =>
      want(world, publications, hidden).published.map(({ address }) => address);
    expect(led()).toEqual(['10.0.0.20']);
    expect(led(new Set(['h2']))).toEqual(['10.0.0.30']);
    expect(led(new Set(['h2', 'h3']))).toEqual([]);
    world.addNode('h2', '10.77.0.2', { left: true });
    expect(led()).toEqual(['10.0.0.30']);
    const own = world.addLocal(web, '10.0.0.2', container);
    world.local.set(own.record.id, { ...own, record: { ...own.record, name: 'api', createdAt: 9 } });
    expect(led()).toEqual(['10.0.0.2']);
    expect(want(world, publications).published[0]?.away).toBeUndefined();
  });
});

const route = (destination: string, onLink = false) => ({ destination, link: 'tun0', onLink, gateways: [] });

test.each([
  ['10.0.0.0/24', route('10.0.0.128/25')],
  ['10.0.0.0/24', route('10.0.0.0/24')],
  ['10.0.0.0/24', route('10.0.0.0/17')],
  ['10.0.0.0/24', route('10.0.0.0/8', true)],
  ['fd00:1::/64', route('fd00:1::/57')],
])('into %s the route %j stands in the way', (cidr, way) => {
  expect(inTheWay({ cidr }, [], [way])).toBe(`this host has a route to ${way.destination} by tun0`);
});

test.each(['0.0.0.0/0', '128.0.0.0/1', '0.0.0.0/1', '10.0.0.0/16', '10.0.1.0/24', '::/0'])(
  'into 10.0.0.0/24 a route to %s does not',
  (destination) => {
    expect(inTheWay({ cidr: '10.0.0.0/24' }, [], [route(destination)])).toBeUndefined();
  },
);
