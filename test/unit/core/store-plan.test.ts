import { describe, expect, it, test } from 'vitest';
import { type KeptMember, majority, planStore, type StoreHost, type StoreStep } from '../../../src/core/store-plan.ts';
import { seededRandom } from '../../sim/seeded-random.ts';

const REPLACE_MS = 600_000;
const LONG = REPLACE_MS + 1;

interface Given {
  /** `A` votes, `a` is a learner; `!` after it: it does not answer; `†`: for too long. */
  readonly members: string;
  /** Those beside the members'. `-` after it: it cannot. */
  readonly hosts?: string;
  readonly promoted?: string;
  readonly demoted?: string;
  readonly gone?: string;
  readonly wanted?: number;
  /** Of those that are away for too long. */
  readonly awayMs?: number;
  readonly replaceAfterMs?: number;
}

function plan(given: Given): StoreStep {
  const { members, hosts = '', promoted = '', demoted = '', gone = '', wanted = 3 } = given;
  const { awayMs: longMs = LONG, replaceAfterMs = REPLACE_MS } = given;
  const kept = [...members.matchAll(/(\w)([!†]?)/g)].map(([, name = '', mark]): KeptMember => {
    const nodeId = name.toUpperCase();
    const awayMs = mark === '†' ? longMs : mark === '!' ? 5_000 : 0;
    return { id: `m${nodeId}`, nodeId: gone.includes(nodeId) ? undefined : nodeId, votes: name === nodeId, awayMs };
  });
  const names = [
    ...kept.map(({ nodeId, awayMs }) => ({ name: nodeId, can: true, awayMs })),
    ...[...hosts.matchAll(/(\w)(-?)/g)].map(([, name, no]) => ({ name, can: no === '', awayMs: 0 })),
  ];
  const all = names.flatMap(({ name, can, awayMs }): StoreHost[] => {
    if (name === undefined) return [];
    const keeper = promoted.includes(name) ? true : demoted.includes(name) ? false : undefined;
    return [{ id: name, name, can, keeper, joinedAt: name.charCodeAt(0), awayMs }];
  });
  return planStore({ wanted, members: kept, hosts: all, replaceAfterMs });
}

function told(step: StoreStep): string {
  if (step.kind === 'none') return 'nothing';
  if (step.kind === 'remove') return `remove ${step.member.nodeId ?? step.member.id}`;
  return step.votes ? `promote ${step.nodeId}` : `add ${step.nodeId}`;
}

describe('growing', () => {
  test.each<[string, Given, string]>([
    ['alone', { members: 'A' }, 'nothing'],
    ['a second host gets a copy', { members: 'A', hosts: 'B' }, 'add B'],
    ['and no vote, as two voters are worse than one', { members: 'Ab' }, 'nothing'],
    ['until there is a third', { members: 'Ab', hosts: 'C' }, 'promote B'],
    ['which follows', { members: 'AB', hosts: 'C' }, 'add C'],
    ['and votes', { members: 'ABc' }, 'promote C'],
    ['three are enough', { members: 'ABC', hosts: 'D' }, 'nothing'],
    ['where five are wanted, a fourth has a copy', { members: 'ABC', hosts: 'D', wanted: 5 }, 'add D'],
    ['and the fifth makes both vote', { members: 'ABCd', hosts: 'E', wanted: 5 }, 'promote D'],
    ['one is wanted', { members: 'A', hosts: 'BC', wanted: 1 }, 'nothing'],
    ['a host that cannot', { members: 'A', hosts: 'B-C' }, 'add C'],
    ['no third after all: the second gives its vote back', { members: 'AB' }, 'remove B'],
    ['a learner that does not answer does not vote', { members: 'Ab!', hosts: 'C' }, 'nothing'],
    ['one that does not come is given up for another', { members: 'AB c†', hosts: 'D' }, 'remove C'],
    ['who joined first', { members: 'A', hosts: 'CB' }, 'add B'],
    ['a fourth that a person promoted takes nobody’s vote', { members: 'ABCd', promoted: 'D', wanted: 5 }, 'nothing'],
    ['whom a person promoted comes first', { members: 'A', hosts: 'BC', promoted: 'C' }, 'add C'],
  ])('%s', (_, given, step) => expect(told(plan(given))).toBe(step));
});

describe('losing', () => {
  test.each<[string, Given, string]>([
    ['one that is away for a moment', { members: 'ABC!', hosts: 'D' }, 'nothing'],
    ['for too long, and another can', { members: 'ABC†', hosts: 'D' }, 'remove C'],
    ['and then the other one', { members: 'AB', hosts: 'CD', demoted: 'C' }, 'add D'],
    ['for too long, and nobody can', { members: 'ABC†' }, 'nothing'],
    ['two of three', { members: 'AB†C†', hosts: 'DE' }, 'nothing'],
    ['two of five, one after the other', { members: 'ABCD†E†', hosts: 'FG', wanted: 5 }, 'remove D'],
    ['one that nobody can be added beside', { members: 'ABC!', wanted: 5, hosts: 'D' }, 'nothing'],
    ['whose host was removed from the cluster', { members: 'ABC†', gone: 'C' }, 'remove mC'],
    ['whose host was removed, and is away for a moment', { members: 'ABC!', gone: 'C' }, 'remove mC'],
    ['a learner whose host was removed', { members: 'ABCd', gone: 'D', wanted: 5 }, 'remove mD'],
  ])('%s', (_, given, step) => expect(told(plan(given))).toBe(step));
});

describe('shrinking', () => {
  test.each<[string, Given, string]>([
    ['one is wanted', { members: 'ABC', wanted: 1 }, 'remove B'],
    ['further', { members: 'AC', wanted: 1 }, 'remove C'],
    ['not below a majority', { members: 'AB!C', wanted: 1 }, 'remove B'],
    ['not the one that lives', { members: 'A!BC', wanted: 1 }, 'nothing'],
    ['a demoted one is replaced first', { members: 'ABC', hosts: 'D', demoted: 'B' }, 'add D'],
    ['by one that votes', { members: 'ABCd', demoted: 'B' }, 'promote D'],
    ['and goes then', { members: 'ABCD', demoted: 'B' }, 'remove B'],
    ['where nobody can', { members: 'ABC', demoted: 'B' }, 'remove B'],
    ['all of them', { members: 'ABC', demoted: 'ABC' }, 'nothing'],
    ['a demoted learner', { members: 'Ab', demoted: 'B' }, 'remove B'],
  ])('%s', (_, given, step) => expect(told(plan(given))).toBe(step));
});

test('what is missing is said in words', () => {
  expect(plan({ members: 'ABC' })).toEqual({ kind: 'none' });
  expect(plan({ members: 'A' })).toMatchObject({ why: expect.stringContaining('1 of 3 members vote: no other host') });
  expect(plan({ members: 'Ab' })).toMatchObject({ why: expect.stringContaining('one more has a copy without a vote') });
  expect(plan({ members: 'ABC!' })).toMatchObject({ why: 'C does not answer: until then nothing is changed' });
  expect(plan({ members: 'AB!C!' })).toMatchObject({ why: '1 of 3 members answer, which is no majority' });
  expect(plan({ members: 'ABC†', hosts: 'D' })).toMatchObject({
    why: 'it has not answered for 10m, and another host takes its place',
  });
  expect(plan({ members: 'ABC†', hosts: 'D', replaceAfterMs: 400, awayMs: 450 })).toMatchObject({
    why: expect.stringContaining('for 1s, and another'),
  });
  // Nobody comes for one that is not wanted any more.
  expect(plan({ members: 'AB!C', wanted: 1 })).toMatchObject({
    why: 'more members than are wanted, or an even number of votes, and it has not answered for 5s',
  });
});

/** Hosts that come, die, return and are demoted, with etcd's own refusals. */
describe('any history', () => {
  const seeds = Array.from({ length: 300 }, (_, i) => i + 1);

  it.each(seeds)('%i: never takes a majority away, and ends with as many as are wanted', (seed) => {
    const random = seededRandom(seed);
    const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random.next() * list.length)];
    const hosts = new Map<string, { away: number; keeper: boolean | undefined; can: boolean; left: boolean }>();
    let members: { nodeId: string; votes: boolean }[] = [{ nodeId: 'h0', votes: true }];
    hosts.set('h0', { away: 0, keeper: undefined, can: true, left: false });
    let wanted = 3;
    const alive = (nodeId: string) => hosts.get(nodeId)!.away === 0;
    const voters = () => members.filter(({ votes }) => votes);
    const living = () => voters().filter(({ nodeId }) => alive(nodeId)).length;
    const isServing = () => living() >= majority(voters().length);

    const step = (): boolean => {
      const planned = planStore({
        wanted,
        members: members.map(({ nodeId, votes }) => ({
          id: nodeId,
          nodeId: hosts.get(nodeId)!.left ? undefined : nodeId,
          votes,
          awayMs: hosts.get(nodeId)!.away,
        })),
        hosts: [...hosts]
          .filter(([, { left }]) => !left)
          .map(([id, { away, can, keeper }]) => ({
            ...{ id, name: id, can, keeper, joinedAt: Number(id.slice(1)), awayMs: away },
          })),
        replaceAfterMs: REPLACE_MS,
      });
      if (planned.kind === 'none') return false;
      expect(isServing()).toBe(true);
      if (planned.kind === 'remove') members = members.filter(({ nodeId }) => nodeId !== planned.member.id);
      else if (planned.votes) {
        const learner = members.find(({ nodeId }) => nodeId === planned.nodeId)!;
        expect(learner.votes).toBe(false);
        learner.votes = true;
      } else {
        expect(members.every(({ nodeId, votes }) => votes && alive(nodeId))).toBe(true);
        members.push({ nodeId: planned.nodeId, votes: false });
      }
      expect(isServing()).toBe(true);
      return true;
    };
    const settle = () => {
      let steps = 0;
      while (step()) expect(++steps).toBeLessThan(40);
    };

    for (let i = 0; i < 60; i++) {
      const id = pick([...hosts.keys()])!;
      const host = hosts.get(id)!;
      const dice = random.next();
      if (dice < 0.2 && hosts.size < 8) {
        hosts.set(`h${hosts.size}`, { away: 0, keeper: undefined, can: random.next() < 0.8, left: false });
      } else if (dice < 0.35) host.away = pick([1_000, LONG])!;
      else if (dice < 0.55) host.away = 0;
      else if (dice < 0.6) host.keeper = pick([true, false, undefined]);
      else if (dice < 0.65) wanted = pick([1, 3, 5])!;
      else if (dice < 0.68 && host.away > 0 && hosts.size > 3) host.left = true;
      else if (isServing()) step();
    }
    for (const host of hosts.values()) if (!host.left) Object.assign(host, { away: 0, keeper: undefined });
    // Members whose hosts are gone for good, and with them the majority: nobody can do anything.
    if (!isServing()) return;
    settle();
    const able = [...hosts].filter(([id, { can, left }]) => !left && (can || members.some((m) => m.nodeId === id)));
    const most = Math.min(wanted, able.length);
    expect(voters()).toHaveLength(most - ((most + 1) % 2));
    expect(members.length).toBe(most);
  });
});
