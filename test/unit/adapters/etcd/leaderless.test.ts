import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { isElecting, untilHopeless } from '../../../../src/adapters/etcd/leaderless.ts';
import { asStoreError, NO_LEADER, StatusError } from '../../../../src/adapters/etcd/store-error.ts';
import type { OverlaydError } from '../../../../src/core/errors.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const noLeader = asStoreError(new StatusError(status.UNAVAILABLE, NO_LEADER), 'https://192.0.2.1:2379');
const refused = asStoreError(new StatusError(status.UNAVAILABLE, 'ECONNREFUSED'), 'https://192.0.2.2:2379');
const untrusted = asStoreError(
  new StatusError(status.UNAVAILABLE, 'certificate has expired'),
  'https://192.0.2.2:2379',
);

/** Whether three endpoints are given up within that time, with what they have said. */
async function isGivenUp(
  clock: VirtualClock,
  failures: Map<string, OverlaydError>,
  ms: number,
  aloneMs = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const over = new AbortController();
  let isOver = false;
  const isAlone = () =>
    clock.sleep(aloneMs, over.signal).then(
      () => true,
      () => false,
    );
  const ended = untilHopeless({ clock, failures, endpoints: 3, patienceMs: 700, isAlone }, over.signal).then(
    () => {
      isOver = true;
    },
    () => undefined,
  );
  await clock.advance(ms);
  over.abort();
  await ended;
  return isOver;
}

test.each([
  ['nobody says anything', {}, 60_000, false],
  ['one says that there is no leader', { a: noLeader }, 1_000, true],
  ['and others may be slow', { a: noLeader }, 600, false],
  ['and another one is not there', { a: noLeader, b: refused }, 1_000, true],
  ['and another one says so too', { a: noLeader, b: noLeader }, 60_000, false],
  ['and another one is there, which we do not trust', { a: noLeader, b: untrusted }, 60_000, false],
  ['one is not there, and the others are silent', { a: refused }, 60_000, false],
])('%s', async (_, failures, ms, expected) => {
  expect(await isGivenUp(new VirtualClock(), new Map(Object.entries(failures)), ms)).toBe(expected);
});

test.each([
  ['it is certain that it is alone', { a: noLeader }, 400, true],
  ['it is not yet', { a: noLeader }, 250, false],
  ['it is alone, and says that there is a leader', { a: refused }, 60_000, false],
  ['another one of its majority is there after all', { a: noLeader, b: noLeader }, 60_000, false],
])('one that has no leader is not waited for once %s', async (_, failures, ms, expected) => {
  expect(await isGivenUp(new VirtualClock(), new Map(Object.entries(failures)), ms, 300)).toBe(expected);
});

test('one that has a leader again, or that is heard of later, begins it anew', async () => {
  const [clock, failures] = [new VirtualClock(), new Map([['a', noLeader]])];
  const given = isGivenUp(clock, failures, 1_100);
  void clock.sleep(500).then(() => failures.set('a', refused));
  void clock.sleep(600).then(() => failures.set('a', noLeader));
  expect(await given).toBe(false);
});

test.each([
  ['two say that there is no leader', [noLeader, noLeader, refused], 3, 1_000, true],
  ['one of them has another trouble', [noLeader, untrusted, refused], 3, 1_000, true],
  ['for longer than an election takes', [noLeader, noLeader, refused], 3, 60_000, false],
  ['one alone says so', [noLeader, refused, refused], 3, 1_000, false],
  ['nobody says so', [untrusted, untrusted, untrusted], 3, 1_000, false],
  ['one of five is there', [noLeader, noLeader, refused, refused, refused], 5, 1_000, false],
  // A leader may be missing among members that are not listed.
  ['it is the only one that is listed', [noLeader], 1, 1_000, false],
])('an election, where of all that do not serve %s', (_, failures, endpoints, forMs, expected) => {
  expect(isElecting(failures, endpoints, forMs)).toBe(expected);
});
