/** A host that returns to a store that went on without it, with an etcd of the one before. */
import { expect, it } from 'vitest';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import { OwnMember, type OwnMemberDeps } from '../../../../src/agent/store/own-member.ts';
import type { StoreMember } from '../../../../src/ports/store.ts';

const member = (id: string, name: string, address: string): StoreMember => ({
  ...{ id, name, isLearner: false, clientUrls: [] },
  peerUrls: [`https://${address}:2380`],
});
const others = member('1', 'a'.repeat(32), '192.0.2.1');

/** `status`: what its own etcd answers. */
async function lookAt(members: readonly StoreMember[] | Error, status: { memberId: string } | undefined) {
  const done: string[] = [];
  const endpoints = ['https://192.0.2.1:2379'];
  let identity = {
    ...{ nodeId: 'b'.repeat(32), advertiseAddress: '192.0.2.2', store: { bundled: true, endpoints } },
  } as unknown as Identity;
  const own = new OwnMember({
    own: {
      get current() {
        return identity;
      },
      change: async (next: (before: Identity) => Identity) => {
        identity = next(identity);
        return identity;
      },
    },
    view: {
      ...{ level: 9, behind: true, isWhole: true, provesAbsence: false },
      cluster: () => ({ level: 9 }),
      keepers: () => ['a'.repeat(32)],
      keepersRecord: () => undefined,
      storeChange: () => undefined,
      nodes: () => [{ id: 'a'.repeat(32), advertiseAddress: '192.0.2.1' }],
    },
    isFollowed: () => true,
    etcd: { ensure: () => expect.unreachable(), setAside: async () => void done.push('set aside') },
    membership: {
      members: async () => {
        if (members instanceof Error) throw members;
        return members;
      },
      memberStatus: async () => {
        if (status === undefined) throw new Error('connection refused');
        return status;
      },
    },
    ...{ setEndpoints: () => undefined, onChange: () => undefined, isCertified: () => true },
    logger: { info: () => undefined },
  } as unknown as OwnMemberDeps);
  await own.step();
  return done.length > 0 && !identity.store.bundled;
}

it('sets aside an etcd that waits for members which have gone on without it, and never answers', async () => {
  expect(await lookAt([others], undefined)).toBe(true);
  expect(await lookAt([others], { memberId: '9' })).toBe(true);
});

it('keeps one that is listed, by its name or its address, and one of which nothing is known', async () => {
  expect(await lookAt([others, member('2', 'b'.repeat(32), '192.0.2.9')], undefined)).toBe(false);
  expect(await lookAt([others, member('2', '', '192.0.2.2')], undefined)).toBe(false);
  expect(await lookAt([others, member('2', '', '192.0.2.2')], { memberId: '2' })).toBe(false);
  expect(await lookAt(new Error('permission denied'), undefined)).toBe(false);
});
