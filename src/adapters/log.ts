/**
 * The door to pino: the `Logger` port on a stream of lines, one JSON object each or text for people. Secrets that get
 * into fields by mistake are blanked; under systemd, text lines carry their priority (sd-daemon(3)).
 */
import { fstatSync } from 'node:fs';
import { type DestinationStream, pino } from 'pino';
import { BLANKED, SECRET_FIELDS } from '../core/secret-fields.ts';
import type { Logger } from '../ports/runtime.ts';

export interface LogOptions {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly format: 'text' | 'json';
  /** True when the lines go to the journal, which has times of its own and reads priorities. Found out when absent. */
  readonly journal?: boolean;
}

/** Where whole lines go, newline included. */
export interface LineSink {
  write(line: string): unknown;
}

const PRIORITIES: Readonly<Record<string, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

export function createLogger(options: LogOptions, sink: LineSink): Logger {
  const journal = options.journal ?? isJournal(process.env.JOURNAL_STREAM);
  const destination: DestinationStream =
    options.format === 'json'
      ? { write: (line) => void sink.write(line) }
      : { write: (line) => void sink.write(`${formatLine(JSON.parse(line), journal)}\n`) };
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (error) => describeError(error), err: (error) => describeError(error) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: BLANKED },
    },
    destination,
  );
}

/** Whether standard output is the journal's: systemd gives its device and inode (systemd.exec(5)). */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(1);
  return stream === `${dev}:${ino}`;
}

/** What an operator needs of an error: no stack of ours unless something unforeseen happened. */
function describeError(error: unknown, foreseen = false): unknown {
  if (!(error instanceof Error)) return error;
  const code = 'code' in error ? { code: error.code } : {};
  const known = foreseen || (error.name === 'OverlaydError' && code.code !== 'internal');
  const cause = error.cause === undefined ? {} : { cause: describeError(error.cause, known) };
  const stack = known ? {} : { stack: error.stack };
  return { message: error.message, ...code, ...cause, ...stack };
}

type Line = Record<string, unknown> & { readonly level: string; readonly time: string; readonly msg?: string };

/**
 * `2026-03-01T12:00:00.000Z info  network created network=web vni=4096`. What went wrong comes right after the message, in words:
 * `etcd does not run, trying again: no space left on device (store-failed)`. A stack follows in lines of its own, of errors alone.
 */
function formatLine({ level, time, msg, ...fields }: Line, journal: boolean): string {
  const priority = journal ? `<${PRIORITIES[level] ?? 6}>` : '';
  const start = journal ? priority : `${time} ${level.padEnd(5)} `;
  let words = msg ?? '';
  let stack: readonly string[] = [];
  let rest = '';
  for (const [name, value] of Object.entries(fields)) {
    if ((name === 'error' || name === 'err') && isDescribed(value)) {
      words += `: ${errorText(value)}`;
      if (level === 'error') stack = stackOf(value);
    } else rest += ` ${name}=${formatValue(value)}`;
  }
  return [`${start}${words}${rest}`, ...stack.map((line) => `${priority}    ${line}`)].join('\n');
}

interface Described {
  readonly message: string;
  readonly code?: unknown;
  readonly cause?: unknown;
  readonly stack?: string;
}

function isDescribed(value: unknown): value is Described {
  return typeof value === 'object' && value !== null && typeof (value as Described).message === 'string';
}

/** With what it came from, where its own message does not say that already. On one line. */
function errorText({ message, code, cause }: Described): string {
  const own = `${message.trim().replace(/\s*\n\s*/g, ' | ')}${code === undefined ? '' : ` (${code})`}`;
  return isDescribed(cause) && !message.includes(cause.message) ? `${own}: ${errorText(cause)}` : own;
}

/** `at …`, a line each. */
function stackOf({ stack = '', cause }: Described): readonly string[] {
  const lines = stack.split('\n').map((line) => line.trim());
  const own = lines.filter((line) => line.startsWith('at '));
  return own.length === 0 && isDescribed(cause) ? stackOf(cause) : own;
}

function formatValue(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
