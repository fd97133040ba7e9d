import { expect, test } from 'vitest';
import { Outlook } from '../../../../src/adapters/etcd/outlook.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const SILENT = Number.POSITIVE_INFINITY;

/** When a member answers, in milliseconds; negative: it is gone, and that is told after so long. */
type Members = Readonly<Record<string, number>>;

function fixture(members: Members) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const isThere = async (endpoint: string, signal: AbortSignal) => {
    asked.push(endpoint);
    const ms = members[endpoint]!;
    await clock.sleep(Math.abs(ms), signal).catch(() => undefined);
    return ms > 0 && !signal.aborted;
  };
  return { clock, asked, outlook: new Outlook({ clock, isThere }), endpoints: Object.keys(members) };
}

/** What is said within that time; undefined: nothing. */
async function saidWithin(members: Members, ms: number): Promise<boolean | undefined> {
  const { clock, endpoints, outlook } = fixture(members);
  let said: boolean | undefined;
  void outlook.hasMajority(endpoints, 'own').then((value) => {
    said = value;
  });
  await clock.advance(ms);
  return said;
}

test.each<[string, Members, number, boolean | undefined]>([
  ['a majority answers', { own: 5, b: 20, c: SILENT }, 30, true],
  ['it answers without the one that was asked', { own: SILENT, b: 20, c: 20 }, 30, true],
  ['the others are gone', { own: 5, b: -1, c: -1 }, 10, false],
  ['one is gone, and the other one may be slow', { own: 5, b: -1, c: SILENT }, 399, undefined],
  ['but not for ever', { own: 5, b: -1, c: SILENT }, 401, false],
  ['both are silent', { own: 5, b: SILENT, c: SILENT }, 401, false],
  ['where the one that was asked is slow, the others may be too', { own: 100, b: SILENT, c: SILENT }, 999, undefined],
  ['ten times as slow', { own: 100, b: SILENT, c: SILENT }, 1_001, false],
  ['and come', { own: 100, b: 900, c: SILENT }, 1_001, true],
  ['nobody says anything', { own: SILENT, b: SILENT, c: SILENT }, 60_000, undefined],
  ['the one that was asked is gone itself', { own: -5, b: SILENT, c: SILENT }, 10, true],
  ['of five two are left', { own: 5, b: 20, c: -1, d: -1, e: -1 }, 30, false],
  ['of five three are left', { own: 5, b: 20, c: 30, d: -1, e: -1 }, 40, true],
  ['of two nobody knows whether they are all', { own: 5, b: -1 }, 1, true],
  ['nor who is none of them', { a: -1, b: -1, c: -1 }, 1, true],
])('%s', async (_, members, ms, expected) => expect(await saidWithin(members, ms)).toBe(expected));

test('of many that wait one asks, and what was good a moment ago is', async () => {
  const { asked, clock, endpoints, outlook } = fixture({ own: 5, b: 20, c: 20 });
  const both = Promise.all([outlook.hasMajority(endpoints, 'own'), outlook.hasMajority(endpoints, 'own')]);
  expect(await clock.until(both)).toEqual([true, true]);
  expect(await clock.until(outlook.hasMajority(endpoints, 'own'))).toBe(true);
  expect(asked.sort()).toEqual(['b', 'c', 'own']);
  await clock.advance(3_000);
  await clock.until(outlook.hasMajority(endpoints, 'own'));
  expect(asked).toHaveLength(6);
});
