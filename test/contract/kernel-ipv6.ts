/** What every kernel does for the planner about IPv6: the fake and the real one pass the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerRef } from '../../src/core/container.ts';
import { HOST, type NamespaceState, type Op, TUNNEL } from '../../src/core/host-state.ts';
import { plan, planClear } from '../../src/core/plan.ts';
import type { NetworkRecord } from '../../src/core/records.ts';
import { fdbRows, neighbourRows } from '../../src/core/row-table.ts';
import { KernelBench, type KernelHost } from './kernel-bench.ts';
import type { World } from './kernel-world.ts';

const at = 'ovl-4100';
const OUT = { destination: '::/0', gateway: 'fe80::1', link: 'up0', protocol: '79' };
const IN = { destination: 'fd00:6::/64', gateway: 'fe80::2', link: 'ovl4100', protocol: '79' };
const LINK_LOCAL = { link: 'eth0', address: 'fe80::42:ff:fe00:2', prefix: 64 };

export function describeIpv6Kernel(name: string, open: () => Promise<KernelHost>): void {
  describe(`${name}, of IPv6`, () => {
    let host: KernelHost;
    let world: World;
    let bench: KernelBench;
    let six: NetworkRecord;
    let c1: ContainerRef;

    beforeEach(async () => {
      host = await open();
      bench = new KernelBench(host);
      world = bench.world;
      world.addNode('h2', '10.77.0.2');
      six = world.addNetwork('six', { vni: 4100, cidr: 'fd00:6::/64', gateway: 'fd00:6::1' });
      c1 = await host.addContainer('c1');
      world.addLocal(six, 'fd00:6::2', c1);
      world.addRemote(six, 'h2', 'fd00:6::9');
    });
    afterEach(() => host.close());

    const converge = () => bench.converge();
    const expectStable = () => bench.expectStable();
    async function inside(): Promise<NamespaceState> {
      const seen = (await bench.look()).containers.get(c1.identity);
      if (seen === undefined || seen === 'gone') throw new Error('not seen');
      return seen;
    }

    it('makes everything from nothing, and then has nothing to do', async () => {
      await converge();
      await expectStable();
      const seen = await bench.look();
      const { links, addresses, routes, neighbours, fdb, forwarding6 } = seen.networks.get(at)!;
      expect(forwarding6).toBe(true);
      expect(['br0', TUNNEL, 'up0'].map((link) => links.get(link)?.ipv6)).toEqual([true, true, true]);
      expect(addresses).toEqual(
        expect.arrayContaining([
          { link: 'br0', address: 'fd00:6::1', prefix: 64 },
          { link: 'br0', address: 'fe80::86f:67ff:fe00:1004', prefix: 64 },
        ]),
      );
      expect(addresses).toHaveLength(2);
      expect(routes).toEqual([OUT]);
      expect(neighbourRows(neighbours)).toEqual(
        expect.arrayContaining([
          { link: TUNNEL, address: 'fd00:6::2', mac: '02:42:00:00:00:02' },
          { link: TUNNEL, address: 'fd00:6::9', mac: '02:42:00:00:00:09' },
          { link: 'up0', address: 'fe80::1', mac: expect.any(String) },
        ]),
      );
      expect(fdbRows(fdb).filter(({ vtep }) => vtep)).toEqual([
        { link: TUNNEL, mac: '02:42:00:00:00:09', vtep: '10.77.0.2', port: undefined },
      ]);
      expect(seen.host).toMatchObject({ forwarding6: true, routes: [IN] });
      expect(neighbourRows(seen.host!.neighbours)).toMatchObject([{ link: 'ovl4100', address: 'fe80::2' }]);
      const own = await inside();
      expect(own.links.get('eth0')?.ipv6).toBe(true);
      expect(own.addresses).toEqual(
        expect.arrayContaining([{ link: 'eth0', address: 'fd00:6::2', prefix: 64 }, LINK_LOCAL]),
      );
      expect(own.routes).toEqual([{ ...OUT, gateway: 'fd00:6::1', link: 'eth0' }]);
    });

    it('has addresses, rows and filters of both families where the network has', async () => {
      const dual = world.addNetwork('dual', { vni: 4101, cidr: '10.0.5.0/24', gateway: '10.0.5.1' });
      const subnets = [...dual.subnets, { cidr: 'fd00:5::/64', gateway: 'fd00:5::1', auxAddresses: {} }];
      world.networkRecords.set(dual.id, { ...dual, subnets });
      const c2 = await host.addContainer('c2');
      const { record } = world.addLocal(dual, '10.0.5.2', c2);
      const further = { address: 'fd00:5::2', prefix: 64 };
      const want = () => {
        const wanted = bench.want();
        const networks = wanted.networks.map((network) => ({
          ...network,
          ports: network.ports.map((port) =>
            port.endpoint.record.id === record.id
              ? { ...port, addresses: [...port.addresses, further], defaultGateways: ['10.0.5.1', 'fd00:5::1'] }
              : port,
          ),
        }));
        return { ...wanted, networks };
      };
      const think = async () => plan(want(), await bench.look(), { provesAbsence: true });
      expect((await host.kernel.apply(await think())).failures).toEqual([]);
      expect((await think()).stages).toEqual([]);
      const seen = await bench.look();
      const { routes, neighbours, filter } = seen.networks.get('ovl-4101')!;
      expect(routes.map(({ destination }) => destination).sort()).toEqual(['::/0', 'default']);
      expect(neighbourRows(neighbours).map(({ address }) => address)).toEqual(
        expect.arrayContaining(['10.0.5.2', 'fd00:5::2', '169.254.0.1', 'fe80::1']),
      );
      const mac = '02:42:0a:00:05:02';
      const port = `e${record.id.slice(0, 12)} ${mac}`;
      expect(filter?.sets.map((set) => [set.name, [...set.elements].sort()])).toEqual([
        ['leases', [`${port} 10.0.5.2`]],
        ['leases6', [`${port} fd00:5::2`, `${port} fe80::42:aff:fe00:502`]],
        ['targets', [`${port} 0xfd000005000000000000000000000002`, `${port} 0xfe8000000000000000420afffe000502`]],
      ]);
      const own = seen.containers.get(c2.identity);
      expect(own !== 'gone' && own!.routes.map(({ destination, gateway }) => [destination, gateway]).sort()).toEqual([
        ['::/0', 'fd00:5::1'],
        ['default', '10.0.5.1'],
      ]);
    });

    it('gives a network of IPv4 a subnet of IPv6, and its containers stay', async () => {
      const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
      world.addLocal(web, '10.0.0.2', c1, { ifname: 'eth1' });
      await converge();
      expect((await bench.look()).networks.get('ovl-4096')!.forwarding6).toBe(false);
      const subnets = [...web.subnets, { cidr: 'fd00:7::/64', gateway: 'fd00:7::1', auxAddresses: {} }];
      world.networkRecords.set(web.id, { ...web, subnets });
      const { stages } = await bench.think();
      const made = stages.flatMap(({ ops }) =>
        ops.filter(({ op }) => /^(add|delete)-(veth|bridge|vxlan|link)/.test(op.kind)),
      );
      expect(made).toEqual([]);
      await converge();
      await expectStable();
      const { forwarding6, addresses } = (await bench.look()).networks.get('ovl-4096')!;
      expect(forwarding6).toBe(true);
      expect(addresses).toContainEqual({ link: 'br0', address: 'fd00:7::1', prefix: 64 });
    });

    it('leads its containers to another subnet of the network, and is at rest then', async () => {
      const further = { cidr: 'fd00:66::/64', gateway: 'fd00:66::1', auxAddresses: {} };
      world.networkRecords.set(six.id, { ...six, subnets: [...six.subnets, further] });
      await converge();
      expect((await inside()).routes).toContainEqual({
        ...{ destination: further.cidr, gateway: undefined, link: 'eth0', protocol: OUT.protocol },
      });
      await expectStable();
    });

    it('makes the tunnel anew, with its rows, when the underlay becomes one of IPv6', async () => {
      await converge();
      world.addNode('h1', '2001:db8::1');
      world.addNode('h2', '2001:db8::2', { dataPathPort: 4790 });
      await converge();
      await expectStable();
      const { links, fdb } = (await bench.look()).networks.get(at)!;
      expect(links.get(TUNNEL)).toMatchObject({ vxlan: { local: '2001:db8::1' }, mtu: 1430 });
      expect(fdbRows(fdb).filter(({ vtep }) => vtep)).toEqual([
        { link: TUNNEL, mac: '02:42:00:00:00:09', vtep: '2001:db8::2', port: 4790 },
      ]);
    });

    const neighbour = { link: TUNNEL, address: 'fd00:6::9', mac: '02:42:00:00:00:09' };
    const drifts: Readonly<Record<string, readonly Op[]>> = {
      'a neighbour row': [{ kind: 'delete-neighbour', at, neighbour }],
      'a neighbour row with another MAC': [
        { kind: 'set-neighbour', at, neighbour: { ...neighbour, mac: '02:42:00:00:00:63' } },
      ],
      'a neighbour row too many': [{ kind: 'set-neighbour', at, neighbour: { ...neighbour, address: 'fd00:6::99' } }],
      "the gateway's address": [
        { kind: 'delete-address', at, address: { link: 'br0', address: 'fd00:6::1', prefix: 64 } },
      ],
      "the bridge's link-local address": [
        { kind: 'delete-address', at, address: { link: 'br0', address: 'fe80::86f:67ff:fe00:1004', prefix: 64 } },
      ],
      'an address too many': [{ kind: 'add-address', at, address: { link: 'br0', address: 'fd00:99::9', prefix: 64 } }],
      'the way out of the network': [{ kind: 'delete-route', at, route: OUT }],
      'the way from the host into the network': [{ kind: 'delete-route', at: HOST, route: IN }],
      "the network's forwarding": [{ kind: 'set-sysctl', at, key: 'net.ipv6.conf.all.forwarding', value: '0' }],
      "the host's forwarding": [{ kind: 'set-sysctl', at: HOST, key: 'net.ipv6.conf.all.forwarding', value: '0' }],
      "the network's filter": [{ kind: 'delete-filter', at, family: 'bridge' }],
      'the bridge': [{ kind: 'delete-link', at, name: 'br0' }],
      'the tunnel': [{ kind: 'delete-link', at, name: TUNNEL }],
      'the uplink': [{ kind: 'delete-link', at: HOST, name: 'ovl4100' }],
      'the whole namespace': [{ kind: 'delete-namespace', name: at }],
    };

    it.each(Object.entries(drifts))('puts right: %s', async (_, ops) => {
      await converge();
      await bench.interfere(...ops);
      await host.settled?.();
      expect((await bench.think()).stages).not.toEqual([]);
      await converge();
      await expectStable();
    });

    it('puts right what is inside a container', async () => {
      await converge();
      const { path } = c1;
      await bench.interfere(
        { kind: 'delete-address', at: path, address: { link: 'eth0', address: 'fd00:6::2', prefix: 64 } },
        { kind: 'delete-address', at: path, address: LINK_LOCAL },
        { kind: 'delete-route', at: path, route: { ...OUT, gateway: 'fd00:6::1', link: 'eth0' } },
      );
      await converge();
      await expectStable();
      expect((await inside()).addresses).toContainEqual(LINK_LOCAL);
    });

    it('leaves nothing behind when the host leaves', async () => {
      await converge();
      expect((await host.kernel.apply(planClear(await bench.look()))).failures).toEqual([]);
      const left = await bench.look();
      expect([...left.namespaces!.keys()]).toEqual([]);
      expect(left.host).toMatchObject({ links: new Map(), routes: [], filter: undefined });
    });
  });
}
