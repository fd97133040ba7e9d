import { describe, expect, it } from 'vitest';
import { desired, hostKeyOf } from '../../../src/core/desired.ts';
import type { DesiredNetwork } from '../../../src/core/host-state.ts';
import { describeLimit, innerMtu, mtuLimit, mtuProblems, refuseTooSmallMtu } from '../../../src/core/inner-mtu.ts';
import type { EndpointRecord } from '../../../src/core/records.ts';
import { World } from '../../contract/kernel-world.ts';

const container = (name: string) => ({ text: `netns:${name}`, path: `/run/netns/${name}`, identity: name });

function makeWorld() {
  const world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  world.addNode('h2', '10.77.0.2', { dataPathPort: 4790 });
  const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  const api = world.addNetwork('api', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
  return { world, web, api };
}

const want = (world: World, only?: ReadonlySet<string>) =>
  desired({ view: world, self: world.self, local: [...world.local.values()] }, only);

describe('desired', () => {
  it('has a network only where this host has endpoints on it', () => {
    const { world, web, api } = makeWorld();
    world.addRemote(api, 'h2', '10.0.1.9');
    expect(want(world).networks).toEqual([]);
    world.addLocal(web, '10.0.0.2', container('c1'));
    world.addRemote(web, 'h2', '10.0.0.9');
    const { networks, members, namespaces } = want(world);
    expect(networks).toMatchObject([
      {
        namespace: 'ovl-4096',
        mtu: 1450,
        ports: [
          {
            addresses: [{ address: '10.0.0.2', prefix: 24 }],
            mac: '02:42:0a:00:00:02',
            defaultGateways: ['10.0.0.1'],
          },
        ],
        remotes: [{ vtep: '10.77.0.2', port: 4790, endpoints: [{ addresses: [{ ip: '10.0.0.9' }] }] }],
      },
    ]);
    expect(members).toMatchObject([{ vtep: '10.77.0.2', port: 4790 }]);
    expect([...namespaces]).toEqual(['ovl-4096']);
  });

  it('leaves out endpoints and tunnel ends of nodes that left or are not known', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.2', container('c1'));
    world.addRemote(web, 'h2', '10.0.0.9');
    world.addRemote(web, 'nobody', '10.0.0.10');
    world.addNode('h2', '10.77.0.2', { left: true });
    expect(want(world)).toMatchObject({ members: [], networks: [{ remotes: [] }] });
  });

  it('goes by the view when it gives an address of ours to someone else', () => {
    const { world, web } = makeWorld();
    world.addLocal(web, '10.0.0.2', container('c1'), { published: false });
    world.addLocal(web, '10.0.0.3', container('c2'), { published: false });
    world.addRemote(web, 'h2', '10.0.0.2');
    expect(want(world).networks).toMatchObject([
      {
        ports: [{ addresses: [{ address: '10.0.0.3' }] }],
        remotes: [{ vtep: '10.77.0.2', endpoints: [{ addresses: [{ ip: '10.0.0.2' }] }] }],
      },
    ]);
  });

  it('has all addresses of an endpoint, but for those that the view gives to someone else', () => {
    const { world, web } = makeWorld();
    const two = (record: EndpointRecord, ip: string) => ({
      ...record,
      addresses: [...record.addresses, { subnet: '10.0.0.0/24', ip }],
    });
    const local = world.addLocal(web, '10.0.0.2', container('c1'));
    const own = two(local.record, '10.0.0.102');
    world.local.set(own.id, { ...local, record: own });
    world.endpointRecords.set(own.id, own);
    const remote = two(world.addRemote(web, 'h2', '10.0.0.3'), '10.0.0.103');
    world.endpointRecords.set(remote.id, remote);
    const seen = () => {
      const [{ ports, remotes }] = want(world).networks as [DesiredNetwork];
      const behind = remotes.flatMap(({ endpoints }) =>
        endpoints.map(({ addresses }) => addresses.map(({ ip }) => ip)),
      );
      return { own: ports.map(({ addresses }) => addresses.map(({ address }) => address)), behind };
    };
    expect(seen()).toEqual({ own: [['10.0.0.2', '10.0.0.102']], behind: [['10.0.0.3', '10.0.0.103']] });
    world.addRemote(web, 'h2', '10.0.0.102');
    expect(seen()).toEqual({ own: [['10.0.0.2']], behind: [['10.0.0.3', '10.0.0.103'], ['10.0.0.102']] });
  });

  it('gives a container one default route: not through an internal network, else the first by name', () => {
    const { world, web, api } = makeWorld();
    const aaa = world.addNetwork('aaa', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1', internal: true });
    world.addLocal(web, '10.0.0.2', container('c1'));
    world.addLocal(api, '10.0.1.2', container('c1'), { ifname: 'eth1' });
    world.addLocal(aaa, '10.0.2.2', container('c1'), { ifname: 'eth2' });
    world.addLocal(web, '10.0.0.3', container('c2'));
    const routes = want(world).networks.flatMap(({ ports }) =>
      ports.map(({ endpoint, defaultGateways }) => [endpoint.container.identity, endpoint.ifname, defaultGateways]),
    );
    expect(routes).toEqual([
      ['c1', 'eth0', []],
      ['c2', 'eth0', ['10.0.0.1']],
      ['c1', 'eth1', ['10.0.1.1']],
      ['c1', 'eth2', []],
    ]);
  });

  it('gives it one of each family', () => {
    const { world, web } = makeWorld();
    const six = world.addNetwork('six', { vni: 4099, cidr: 'fd00::/64', gateway: 'fd00::1' });
    world.addLocal(web, '10.0.0.2', container('c1'));
    world.addLocal(six, 'fd00::2', container('c1'), { ifname: 'eth1' });
    expect(want(world).networks.flatMap(({ ports }) => ports)).toMatchObject([
      { addresses: [{ address: '10.0.0.2', prefix: 24 }], defaultGateways: ['10.0.0.1'] },
      { addresses: [{ address: 'fd00::2', prefix: 64 }], defaultGateways: ['fd00::1'] },
    ]);
  });

  it('goes by the priority that was asked for, though not through an internal network', () => {
    const { world, web, api } = makeWorld();
    const inner = world.addNetwork('inner', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1', internal: true });
    const attach = (network: typeof web, address: string, name: string, gwPriority: number) => {
      const endpoint = { ...world.addLocal(network, address, container(name)), gwPriority };
      world.local.set(endpoint.record.id, endpoint);
    };
    attach(web, '10.0.0.2', 'c1', 1);
    attach(api, '10.0.1.2', 'c1', 0);
    attach(inner, '10.0.2.2', 'c1', 9);
    attach(web, '10.0.0.3', 'c2', 0);
    attach(api, '10.0.1.3', 'c2', -1);
    const gateways = want(world).networks.flatMap(({ ports }) => ports.map(({ defaultGateways }) => defaultGateways));
    expect(gateways).toEqual([['10.0.0.1'], ['10.0.0.1'], [], [], []]);
  });

  it('speaks of all namespaces and uplinks when asked for one network only', () => {
    const { world, web, api } = makeWorld();
    world.addLocal(web, '10.0.0.2', container('c1'));
    world.addLocal(api, '10.0.1.2', container('c1'), { ifname: 'eth1' });
    const { networks, uplinks, namespaces } = want(world, new Set([web.id]));
    expect(networks.map(({ networkId }) => networkId)).toEqual([web.id]);
    expect(uplinks.map(({ vni }) => vni)).toEqual([4096, 4097]);
    expect(namespaces.size).toBe(2);
  });
});

describe('what is wanted of the host', () => {
  it('is another thing with the service address', () => {
    const { world } = makeWorld();
    const keyOf = (serviceAddress?: boolean) =>
      hostKeyOf(
        desired({
          view: world,
          self: world.self,
          local: [],
          ...(serviceAddress === undefined ? {} : { serviceAddress }),
        }),
        true,
      );
    expect(keyOf()).toBe(keyOf(false));
    expect(keyOf(true)).not.toBe(keyOf(false));
  });
});

describe('the way out', () => {
  const DUAL = [
    { cidr: '10.0.0.0/24', gateway: '10.0.0.1', auxAddresses: {} },
    { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} },
  ];

  it.each<[Record<string, string>, string[]]>([
    [{}, ['10.0.0.0/24', 'fd00:1::/64']],
    [{ gateway_mode_ipv4: 'routed' }, ['fd00:1::/64']],
    [{ gateway_mode_ipv6: 'routed' }, ['10.0.0.0/24']],
    [{ enable_ip_masquerade: 'false' }, []],
  ])('of a network with %j has the host’s address for %j', (options, masqueraded) => {
    const { world, web } = makeWorld();
    world.networkRecords.set(web.id, { ...web, subnets: DUAL, options });
    world.addLocal(web, '10.0.0.2', container('c1'));
    expect(want(world).uplinks).toMatchObject([{ masqueraded }]);
  });

  it('is opened at published ports in the families that are routed', () => {
    const { world, web } = makeWorld();
    const ports = [{ protocol: 'tcp' as const, port: 80 }];
    const { record, ...endpoint } = world.addLocal(web, '10.0.0.2', container('c1'));
    const addresses = [...record.addresses, { subnet: 'fd00:1::/64', ip: 'fd00:1::2' }];
    const engine = { endpointId: record.id, networkId: web.id, ports };
    world.local.set(record.id, { ...endpoint, record: { ...record, addresses }, engine });
    const opened = (options: Record<string, string>) => {
      world.networkRecords.set(web.id, { ...web, subnets: DUAL, options });
      return want(world).uplinks.flatMap((uplink) => uplink.opened.map(({ address }) => address));
    };
    expect(opened({})).toEqual([]);
    expect(opened({ gateway_mode_ipv4: 'routed' })).toEqual(['10.0.0.2']);
    expect(opened({ gateway_mode_ipv6: 'routed' })).toEqual(['fd00:1::2']);
    expect(opened({ gateway_mode_ipv4: 'routed', gateway_mode_ipv6: 'routed' })).toEqual(['10.0.0.2', 'fd00:1::2']);
  });
});

describe('the MTU inside', () => {
  it('is what the narrowest underlay of any member leaves', () => {
    const { world, web } = makeWorld();
    expect(innerMtu(world, web)).toBe(1450);
    world.addNode('h2', '10.77.0.2', { underlayMtu: 1400 });
    expect(innerMtu(world, web)).toBe(1350);
    world.addNode('h2', '10.77.0.2', { underlayMtu: 1400, left: true });
    expect(innerMtu(world, web)).toBe(1450);
  });

  it('is less by the larger header where tunnels are over IPv6', () => {
    const { world, web } = makeWorld();
    world.addNode('h2', '2001:db8::2');
    expect(innerMtu(world, web)).toBe(1430);
    expect(innerMtu(world, { options: { 'com.docker.network.driver.mtu': '9000' } })).toBe(8930);
    world.addNode('h2', '2001:db8::2', { left: true });
    expect(innerMtu(world, web)).toBe(1450);
  });

  it('is what the options say', () => {
    const { world } = makeWorld();
    expect(innerMtu(world, { options: { mtu: '1300' } })).toBe(1300);
    expect(innerMtu(world, { options: { 'com.docker.network.driver.mtu': '9000' } })).toBe(8950);
  });

  it('is what IPv6 needs at least, and says where the underlay leaves less', () => {
    const { world, web } = makeWorld();
    const six = { ...web, name: 'six', subnets: [{ cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} }] };
    expect(innerMtu(world, six)).toBe(1450);
    expect(() => refuseTooSmallMtu(world, web)).not.toThrow();
    world.addNode('h2', '10.77.0.2', { underlayMtu: 1329, underlayLimit: 'link wg0' });
    expect([innerMtu(world, web), innerMtu(world, six)]).toEqual([1279, 1280]);
    expect(mtuProblems(world, [web, six])).toEqual([
      'network six has an MTU of 1280 because IPv6 needs it, and h2 (link wg0, 1329) leaves 1279: larger packets from or to that host go in fragments, or get lost where those are dropped; raise the MTU there',
    ]);
    expect(() => refuseTooSmallMtu(world, web)).toThrow(
      'IPv6 needs an MTU of 1280 (RFC 8200), and h2 (link wg0, 1329) leaves 1279 inside of networks; raise the MTU there',
    );
    world.addNode('h2', '10.77.0.2', { underlayMtu: 1330 });
    expect(() => refuseTooSmallMtu(world, web)).not.toThrow();
    expect(mtuProblems(world, [web, six])).toEqual([]);
    for (const options of [{ mtu: '1279' }, { 'com.docker.network.driver.mtu': '1329' }]) {
      expect(() => refuseTooSmallMtu(world, { options })).toThrow('and the option gives the network one of 1279; give');
    }
    expect(() => refuseTooSmallMtu(world, { options: { mtu: '1280' } })).not.toThrow();
  });

  it('says which member limits it, and of an option that the underlay does not carry', () => {
    const { world, web } = makeWorld();
    expect(mtuLimit(world, web)).toBeUndefined();
    world.addNode('h2', '10.77.0.2', { underlayMtu: 1400, underlayLimit: 'link wg0' });
    expect(describeLimit(mtuLimit(world, web)!)).toBe('h2 (link wg0, 1400)');
    expect(mtuLimit(world, { options: { mtu: '1300' } })).toBeUndefined();
    const named = (name: string, mtu: string) => ({ ...web, name, options: { mtu } });
    expect(mtuProblems(world, [web, named('small', '1350')])).toEqual([]);
    expect(mtuProblems(world, [named('large', '1351')])).toEqual([
      expect.stringContaining('network large has an MTU of 1351 by its option, and h2 (link wg0, 1400) leaves 1350'),
    ]);
    world.addNode('h1', '10.77.0.1', { underlayMtu: 1400 });
    expect(mtuLimit(world, web)).toBeUndefined();
  });
});
