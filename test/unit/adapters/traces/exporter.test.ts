import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openTraces, type Traces } from '../../../../src/adapters/traces/exporter.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { parseTraceparent } from '../../../../src/core/traceparent.ts';
import type { SpanStart } from '../../../../src/ports/telemetry.ts';
import { Collector } from '../../../lab/collector.ts';

let collector: Collector;
let traces: Traces;
let failures: (string | undefined)[];

beforeEach(async () => {
  collector = new Collector();
  failures = [];
  const url = await collector.start();
  traces = openTraces({ onFailure: (reason) => failures.push(reason) }, { url, version: '1.2.3', part: 'agent' });
});
afterEach(() => collector.stop());

const start = (name: string, begins = true): SpanStart => ({ name, kind: 'internal', attributes: { a: 'b' }, begins });

it('hands over spans that are nested as the tasks are, over every wait', async () => {
  const { tracer } = traces;
  const inner = () => tracer.span(start('inner', false), async () => void (await pause(1)));
  await tracer.span(start('outer'), async () => {
    await pause(1);
    await Promise.all([inner(), inner()]);
  });
  await traces.flush();
  expect(collector.paths).toEqual(['POST /v1/traces application/json']);
  const [first, second, outer] = collector.spans;
  expect([first?.name, second?.name, outer?.name]).toEqual(['inner', 'inner', 'outer']);
  expect(outer).toMatchObject({ kind: 1, status: { code: 0 }, part: 'agent' });
  expect(outer).not.toHaveProperty('parentSpanId');
  expect(outer?.attributes).toEqual([{ key: 'a', value: { stringValue: 'b' } }]);
  for (const span of [first, second]) {
    expect(span).toMatchObject({ traceId: outer?.traceId, parentSpanId: outer?.spanId });
    expect(BigInt(span!.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(outer!.startTimeUnixNano));
    expect(BigInt(span!.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(outer!.endTimeUnixNano));
  }
  expect(first?.spanId).not.toBe(second?.spanId);
});

it('goes on with the trace of another program, and leaves one alone that is not to be recorded', async () => {
  const { tracer } = traces;
  const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
  await tracer.within(`00-${parent.traceId}-${parent.spanId}-01`, () =>
    tracer.span(start('wanted', false), async () => undefined),
  );
  await tracer.within(`00-${parent.traceId}-${parent.spanId}-00`, () =>
    tracer.span(start('unwanted'), async () => undefined),
  );
  await tracer.span(start('of no trace', false), async () => undefined);
  await traces.flush();
  expect(collector.spans).toHaveLength(1);
  expect(collector.spans[0]).toMatchObject({ name: 'wanted', traceId: parent.traceId, parentSpanId: parent.spanId });
});

it('says where it is, for who goes on elsewhere', async () => {
  const { tracer } = traces;
  expect(tracer.here()).toBeUndefined();
  const place = await tracer.span(start('outer'), async () => parseTraceparent(tracer.here()));
  await traces.flush();
  expect(collector.spans[0]).toMatchObject({ traceId: place?.traceId, spanId: place?.spanId });
});

it('tells how a span failed, and throws the same', async () => {
  const error = new OverlaydError('network-not-found', 'no network web');
  await expect(traces.tracer.span(start('x'), () => Promise.reject(error))).rejects.toBe(error);
  await traces.flush();
  const [span] = collector.spans;
  expect(span?.status).toEqual({ code: 2, message: 'no network web' });
  expect(span?.attributes).toContainEqual({ key: 'error.type', value: { stringValue: 'network-not-found' } });
});

it('of a collector that refuses or is away says so once, and once when it takes them again', async () => {
  const task = async () => undefined;
  collector.status = 503;
  await traces.tracer.span(start('lost'), task);
  await traces.flush();
  await traces.tracer.span(start('lost too'), task);
  await traces.flush();
  expect(failures).toHaveLength(1);
  expect(failures[0]).toContain('answers 503');
  collector.status = 200;
  await traces.tracer.span(start('taken'), task);
  await traces.flush();
  expect(failures[1]).toBeUndefined();
  expect(collector.spans.map(({ name }) => name)).toEqual(['taken']);
});

it('is loaded by those alone who want traces', () => {
  const root = path.resolve(import.meta.dirname, '../../../../src');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const loading = files.filter((name) =>
    /^import (?!type )[^;]*from '[^']*\/traces\//m.test(readFileSync(path.join(root, name), 'utf8')),
  );
  expect(loading).toEqual([]);
  const asking = files.filter((name) => /import\('[^']*\/traces\//.test(readFileSync(path.join(root, name), 'utf8')));
  expect(asking.sort()).toEqual(['compose-telemetry.ts', 'main.ts']);
});
