import { expect, it } from 'vitest';
import { StoreUpkeep } from '../../../../src/agent/store/upkeep.ts';
import type { StoreMember, StoreMemberStatus } from '../../../../src/ports/store.ts';
import { nodeRecord } from '../../../fixtures/records.ts';

const MIB = 1_024 ** 2;
const IDS = ['1', '2', '3'].map((digit) => digit.repeat(32)) as [string, string, string];
const nodes = IDS.map((id, at) => nodeRecord({ id, name: `h${at + 1}`, advertiseAddress: `192.0.2.${at + 1}` }));

function upkeepOf(selfId: string, members: readonly StoreMember[], file = { dbSize: MIB, dbSizeInUse: MIB }) {
  const asked: string[] = [];
  const done: string[] = [];
  const status = (id: string): StoreMemberStatus => ({
    ...{ memberId: id, version: '3.5.16', leaderId: members[0]!.id, isLearner: false },
    ...{ raftIndex: 1, raftAppliedIndex: 1, alarms: [], ...file },
  });
  const upkeep = new StoreUpkeep({
    selfId,
    view: { nodes: () => nodes } as never,
    membership: {
      members: async () => members,
      memberStatus: async (url: string) => {
        asked.push(url);
        return status(members.find(({ clientUrls }) => clientUrls.includes(url))!.id);
      },
      defragment: async (url: string) => void done.push(url),
      handOver: async () => undefined,
    } as never,
    revision: () => 1,
    isFollowed: () => true,
    clock: { elapsed: () => 1_000_000, sleep: async () => undefined },
    logger: { info() {}, warn() {} } as never,
  });
  return { upkeep, asked, done };
}

function memberOf(number: number, name = IDS[number - 1]!): StoreMember {
  const host = `https://192.0.2.${number}`;
  return { id: `${number}`, name, peerUrls: [`${host}:2380`], clientUrls: [`${host}:2379`], isLearner: false };
}

it('a host that keeps nothing asks no member how its file is', async () => {
  const { upkeep, asked } = upkeepOf(IDS[2], [memberOf(1), memberOf(2)]);
  expect(await upkeep.step()).toBe(false);
  expect(asked).toEqual([]);
});

it.each(['its node’s id', 'its address alone'])(
  'a keeper, known by %s, asks all and sees to its own',
  async (known) => {
    const own = known === 'its address alone' ? memberOf(2, '') : memberOf(2);
    const { upkeep, asked, done } = upkeepOf(IDS[1], [memberOf(1), own], { dbSize: 500 * MIB, dbSizeInUse: MIB });
    expect(await upkeep.step()).toBe(true);
    expect(asked).toEqual(['https://192.0.2.1:2379', 'https://192.0.2.2:2379']);
    expect(done).toEqual(['https://192.0.2.2:2379']);
  },
);
