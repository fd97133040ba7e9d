import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { METRICS, unitOf } from '../../../../src/core/metrics/catalog.ts';
import { exposition, formatFor } from '../../../../src/core/metrics/exposition.ts';
import { families, type Sample } from '../../../../src/core/metrics/family.ts';
import { Histogram } from '../../../../src/core/metrics/histogram.ts';
import { StepMeter } from '../../../../src/core/metrics/step-meter.ts';

/** Lines of one metric, headings included. */
function linesOf(text: string, name: string): string[] {
  return text.split('\n').filter((line) => new RegExp(`^(# \\w+ )?${name}(_|\\b)`).test(line));
}

const sample = (value: Sample['value'], labels = {}): Sample => ({ labels, value });

it('is OpenMetrics for who asks for it: families without suffix, units, an end', () => {
  const histogram = new Histogram([0.1, 1]);
  for (const seconds of [0.05, 0.1, 0.5, 7]) histogram.observe(seconds);
  const text = exposition(
    families({
      build: [sample(1, { version: '1.0' })],
      events: [sample(3, { type: 'a' })],
      attach: [sample(histogram, { result: 'ok' })],
    }),
    'openmetrics',
  );
  expect(linesOf(text, 'overlayd_build')).toEqual([
    '# TYPE overlayd_build info',
    '# HELP overlayd_build The release of this agent.',
    'overlayd_build_info{version="1.0"} 1',
  ]);
  expect(linesOf(text, 'overlayd_events')).toEqual([
    '# TYPE overlayd_events counter',
    '# HELP overlayd_events Events of this host, as overlayd events tells them.',
    'overlayd_events_total{type="a"} 3',
  ]);
  expect(linesOf(text, 'overlayd_attach_duration_seconds').filter((line) => !line.startsWith('# HELP'))).toEqual([
    '# TYPE overlayd_attach_duration_seconds histogram',
    '# UNIT overlayd_attach_duration_seconds seconds',
    'overlayd_attach_duration_seconds_bucket{result="ok",le="0.1"} 2',
    'overlayd_attach_duration_seconds_bucket{result="ok",le="1.0"} 3',
    'overlayd_attach_duration_seconds_bucket{result="ok",le="+Inf"} 4',
    'overlayd_attach_duration_seconds_sum{result="ok"} 7.65',
    'overlayd_attach_duration_seconds_count{result="ok"} 4',
  ]);
  expect(text.endsWith('\n# EOF\n')).toBe(true);
});

it('is the older format for everybody else, with the same series', () => {
  expect(formatFor(undefined)).toBe('prometheus');
  expect(formatFor('*/*')).toBe('prometheus');
  expect(formatFor('application/openmetrics-text;version=1.0.0,text/plain;q=0.5')).toBe('openmetrics');
  const shown = families({ events: [sample(3, { type: 'a' })], build: [sample(1, { version: '1' })] });
  const [old, open] = (['prometheus', 'openmetrics'] as const).map((format) => exposition(shown, format));
  expect(linesOf(old!, 'overlayd_events_total')).toContain('# TYPE overlayd_events_total counter');
  expect(linesOf(old!, 'overlayd_build_info')).toContain('# TYPE overlayd_build_info gauge');
  const series = (text: string) => text.split('\n').filter((line) => !line.startsWith('#') && line !== '');
  expect(series(old!)).toEqual(series(open!));
});

it('escapes what a name may hold, and writes numbers as Go reads them', () => {
  const text = exposition(
    families({
      pathMtu: [sample(1450, { member: 'a"b\\c\nd' })],
      networkAddresses: [sample(Number.MAX_SAFE_INTEGER, { network: 'n', family: 'ipv6' })],
      pathRoundTrip: [sample(0.000_025, { member: 'a' })],
      cpu: 0,
    }),
    'openmetrics',
  );
  expect(text).toContain('overlayd_path_mtu_bytes{member="a\\"b\\\\c\\nd"} 1450\n');
  expect(text).toContain('} 9007199254740991\n');
  expect(text).toContain('overlayd_path_round_trip_seconds{member="a"} 2.5e-05\n');
  expect(text).toContain('process_cpu_seconds_total 0\n');
});

it('has each metric of the table once, named by the conventions', () => {
  const names = Object.values(METRICS).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const metric of Object.values(METRICS)) {
    expect(metric.name).toMatch(/^(overlayd|process)_[a-z]+(_[a-z]+)*$/);
    expect(metric.name.endsWith('_total'), metric.name).toBe(metric.type === 'counter');
    expect(metric.name.endsWith('_info'), metric.name).toBe(metric.type === 'info');
    if (metric.type === 'histogram') expect(unitOf(metric), metric.name).toBe('seconds');
    expect(metric.help, metric.name).toMatch(/^[A-Z0-9].*\.$/);
    // Names that grow with the cluster's containers.
    expect(metric.labels.filter((label) => ['endpoint', 'container', 'address', 'id'].includes(label))).toEqual([]);
  }
});

it('is what Prometheus’ own tool finds nothing wrong with', () => {
  const meter = new StepMeter();
  meter.note('attach', { result: 'ok' }, 0.02);
  meter.note('store', { call: 'Txn', result: 'ok' }, 0.002);
  const all = Object.entries(METRICS).map(([key, { type, labels }]) => {
    const value = type === 'histogram' ? new Histogram([0.1, 1]) : 1;
    return [key, [sample(value, Object.fromEntries(labels.map((label) => [label, 'x'])))]] as const;
  });
  const text = exposition(families({ ...Object.fromEntries(all), attach: meter.samples('attach') }), 'prometheus');
  expect(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })).toBe('');
});
