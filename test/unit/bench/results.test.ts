import { expect, test } from 'vitest';
import { number, renderMarkdown } from '../../bench/report.ts';
import { type ExperimentResult, type RowResult, ratio, ratios, verdict } from '../../bench/results.ts';
import { floor, goal, OVERLAYD, type Side, SWARM, stretch } from '../../bench/row.ts';
import { quantile } from '../../bench/statistics.ts';

function judged(better: RowResult['better'], samples: RowResult['samples'], goals: RowResult['goals'] = []) {
  const row: RowResult = { name: 'row', title: 'row', unit: 'ms', better, goals, samples };
  const sides = [OVERLAYD, SWARM, floor('wire')];
  const experiment: ExperimentResult = { name: 'one', title: '', method: '', sides, rows: [row], seconds: 1 };
  return { row, experiment };
}

function verdictOf(...args: Parameters<typeof judged>): string {
  const { row, experiment } = judged(...args);
  return verdict(experiment, row);
}

test('a goal against Swarm is met by the ratio of medians, and losing is told all the same', () => {
  const goals = [goal(0.98, 'swarm'), stretch(1.1, 'swarm'), stretch(0.95, 'floor')];
  const floorAt = [100, 100, 100];
  expect(verdictOf('higher', { overlayd: [99, 1, 200], swarm: [90, 90, 90], floor: floorAt }, goals)).toBe(
    'met, stretch too',
  );
  expect(verdictOf('higher', { overlayd: [94], swarm: [80], floor: floorAt }, goals)).toBe('met');
  expect(verdictOf('higher', { overlayd: [99], swarm: [100], floor: floorAt }, goals)).toBe('met, LOST to Swarm');
  expect(verdictOf('higher', { overlayd: [97], swarm: [100], floor: floorAt }, goals)).toBe('MISSED, LOST to Swarm');
});

test('where less is better, bounds are upper ones', () => {
  expect(verdictOf('lower', { overlayd: [29, 30, 90] }, [goal(30), stretch(12)])).toBe('met');
  expect(verdictOf('lower', { overlayd: [31] }, [goal(30), stretch(12)])).toBe('MISSED');
  expect(verdictOf('lower', { overlayd: [12] }, [goal(30), stretch(12)])).toBe('met, stretch too');
  expect(verdictOf('lower', { overlayd: [5], swarm: [0] })).toBe('LOST to Swarm');
  expect(verdictOf('lower', { overlayd: [5], swarm: [6] })).toBe('');
});

test('without figures there is no goal met', () => {
  expect(verdictOf('lower', { swarm: [6] }, [goal(30)])).toBe('NOT MEASURED');
});

test('a floor alone is judged by nothing', () => {
  const { row, experiment } = judged('lower', { floor: [6] });
  expect(verdict({ ...experiment, sides: [floor('wire')] }, row)).toBe('');
});

test('ratios are by round, the ratio is of the medians', () => {
  const { row, experiment } = judged('higher', { overlayd: [1, 4, 9], swarm: [1, 2, 3] });
  expect(ratios(experiment, row, 'swarm')).toEqual([1, 2, 3]);
  expect(ratio(experiment, row, 'swarm')).toBe(2);
  expect(ratio(experiment, row, 'floor')).toBeNaN();
});

test('goals against another revision count beside it alone', () => {
  const before: Side = { name: 'before-overlayd', column: 'before', label: 'before' };
  const beside = (samples: RowResult['samples']) => {
    const { row, experiment } = judged('lower', samples, [goal(0.35, 'before'), stretch(8)]);
    return { row, experiment: { ...experiment, sides: [OVERLAYD, before] } };
  };
  const verdictBeside = (samples: RowResult['samples']) => {
    const { row, experiment } = beside(samples);
    return verdict(experiment, row);
  };
  expect(verdictBeside({ overlayd: [10, 11, 12], 'before-overlayd': [34, 34, 34] })).toBe('met');
  expect(verdictBeside({ overlayd: [8], 'before-overlayd': [34] })).toBe('met, stretch too');
  expect(verdictBeside({ overlayd: [12], 'before-overlayd': [34] })).toBe('MISSED');
  expect(verdictOf('lower', { overlayd: [12] }, [goal(0.35, 'before')])).toBe('');

  const { row, experiment } = beside({ overlayd: [10, 12], 'before-overlayd': [40, 40] });
  const experiments = [{ ...experiment, rows: [row, { ...row, samples: {} }] }];
  expect(renderMarkdown({ experiments, before: 'c0ffee0' }).split('\n')).toEqual([
    '|  | unit | before | after | x before | spread | Swarm | x Swarm | floor | goal |  |',
    '| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- | --- |',
    '| row | ms | 40 | 11 | 0.275 | 0.25–0.3 |  |  |  | ≤ 0.35 x before; stretch ≤ 8 | met |',
  ]);
});

test('quantiles lie between neighbours', () => {
  expect(quantile([40, 10, 30, 20], 0.5)).toBe(25);
  expect(quantile([10, 20], 0.99)).toBeCloseTo(19.9);
  expect(quantile([], 0.5)).toBeNaN();
});

test('figures have three significant digits', () => {
  expect([0.71234, 9.494, 128.4, 1692.3, 25_943.7, 0, Number.NaN].map(number)).toEqual([
    '0.712',
    '9.49',
    '128',
    '1692',
    '25,944',
    '0',
    '',
  ]);
});
