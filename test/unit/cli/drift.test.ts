import { expect, it } from 'vitest';
import type { HostDrift } from '../../../src/gen/overlayd/v1/control.ts';
import type { Drift, DriftBatch } from '../../../src/gen/overlayd/v1/drift.ts';
import { NOW, run } from './fake-agent.ts';

const drift = (changes: Partial<Drift> = {}): Drift => ({
  ...{ kind: 'neighbour', network: 'web', place: 'ovl-4096', object: '10.0.0.9 dev vx0', state: 'missing' },
  ...{ detail: 'lladdr 02:42:0a:00:00:09', why: 'api of web is on host2', sinceMs: NOW - 60_000, hindered: '' },
  ...changes,
});
const batch = (changes: Partial<DriftBatch> = {}): DriftBatch => ({
  ...{ differs: [], repaired: [], putBack: [], leftOut: 0, isPartial: false },
  ...changes,
});
const host = (name: string, found: DriftBatch | undefined, reason = ''): HostDrift => ({
  ...{ nodeId: `id-${name}`, nodeName: name, found, reason },
});
const answers = (...hosts: readonly HostDrift[]) => ({
  findDrift: (_: never, tell: (found: HostDrift) => void) => {
    for (const each of hosts) tell(each);
  },
});

it('says that nothing differs, and exits with 0', async () => {
  const { out, code, asked } = await run('drift', { answers: answers(host('host1', batch()), host('host2', batch())) });
  expect([out, code]).toEqual(['Nothing differs on 2 hosts.\n', 0]);
  expect(asked[0]![1]).toEqual({ network: '', node: '', repair: false });
});

it('lists what differs with its host, why it is wanted and since when, and exits with 1', async () => {
  const answered = answers(host('host2', batch({ differs: [drift()] })), host('host1', batch()));
  const { out, code } = await run('drift --network web', { answers: answered });
  expect(out).toMatch(/^HOST +NETWORK +WHERE +KIND +OBJECT +STATE +SINCE +WANTED FOR$/m);
  expect(out).toMatch(
    /^host2 +web +ovl-4096 +neighbour +10\.0\.0\.9 dev vx0 +missing: lladdr \S+ +\S.* ago +api of web is on host2$/m,
  );
  expect(code).toBe(1);
});

it('names hosts that did not answer, what is not listed and what stands in the way', async () => {
  const hindered = batch({ differs: [drift({ hindered: 'Operation not permitted' })], leftOut: 7, isPartial: true });
  const { error, code } = await run('drift', {
    answers: answers(host('host1', hindered), host('host2', undefined, 'it did not answer within 10 s')),
  });
  expect(error).toContain('host host2 did not answer: it did not answer within 10 s');
  expect(error).toContain('host host1: 7 more differ');
  expect(error).toContain('host host1 cannot put it right: Operation not permitted');
  expect(error).toContain('host host1 does not know all of the cluster yet');
  expect(code).toBe(1);
  expect((await run('drift', { answers: answers(host('host2', undefined, 'gone')) })).code).toBe(1);
});

it('tells what was put right, and what agents put back by themselves, which is no difference', async () => {
  const putBack = [{ drift: drift(), times: 3, firstMs: NOW - 9_000, lastMs: NOW - 1_000 }];
  const { out, code, asked } = await run('drift --repair', {
    answers: answers(host('host1', batch({ repaired: [drift({ object: 'br0' })], putBack }))),
  });
  expect(out).toMatch(/^Put right now:\n.*\nhost1 .* br0 /m);
  expect(out).toContain('Nothing differs any more on 1 host.');
  expect(out).toMatch(/Put back by itself within the last hour:\n.*\nhost1 .* 3 +1\S* ago$/m);
  expect([code, asked[0]![1]]).toEqual([0, { network: '', node: '', repair: true }]);
});

it('is JSON, with parts of one host together', async () => {
  const parts = answers(host('host1', batch({ differs: [drift()] })), host('host1', batch({ differs: [drift()] })));
  const parsed = JSON.parse((await run('drift --format json', { answers: parts })).out);
  expect(parsed.Drift).toHaveLength(2);
  expect(parsed.Drift[0]).toEqual({
    ...{ Node: 'host1', Network: 'web', Place: 'ovl-4096', Kind: 'neighbour', Object: '10.0.0.9 dev vx0' },
    ...{ State: 'missing', Detail: 'lladdr 02:42:0a:00:00:09', Why: 'api of web is on host2' },
    ...{ Since: '2026-03-01T11:59:00.000Z', Hindered: '' },
  });
  expect(parsed.Hosts).toEqual([
    { Node: 'host1', NodeID: 'id-host1', Answered: true, Reason: '', LeftOut: 0, Partial: false },
  ]);
});

it('lets nothing of other hosts through to the terminal but text', async () => {
  const { out, error } = await run('drift', {
    answers: answers(
      host('h\x1b[1m', batch({ differs: [drift({ object: 'x\x07' })] })),
      host('b\x07', undefined, 'r\x07'),
    ),
  });
  expect(out).not.toContain('\x07');
  expect(error).toContain('host b? did not answer: r?');
});
