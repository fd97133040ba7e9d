/** `--filter` of `network ls` and `network prune`, with Docker's meaning. */
import { parseDuration } from '../core/config/duration.ts';
import { nearest } from '../core/nearest.ts';
import type { Network } from '../gen/overlayd/v1/control.ts';
import { splitPair } from './argument.ts';
import { UsageError } from './exit.ts';
import { DRIVER, SCOPE } from './network-json.ts';

export interface Filter {
  readonly key: string;
  readonly value: string;
}

const LIST_KEYS = ['dangling', 'driver', 'id', 'label', 'name', 'scope'];
const PRUNE_KEYS = ['until', 'label', 'label!'];

export function parseListFilter(text: string): Filter {
  const filter = parseFilter(text, LIST_KEYS);
  if (filter.key === 'dangling' && !/^(true|false|1|0)$/.test(filter.value)) {
    throw new UsageError(`--filter ${text}: write dangling=true or dangling=false`);
  }
  return filter;
}

/** The agent applies it; here only its form is checked. */
export function parsePruneFilter(text: string): string {
  const { key, value } = parseFilter(text, PRUNE_KEYS);
  if (key === 'until' && parseDuration(value) === undefined && !isTime(value)) {
    throw new UsageError(`--filter ${text}: write until=24h (an age) or until=2026-01-31T12:00:00Z (a time)`);
  }
  return text;
}

function isTime(text: string): boolean {
  return /^\d+$/.test(text) || (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)));
}

function parseFilter(text: string, known: readonly string[]): Filter {
  const [key, value] = splitPair(text);
  if (value === undefined || value === '') throw new UsageError(`--filter ${text}: write it like label=team=web`);
  if (!known.includes(key)) {
    const close = nearest(key, known);
    throw new UsageError(
      `--filter ${text}: unknown filter ${key}; ${close ? `did you mean ${close}? ` : ''}there are ${known.join(', ')}`,
    );
  }
  return { key, value };
}

/** Filters of one key widen the choice, different keys narrow it; labels always narrow it. */
export function matchesFilters(network: Network, filters: readonly Filter[]): boolean {
  const byKey = Map.groupBy(filters, ({ key }) => key);
  return [...byKey].every(([key, group]) => {
    const fits = ({ value }: Filter) => matches(network, key, value);
    return key === 'label' ? group.every(fits) : group.some(fits);
  });
}

function matches(network: Network, key: string, value: string): boolean {
  switch (key) {
    case 'dangling':
      return (network.endpointCount === 0) === /^(true|1)$/.test(value);
    case 'driver':
      return value === DRIVER || value === 'overlay';
    case 'id':
      return network.id.startsWith(value);
    case 'name':
      return network.name.includes(value);
    case 'scope':
      return value === SCOPE;
    default: {
      const [label, wanted] = splitPair(value);
      return Object.hasOwn(network.labels, label) && (wanted === undefined || network.labels[label] === wanted);
    }
  }
}
