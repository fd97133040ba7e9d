/** What every kernel does with rows: of remotes that come, move and go, and of many at once. The fake and the real one pass the same. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FdbRow, HOST, type NamespaceState, type Op, type Plan, TUNNEL } from '../../src/core/host-state.ts';
import type { NetworkRecord } from '../../src/core/records.ts';
import { fdbRows, fdbTable, neighbourTable, rowsOfLinks } from '../../src/core/row-table.ts';
import { contentOf, KernelBench, type KernelHost } from './kernel-bench.ts';
import type { World } from './kernel-world.ts';

const at = 'ovl-4096';
const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const byMac = (a: FdbRow, b: FdbRow) => (a.mac < b.mac ? -1 : 1);

export function describeKernelRows(name: string, open: () => Promise<KernelHost>): void {
  describe(`${name}, of rows`, () => {
    let host: KernelHost;
    let world: World;
    let bench: KernelBench;
    let web: NetworkRecord;

    beforeEach(async () => {
      host = await open();
      bench = new KernelBench(host);
      world = bench.world;
      world.addNode('h2', '10.77.0.2');
      world.addNode('h3', '10.77.0.3', { dataPathPort: 4790 });
      web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
      world.addLocal(web, '10.0.0.2', await host.addContainer('c1'));
      world.addLocal(web, '10.0.0.3', await host.addContainer('c2'));
      world.addRemote(web, 'h2', '10.0.0.9');
      world.addRemote(web, 'h3', '10.0.0.10');
      await bench.converge();
    });
    afterEach(() => host.close());

    const think = () => bench.think();
    const converge = () => bench.converge();
    const interfere = (...ops: readonly Op[]) => bench.interfere(...ops);
    const expectStable = () => bench.expectStable();
    async function network(): Promise<NamespaceState> {
      return (await bench.look()).networks.get(at)!;
    }

    it('follows remotes that come, move and go', async () => {
      const moving = world.addRemote(web, 'h2', '10.0.0.11');
      await converge();
      world.endpointRecords.set(moving.id, { ...moving, nodeId: 'h3' });
      expect((await converge()).writes).toBe(1);
      world.remove(moving.id);
      expect((await converge()).writes).toBe(2);
      await expectStable();
    });

    it.each(['02:42:0a:00:00:02', '02:42:0a:00:00:09'])(
      'has nothing more to do for two endpoints with one MAC, which older releases let be: %s',
      async (mac) => {
        const twin = world.addRemote(web, 'h3', '10.0.0.12');
        world.endpointRecords.set(twin.id, { ...twin, mac });
        await converge();
        await expectStable();
      },
    );

    it('leaves rows of the host alone that are on links of its own, however many', async () => {
      const link = 'foreign0';
      await interfere({ kind: 'add-bridge', at: HOST, name: link, mac: '02:00:00:00:00:01', mtu: 1500 });
      const rows = Array.from({ length: 70 }, (_, nth): Op => {
        const neighbour = { link, address: `192.0.2.${nth + 1}`, mac: `02:00:00:00:01:${hex(nth)}` };
        return { kind: 'set-neighbour', at: HOST, neighbour };
      });
      try {
        await interfere(...rows);
        await expectStable();
      } finally {
        await interfere({ kind: 'delete-link', at: HOST, name: link });
      }
    });

    it('sets and deletes rows by the hundred, and repairs them', async () => {
      const before = contentOf(await network());
      const remotes = Array.from({ length: 200 }, (_, nth) =>
        world.addRemote(web, nth % 2 === 0 ? 'h2' : 'h3', `10.0.0.${20 + nth}`),
      );
      const kindsOf = ({ stages }: Plan) => stages.flatMap(({ ops }) => ops.map(({ op }) => op.kind));
      expect(kindsOf(await think())).toEqual(['set-rows', 'set-rows']);
      expect((await converge()).writes).toBe(400);
      await expectStable();
      const { neighbours, fdb } = await network();
      const half = (link: string) => link === TUNNEL;
      const rows = [rowsOfLinks(neighbourTable(neighbours), half), rowsOfLinks(fdbTable(fdb), half)];
      await interfere(...rows.map((all): Op => ({ kind: 'delete-rows', at, rows: all })));
      expect((await converge()).writes).toBe(406);
      await expectStable();
      for (const { id } of remotes) world.remove(id);
      expect(kindsOf(await think())).toEqual(['delete-rows', 'delete-rows']);
      expect((await converge()).writes).toBe(400);
      await expectStable();
      expect(contentOf(await network())).toEqual(before);
    });

    it('blames the one of many rows that cannot be written, and writes the others', async () => {
      const rows = Array.from({ length: 1_100 }, (_, nth) => {
        // None of a group's address can be replaced.
        const first = nth === 1_050 ? '01' : '02';
        const mac = [first, '42', '0a', '09', hex(nth >> 8), hex(nth & 255)].join(':');
        return { link: TUNNEL, mac, vtep: '10.77.0.2', port: nth % 2 === 0 ? 4_790 : undefined };
      });
      const op: Op = { kind: 'set-rows', at, rows: fdbTable(rows) };
      const planned = [{ op, reason: 'update' as const, network: at, endpointId: undefined }];
      const { writes, failures } = await host.kernel.apply({ stages: [{ essential: false, ops: planned }], gone: [] });
      expect(writes).toBe(rows.length - 1);
      expect(failures.map((failure) => failure.planned.op)).toEqual([{ kind: 'set-fdb', at, row: rows[1_050] }]);
      expect(failures[0]!.error).toMatchObject({ code: 'data-path-failed', retryable: true });
      const written = fdbRows((await network()).fdb).filter(({ mac }) => mac.startsWith('02:42:0a:09'));
      expect(written.sort(byMac)).toEqual(rows.filter((_, nth) => nth !== 1_050));
      // What is not there is deleted already.
      const last: Op = { kind: 'delete-rows', at, rows: fdbTable(rows.slice(1_000)) };
      const deletion = { stages: [{ essential: false, ops: [{ ...planned[0]!, op: last }] }], gone: [] };
      expect(await host.kernel.apply(deletion)).toEqual({ writes: 100, failures: [] });
      await converge();
      await expectStable();
    });
  });
}
