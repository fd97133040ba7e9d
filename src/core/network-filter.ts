/** `--filter` of `network prune`: `until=24h`, `until=2026-01-31T10:00:00Z`, `label=key[=value]`, `label!=key[=value]`. */
import { OverlaydError } from './errors.ts';
import { parseMoment } from './moment.ts';
import { nearest } from './nearest.ts';
import type { NetworkRecord } from './records.ts';

type Selects = (network: NetworkRecord) => boolean;

/** A network is selected when all filters hold. Throws `invalid-argument`. */
export function parsePruneFilters(filters: readonly string[], now: number): Selects {
  const parts = filters.map((filter) => parseFilter(filter, now));
  return (network) => parts.every((selects) => selects(network));
}

function parseFilter(filter: string, now: number): Selects {
  const match = /^(.*?)(!?=)(.*)$/s.exec(filter);
  const [, key = '', operator = '', value = ''] = match ?? [];
  if (!match || value === '') {
    throw new OverlaydError(
      'invalid-argument',
      `filter "${filter}" is not key=value; write it like until=24h or label=env=test`,
    );
  }
  if (key === 'label') return labelFilter(value, operator === '!=');
  if (key === 'until' && operator === '=') {
    const before = parseUntil(value, now);
    return (network) => network.createdAt < before;
  }
  const guess = nearest(key, ['until', 'label']);
  throw new OverlaydError(
    'invalid-argument',
    `filter "${filter}" is unknown${guess ? `; did you mean "${guess}"?` : '.'} Known filters: until=, label=, label!=`,
  );
}

function labelFilter(text: string, negated: boolean): Selects {
  const equals = text.indexOf('=');
  const key = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? undefined : text.slice(equals + 1);
  return ({ labels }) => {
    const has = key in labels && (value === undefined || labels[key] === value);
    return has !== negated;
  };
}

function parseUntil(text: string, now: number): number {
  const at = parseMoment(text, now);
  if (at !== undefined) return at;
  throw new OverlaydError(
    'invalid-argument',
    `filter until=${text}: not a duration or time; write it like 24h, 1h30m or 2026-01-31T10:00:00Z`,
  );
}
