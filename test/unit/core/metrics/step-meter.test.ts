import { expect, it } from 'vitest';
import type { HistogramCounts } from '../../../../src/core/metrics/histogram.ts';
import { StepMeter } from '../../../../src/core/metrics/step-meter.ts';

const total = ({ value }: { value: number | HistogramCounts }) =>
  (value as HistogramCounts).counts.reduce((sum, count) => sum + count, 0);

it('keeps a histogram for each step and its labels', () => {
  const meter = new StepMeter();
  meter.note('store', { call: 'Txn', result: 'ok' }, 0.002);
  meter.note('store', { call: 'Txn', result: 'ok' }, 100);
  meter.note('store', { call: 'Range', result: 'error' }, 0.1);
  expect(meter.samples('kernel')).toEqual([]);
  const [txn, range] = meter.samples('store');
  expect([txn?.labels, range?.labels]).toEqual([
    { call: 'Txn', result: 'ok' },
    { call: 'Range', result: 'error' },
  ]);
  expect([total(txn!), total(range!)]).toEqual([2, 1]);
  expect((txn!.value as HistogramCounts).sum).toBeCloseTo(100.002);
  expect((txn!.value as HistogramCounts).counts.at(-1)).toBe(1);
});

it('tells results of attach before there is one, so that the first error is seen as one more', () => {
  const samples = new StepMeter().samples('attach');
  expect(samples.map(({ labels }) => labels)).toEqual([{ result: 'ok' }, { result: 'error' }, { result: 'refused' }]);
  expect(samples.map(total)).toEqual([0, 0, 0]);
});

it('of labels that somebody else chooses it has so many series and no more', () => {
  const meter = new StepMeter();
  for (let i = 0; i < 1_000; i++) meter.note('tool', { tool: 'cni', call: `verb${i}`, result: 'error' }, 0.001);
  const samples = meter.samples('tool');
  expect(samples.length).toBeLessThanOrEqual(201);
  expect(samples.reduce((sum, each) => sum + total(each), 0)).toBe(1_000);
  expect(samples.at(-1)?.labels).toEqual({ tool: '(others)', call: '(others)', result: '(others)' });
});
