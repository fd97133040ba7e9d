/** What is shown at one moment: each metric with its values. Pure. */
import type { Labels } from '../telemetry.ts';
import { METRICS, type Metric, type MetricKey } from './catalog.ts';
import type { HistogramCounts } from './histogram.ts';

export interface Sample {
  readonly labels: Labels;
  readonly value: number | HistogramCounts;
}

export interface Family {
  readonly metric: Metric;
  readonly samples: readonly Sample[];
}

type Values = Readonly<Partial<Record<MetricKey, number | undefined | readonly Sample[]>>>;

/** All of the table, in its order: a metric without a value at this moment has no samples. */
export function families(values: Values): Family[] {
  return Object.entries(METRICS).map(([key, metric]) => {
    const value = values[key as MetricKey] ?? [];
    return { metric, samples: typeof value === 'number' ? [{ labels: {}, value }] : value };
  });
}

/** `by` label: a sample each. */
export function samplesOf(label: string, values: Iterable<readonly [string, number]>): Sample[] {
  return Array.from(values, ([name, value]) => ({ labels: { [label]: name }, value }));
}
