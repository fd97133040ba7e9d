import { describe, expect, it } from 'vitest';
import { judgeClock, PeerPath } from '../../../../src/core/path/path.ts';

const PEER = { name: 'h2', from: '10.0.0.1', to: '10.0.0.2', port: 4_789, backend: 'plain' } as const;

/** Notes outcomes a second apart. */
function watched() {
  const path = new PeerPath();
  let at = 0;
  const note = (bytes: number, isBack: boolean, isLarge: boolean, aheadMs?: number) => {
    at += 1_000;
    path.note({ bytes, roundTripMs: isBack ? 0.4 : undefined, aheadMs }, isLarge, { now: 50_000 + at, elapsed: at });
  };
  const told = () => path.findings(PEER).map(({ code, certain }) => `${code}${certain ? '' : '?'}`);
  return {
    ...{ path, told, note },
    small: (...backs: boolean[]) => {
      for (const isBack of backs) note(128, isBack, false);
    },
    large: (...backs: boolean[]) => {
      for (const isBack of backs) note(1_450, isBack, true);
    },
    asked: () => {
      path.noteAsked(at + 1);
    },
  };
}

const LOST = [false, false, false, false] as const;

describe('a path', () => {
  it('is unknown at first, and passes with the largest packet that came back', () => {
    const { path, small, large, told } = watched();
    expect(path.status).toMatchObject({ state: 'unknown', mtu: 0, changedAt: 0 });
    small(true);
    large(true);
    expect(path.status).toMatchObject({
      state: 'passes',
      lossPercent: 0,
      mtu: 1_450,
      roundTripMs: 0.4,
      changedAt: 52_000,
    });
    small(true);
    expect(path.status.changedAt).toBe(52_000);
    expect(told()).toEqual([]);
  });

  it('is in doubt after one that got lost, and lost after four in a row', () => {
    const { path, small, told } = watched();
    small(true, false, false, false);
    expect(path.isInDoubt).toBe(true);
    expect(path.status.state).toBe('passes');
    small(false);
    expect(path.status.state).toBe('lost');
    expect(told()).toEqual(['data-path-lost']);
  });

  it('is well at once when packets come back, whatever got lost while all did', () => {
    const { path, small, told } = watched();
    small(...Array.from({ length: 20 }, () => false), true);
    expect(path.status).toMatchObject({ state: 'passes', lossPercent: 0 });
    expect(told()).toEqual([]);
  });

  it('loses nothing, as far as is known, of what was sent before the other one was ready', () => {
    const { path, small } = watched();
    small(false, false, true);
    expect(path.status).toMatchObject({ state: 'passes', lossPercent: 0 });
  });

  it('tells by the questions of the other one which direction is broken', () => {
    const { path, small, asked } = watched();
    small(true);
    asked();
    small(...LOST);
    expect(path.findings(PEER)[0]?.text).toMatch(/no packet comes from h2 .*both ways/);
    asked();
    expect(path.findings(PEER)[0]?.text).toMatch(/no packet of this host gets to h2 .*open 4789\/udp on h2/);
  });

  it('loses when a share does, of enough to tell', () => {
    const { path, small, told } = watched();
    small(true, false, true, true, true, true, true, true, true);
    expect(path.status.state).toBe('passes');
    small(false, true);
    expect(path.status).toMatchObject({ state: 'loses', lossPercent: 18 });
    expect(told()).toEqual(['data-path-loss']);
    small(...Array.from({ length: 20 }, () => true));
    expect(told()).toEqual([]);
  });

  it('is too narrow when large packets alone get lost three times, and what passes is found by halves', () => {
    const { path, small, large, told } = watched();
    for (let nth = 0; nth < 3; nth++) {
      small(true);
      large(false);
    }
    expect(told()).toEqual(['path-mtu']);
    for (let size = path.nextSize; size !== undefined; size = path.nextSize) path.noteBetween(size, size <= 1_250, 99);
    expect(path.status.mtu).toBeLessThanOrEqual(1_250);
    expect(path.status.mtu).toBeGreaterThan(1_240);
    expect(path.findings(PEER)[0]?.text).toContain(`-o mtu=${path.status.mtu}`);
    large(true);
    expect(told()).toEqual([]);
    expect(path.status.mtu).toBe(1_450);
  });

  it('is too narrow no more when the networks send smaller ones, which pass', () => {
    const { note, small, large, told } = watched();
    for (let nth = 0; nth < 3; nth++) {
      small(true);
      large(false);
    }
    expect(told()).toEqual(['path-mtu']);
    small(false);
    expect(told()).toEqual(['path-mtu']);
    note(1_200, true, true);
    expect(told()).toEqual([]);
  });

  it('is not too narrow where small packets get lost as well', () => {
    const { small, large, told } = watched();
    small(...LOST);
    large(...LOST);
    expect(told()).toEqual(['data-path-lost']);
  });

  it('tells of the clock of the other one', () => {
    const { note, told } = watched();
    note(128, true, false, -90_000);
    expect(told()).toEqual(['clock-skew']);
  });
});

it.each([
  [undefined, []],
  [4_999, []],
  [-5_000, [['h2', false]]],
  [60_000, [['h2', true]]],
])('a clock that is %s ms ahead', (aheadMs, expected) => {
  expect(judgeClock('h2', aheadMs).map(({ subject, certain }) => [subject, certain])).toEqual(expected);
});
