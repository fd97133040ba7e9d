/**
 * Metrics as text: OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec), and Prometheus' older format 0.0.4 for who
 * asks for no other. Both name the same series. Pure.
 */
import type { Labels } from '../telemetry.ts';
import { type Metric, unitOf } from './catalog.ts';
import type { Family, Sample } from './family.ts';
import type { HistogramCounts } from './histogram.ts';

export const FORMATS = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
} as const;
export type Format = keyof typeof FORMATS;

/** By the request's header `Accept`. */
export function formatFor(accept: string | undefined): Format {
  return accept !== undefined && /application\/openmetrics-text/i.test(accept) ? 'openmetrics' : 'prometheus';
}

export function exposition(families: readonly Family[], format: Format): string {
  const lines = families.flatMap(({ metric, samples }) => [
    ...headOf(metric, format),
    ...samples.flatMap((sample) => linesOf(metric, sample)),
  ]);
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

/** OpenMetrics names the family without the suffix of its samples, and knows units. */
function headOf(metric: Metric, format: Format): string[] {
  const { name, type, help } = metric;
  if (format === 'prometheus') {
    return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type === 'info' ? 'gauge' : type}`];
  }
  const family = name.replace(type === 'counter' ? /_total$/ : type === 'info' ? /_info$/ : /$^/, '');
  const unit = unitOf(metric);
  return [
    `# TYPE ${family} ${type}`,
    ...(unit === undefined ? [] : [`# UNIT ${family} ${unit}`]),
    `# HELP ${family} ${escapeLabel(help)}`,
  ];
}

function linesOf({ name }: Metric, { labels, value }: Sample): string[] {
  if (typeof value === 'number') return [`${name}${textOf(labels)} ${number(value)}`];
  return histogramLines(name, labels, value);
}

function histogramLines(name: string, labels: Labels, { bounds, counts, sum }: HistogramCounts): string[] {
  let passed = 0;
  const buckets = counts.map((count, at) => {
    passed += count;
    const bound = bounds[at];
    // OpenMetrics wants bounds as floating point numbers; both formats read them.
    const le = bound === undefined ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : plain(bound);
    return `${name}_bucket${textOf({ ...labels, le })} ${passed}`;
  });
  return [...buckets, `${name}_sum${textOf(labels)} ${number(sum)}`, `${name}_count${textOf(labels)} ${passed}`];
}

function textOf(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function number(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return plain(value);
}

/** `2.5e-05` as Go writes it, where JavaScript does without an exponent. */
function plain(value: number): string {
  return Math.abs(value) > 0 && Math.abs(value) < 1e-4
    ? value.toExponential().replace(/e-(\d)$/, 'e-0$1')
    : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
