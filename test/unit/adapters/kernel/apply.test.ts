import { describe, expect, it } from 'vitest';
import { apply } from '../../../../src/adapters/kernel/apply.ts';
import type { Run } from '../../../../src/adapters/kernel/exec.ts';
import { HOST, type Op, type PlannedOp } from '../../../../src/core/host-state.ts';

const planned = (op: Op): PlannedOp => ({ op, reason: 'create', network: 'ovl-7', endpointId: undefined });
const stage = (...ops: readonly Op[]) => ({ essential: false, ops: ops.map(planned) });

function record(answers: readonly { code: number; stderr: string }[] = []) {
  const calls: { argv: string; input: string }[] = [];
  const run: Run = async (argv, { input = '' } = {}) => {
    calls.push({ argv: argv.join(' '), input });
    return { stdout: '', ...(answers[calls.length - 1] ?? { code: 0, stderr: '' }) };
  };
  return { run, calls };
}

const up = (name: string, at = 'ovl-7'): Op => ({ kind: 'set-link', at, name, set: { up: true } });
const veth = (path: string): Op => ({
  kind: 'add-veth',
  at: 'ovl-7',
  mtu: 1450,
  end: { name: 'e1', mac: '0e:00:00:00:00:01' },
  peer: { at: path, name: 'eth0', mac: '02:42:0a:00:00:02' },
});

describe('applying a plan', () => {
  it('starts one process per namespace and tool', async () => {
    const { run, calls } = record();
    const row: Op = { kind: 'set-fdb', at: 'ovl-7', row: { link: 'e1', mac: '02:42:0a:00:00:02' } };
    await apply(
      run,
      {
        stages: [stage(up('a'), up('b'), row, up('c', '/run/netns/c1'), up('p', '/proc/7/ns/net'), up('d', HOST))],
        gone: [],
      },
      undefined,
    );
    expect(calls).toEqual([
      { argv: 'ip -netns ovl-7 -force -batch -', input: 'link set dev a up\nlink set dev b up\n' },
      {
        argv: 'bridge -netns ovl-7 -force -batch -',
        input: 'fdb replace 02:42:0a:00:00:02 dev e1 master static\n',
      },
      { argv: 'ip -netns c1 -force -batch -', input: 'link set dev c up\n' },
      { argv: 'nsenter --net=/proc/7/ns/net ip -force -batch -', input: 'link set dev p up\n' },
      { argv: 'ip -force -batch -', input: 'link set dev d up\n' },
    ]);
  });

  it('blames the lines that failed, with the words of the kernel', async () => {
    const { run } = record([{ code: 1, stderr: 'RTNETLINK answers: File exists\nCommand failed -:2\n' }]);
    const result = await apply(run, { stages: [stage(up('a'), veth('/run/netns/c1'), up('b'))], gone: [] }, undefined);
    expect(result.writes).toBe(2);
    expect(result.failures).toHaveLength(1);
    expect(result.failures[0]!.planned.op.kind).toBe('add-veth');
    expect(result.failures[0]!.error).toMatchObject({
      code: 'data-path-failed',
      retryable: true,
      message: expect.stringMatching(/link add name e1 .*namespace ovl-7.*RTNETLINK answers: File exists/),
    });
  });

  it('counts what is gone already as removed', async () => {
    const { run } = record([{ code: 1, stderr: 'Cannot find device "a"\nCommand failed -:1\n' }]);
    const stages = [stage({ kind: 'delete-link', at: 'ovl-7', name: 'a' })];
    expect(await apply(run, { stages, gone: [] }, undefined)).toEqual({ writes: 1, failures: [] });
  });

  describe('deleting several links of a network', () => {
    const remove = (name: string, at = 'ovl-7'): Op => ({ kind: 'delete-link', at, name });

    it('deletes them as one group, before all else', async () => {
      const { run, calls } = record();
      const stages = [stage(up('c'), remove('a'), remove('b'))];
      expect(await apply(run, { stages, gone: [] }, undefined)).toEqual({ writes: 3, failures: [] });
      const group = /group (\d+)/.exec(calls[0]?.input ?? '')?.[1];
      const marks = ['a', 'b'].map((name) => `link set dev ${name} group ${group}`);
      const lines = [...marks, `link delete group ${group}`, 'link set dev c up'];
      expect(calls.map(({ input }) => input)).toEqual([`${lines.join('\n')}\n`]);
    });

    it('takes no link along that an earlier deletion, cut off, has marked', async () => {
      const { run, calls } = record();
      for (let i = 0; i < 2; i++) await apply(run, { stages: [stage(remove('a'), remove('b'))], gone: [] }, undefined);
      const groups = calls.map(({ input }) => /delete group (\d+)/.exec(input)?.[1]);
      expect(groups).toEqual([expect.stringMatching(/^[1-9]/), expect.stringMatching(/^[1-9]/)]);
      expect(groups[0]).not.toBe(groups[1]);
    });

    it('never does so in the host, where the group may be somebody else’s', async () => {
      const { run, calls } = record();
      await apply(run, { stages: [stage(remove('a', HOST), remove('b', HOST))], gone: [] }, undefined);
      expect(calls.map(({ input }) => input)).toEqual(['link delete dev a\nlink delete dev b\n']);
    });

    it('counts what is gone already as removed', async () => {
      const gone =
        'Cannot find device "a"\nCommand failed -:1\nRTNETLINK answers: No such device\nCommand failed -:3\n';
      const { run } = record([{ code: 1, stderr: gone }]);
      const stages = [stage(remove('a'), remove('b'))];
      expect(await apply(run, { stages, gone: [] }, undefined)).toEqual({ writes: 2, failures: [] });
    });

    it('tells of each that is left when the group cannot be deleted', async () => {
      const { run } = record([{ code: 1, stderr: 'RTNETLINK answers: Device busy\nCommand failed -:3\n' }]);
      const result = await apply(run, { stages: [stage(remove('a'), remove('b'))], gone: [] }, undefined);
      expect(result.failures.map(({ planned }) => planned.op)).toEqual([remove('a'), remove('b')]);
    });
  });

  it('goes on after a line that ended the tool', async () => {
    const fatal = 'Error: argument "/run/netns/x" is wrong: Invalid "netns" value\n';
    const { run, calls } = record([{ code: 255, stderr: fatal }]);
    const result = await apply(run, { stages: [stage(up('a'), veth('/run/netns/x'), up('b'))], gone: [] }, undefined);
    expect(result.failures.map((failure) => failure.planned.op.kind)).toEqual(['add-veth']);
    expect(calls[1]!.input).toBe('link set dev b up\n');
  });

  it('blames everything that is unknown when the tool does not say where it ended', async () => {
    const { run } = record([{ code: 1, stderr: 'Cannot open network namespace "ovl-7": No such file or directory\n' }]);
    const result = await apply(run, { stages: [stage(up('a'), up('b'))], gone: [] }, undefined);
    expect(result.failures).toHaveLength(2);
  });

  it('takes no line after one that ended the tool silently for carried out', async () => {
    const remove = (address: string): Op => ({
      kind: 'delete-neighbour',
      at: 'ovl-7',
      neighbour: { link: 'vx0', address, mac: '02:42:0a:00:00:09' },
    });
    const { run } = record([{ code: 2, stderr: 'RTNETLINK answers: No such file or directory\n' }]);
    const stages = [stage(remove('10.0.0.7'), remove('10.0.0.8'), remove('10.0.0.9'))];
    const result = await apply(run, { stages, gone: [] }, undefined);
    expect(result.writes).toBe(0);
    expect(result.failures).toHaveLength(3);
  });

  it.each([
    ['Error: ipv4: Address not found.', { link: 'br0', address: '10.0.0.1', prefix: 24 }],
    ['RTNETLINK answers: Cannot assign requested address', { link: 'br0', address: '10.0.0.1', prefix: 24 }],
  ])('knows the words for what is gone already: %s', async (words, address) => {
    const { run } = record([{ code: 1, stderr: `${words}\nCommand failed -:1\n` }]);
    const stages = [stage({ kind: 'delete-address', at: 'ovl-7', address })];
    expect(await apply(run, { stages, gone: [] }, undefined)).toEqual({ writes: 1, failures: [] });
  });

  it('tells of a failure for which the tool has no words', async () => {
    const { run } = record([{ code: 1, stderr: 'Command failed -:1\n' }]);
    const { failures } = await apply(run, { stages: [stage(up('a'))], gone: [] }, undefined);
    expect(failures[0]!.error.message).toMatch(/link set dev a up .*did not say why/);
  });

  describe('when an essential stage fails', () => {
    const filter: Op = { kind: 'set-filter', at: HOST, filter: { family: 'inet', sets: [], chains: [] } };
    const add: Op = { kind: 'add-namespace', name: 'ovl-7', id: 7 };
    const of = (network: string | undefined, op: Op): PlannedOp => ({ ...planned(op), network });
    const guard = (...ops: readonly PlannedOp[]) => ({ essential: true, ops });
    const later = (...ops: readonly PlannedOp[]) => ({ essential: false, ops });

    it('keeps back the network whose op failed, with the cause, and no other', async () => {
      const stderr = 'Cannot create namespace file "/run/netns/ovl-7": Permission denied\nCommand failed -:1\n';
      const { run, calls } = record([{ code: 1, stderr }]);
      const kept = of('ovl-7', up('br0'));
      const stages = [guard(of('ovl-7', add)), later(kept, of('ovl-8', up('br0', 'ovl-8')))];
      const { writes, failures } = await apply(run, { stages, gone: [] }, undefined);
      expect(writes).toBe(1);
      expect(failures.map(({ planned: { op } }) => op)).toEqual([add, kept.op]);
      expect(failures[1]!.error.message).toMatch(/Permission denied/);
      expect(calls.map(({ argv }) => argv)).toEqual(['ip -force -batch -', 'ip -netns ovl-8 -force -batch -']);
    });

    it('keeps back what makes links, when that is the host, and lets the rest be done', async () => {
      const { run, calls } = record([{ code: 1, stderr: 'Error: syntax error\n' }]);
      const row: Op = {
        kind: 'set-fdb',
        at: 'ovl-8',
        row: { link: 'vx0', mac: '02:42:0a:00:00:02', vtep: '10.0.0.2' },
      };
      const address: Op = { kind: 'add-address', at: HOST, address: { link: 'lo', address: '10.0.0.9', prefix: 32 } };
      const kept = [of('ovl-7', veth('/run/netns/c1')), of('ovl-7', up('e1')), of(undefined, address)];
      const stages = [guard(of(undefined, filter)), later(...kept, of('ovl-8', row))];
      const { writes, failures } = await apply(run, { stages, gone: [] }, undefined);
      expect(writes).toBe(1);
      expect(failures.map(({ planned: { op } }) => op)).toEqual([filter, ...kept.map(({ op }) => op)]);
      expect(calls.map(({ argv }) => argv)).toEqual(['nft -f -', 'bridge -netns ovl-8 -force -batch -']);
    });
  });

  it('lets no name become more than one word of a batch', async () => {
    const { run, calls } = record();
    const result = await apply(run, { stages: [stage(up('a up\nlink del b'))], gone: [] }, undefined);
    expect(result.failures).toHaveLength(1);
    expect(calls).toEqual([]);
  });
});
