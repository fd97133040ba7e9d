/**
 * One event as its host keeps it, made of a line of the log. Bounded, whatever the line had: long texts, lists and depths are
 * cut, secrets blanked. Pure.
 */
import { BLANKED, SECRET_FIELDS } from '../secret-fields.ts';

export interface HostEvent {
  /** Greater than that of each event before it on its host, over restarts of the agent and whatever the clock does. */
  readonly seq: number;
  /** Of another release it may be one that this one does not know. */
  readonly type: string;
  /** Milliseconds since the epoch, by its host's clock. */
  readonly at: number;
  readonly level: 'error' | 'warn' | 'info';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const MOST_TEXT = 400;
const MOST_ITEMS = 16;
const MOST_DEPTH = 2;
const MOST_BYTES = 2_048;
/** Beyond it there are no dates (ECMA-262, time values). */
const MOST_MS = 8.64e15;
/** A token in a text of somebody's. */
const TOKEN = /OVLTKN-\S+/g;

/** The fields as they are kept. An error is its message and code. */
export function eventFields(given: object): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = {};
  let bytes = 0;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const kept = SECRET_FIELDS.includes(name) ? BLANKED : bounded(value, 0);
    bytes += name.length + JSON.stringify(kept).length;
    if (bytes > MOST_BYTES) break;
    fields[name] = kept;
  }
  return fields;
}

function bounded(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return cut(value.replace(TOKEN, BLANKED));
    case 'number':
    case 'boolean':
      return value;
    case 'object':
      break;
    default:
      return String(value);
  }
  if (value === null) return null;
  if (value instanceof Error) return cut(value.message.replace(TOKEN, BLANKED));
  if (depth === MOST_DEPTH) return '…';
  if (Array.isArray(value)) {
    const items = value.slice(0, MOST_ITEMS).map((item) => bounded(item, depth + 1));
    return value.length > MOST_ITEMS ? [...items, `and ${value.length - MOST_ITEMS} more`] : items;
  }
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(
    entries
      .slice(0, MOST_ITEMS)
      .map(([name, item]) => [name, SECRET_FIELDS.includes(name) ? BLANKED : bounded(item, depth + 1)]),
  );
}

function cut(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** As a line of the history, without its end. */
export function renderEvent({ seq, type, at, level, message, fields }: HostEvent): string {
  return JSON.stringify({ seq, type, at, level, message, fields });
}

/** Undefined: it is no event. A line that a crash left half, or one that somebody wrote. */
export function parseEvent(line: string): HostEvent | undefined {
  let found: unknown;
  try {
    found = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { seq, type, at, level, message, fields } = (found ?? {}) as Partial<Record<keyof HostEvent, unknown>>;
  const isWhole =
    Number.isSafeInteger(seq) &&
    Number.isSafeInteger(at) &&
    Math.abs(at as number) <= MOST_MS &&
    typeof type === 'string' &&
    typeof message === 'string' &&
    (level === 'error' || level === 'warn' || level === 'info') &&
    typeof fields === 'object' &&
    fields !== null &&
    !Array.isArray(fields);
  return isWhole ? (found as HostEvent) : undefined;
}
