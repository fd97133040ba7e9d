import { expect, test } from 'vitest';
import { HiddenMembers } from '../../../src/agent/hidden-members.ts';
import type { Liveness } from '../../../src/core/failure-detector.ts';
import type { NodeRecord } from '../../../src/core/records.ts';
import { type LogLine, recordingLogger } from './cluster/cluster-fixture.ts';

test('what becomes of a member is an event each, of one that is new nothing is told', () => {
  const lines: LogLine[] = [];
  const states = new Map<string, Liveness>();
  const members = new HiddenMembers({
    logger: recordingLogger(lines),
    liveness: (id) => states.get(id) ?? 'ready',
  });
  const node = (id: string, left = false) => ({ id, name: `host-${id}`, left }) as unknown as NodeRecord;
  const all = [node('a'), node('b')];
  const changed = [members.update(all)];
  for (const state of ['suspect', 'down', 'ready', 'ready', 'restarting', 'ready'] as const) {
    states.set('b', state);
    changed.push(members.update(all));
  }
  members.update([node('a'), node('b', true)]);
  members.update([node('a')]);
  members.update([]);
  expect(changed).toEqual([false, true, false, true, false, false, false]);
  const told = lines.flatMap(({ fields: { event, member } }) => (event ? [`${event} ${member}`] : []));
  expect(told).toEqual([
    'member-suspected host-b',
    'member-down host-b',
    'member-back host-b',
    'member-restarting host-b',
    'member-back host-b',
    'member-left host-b',
    'member-left host-a',
  ]);
});
