import { expect, test } from 'vitest';
import { NetworkQuestions } from '../../../../src/agent/path/network-questions.ts';
import { settle, VirtualClock } from '../../../sim/virtual-clock.ts';

const VNI = 4_096;
const [A, B] = ['a'.repeat(32), 'b'.repeat(32)] as const;

/** Two hosts between whom nothing passes by the network; each listens there since that moment. */
function pair() {
  const clock = new VirtualClock();
  const since: Record<string, number | undefined> = { [A]: 0, [B]: 0 };
  const all = new Map<string, NetworkQuestions>();
  for (const [own, other] of [
    [A, B],
    [B, A],
  ] as const) {
    const questions = new NetworkQuestions({
      ...{ clock, self: () => ({ id: own }), random: { next: () => Math.random() } },
      ...{ ears: { listensSince: () => since[own], send: () => undefined }, macOf: () => '02:42:0a:00:00:01' },
      ...{ onNotice: () => undefined },
      sendBeside: (_vni, _nodeId, data) => queueMicrotask(() => all.get(other)!.takeBeside(own, data)),
    });
    all.set(own, questions);
  }
  const ask = async () => {
    const outcome = all.get(A)!.ask(VNI, B, 100);
    await clock.advance(1_000);
    return {
      outcome: async () => {
        await clock.advance(1_000);
        await settle();
        return await outcome;
      },
    };
  };
  return { ask, clock, since };
}

test('what a place did not hear that was there gets lost, and nothing is known of one that was opened since, here or there', async () => {
  const { ask, clock, since } = pair();
  await clock.advance(10_000);
  expect(await (await ask()).outcome()).toBe('lost-there');
  for (const host of [B, A]) {
    const { outcome } = await ask();
    since[host] = clock.elapsed();
    expect(await outcome()).toBe('unknown');
    since[host] = 0;
  }
  since[B] = undefined;
  expect(await (await ask()).outcome()).toBe('unknown');
});
