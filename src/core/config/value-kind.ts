/** Kinds of configuration values: how each is read from text, what is wrong with one that cannot be, and how it is written. */
import { formatHostPort, formatHttpUrl, parseHostPort, parseHttpUrl } from '../host-port.ts';
import { formatIp, type Ip, parseIp } from '../ip.ts';
import { formatDuration, parseDuration } from './duration.ts';

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

export interface ValueKind<T> {
  /** In help and reference: `duration`. */
  readonly name: string;
  /** What is allowed, in words. */
  readonly allowed: string;
  /** True when the file may hold it without quotes. */
  readonly numeric: boolean;
  parse(text: string): Parsed<T>;
  format(value: T): string;
}

export const path: ValueKind<string> = {
  name: 'path',
  allowed: 'an absolute path',
  numeric: false,
  parse: (text) =>
    text.startsWith('/') ? { value: text } : { problem: 'is not an absolute path, like /var/lib/overlayd' },
  format: (value) => value,
};

export const port: ValueKind<number> = {
  name: 'port',
  allowed: '1 to 65535',
  numeric: true,
  parse(text) {
    const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    return value >= 1 && value <= 65_535 ? { value } : { problem: 'is not a port, a whole number from 1 to 65535' };
  },
  format: String,
};

/** Milliseconds; the limits are inclusive. */
export function duration(limits: { readonly min: number; readonly max: number }): ValueKind<number> {
  const allowed = `${formatDuration(limits.min)} to ${formatDuration(limits.max)}`;
  return {
    name: 'duration',
    allowed,
    numeric: false,
    parse(text) {
      const value = parseDuration(text);
      if (value === undefined) return { problem: 'is not a duration; write it like 500ms, 30s or 1h30m' };
      if (value < limits.min || value > limits.max) return { problem: `is out of range: ${allowed}` };
      return { value };
    },
    format: formatDuration,
  };
}

/** Whole seconds, for what is counted in seconds elsewhere (leases, times to live); the limits are inclusive. */
export function seconds(limits: { readonly min: number; readonly max: number }): ValueKind<number> {
  const kind = duration({ min: limits.min * 1_000, max: limits.max * 1_000 });
  return {
    ...kind,
    parse(text) {
      const parsed = kind.parse(text);
      if ('problem' in parsed) return parsed;
      return parsed.value % 1_000 === 0 ? { value: parsed.value / 1_000 } : { problem: 'is not in whole seconds' };
    },
    format: (value) => formatDuration(value * 1_000),
  };
}

export function choice<T extends string>(...choices: readonly T[]): ValueKind<T> {
  return {
    name: 'choice',
    allowed: choices.join(', '),
    numeric: false,
    parse(text) {
      const value = choices.find((known) => known === text);
      return value === undefined ? { problem: `is not one of ${choices.join(', ')}` } : { value };
    },
    format: (value) => value,
  };
}

/** Where something is served to programs of this host alone. */
export type ListenPlace =
  | { readonly kind: 'off' }
  /** A Unix socket in the run directory. */
  | { readonly kind: 'run-dir' }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number };

/** `word`: stands for the socket in the run directory. */
export function listenPlace(word: string): ValueKind<ListenPlace> {
  const allowed = `off, ${word}, unix:PATH, 127.0.0.1:PORT`;
  return {
    name: 'place',
    allowed,
    numeric: false,
    parse(text) {
      if (text === 'off') return { value: { kind: 'off' } };
      if (text === word) return { value: { kind: 'run-dir' } };
      if (text.startsWith('unix:')) {
        const at = text.slice('unix:'.length);
        return at.startsWith('/') ? { value: { kind: 'unix', path: at } } : { problem: 'names no absolute path' };
      }
      const { host = '', port: number } = parseHostPort(text) ?? {};
      const ip = parseIp(host);
      if (ip === undefined || number === undefined) return { problem: `is none of ${allowed}` };
      if (!isLoopback(ip)) {
        return {
          problem: 'is no loopback address: nobody is asked who reads there; use 127.0.0.1 and a proxy that asks',
        };
      }
      return { value: { kind: 'tcp', address: formatIp(ip), port: number } };
    },
    format(place) {
      if (place.kind === 'tcp') return formatHostPort(place.address, place.port);
      return place.kind === 'unix' ? `unix:${place.path}` : place.kind === 'off' ? 'off' : word;
    },
  };
}

function isLoopback({ family, value }: Ip): boolean {
  return family === 4 ? value >> 24n === 127n : value === 1n;
}

/** Undefined: off. */
export const collector: ValueKind<string | undefined> = {
  name: 'url',
  allowed: 'off, or http(s)://HOST:PORT',
  numeric: false,
  parse(text) {
    if (text === 'off') return { value: undefined };
    const url = parseHttpUrl(text);
    if (url === undefined) return { problem: 'is no URL of a host and a port, like http://127.0.0.1:4318' };
    return { value: formatHttpUrl(url) };
  },
  format: (value) => value ?? 'off',
};
