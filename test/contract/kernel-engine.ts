/** What every kernel does for endpoints that a container engine asked for, and for the service address. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LocalEndpoint } from '../../src/core/container.ts';
import { HOST, LOOPBACK, type NamespaceState, type Op, SERVICE_ADDRESS } from '../../src/core/host-state.ts';
import { planClear } from '../../src/core/plan.ts';
import type { NetworkRecord } from '../../src/core/records.ts';
import { KernelBench, type KernelHost } from './kernel-bench.ts';
import type { World } from './kernel-world.ts';

export function describeEngineKernel(name: string, open: () => Promise<KernelHost>): void {
  describe(`${name}, for a container engine`, () => {
    let host: KernelHost;
    let bench: KernelBench;
    let world: World;
    let web: NetworkRecord;
    const at = 'ovl-4096';

    beforeEach(async () => {
      host = await open();
      bench = new KernelBench(host);
      world = bench.world;
      world.addNode('h2', '10.77.0.2');
      web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
    });

    afterEach(() => host.close());

    const inHost = async () => [...(await host.kernel.inside(HOST)).links.values()].map((link) => link.name);
    const inside = async (endpoint: LocalEndpoint): Promise<NamespaceState> => {
      const { container } = world.local.get(endpoint.record.id)!;
      const { containers } = await host.kernel.observe({
        host: false,
        networks: [],
        containers: [container],
        ports: [],
      });
      return containers.get(container.identity) as NamespaceState;
    };
    const portOf = ({ record }: LocalEndpoint) => `e${record.id.slice(0, 12)}`;
    const losePort = (endpoint: LocalEndpoint): Op => ({ kind: 'delete-link', at, name: portOf(endpoint) });

    async function taken(): Promise<LocalEndpoint> {
      const endpoint = world.addHandedOver(web, '10.0.0.2');
      await bench.converge();
      const container = await host.addContainer('c1');
      await host.takeOver(endpoint.ifname, 'c1', { ifname: 'eth0', cidr: '10.0.0.2/24' });
      await bench.expectStable();
      world.learn(endpoint, container, 'eth0');
      return endpoint;
    }

    it('makes a port whose other end waits in the host, down and bare', async () => {
      const endpoint = world.addHandedOver(web, '10.0.0.2');
      await bench.converge();
      await bench.expectStable();
      expect(endpoint.ifname).toMatch(/^ovc[0-9a-f]{12}$/);
      expect(await inHost()).toContain(endpoint.ifname);
      const { host: seen, networks } = await bench.look();
      expect(networks.get(at)!.links.get(portOf(endpoint))).toMatchObject({ kind: 'veth', up: true, master: 'br0' });
      // It is not taken for an uplink, nor for anything else that is looked after there.
      expect([...seen!.links.keys()]).toEqual(['ovl4096']);
      expect([...(await host.kernel.inside(HOST)).links.values()]).toContainEqual(
        expect.objectContaining({ name: endpoint.ifname, mac: endpoint.record.mac, up: false }),
      );
      world.remove(endpoint.record.id);
      await bench.converge();
      expect(await inHost()).not.toContain(endpoint.ifname);
    });

    it('makes it anew when it is lost while it waits', async () => {
      const endpoint = world.addHandedOver(web, '10.0.0.2');
      await bench.converge();
      await bench.interfere(losePort(endpoint));
      expect(await inHost()).not.toContain(endpoint.ifname);
      expect((await bench.think()).gone).toEqual([]);
      await bench.converge();
      await bench.expectStable();
      expect(await inHost()).toContain(endpoint.ifname);
    });

    it('leaves the link and the inside to the engine that took it', async () => {
      const endpoint = await taken();
      await bench.expectStable();
      const { path } = world.local.get(endpoint.record.id)!.container;
      await bench.interfere(
        { kind: 'delete-address', at: path, address: { link: 'eth0', address: '10.0.0.2', prefix: 24 } },
        { kind: 'set-link', at: path, name: 'eth0', set: { mac: '0e:00:00:00:00:01', mtu: 1000 } },
      );
      await bench.expectStable();
      expect((await inside(endpoint)).addresses).toEqual([]);
    });

    it('sets up the inside itself when the port had to be made anew', async () => {
      world.serviceAddress = true;
      const endpoint = await taken();
      await bench.interfere(losePort(endpoint));
      await bench.converge();
      await bench.expectStable();
      const { links, addresses, routes } = await inside(endpoint);
      expect(links.get('eth0')).toMatchObject({ mac: endpoint.record.mac, mtu: 1450, up: true });
      expect(addresses).toContainEqual({ link: 'eth0', address: '10.0.0.2', prefix: 24 });
      expect(routes).toContainEqual({
        destination: 'default',
        gateway: '10.0.0.1',
        link: 'eth0',
        protocol: '79',
      });
      expect(await host.routesIn('c1')).toContain(SERVICE_ADDRESS);
    });

    it("does not take the container's way out from the engine then", async () => {
      const endpoint = await taken();
      const { path } = world.local.get(endpoint.record.id)!.container;
      const api = world.addNetwork('xpi', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1' });
      const other = world.addHandedOver(api, '10.0.2.2');
      await bench.converge();
      await host.takeOver(other.ifname, 'c1', { ifname: 'eth1', cidr: '10.0.2.2/24' });
      world.learn(other, world.local.get(endpoint.record.id)!.container, 'eth1');
      const out = { destination: 'default', gateway: '10.0.2.1', link: 'eth1', protocol: 'static' };
      await bench.interfere({ kind: 'set-route', at: path, route: out }, losePort(endpoint));
      await bench.converge();
      const { routes } = await inside(endpoint);
      expect(routes.filter(({ destination }) => destination === 'default')).toEqual([out]);
    });

    it('tells that a container is gone once its process is known', async () => {
      const endpoint = await taken();
      await host.killContainer('c1');
      await expect
        .poll(async () => (await bench.think()).gone.map(({ record }) => record.id))
        .toEqual([endpoint.record.id]);
    });

    it('has the service address in every network and on the host, and puts it back there', async () => {
      const quiet = world.addNetwork('quiet', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1', internal: true });
      world.addLocal(web, '10.0.0.2', await host.addContainer('c1'));
      world.addLocal(quiet, '10.0.1.2', await host.addContainer('c2'));
      await bench.converge();
      const service = (link: string) => ({ link, address: SERVICE_ADDRESS, prefix: 32 });
      const held = async () => {
        const { host: seen, networks } = await bench.look();
        const rows = (state: NamespaceState) => state.addresses.filter(({ address }) => address === SERVICE_ADDRESS);
        return [seen!.addresses, ...[...networks.values()].map(rows)];
      };
      const everywhere = [[service(LOOPBACK)], [service('br0')], [service('br0')]];
      expect(await held()).toEqual([[], [], []]);

      world.serviceAddress = true;
      await bench.converge();
      await bench.expectStable();
      expect(await held()).toEqual(everywhere);

      await bench.interfere(
        { kind: 'delete-address', at: HOST, address: service(LOOPBACK) },
        { kind: 'delete-address', at: 'ovl-4097', address: service('br0') },
      );
      await bench.converge();
      expect(await held()).toEqual(everywhere);

      world.isWhole = false;
      world.serviceAddress = false;
      await bench.expectStable();
      world.isWhole = true;
      await bench.converge();
      await bench.expectStable();
      expect(await held()).toEqual([[], [], []]);

      world.serviceAddress = true;
      await bench.converge();
      expect((await host.kernel.apply(planClear(await bench.look()))).failures).toEqual([]);
      expect((await bench.look()).host!.addresses).toEqual([]);
    });
  });
}
