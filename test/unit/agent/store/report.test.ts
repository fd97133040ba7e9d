import { expect, test } from 'vitest';
import { reportStore, type StoreReportDeps } from '../../../../src/agent/store/report.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { StoreMemberStatus } from '../../../../src/ports/store.ts';

const TOLD: StoreMemberStatus = {
  ...{ memberId: 'a', version: '3.5.30', dbSize: 2, dbSizeInUse: 1, leaderId: 'a', isLearner: false },
  ...{ raftIndex: 900, raftAppliedIndex: 900, alarms: [] },
};
const NOTHING = { version: '', dbSize: 0, dbSizeInUse: 0, leaderId: '', raftIndex: 0, raftAppliedIndex: 0 };
const HIDDEN: StoreMemberStatus = { ...TOLD, ...NOTHING, memberId: 'b', hidden: true };
const MEMBERS: Readonly<Record<string, StoreMemberStatus>> = { 'https://a': TOLD, 'https://b': HIDDEN };

const node = { id: '1'.repeat(32), name: 'h1', advertiseAddress: '192.0.2.1', left: false, store: {} };

function deps({ own, status = HIDDEN }: { own?: readonly string[]; status?: StoreMemberStatus | undefined }) {
  const silent = new OverlaydError('store-unavailable', 'no answer');
  return {
    view: {
      ...{ cluster: () => undefined, storeChange: () => undefined, keepers: () => [node.id], nodes: () => [node] },
    },
    isHeard: () => true,
    membership: {
      members: async () => Promise.reject(new OverlaydError('store-failed', 'permission denied')),
      memberStatus: async (url: string) => {
        const found = own ? MEMBERS[url] : status;
        if (!found) throw silent;
        return found;
      },
    },
    ownEtcd: () => own,
    clock: { elapsed: () => 0 },
  } as unknown as StoreReportDeps;
}

test('a member that tells root alone how it is answers, and is not behind', async () => {
  const { members } = await reportStore(deps({ own: ['https://a', 'https://b', 'https://c'] }));
  expect(members).toMatchObject([
    { answers: true, role: 'leader', version: '3.5.30', lag: 0 },
    { answers: true, role: 'voter', version: '', lag: 0 },
    { answers: false, role: 'voter', version: '', lag: 0 },
  ]);
});

test('nor is the majority lost where it tells neither how it is nor who its members are', async () => {
  expect(await reportStore(deps({}))).toMatchObject({ members: [{ answers: true }], outlook: 'permission denied' });
  const { outlook } = await reportStore(deps({ status: { ...TOLD, leaderId: '' } }));
  expect(outlook).toMatch(/no majority of the members answers/);
});
