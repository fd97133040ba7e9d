/** What every kernel does where broadcasts and multicasts reach other hosts. The fake and the real one pass the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type NamespaceState, type Op, TUNNEL } from '../../src/core/host-state.ts';
import type { EndpointRecord, NetworkRecord } from '../../src/core/records.ts';
import { ALL_ZEROS, fdbRows } from '../../src/core/row-table.ts';
import { KernelBench, type KernelHost } from './kernel-bench.ts';
import type { World } from './kernel-world.ts';

const at = 'ovl-4104';
const first = 'e100000000000';
const NINE = '02:42:0a:00:08:09';

export function describeMulticastKernel(name: string, open: () => Promise<KernelHost>): void {
  describe(`${name}, of multicast`, () => {
    let host: KernelHost;
    let world: World;
    let bench: KernelBench;
    let cast: NetworkRecord;
    let ten: EndpointRecord;

    beforeEach(async () => {
      host = await open();
      bench = new KernelBench(host);
      world = bench.world;
      world.addNode('h2', '10.77.0.2');
      world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
      // A member without endpoints.
      world.addNode('h4', '10.77.0.4');
      cast = world.addNetwork('cast', {
        ...{ vni: 4104, cidr: '10.0.8.0/24', gateway: '10.0.8.1' },
        options: { multicast: 'true' },
      });
      world.addLocal(cast, '10.0.8.2', await host.addContainer('c1'));
      world.addRemote(cast, 'h2', '10.0.8.9');
      world.addRemote(cast, 'h2', '10.0.8.10');
      ten = world.addRemote(cast, 'h3', '10.0.8.11');
      await bench.converge();
    });
    afterEach(() => host.close());

    async function network(): Promise<NamespaceState> {
      return (await bench.look()).networks.get(at)!;
    }
    const ofTunnel = async () => fdbRows((await network()).fdb).filter(({ link }) => link === TUNNEL);
    const floods = async () => {
      const rows = (await ofTunnel()).filter(({ mac }) => mac === ALL_ZEROS);
      return rows.map(({ vtep, port }) => `${vtep} ${port ?? ''}`.trim()).sort();
    };
    /** MACs that the bridge has behind the tunnel. */
    const bridged = async () =>
      (await ofTunnel())
        .filter(({ vtep }) => vtep === undefined)
        .map(({ mac }) => mac)
        .sort();

    it('sends to each member that has endpoints, and a MAC without a row to none', async () => {
      await bench.expectStable();
      expect(await floods()).toEqual(['10.77.0.2', '10.77.0.3 4790']);
      expect(await bridged()).toEqual([NINE, '02:42:0a:00:08:0a', '02:42:0a:00:08:0b']);
      const { links } = await network();
      expect(links.get(TUNNEL)?.port).toMatchObject({ flood: false, multicastFlood: true, broadcastFlood: true });
      expect(links.get(first)?.port).toMatchObject({
        ...{ flood: false, multicastFlood: true, broadcastFlood: true, locked: true, learning: false },
      });
    });

    it('follows members by their endpoints, and their tunnel ends', async () => {
      world.addRemote(cast, 'h4', '10.0.8.12');
      await bench.converge();
      expect(await floods()).toEqual(['10.77.0.2', '10.77.0.3 4790', '10.77.0.4']);
      world.addNode('h2', '10.77.0.22');
      world.addNode('h3', '10.77.0.3');
      await bench.converge();
      expect(await floods()).toEqual(['10.77.0.22', '10.77.0.3', '10.77.0.4']);
      world.remove(ten.id);
      await bench.converge();
      expect(await floods()).toEqual(['10.77.0.22', '10.77.0.4']);
      world.addNode('h2', '10.77.0.22', { left: true });
      await bench.converge();
      await bench.expectStable();
      expect(await floods()).toEqual(['10.77.0.4']);
      expect(await bridged()).toEqual(['02:42:0a:00:08:0c']);
    });

    it('follows an endpoint that moves to another host and comes back', async () => {
      const moved = [...world.local.values()].at(-1)!;
      world.remove(moved.record.id);
      const there = world.addRemote(cast, 'h2', '10.0.8.2');
      // Without an endpoint of its own a host has nothing of the network.
      const stays = world.addLocal(cast, '10.0.8.3', await host.addContainer('c2'));
      await bench.converge();
      await bench.expectStable();
      expect(await bridged()).toContain(moved.record.mac);
      world.remove(there.id);
      world.addLocal(cast, '10.0.8.2', moved.container);
      await bench.converge();
      await bench.expectStable();
      expect(await bridged()).not.toContain(moved.record.mac);
      world.remove(stays.record.id);
    });

    it('has a hundred members, each once', async () => {
      for (let nth = 0; nth < 100; nth++) {
        world.addNode(`m${nth}`, `10.77.1.${nth + 1}`);
        world.addRemote(cast, `m${nth}`, `10.0.8.${100 + nth}`);
      }
      await bench.converge();
      await bench.expectStable();
      expect(await floods()).toHaveLength(102);
      for (const { id, nodeId } of [...world.endpointRecords.values()]) if (nodeId.startsWith('m')) world.remove(id);
      await bench.converge();
      await bench.expectStable();
      expect(await floods()).toEqual(['10.77.0.2', '10.77.0.3 4790']);
    });

    const row = (vtep: string, mac = ALL_ZEROS) => ({ link: TUNNEL, mac, vtep });
    it.each<[string, readonly Op[]]>([
      ['a flood row', [{ kind: 'delete-fdb', at, row: row('10.77.0.2') }]],
      [
        'all flood rows',
        [
          { kind: 'delete-fdb', at, row: row('10.77.0.2') },
          { kind: 'delete-fdb', at, row: { ...row('10.77.0.3'), port: 4790 } },
        ],
      ],
      ['a flood row too many', [{ kind: 'set-fdb', at, row: row('10.77.0.99') }]],
      ['a flood row to another port', [{ kind: 'set-fdb', at, row: { ...row('10.77.0.2'), port: 9_999 } }]],
      ["the bridge's row of a MAC behind the tunnel", [{ kind: 'delete-fdb', at, row: { link: TUNNEL, mac: NINE } }]],
      [
        'a MAC behind the tunnel that is none',
        [{ kind: 'set-fdb', at, row: { link: TUNNEL, mac: '02:42:0a:00:08:63' } }],
      ],
      ['a MAC that is behind a port', [{ kind: 'set-fdb', at, row: { link: first, mac: NINE } }]],
      ["the tunnel's row of a MAC", [{ kind: 'delete-fdb', at, row: row('10.77.0.2', NINE) }]],
      ['the tunnel', [{ kind: 'delete-link', at, name: TUNNEL }]],
      ['the bridge', [{ kind: 'delete-link', at, name: 'br0' }]],
      ['the filter', [{ kind: 'delete-filter', at, family: 'bridge' }]],
    ])('puts right: %s', async (_, ops) => {
      await bench.interfere(...ops);
      expect((await bench.think()).stages).not.toEqual([]);
      await bench.converge();
      await bench.expectStable();
      expect(await floods()).toEqual(['10.77.0.2', '10.77.0.3 4790']);
      expect(await bridged()).toHaveLength(3);
    });

    it('has none of that without the option', async () => {
      const plain = world.addNetwork('plain', { vni: 4105, cidr: '10.0.9.0/24', gateway: '10.0.9.1' });
      world.addLocal(plain, '10.0.9.2', await host.addContainer('c2'));
      world.addRemote(plain, 'h2', '10.0.9.9');
      await bench.converge();
      const { fdb, links, filter } = (await bench.look()).networks.get('ovl-4105')!;
      expect(fdbRows(fdb).filter(({ link }) => link === TUNNEL)).toEqual([
        { link: TUNNEL, mac: '02:42:0a:00:09:09', vtep: '10.77.0.2', port: undefined },
      ]);
      const ports = [...links.values()].filter(({ name, port }) => port && name !== TUNNEL);
      expect(ports.map(({ port }) => [port?.multicastFlood, port?.broadcastFlood])).toEqual([[false, false]]);
      expect(filter?.chains.map(({ name }) => name)).toEqual(['prerouting']);
    });
  });
}
