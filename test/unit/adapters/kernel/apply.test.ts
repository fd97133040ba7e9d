import { describe, expect, it } from 'vitest';
import { apply } from '../../../../src/adapters/kernel/apply.ts';
import type { Ask, JobName, Refusal, StageOfWork, Tell, Work } from '../../../../src/adapters/kernel/jobs.ts';
import { HOST, type Op, type PlannedOp } from '../../../../src/core/host-state.ts';
import { fdbTable } from '../../../../src/core/row-table.ts';

const planned = (op: Op): PlannedOp => ({ op, reason: 'create', network: 'ovl-7', endpointId: undefined });
const stage = (...ops: readonly Op[]) => ({ essential: false, ops: ops.map(planned) });

/** A thread that refuses what the test says, stage by stage; an error ends it. `asked`: the works of each stage, job by job. */
function record(answers: readonly (readonly Refusal[] | Error)[] = []) {
  const asked: (readonly Work[])[][] = [];
  let begun = 0;
  const thread = {
    async ask<K extends JobName>(_: K, ask: Ask<K>): Promise<Tell<K>> {
      const stages = ask as readonly StageOfWork[];
      asked.push(stages.map(({ works }) => works));
      const told: (readonly Refusal[])[] = [];
      for (const { essential } of stages) {
        const answer = answers[begun++] ?? [];
        if (answer instanceof Error) throw answer;
        told.push(answer);
        if (essential && answer.length > 0) break;
      }
      return told as Tell<K>;
    },
  };
  const places = () => asked.map((stages) => stages.map((works) => works.map(({ place }) => place)));
  return { thread, asked, places };
}

const refusal = (work: number, op: number, code: string, message: string): Refusal => ({
  work,
  op,
  error: { code, message },
});
const up = (name: string, at = 'ovl-7'): Op => ({ kind: 'set-link', at, name, set: { up: true } });
const neighbour = (address: string, link = 'vx0'): Op => ({
  kind: 'set-neighbour',
  at: 'ovl-7',
  neighbour: { link, address, mac: '02:42:0a:00:00:09' },
});
const fdb = (mac: string): Op => ({ kind: 'set-fdb', at: 'ovl-7', row: { link: 'vx0', mac, vtep: '10.77.0.2' } });
const veth = (path: string): Op => ({
  kind: 'add-veth',
  at: 'ovl-7',
  mtu: 1450,
  end: { name: 'e1', mac: '0e:00:00:00:00:01' },
  peer: { at: path, name: 'eth0', mac: '02:42:0a:00:00:02' },
});

describe('applying a plan', () => {
  it('asks for all stages at once, the ops of each place in order', async () => {
    const { thread, asked, places } = record();
    const stages = [stage(up('a'), up('c', '/run/netns/c1'), up('b'), up('d', HOST)), stage(up('e'))];
    expect(await apply(thread, { stages, gone: [] }, undefined)).toEqual({ writes: 5, failures: [] });
    expect(places()).toEqual([[['ovl-7', '/run/netns/c1', HOST], ['ovl-7']]]);
    expect(asked[0]![0]![0]!.ops).toEqual([up('a'), up('b')]);
  });

  it('counts rows, and blames the one that was refused', async () => {
    const rows = ['02:42:0a:00:00:01', '02:42:0a:00:00:02', '02:42:0a:00:00:03'].map((mac) => ({
      ...{ link: 'vx0', mac, vtep: '10.77.0.2' },
    }));
    const many: Op = { kind: 'set-rows', at: 'ovl-7', rows: fdbTable(rows) };
    const { thread } = record([[{ ...refusal(0, 1, 'EPERM', 'operation not permitted'), row: 2 }]]);
    const result = await apply(thread, { stages: [stage(up('a'), many)], gone: [] }, undefined);
    expect(result.writes).toBe(3);
    expect(result.failures.map((failure) => failure.planned)).toEqual([planned(fdb('02:42:0a:00:00:03'))]);
    expect(result.failures[0]!.error.message).toBe(
      'set-fdb 02:42:0a:00:00:03 on vx0 (in namespace ovl-7): operation not permitted',
    );
    const { thread: none } = record([[refusal(0, 0, 'ENODEV', 'no such device')]]);
    const { writes, failures } = await apply(none, { stages: [stage(many)], gone: [] }, undefined);
    expect([writes, failures.map((failure) => failure.planned)]).toEqual([0, [planned(many)]]);
    expect(failures[0]!.error.message).toBe('set-rows of 3 rows on vx0 (in namespace ovl-7): no such device');
  });

  it('blames the ops that were refused, with the words of the kernel', async () => {
    const ops = [up('c', '/run/netns/c1'), neighbour('10.0.0.1'), neighbour('10.0.0.2'), up('b')];
    const { thread } = record([[refusal(1, 1, 'EPERM', 'operation not permitted')]]);
    const result = await apply(thread, { stages: [stage(...ops)], gone: [] }, undefined);
    expect(result.writes).toBe(3);
    expect(result.failures.map((failure) => failure.planned.op)).toEqual([ops[2]]);
    expect(result.failures[0]!.error).toMatchObject({
      code: 'data-path-failed',
      retryable: true,
      message: 'set-neighbour 10.0.0.2 on vx0 (in namespace ovl-7): operation not permitted',
    });
  });

  it('says what is missing on the host by its code', async () => {
    const { thread } = record([[refusal(0, 0, 'tool-missing', 'the library is not there')]]);
    const { failures } = await apply(thread, { stages: [stage(up('a'))], gone: [] }, undefined);
    expect(failures[0]!.error).toMatchObject({ code: 'tool-missing' });
  });

  it.each<readonly [Op, string, string, RegExp]>([
    [
      { kind: 'set-link', at: 'ovl-7', name: 'e1', set: { master: 'br0' } },
      'EXFULL',
      'exchange full',
      /as many containers/,
    ],
    [
      {
        kind: 'set-route',
        at: HOST,
        route: { destination: '10.0.0.0/24', gateway: '10.0.0.1', link: 'ovl7', protocol: '79' },
      },
      'EINVAL',
      'Nexthop has invalid gateway',
      /address of the gateway, 10\.0\.0\.1, itself/,
    ],
    [
      {
        kind: 'add-vxlan',
        at: 'ovl-7',
        name: 'vx0',
        mac: '0a:6f:76:00:00:07',
        mtu: 1450,
        vxlan: { vni: 7, local: '10.77.0.1', port: 4789, socketAt: HOST, learning: false, proxy: true },
      },
      'EEXIST',
      'A VXLAN device with the specified VNI already exists',
      /another VXLAN device with VNI 7/,
    ],
    [
      {
        kind: 'add-vxlan',
        at: 'ovl-7',
        name: 'vx0',
        mac: '0a:6f:76:00:00:07',
        mtu: 1450,
        vxlan: { vni: 7, local: undefined, port: 4789, socketAt: 'ovl-wg', learning: false, proxy: true },
      },
      'ENOENT',
      "ENOENT: no such file or directory, open '/run/netns/ovl-wg'",
      /WireGuard is not there on this host, .* there is no namespace ovl-wg/,
    ],
  ])('explains what the kernel means: %j', async (op, code, words, explained) => {
    const { thread } = record([[refusal(0, 0, code, words)], [refusal(0, 0, 'EIO', 'input/output error')]]);
    const { failures } = await apply(thread, { stages: [stage(op), stage(op)], gone: [] }, undefined);
    expect(failures[0]!.error.message).toMatch(explained);
    expect(failures[1]!.error.message).toMatch(/input\/output error/);
  });

  it('takes nothing for done of what it was not told', async () => {
    const lost = new Error("the kernel's thread ended");
    const { thread, asked } = record([[], lost]);
    const stages = [stage(up('a')), stage(up('b'), up('c'))];
    const { writes, failures } = await apply(thread, { stages, gone: [] }, undefined);
    expect(writes).toBe(0);
    expect(failures.map(({ error }) => error)).toEqual([lost, lost, lost]);
    expect(asked).toHaveLength(1);
  });

  describe('when an essential stage fails', () => {
    const filter: Op = { kind: 'set-filter', at: HOST, filter: { family: 'inet', sets: [], chains: [] } };
    const add: Op = { kind: 'add-namespace', name: 'ovl-7', id: 7 };
    const of = (network: string | undefined, op: Op): PlannedOp => ({ ...planned(op), network });
    const guard = (...ops: readonly PlannedOp[]) => ({ essential: true, ops });
    const later = (...ops: readonly PlannedOp[]) => ({ essential: false, ops });

    it('keeps back the network whose op failed, with the cause, and no other', async () => {
      const { thread, places } = record([[refusal(0, 0, 'EACCES', 'permission denied')]]);
      const kept = of('ovl-7', up('br0'));
      const stages = [guard(of('ovl-7', add)), later(kept, of('ovl-8', up('br0', 'ovl-8')))];
      const { writes, failures } = await apply(thread, { stages, gone: [] }, undefined);
      expect(writes).toBe(1);
      expect(failures.map(({ planned: { op } }) => op)).toEqual([add, kept.op]);
      expect(failures[1]!.error.message).toMatch(/permission denied/);
      expect(places()).toEqual([[[HOST], ['ovl-7', 'ovl-8']], [['ovl-8']]]);
    });

    it('keeps back what makes links, when that is the host, and lets the rest be done', async () => {
      const { thread, places } = record([[refusal(0, 0, '', 'syntax error')]]);
      const row: Op = { ...fdb('02:42:0a:00:00:02'), at: 'ovl-8' } as Op;
      const address: Op = { kind: 'add-address', at: HOST, address: { link: 'lo', address: '10.0.0.9', prefix: 32 } };
      const kept = [of('ovl-7', veth('/run/netns/c1')), of('ovl-7', up('e1')), of(undefined, address)];
      const stages = [guard(of(undefined, filter)), later(...kept, of('ovl-8', row))];
      const { writes, failures } = await apply(thread, { stages, gone: [] }, undefined);
      expect(writes).toBe(1);
      expect(failures.map(({ planned: { op } }) => op)).toEqual([filter, ...kept.map(({ op }) => op)]);
      expect(places()).toEqual([[[HOST], ['ovl-7', HOST, 'ovl-8']], [['ovl-8']]]);
    });
  });
});
