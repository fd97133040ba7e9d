/**
 * `--filter KEY=VALUE` of listings, with Docker's meaning: filters of one key widen the choice, different keys narrow it, labels
 * always narrow it.
 */
import { type Command, Option } from 'commander';
import { nearest } from '../core/nearest.ts';
import { collect, splitPair } from './argument.ts';
import { UsageError } from './exit.ts';

export interface Filter {
  readonly key: string;
  readonly value: string;
}

export interface FilterKey<T> {
  readonly matches: (row: T, value: string) => boolean;
  /** All values there are; absent: any text. */
  readonly values?: readonly string[];
  /** Each of several has to match. */
  readonly narrows?: boolean;
}

/** What a listing can be filtered by. */
export type Filters<T> = Readonly<Record<string, FilterKey<T>>>;

/** Its whole value, or one of its values. */
export function isOneOf<T>(of: (row: T) => string | readonly string[], values?: readonly string[]): FilterKey<T> {
  const matches = (row: T, value: string) => [of(row)].flat().includes(value);
  return { matches, ...(values && { values }) };
}

/** The beginning of an id. */
export function startsWith<T>(of: (row: T) => string): FilterKey<T> {
  return { matches: (row, value) => of(row).startsWith(value.toLowerCase()) };
}

/** A part of one of its names, or a regular expression for one, like `^web$`. */
export function isNamed<T>(of: (row: T) => string | readonly string[]): FilterKey<T> {
  return { matches: (row, value) => [of(row)].flat().some((name) => fitsName(name, value)) };
}

/** `true` or `false`. */
export function is<T>(of: (row: T) => boolean): FilterKey<T> {
  return { matches: (row, value) => of(row) === /^(true|1)$/.test(value), values: ['true', 'false', '1', '0'] };
}

/** `label=KEY`, `label=KEY=VALUE`. */
export function hasLabel<T>(of: (row: T) => Readonly<Record<string, string>>): FilterKey<T> {
  return {
    narrows: true,
    matches: (row, value) => {
      const labels = of(row);
      const [label, wanted] = splitPair(value);
      return Object.hasOwn(labels, label) && (wanted === undefined || labels[label] === wanted);
    },
  };
}

/** What a value of it begins with, each up to its sign, like `name=`. */
export class FilterOption extends Option {
  readonly beginnings: readonly string[];

  constructor(flags: string, description: string, beginnings: readonly string[]) {
    super(flags, description);
    this.beginnings = beginnings;
  }
}

export function addFilterOption<T>(command: Command, filters: Filters<T>): Command {
  const keys = Object.keys(filters);
  const description = `only those that fit: ${keys.join(', ')}; may be repeated`;
  const option = new FilterOption('-f, --filter <key=value>', description, beginningsOf(keys));
  return command.addOption(option.argParser(collect((text: string) => parseFilter(filters, text))));
}

export function beginningsOf(keys: readonly string[]): string[] {
  return keys.map((key) => `${key}=`);
}

/** Throws {@link UsageError} that lists the keys, or the values of the key. */
function parseFilter<T>(filters: Filters<T>, text: string): Filter {
  const [key, value] = splitPair(text);
  const keys = Object.keys(filters);
  const example = [key, 'name'].find((each) => keys.includes(each)) ?? keys[0];
  if (!value) throw new UsageError(`--filter ${text}: write it like ${example}=…; there are ${keys.join(', ')}`);
  if (!Object.hasOwn(filters, key)) {
    const close = nearest(key, keys);
    throw new UsageError(
      `--filter ${text}: unknown filter ${key}; ${close ? `did you mean ${close}? ` : ''}there are ${keys.join(', ')}`,
    );
  }
  const { values } = filters[key]!;
  if (values && !values.includes(value)) {
    const shown = values.filter((each) => !/^[01]$/.test(each)).map((each) => `${key}=${each}`);
    throw new UsageError(`--filter ${text}: write ${shown.join(', ').replace(/, ([^,]*)$/, ' or $1')}`);
  }
  return { key, value };
}

export function fits<T>(filters: Filters<T>, row: T, wanted: readonly Filter[]): boolean {
  const byKey = Map.groupBy(wanted, ({ key }) => key);
  return [...byKey].every(([key, group]) => {
    const { matches, narrows } = filters[key]!;
    const holds = ({ value }: Filter) => matches(row, value);
    return narrows ? group.every(holds) : group.some(holds);
  });
}

function fitsName(name: string, pattern: string): boolean {
  if (name.includes(pattern)) return true;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
}
