import { expect, it } from 'vitest';
import { StepTelemetry } from '../../../src/agent/telemetry.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import type { HistogramCounts } from '../../../src/core/metrics/histogram.ts';
import { StepMeter } from '../../../src/core/metrics/step-meter.ts';
import type { SpanStart, Tracer } from '../../../src/ports/telemetry.ts';

function setUp(traced = false) {
  const meter = new StepMeter();
  const spans: SpanStart[] = [];
  let now = 0;
  const tracer: Tracer = {
    span: (start, task) => {
      spans.push(start);
      return task();
    },
    here: () => 'here',
    within: (_place, task) => task(),
  };
  const telemetry = new StepTelemetry({ meter, tracer: traced ? tracer : undefined, stopwatch: () => now });
  const pass = (ms: number) => {
    now += ms;
  };
  return { meter, spans, telemetry, pass };
}

it('notes how long a step took and how it ended, and hands on what it returns or throws', async () => {
  const { meter, telemetry, pass } = setUp();
  const took = async (ms: number, result: string) => {
    pass(ms);
    return result;
  };
  expect(await telemetry.run('attach', {}, () => took(20, 'done'))).toBe('done');
  expect(
    await telemetry.run(
      'attach',
      {},
      () => took(5, 'bad'),
      (result) => result !== 'bad',
    ),
  ).toBe('bad');
  const failing = telemetry.run('attach', {}, async () => {
    pass(1_000);
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  const [well, failed] = meter.samples('attach');
  expect([well?.labels, failed?.labels]).toEqual([{ result: 'ok' }, { result: 'error' }]);
  expect((well!.value as HistogramCounts).sum).toBeCloseTo(0.02);
  expect((failed!.value as HistogramCounts).sum).toBeCloseTo(1.005);
});

it('tells a mistake of who asks from what is wrong here', async () => {
  const { meter, telemetry } = setUp();
  const counted = (step: 'attach' | 'kernel') =>
    new Map(
      meter.samples(step).map(({ labels, value }) => {
        const { counts } = value as HistogramCounts;
        return [labels.result, counts.reduce((sum, count) => sum + count, 0)];
      }),
    );
  const fail = async (step: 'attach' | 'kernel', error: Error) => {
    const before = counted(step);
    await expect(telemetry.run(step, {}, () => Promise.reject(error))).rejects.toBe(error);
    return [...counted(step)].find(([result, count]) => count > (before.get(result) ?? 0))![0];
  };
  const nowhere = new OverlaydError('namespace-not-found', 'there is no namespace');
  expect(await fail('attach', nowhere)).toBe('refused');
  expect(await fail('attach', new OverlaydError('no-available-addresses', 'the network is full'))).toBe('error');
  // Nobody asks for it.
  expect(await fail('kernel', nowhere)).toBe('error');
});

it('makes spans where traces are on, of which somebody who looks begins none', async () => {
  const { spans, telemetry } = setUp(true);
  await telemetry.run('control', { method: 'connect' }, async () => undefined);
  await telemetry.run('control', { method: 'getStatus' }, async () => undefined);
  await telemetry.run('control', { method: 'listNetworks' }, async () => undefined);
  await telemetry.run('store', { call: 'Txn' }, async () => undefined);
  expect(spans).toEqual([
    { name: 'Control/connect', kind: 'server', attributes: { 'overlayd.method': 'connect' }, begins: true },
    { name: 'Control/getStatus', kind: 'server', attributes: { 'overlayd.method': 'getStatus' }, begins: false },
    {
      ...{ name: 'Control/listNetworks', kind: 'server', begins: false },
      attributes: { 'overlayd.method': 'listNetworks' },
    },
    { name: 'etcd Txn', kind: 'client', attributes: { 'overlayd.call': 'Txn' }, begins: false },
  ]);
  expect(telemetry.here()).toBe('here');
  expect(setUp().telemetry.here()).toBeUndefined();
});
