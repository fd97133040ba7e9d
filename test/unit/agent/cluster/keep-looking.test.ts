import { expect, test } from 'vitest';
import { keepLooking } from '../../../../src/agent/cluster/keep-looking.ts';
import { Latch } from '../../../../src/core/latch.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type LogLine, recordingLogger } from './cluster-fixture.ts';

function begin(look: (nth: number) => number) {
  const [clock, due, log]: [VirtualClock, Latch, LogLine[]] = [new VirtualClock(), new Latch(), []];
  const looks: number[] = [];
  const looking = {
    look: async () => {
      looks.push(clock.elapsed());
      return look(looks.length);
    },
    problem: 'nothing is done',
    retryMs: 100,
    about: () => ({ what: 'it' }),
  };
  const over = new AbortController();
  const ended = keepLooking({ clock, due, logger: recordingLogger(log) }, looking, over.signal);
  return { clock, due, log, looks, over, ended };
}

test('it is looked again when that is due, at once when somebody asks for it, and not when it is over', async () => {
  const { clock, due, looks, over, ended } = begin((nth) => (nth === 2 ? 0 : 1_000));
  await clock.advance(1_500);
  expect(looks).toEqual([0, 1_000, 1_000]);
  due.set();
  await clock.advance(1_200);
  expect(looks).toEqual([0, 1_000, 1_000, 1_500, 2_500]);
  over.abort();
  await ended;
  await clock.advance(10_000);
  expect(looks).toHaveLength(5);
});

test('what stands in the way is tried again, said once as long as it is the same, and once more after it was well', async () => {
  const { clock, log, looks, over, ended } = begin((nth) => {
    if (nth === 4) return 100;
    throw new Error(nth === 3 ? 'another' : 'one');
  });
  await clock.advance(450);
  over.abort();
  await ended;
  expect(looks).toEqual([0, 100, 200, 300, 400]);
  expect(log.map(({ level, fields }) => [level, (fields.error as Error).message])).toEqual([
    ['warn', 'one'],
    ['debug', 'one'],
    ['warn', 'another'],
    ['warn', 'one'],
  ]);
  expect(log[0]).toMatchObject({ message: 'nothing is done, trying again', fields: { what: 'it' } });
});
