/** What every kernel does for the planner: the fake and the real one pass the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerRef } from '../../src/core/container.ts';
import { type NamespaceState, type Op, TUNNEL } from '../../src/core/host-state.ts';
import type { KernelChange } from '../../src/core/kernel-change.ts';
import { hostFilter } from '../../src/core/plan/host-filter.ts';
import { plan, planClear } from '../../src/core/plan.ts';
import type { NetworkRecord } from '../../src/core/records.ts';
import { fdbRows, neighbourRows } from '../../src/core/row-table.ts';
import { KernelBench, type KernelHost } from './kernel-bench.ts';
import { drifts as driftsOf, shortDrift, toldDrifts } from './kernel-drifts.ts';
import type { World } from './kernel-world.ts';

const namesOf = (links: readonly { readonly name: string }[]) => links.map(({ name }) => name);

export function describeKernel(name: string, open: () => Promise<KernelHost>): void {
  describe(name, () => {
    let host: KernelHost;
    let world: World;
    let bench: KernelBench;
    let web: NetworkRecord;
    let quit: AbortController;

    beforeEach(async () => {
      host = await open();
      quit = new AbortController();
      bench = new KernelBench(host);
      world = bench.world;
      world.addNode('h2', '10.77.0.2');
      world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
      web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
    });

    afterEach(async () => {
      quit.abort();
      await host.close();
    });

    const want = () => bench.want();
    const look = () => bench.look();
    const think = () => bench.think();
    const converge = () => bench.converge();
    const interfere = (...ops: readonly Op[]) => bench.interfere(...ops);
    const expectStable = () => bench.expectStable();

    async function network(): Promise<NamespaceState> {
      return (await look()).networks.get('ovl-4096')!;
    }

    async function twoContainers(): Promise<readonly [ContainerRef, ContainerRef]> {
      const c1 = await host.addContainer('c1');
      const c2 = await host.addContainer('c2');
      world.addLocal(web, '10.0.0.2', c1);
      world.addLocal(web, '10.0.0.3', c2);
      world.addRemote(web, 'h2', '10.0.0.9');
      world.addRemote(web, 'h3', '10.0.0.10');
      await converge();
      return [c1, c2];
    }

    it('makes everything from nothing, and then has nothing to do', async () => {
      await twoContainers();
      await expectStable();
      const { links, neighbours, fdb } = await network();
      expect([...links.keys()].filter((link) => link !== 'lo')).toHaveLength(5);
      expect(neighbourRows(neighbours).filter(({ link }) => link === TUNNEL)).toHaveLength(4);
      expect(fdbRows(fdb).filter(({ vtep }) => vtep)).toEqual(
        expect.arrayContaining([
          { link: TUNNEL, mac: '02:42:0a:00:00:09', vtep: '10.77.0.2', port: undefined },
          { link: TUNNEL, mac: '02:42:0a:00:00:0a', vtep: '10.77.0.3', port: 4790 },
        ]),
      );
    });

    it('has no uplink on an internal network', async () => {
      const quiet = world.addNetwork('quiet', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1', internal: true });
      world.addLocal(quiet, '10.0.1.2', await host.addContainer('c1'));
      await converge();
      await expectStable();
      const seen = await look();
      expect([...seen.host!.links.keys()]).toEqual([]);
      expect(seen.networks.get('ovl-4097')!.routes).toEqual([]);
      expect([...seen.containers.values()].map((state) => state !== 'gone' && state.routes)).toEqual([[]]);
    });

    it('turns a local endpoint into a remote one when etcd gives its address to another node', async () => {
      await twoContainers();
      const [moved] = [...world.local.values()];
      world.endpointRecords.set('other', { ...moved!.record, id: 'other', nodeId: 'h2' });
      world.endpointRecords.delete(moved!.record.id);
      await converge();
      await expectStable();
      expect(fdbRows((await network()).fdb)).toContainEqual({
        link: TUNNEL,
        mac: '02:42:0a:00:00:02',
        vtep: '10.77.0.2',
        port: undefined,
      });
    });

    it('lets one network carry the default route of a container, the first by name', async () => {
      const [c1] = await twoContainers();
      const defaults = async () => {
        const state = (await look()).containers.get(c1.identity);
        return state === 'gone' ? [] : state!.routes.map(({ gateway, link }) => `${gateway} ${link}`);
      };
      expect(await defaults()).toEqual(['10.0.0.1 eth0']);
      const api = world.addNetwork('api', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1' });
      const second = world.addLocal(api, '10.0.2.2', c1, { ifname: 'eth1' });
      await converge();
      await expectStable();
      expect(await defaults()).toEqual(['10.0.2.1 eth1']);
      world.remove(second.record.id);
      await converge();
      await converge();
      await expectStable();
      expect(await defaults()).toEqual(['10.0.0.1 eth0']);
    });

    it('changes the MTU of what is there', async () => {
      const [c1] = await twoContainers();
      world.addNode('h2', '10.77.0.2', { underlayMtu: 1400 });
      await converge();
      await expectStable();
      const seen = await look();
      const inside = seen.containers.get(c1.identity);
      expect(inside !== 'gone' && inside?.links.get('eth0')?.mtu).toBe(1350);
      expect(seen.networks.get('ovl-4096')!.links.get(TUNNEL)!.mtu).toBe(1350);
      expect(seen.host!.links.get('ovl4096')!.mtu).toBe(1350);
    });

    it('makes the tunnel anew, with its rows, when the data-path port changes', async () => {
      await twoContainers();
      world.addNode('h1', host.vtep, { dataPathPort: 4800 });
      await converge();
      await expectStable();
      expect((await network()).links.get(TUNNEL)!.vxlan!.port).toBe(4800);
    });

    const at = 'ovl-4096';
    const first = 'e100000000000';
    const drifts = driftsOf(at, first);

    it.each(Object.entries(drifts))('puts right, and tells: %s', async (name, ops) => {
      await twoContainers();
      await interfere(...ops);
      // Until a deleted namespace has ended, its links may still be in the containers.
      await host.settled?.();
      expect((await bench.differs()).map(shortDrift)).toContain(toldDrifts(at, first)[name]);
      await converge();
      await expectStable();
      expect(await bench.differs()).toEqual([]);
    });

    it('puts right what is inside a container', async () => {
      const [c1] = await twoContainers();
      const inside = c1.path;
      await interfere(
        { kind: 'delete-address', at: inside, address: { link: 'eth0', address: '10.0.0.2', prefix: 24 } },
        { kind: 'set-link', at: inside, name: 'eth0', set: { mac: '0e:00:00:00:00:01', mtu: 1000 } },
      );
      await converge();
      await expectStable();
    });

    it('leaves a default route alone that is not ours', async () => {
      const c1 = await host.addContainer('c1');
      const endpoint = world.addLocal(web, '10.0.0.2', c1);
      await converge();
      const foreign = { destination: 'default', gateway: '10.0.0.7', link: 'eth0', protocol: 'static' };
      await interfere({ kind: 'set-route', at: c1.path, route: foreign });
      await expectStable();
      world.remove(endpoint.record.id);
    });

    it('tells which endpoints are gone with their containers, and plans nothing for them', async () => {
      await twoContainers();
      await host.killContainer('c1');
      const [gone] = [...world.local.values()];
      await expect.poll(async () => (await think()).gone.map(({ record }) => record.id)).toEqual([gone!.record.id]);
      await converge();
      expect((await think()).stages).toEqual([]);
      world.remove(gone!.record.id);
      await converge();
      await expectStable();
    });

    it('takes nothing away while the view is not whole', async () => {
      await twoContainers();
      const before = await look();
      world.isWhole = false;
      for (const { record } of [...world.local.values()].slice(1)) world.remove(record.id);
      for (const { id, nodeId } of [...world.endpointRecords.values()]) if (nodeId !== 'h1') world.remove(id);
      world.nodeRecords.delete('h2');
      world.nodeRecords.delete('h3');
      expect((await think()).stages).toEqual([]);
      expect(await look()).toEqual({ ...before, containers: expect.anything() });
    });

    it('keeps members in the filter that a view that is not whole does not know', async () => {
      await twoContainers();
      const full = hostFilter(want(), true);
      world.isWhole = false;
      world.nodeRecords.delete('h2');
      world.addNode('h4', '10.77.0.4');
      await converge();
      const members = (await look()).host!.filter!.sets.find(({ name: set }) => set === 'members')!;
      expect([...members.elements].sort()).toEqual(
        [...full.sets.find(({ name: set }) => set === 'members')!.elements, '10.77.0.4'].sort(),
      );
    });

    it('takes several ports away at once, and leaves the others', async () => {
      const [c1] = await twoContainers();
      const more = [];
      for (const [name, address] of [
        ['c3', '10.0.0.4'],
        ['c4', '10.0.0.5'],
        ['c5', '10.0.0.6'],
      ] as const) {
        more.push(world.addLocal(web, address, await host.addContainer(name)));
      }
      await converge();
      for (const { record } of more) world.remove(record.id);
      await converge();
      await expectStable();
      for (const { container } of more)
        expect(namesOf([...(await host.kernel.inside(container.path)).links.values()])).not.toContain('eth0');
      expect(namesOf([...(await host.kernel.inside(c1.path)).links.values()])).toContain('eth0');
    });

    it('takes a network apart after its last endpoint, and everything when the host leaves', async () => {
      const [c1] = await twoContainers();
      const api = world.addNetwork('api', { vni: 4098, cidr: '10.0.2.0/24', gateway: '10.0.2.1' });
      world.addLocal(api, '10.0.2.2', c1, { ifname: 'eth1' });
      await converge();
      for (const { record } of [...world.local.values()]) if (record.networkId === web.id) world.remove(record.id);
      await converge();
      await expectStable();
      expect([...(await look()).namespaces!.keys()]).toEqual(['ovl-4098']);
      expect(namesOf([...(await host.kernel.inside(c1.path)).links.values()])).not.toContain('eth0');

      expect((await host.kernel.apply(planClear(await look()))).failures).toEqual([]);
      const left = await look();
      expect([...left.namespaces!.keys()]).toEqual([]);
      expect(left.host).toMatchObject({ links: new Map(), routes: [], filter: undefined });
      expect(neighbourRows(left.host!.neighbours)).toEqual([]);
      expect(namesOf([...(await host.kernel.inside(c1.path)).links.values()])).not.toContain('eth1');
    });

    it('carries out what it can and tells what it could not', async () => {
      const [c1] = await twoContainers();
      const c3 = await host.addContainer('c3');
      const lost = world.addLocal(web, '10.0.0.4', { ...c3, path: '/run/netns/nowhere' });
      const fine = world.addLocal(web, '10.0.0.5', c3);
      const names = ['ovl-4096'];
      const observed = await host.kernel.observe({ host: false, networks: names, containers: [c1], ports: [] });
      const { failures } = await host.kernel.apply(plan(want(), observed, { provesAbsence: true }));
      expect(new Set(failures.map(({ planned }) => planned.endpointId))).toEqual(new Set([lost.record.id]));
      expect(failures[0]!.error).toMatchObject({ code: 'data-path-failed', retryable: true });
      expect(namesOf([...(await host.kernel.inside(c3.path)).links.values()])).toContain('eth0');
      world.remove(lost.record.id);
      await converge();
      await expectStable();
      expect(world.local.has(fine.record.id)).toBe(true);
    });

    it('refuses each op by itself: what stands around one that cannot be is done', async () => {
      await twoContainers();
      const row = (address: string, link = TUNNEL): Op => ({
        kind: 'set-neighbour',
        at,
        neighbour: { link, address, mac: '02:42:0a:00:00:63' },
      });
      const fdb = (mac: string, link = TUNNEL): Op => ({
        kind: 'set-fdb',
        at,
        row: { link, mac, vtep: link === TUNNEL ? '10.77.0.2' : undefined },
      });
      const ops: readonly Op[] = [
        row('10.0.0.61'),
        row('10.0.0.62', 'nowhere'),
        row('10.0.0.63'),
        { kind: 'add-bridge', at, name: 'br0', mac: '02:42:0a:00:00:01', mtu: 1450 },
        fdb('02:42:0a:00:00:61'),
        // No port of a bridge.
        fdb('02:42:0a:00:00:62', 'up0'),
        fdb('02:42:0a:00:00:63'),
        { kind: 'delete-link', at, name: 'nowhere' },
        { kind: 'set-link', at: '/run/netns/nowhere', name: 'eth0', set: { up: true } },
        row('10.0.0.64'),
      ];
      const planned = ops.map((op) => ({ op, reason: 'update' as const, network: at, endpointId: undefined }));
      const { writes, failures } = await host.kernel.apply({ stages: [{ essential: false, ops: planned }], gone: [] });
      const refused = new Set(failures.map((failure) => failure.planned.op));
      expect(refused).toEqual(new Set([ops[1], ops[3], ops[5], ops[8]]));
      expect(writes).toBe(ops.length - 4);
      for (const { error } of failures) expect(error).toMatchObject({ code: 'data-path-failed', retryable: true });
      const { neighbours, fdb: rows } = await network();
      const written = ['10.0.0.61', '10.0.0.63', '10.0.0.64'];
      expect(neighbourRows(neighbours).map(({ address }) => address)).toEqual(expect.arrayContaining(written));
      expect(fdbRows(rows).map(({ mac }) => mac)).toEqual(
        expect.arrayContaining(['02:42:0a:00:00:61', '02:42:0a:00:00:63']),
      );
      await converge();
      await expectStable();
    });

    it('tells changes by event, and those it has none for when probed', async () => {
      await twoContainers();
      const changes = host.kernel.changes(quit.signal)[Symbol.asyncIterator]();
      const next = async (match: (change: KernelChange) => boolean) => {
        for (;;) {
          const { value } = await changes.next();
          if (match(value)) return value;
        }
      };
      const isWeb = (change: KernelChange) => change.kind === 'network' && change.namespace === at;
      await next(({ kind }) => kind === 'all');
      await interfere(...drifts['an FDB row of a remote']!);
      await next(isWeb);
      await interfere(...drifts['a neighbour row']!);
      await next(isWeb);
      await interfere(...drifts["the host's filter"]!);
      await next(({ kind }) => kind === 'host');
      await host.killContainer('c1');
      await next(isWeb);

      await converge();
      await look();
      const filter = async () => (await host.kernel.filters([at])).get(at)!.filter;
      const right = (await look()).networks.get(at)!.filter;
      expect(await filter()).toEqual(right);
      expect(await filter()).toEqual(right);
      await interfere(...drifts["the network's filter"]!);
      expect(await filter()).toBe(undefined);
      await converge();
      expect(await filter()).toEqual((await look()).networks.get(at)!.filter);
    });

    it('names the links of a container', async () => {
      const c1 = await host.addContainer('c1');
      world.addLocal(web, '10.0.0.2', c1, { ifname: 'net7' });
      await converge();
      expect(namesOf([...(await host.kernel.inside(c1.path)).links.values()])).toContain('net7');
      await expect(host.kernel.inside('/run/netns/nowhere')).rejects.toMatchObject({ code: 'namespace-unusable' });
    });
  });
}
