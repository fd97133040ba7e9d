import { expect, test } from 'vitest';
import { Outlook, type Verdict } from '../../../../src/adapters/etcd/outlook.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const SILENT = Number.POSITIVE_INFINITY;

/** When a member answers, in milliseconds; negative: it is gone, and that is told after so long. */
type Members = Readonly<Record<string, number>>;

/** What is silent is frozen, and its kernel is not; but those that begin with `dark` have no power. */
const isDark = (endpoint: string) => endpoint.startsWith('dark');

function fixture(members: Members) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const isThere = async (endpoint: string, signal: AbortSignal) => {
    asked.push(endpoint);
    const ms = members[endpoint]!;
    await clock.sleep(Math.abs(ms), signal).catch(() => undefined);
    return ms > 0 && !signal.aborted;
  };
  const takesConnections = async (endpoint: string, signal: AbortSignal) => {
    const isGone = members[endpoint]! < 0;
    await clock.sleep(isDark(endpoint) ? SILENT : 2, signal).catch(() => undefined);
    return !isGone && !signal.aborted;
  };
  const own = Object.keys(members).find((each) => /own$/i.test(each)) ?? 'own';
  const isHeard = (signal: AbortSignal) =>
    clock.sleep(Math.abs(members[own] ?? 0), signal).then(
      () => (members[own] ?? 0) > 0,
      () => false,
    );
  return {
    clock,
    asked,
    isHeard,
    own,
    outlook: new Outlook({ clock, isThere, reach: { remember: () => undefined, takesConnections } }),
    endpoints: Object.keys(members),
  };
}

/** What is said within that time; undefined: nothing. `usual`: what calls took before. */
async function saidWithin(members: Members, ms: number, usual: readonly number[]): Promise<Verdict | undefined> {
  const { clock, endpoints, isHeard, outlook, own } = fixture(members);
  for (const tookMs of usual) outlook.noteCall(tookMs, endpoints);
  let said: Verdict | undefined;
  void outlook.look(endpoints, own, isHeard).then((value) => {
    said = value;
  });
  await clock.advance(ms);
  return said;
}

const QUICK = [5, 900, 8];

test.each<[string, Members, number, Verdict | undefined, (readonly number[])?]>([
  ['another one answers', { own: 5, b: 20, c: SILENT }, 30, 'well'],
  ['others answer, and the one that was asked does not', { own: SILENT, b: 20, c: 20 }, 30, 'well'],
  ['the others are gone', { own: 5, b: -1, c: -2 }, 10, 'alone'],
  ['one is gone, and the other one may be slow', { own: 5, b: -1, c: SILENT }, 399, undefined],
  ['but not for ever', { own: 5, b: -1, c: SILENT }, 401, 'alone'],
  ['both are silent', { own: 5, b: SILENT, c: SILENT }, 401, 'alone'],
  ['where the one that was asked is slow, the others may be too', { own: 100, b: SILENT, c: SILENT }, 999, undefined],
  ['ten times as slow', { own: 100, b: SILENT, c: SILENT }, 1_001, 'alone'],
  ['where calls take long, members are far apart', { own: 5, b: SILENT, c: SILENT }, 1_499, undefined, [260, 250]],
  ['and are not there after many times as long', { own: 5, b: SILENT, c: SILENT }, 1_501, 'alone', [260, 250]],
  ['what calls take is not known', { own: 5, b: SILENT, c: SILENT }, 719, undefined, []],
  ['and one comes', { own: 100, b: 900, c: SILENT }, 1_001, 'well'],
  [
    'the hosts of the others may be slow to take a connection',
    { own: 5, dark1: SILENT, dark2: SILENT },
    299,
    undefined,
  ],
  ['and have no power', { own: 5, dark1: SILENT, dark2: SILENT }, 301, 'alone'],
  ['however busy it is itself', { own: 150, dark1: SILENT, dark2: SILENT }, 301, 'alone'],
  ['but not before it has said something', { own: 350, dark1: SILENT, dark2: SILENT }, 349, undefined],
  ['one has no power, and the other one is gone', { own: 5, dark1: SILENT, c: -1 }, 301, 'alone'],
  ['one has no power, and the other one may be slow', { own: 5, dark1: SILENT, c: SILENT }, 399, undefined],
  ['that of members far apart takes longer', { own: 5, dark1: SILENT, dark2: SILENT }, 599, undefined, [250]],
  ['and not for ever', { own: 5, dark1: SILENT, dark2: SILENT }, 601, 'alone', [250]],
  ['their hosts are dark, and one is there all the same', { own: 5, dark1: 250, dark2: SILENT }, 299, 'well'],
  [
    'the host of the one that was asked is dark, and another one answers',
    { darkOwn: SILENT, b: 20, c: 20 },
    221,
    'gone',
  ],
  ['not before a connection has had its time', { darkOwn: SILENT, b: 20, c: 20 }, 219, undefined],
  ['it is dark, and heard all the same', { darkOwn: 200, b: 20, c: 20 }, 201, 'well'],
  ['it is dark, and nobody answers', { darkOwn: SILENT, b: SILENT, c: SILENT }, 60_000, undefined],
  ['nobody says anything', { own: SILENT, b: SILENT, c: SILENT }, 60_000, undefined],
  ['the one that was asked is gone itself', { own: -5, b: SILENT, c: SILENT }, 10, 'well'],
  ['of five two are left, which know it soon', { own: 5, b: 20, c: -1, d: -1, e: -1 }, 30, 'well'],
  ['of two nobody knows whether both have a say', { own: 5, b: -1 }, 1, 'well'],
  ['nor of one that is listed no more', { a: -1, b: -1, c: -1 }, 1, 'well'],
])('%s', async (_, members, ms, expected, usual = QUICK) => {
  expect(await saidWithin(members, ms, usual)).toBe(expected);
});

test('where members are far apart, nobody is given up soon who does not answer a call for a leader', () => {
  const { outlook } = fixture({ own: 5 });
  expect(outlook.patienceMs).toBe(720);
  outlook.noteCall(900, []);
  expect(outlook.patienceMs).toBe(2_100);
  outlook.noteCall(250, []);
  expect(outlook.patienceMs).toBe(1_500);
  for (let nth = 0; nth < 20; nth++) outlook.noteCall(nth, []);
  expect(outlook.patienceMs).toBe(500);
});

test('of many that wait one asks, and what was good a moment ago is', async () => {
  const { asked, clock, endpoints, isHeard, outlook } = fixture({ own: 5, b: 20, c: 20 });
  const both = Promise.all([outlook.look(endpoints, 'own', isHeard), outlook.look(endpoints, 'own', isHeard)]);
  expect(await clock.until(both)).toEqual(['well', 'well']);
  expect(await clock.until(outlook.look(endpoints, 'own', isHeard))).toBe('well');
  expect(asked.sort()).toEqual(['b', 'c', 'own']);
  await clock.advance(3_000);
  await clock.until(outlook.look(endpoints, 'own', isHeard));
  expect(asked).toHaveLength(6);
});

test('that one is gone is not said of another one that has a call meanwhile', async () => {
  const { clock, endpoints, isHeard, outlook } = fixture({ darkOwn: SILENT, b: 20, c: 20 });
  const gone = outlook.look(endpoints, 'darkOwn', isHeard);
  await clock.advance(100);
  const well = outlook.look(endpoints, 'b', async () => true);
  expect(await clock.until(Promise.all([gone, well]))).toEqual(['gone', 'well']);
});
