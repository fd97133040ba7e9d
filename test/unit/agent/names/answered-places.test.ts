import { expect, it } from 'vitest';
import { AnsweredPlaces } from '../../../../src/agent/names/answered-places.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

function setUp() {
  const clock = new VirtualClock();
  const places = new AnsweredPlaces(clock);
  const answers: PromiseWithResolvers<void>[] = [];
  const ask = (what = 'a', place = 'w') =>
    places.ask(place, what, () => {
      const answer = Promise.withResolvers<void>();
      answers.push(answer);
      return answer.promise;
    });
  return { clock, places, answers, ask };
}

it('asks once what is asked again before the answer, or a moment after it', async () => {
  const { answers, ask } = setUp();
  const both = Promise.all([ask(), ask()]);
  expect(answers).toHaveLength(1);
  answers[0]!.resolve();
  await both;
  await ask();
  expect(answers).toHaveLength(1);
});

it('asks anew once something was told of the place, and not for what was told of others', async () => {
  const { answers, ask, places } = setUp();
  void ask();
  places.told('d');
  void ask();
  expect(answers).toHaveLength(1);
  places.told('w');
  void ask();
  expect(answers).toHaveLength(2);
});

it('asks anew for other addresses, elsewhere, and where the process may not listen any more', () => {
  const { answers, ask, places } = setUp();
  void ask();
  void ask('b');
  void ask('b', 'd');
  expect(answers).toHaveLength(3);
  places.forget('w');
  void ask('b');
  void ask('b', 'd');
  expect(answers).toHaveLength(4);
  places.forgetAll();
  void ask('b', 'd');
  expect(answers).toHaveLength(5);
});

it('asks anew after a while, as for the next container', async () => {
  const { answers, ask, clock } = setUp();
  const first = ask();
  answers[0]!.resolve();
  await first;
  await clock.advance(1_000);
  void ask();
  expect(answers).toHaveLength(2);
});

it('tells everybody who waits of a refusal, and asks anew after it', async () => {
  const { answers, ask, places } = setUp();
  const both = Promise.allSettled([ask(), ask()]);
  answers[0]!.reject(new Error('refused'));
  expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(places.has('w')).toBe(false);
  void ask();
  expect(answers).toHaveLength(2);
});

it('forgets no later question for the refusal of an earlier one', async () => {
  const { answers, ask, places } = setUp();
  const first = ask().catch(() => 'refused');
  places.told('w');
  void ask();
  answers[0]!.reject(new Error('refused'));
  expect(await first).toBe('refused');
  expect(places.has('w')).toBe(true);
});
