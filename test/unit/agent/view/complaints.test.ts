import { expect, test } from 'vitest';
import { Complaints } from '../../../../src/agent/view/complaints.ts';
import type { LiveRecord, NodeRecord } from '../../../../src/core/records.ts';
import { type LogLine, recordingLogger } from '../cluster/cluster-fixture.ts';

const MINUTE_MS = 60_000;

function fixture(members: number) {
  const now = { ms: 0 };
  const nodes = new Map<string, Pick<NodeRecord, 'left'>>();
  const live = new Map<string, Pick<LiveRecord, 'startedAt'>>();
  for (let nth = 1; nth <= members; nth++) {
    nodes.set(`n${nth}`, { left: false });
    live.set(`n${nth}`, { startedAt: 1_000 });
  }
  const log: LogLine[] = [];
  const view = {
    live: (id: string) => live.get(id) as LiveRecord | undefined,
    node: (id: string) => nodes.get(id) as NodeRecord | undefined,
    nodes: () => nodes.values() as Iterable<NodeRecord>,
    refusals: [],
  };
  const complaints = new Complaints({
    ...{ clock: { elapsed: () => now.ms }, logger: recordingLogger(log), view: () => view },
    ...{ nameOf: (id) => id, ownOf: () => undefined },
  });
  return { complaints, live, log, nodes, now };
}

test('a member is named as long as it goes on, and logged once', () => {
  const { complaints, log, now } = fixture(3);
  for (; now.ms <= 10 * MINUTE_MS; now.ms += MINUTE_MS / 2) {
    complaints.nonsense('n2', ['a revision of the future']);
    expect(complaints.problems()).toEqual([expect.stringContaining('n2 said what cannot be')]);
  }
  expect(log).toHaveLength(1);
  now.ms += MINUTE_MS + 1;
  expect(complaints.problems()).toEqual([]);
});

test('of a thousand members each is asked seldom, and named for longer', () => {
  const { complaints, now } = fixture(1_000);
  complaints.nonsense('n2', ['a revision of the future']);
  now.ms = 30 * MINUTE_MS;
  expect(complaints.problems()).toHaveLength(1);
  now.ms = 34 * MINUTE_MS;
  expect(complaints.problems()).toEqual([]);
});

test('whose agent was started anew, or who is no member any more, is not named', () => {
  const { complaints, live, nodes } = fixture(4);
  for (const id of ['n2', 'n3', 'n4', 'stranger']) complaints.nonsense(id, ['a revision of the future']);
  expect(complaints.problems()).toHaveLength(4);
  live.set('n2', { startedAt: 2_000 });
  nodes.set('n3', { left: true });
  nodes.delete('n4');
  expect(complaints.problems()).toEqual([expect.stringContaining('node stranger said')]);
});
