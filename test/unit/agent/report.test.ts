import { expect, test } from 'vitest';
import type { Membership } from '../../../src/agent/lifecycle.ts';
import { removedAdvice } from '../../../src/agent/report.ts';

const ownRecord = (record: object | undefined) =>
  removedAdvice({
    member: { view: { node: () => record, keepers: () => undefined } },
    identity: { nodeId: 'n2', store: { bundled: false } },
    removal: { isTold: false },
  } as unknown as Membership);

// Etcd refuses a node that is removed everything, its watch too: the mark may be the last that it hears.
test.each([
  ['is gone', undefined, /was removed from the cluster.*leave --force/],
  ['was marked by who removes it', { left: true, removed: true }, /was removed from the cluster.*leave --force/],
  ['was marked by its own leave', { left: true }, /begun to leave/],
])('a node whose record %s is told what happened to it', (_, record, words) => {
  expect(ownRecord(record)).toMatch(words);
});
