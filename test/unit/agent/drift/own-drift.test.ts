import { expect, it } from 'vitest';
import { OwnDrift, type OwnDriftDeps } from '../../../../src/agent/drift/own-drift.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const AUDIT_MS = 3_000;

/** Of a host whose repairs take a while each; `audits`: when they began. */
function host() {
  const clock = new VirtualClock();
  const begunAt = clock.elapsed();
  const audits: number[] = [];
  const failing: Error[] = [];
  const member = {
    local: { all: () => [], networkIds: () => [] },
    view: { provesAbsence: true },
    reconciler: {
      drift: { look: async () => [], memory: { list: () => [] } },
      audit: async () => {
        audits.push(clock.elapsed() - begunAt);
        await clock.sleep(AUDIT_MS);
        const error = failing.pop();
        if (error) throw error;
      },
    },
  };
  const drift = new OwnDrift({ clock, member: () => member as unknown as ReturnType<OwnDriftDeps['member']> });
  const repair = (signal = new AbortController().signal) => drift.find({ network: '', repair: true }, signal);
  return { clock, audits, failing, repair };
}

it('repairs once for all who ask before that begins, and again for who asks later', async () => {
  const { clock, audits, repair } = host();
  const first = [repair(), repair()];
  await clock.advance(1_000);
  const later = [repair(), repair(), repair()];
  await clock.until(Promise.all([...first, ...later]));
  expect(audits).toHaveLength(2);
});

it('rests as long as a repair took, whoever asks how often', async () => {
  const { clock, audits, repair } = host();
  const asking = new AbortController();
  const askAgain = async (): Promise<void> => {
    while (!asking.signal.aborted) await repair();
  };
  const all = Promise.all([askAgain(), askAgain()]);
  await clock.advance(10 * AUDIT_MS);
  asking.abort();
  await clock.until(all);
  expect(audits.length).toBeGreaterThan(3);
  for (const [nth, at] of audits.entries())
    if (nth > 0) expect(at - audits[nth - 1]!).toBeGreaterThanOrEqual(2 * AUDIT_MS);
});

it('one that fails, and one who goes, are in nobody else’s way', async () => {
  const { clock, audits, failing, repair } = host();
  failing.push(new Error('stopping'));
  await expect(clock.until(repair())).rejects.toThrow('stopping');
  const gone = new AbortController();
  const given = repair(gone.signal);
  const stays = repair();
  gone.abort(new Error('gone'));
  await expect(given).rejects.toThrow('gone');
  expect(await clock.until(stays)).toMatchObject({ differs: [], isPartial: false });
  expect(audits).toHaveLength(2);
});
