/** `--filter` of `network ls` and `network prune`, with Docker's meaning. */
import { nearest } from '../core/nearest.ts';
import { parsePruneFilters } from '../core/network-filter.ts';
import type { Network } from '../gen/overlayd/v1/control.ts';
import { splitPair } from './argument.ts';
import { checkLocally, UsageError } from './exit.ts';
import { DRIVER, SCOPE } from './network-json.ts';

export interface Filter {
  readonly key: string;
  readonly value: string;
}

const KEYS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

export function parseListFilter(text: string): Filter {
  const filter = parseFilter(text);
  if (filter.key === 'dangling' && !/^(true|false|1|0)$/.test(filter.value)) {
    throw new UsageError(`--filter ${text}: write dangling=true or dangling=false`);
  }
  if (filter.key === 'type' && !/^(custom|builtin)$/.test(filter.value)) {
    throw new UsageError(`--filter ${text}: write type=custom or type=builtin`);
  }
  return filter;
}

/** The agent applies it; here only its form is checked. */
export function parsePruneFilter(text: string): string {
  checkLocally(() => parsePruneFilters([text], 0));
  return text;
}

function parseFilter(text: string): Filter {
  const [key, value] = splitPair(text);
  if (value === undefined || value === '') throw new UsageError(`--filter ${text}: write it like label=team=web`);
  if (!KEYS.includes(key)) {
    const close = nearest(key, KEYS);
    throw new UsageError(
      `--filter ${text}: unknown filter ${key}; ${close ? `did you mean ${close}? ` : ''}there are ${KEYS.join(', ')}`,
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
      return matchesName(network.name, value);
    case 'scope':
      return value === SCOPE;
    case 'type':
      return value === 'custom';
    default: {
      const [label, wanted] = splitPair(value);
      return Object.hasOwn(network.labels, label) && (wanted === undefined || network.labels[label] === wanted);
    }
  }
}

/** A part of the name, or a regular expression for one, as `^web$`. */
function matchesName(name: string, pattern: string): boolean {
  if (name.includes(pattern)) return true;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
}
