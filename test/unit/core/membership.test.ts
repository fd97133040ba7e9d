import { describe, expect, it } from 'vitest';
import { FailureDetector } from '../../../src/core/membership.ts';

const INTERVAL = 1_000;
const LONG = 60_000;

/** A detector at `self` that has heard each of `peers` once at time 0. */
function detector(peers: readonly string[]): FailureDetector {
  const made = new FailureDetector({ selfId: 'self', intervalMs: INTERVAL });
  made.track(['self', ...peers], 0);
  made.heard(
    peers.map((nodeId) => ({ nodeId, startedAt: 1, counter: 1 })),
    0,
  );
  return made;
}

describe('failure detector', () => {
  it('hides a silent member of three only when the other one agrees', () => {
    const made = detector(['a', 'b']);
    made.heard([{ nodeId: 'a', startedAt: 1, counter: 2 }], LONG);
    expect(made.suspects(LONG)).toEqual(['b']);
    expect(made.liveness('b', false, LONG)).toBe('ready');
    made.accused('a', ['b'], LONG);
    expect(made.liveness('b', false, LONG)).toBe('suspect');
    expect(made.liveness('a', false, LONG)).toBe('ready');
  });

  it('takes a member for alive again as soon as its counter advances', () => {
    const made = detector(['a', 'b']);
    made.heard([{ nodeId: 'a', startedAt: 1, counter: 2 }], LONG);
    made.accused('a', ['b'], LONG);
    made.heard([{ nodeId: 'b', startedAt: 1, counter: 2 }], LONG + 1);
    expect(made.liveness('b', false, LONG + 1)).toBe('ready');
  });

  it('does not let an old counter, or one of an earlier run, count as news', () => {
    const made = detector(['a', 'b']);
    made.heard([{ nodeId: 'a', startedAt: 5, counter: 1 }], 10);
    made.heard(
      [
        { nodeId: 'a', startedAt: 5, counter: 1 },
        { nodeId: 'a', startedAt: 1, counter: 900 },
      ],
      LONG,
    );
    expect(made.heardAgoMs('a', LONG)).toBe(LONG - 10);
  });

  it('with two members goes by its own silence', () => {
    const made = detector(['a']);
    expect(made.liveness('a', false, LONG)).toBe('suspect');
  });

  it('accuses nobody when it hears of nobody: it is the one that is cut off', () => {
    const made = detector(['a', 'b', 'c']);
    expect(made.suspects(LONG)).toEqual([]);
    expect(made.liveness('a', false, LONG)).toBe('ready');
  });

  it("takes etcd's word as the second accuser, but not against a heartbeat", () => {
    const made = detector(['a', 'b', 'c']);
    expect(made.liveness('a', true, LONG)).toBe('down');
    expect(made.liveness('a', true, 10)).toBe('ready');
  });

  it('lets accusations age', () => {
    const made = detector(['a', 'b']);
    made.accused('a', ['b'], 0);
    made.heard([{ nodeId: 'a', startedAt: 1, counter: 2 }], LONG);
    expect(made.liveness('b', false, LONG)).toBe('ready');
  });

  it('stretches its time-outs while it runs late itself', () => {
    const made = detector(['a', 'b']);
    const before = made.timeoutMs();
    for (let i = 0; i < 10; i++) made.beat(5 * INTERVAL);
    expect(made.timeoutMs()).toBe(before * 3);
    for (let i = 0; i < 10; i++) made.beat(0);
    expect(made.timeoutMs()).toBe(before);
  });

  it('gives a new member a whole time-out', () => {
    const made = detector(['a']);
    made.track(['self', 'a', 'late'], LONG);
    expect(made.suspects(LONG + 10)).not.toContain('late');
  });
});
