/** `printf` of Go's `fmt`, with the verbs that make sense for what listings hold. */
import { UsageError } from '../exit.ts';
import { textOf } from './value.ts';

const VERB = /%([-+0 #]*)(\d+)?(?:\.(\d+))?(.?)/gs;
const VERBS = '%s, %d, %v, %q, %t, %f, %x and %%';

interface Width {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
}

/** Throws {@link UsageError} where values and verbs do not fit each other, which Go would print as `%!d(string=…)`. */
export function printf(format: string, args: readonly unknown[]): string {
  let used = 0;
  const text = format.replace(
    VERB,
    (whole, flags: string, width = '0', precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      if (used >= args.length) throw refuse(`${whole} has no value; there are ${args.length}`);
      const how = { flags, width: Number(width), precision: precision === undefined ? undefined : Number(precision) };
      return padded(convert(whole, verb, args[used++], how), how);
    },
  );
  if (used < args.length) throw refuse(`it has ${used} verbs for ${args.length} values`);
  return text;
}

function convert(whole: string, verb: string, value: unknown, { precision }: Width): string {
  switch (verb) {
    case 's':
    case 'v':
      return textOf(value).slice(0, precision);
    case 'q':
      return JSON.stringify(textOf(value).slice(0, precision));
    case 'd':
      return String(numberOf(whole, value, Number.isInteger));
    case 'f':
      return numberOf(whole, value, Number.isFinite).toFixed(precision ?? 6);
    case 't':
      if (typeof value !== 'boolean') throw refuse(`${whole} takes true or false, not ${JSON.stringify(value)}`);
      return String(value);
    case 'x':
      if (typeof value === 'string') return Buffer.from(value).toString('hex');
      return numberOf(whole, value, Number.isInteger).toString(16);
    default:
      throw refuse(`${whole} is not known; there are ${VERBS}`);
  }
}

function numberOf(whole: string, value: unknown, fits: (value: number) => boolean): number {
  if (typeof value === 'number' && fits(value)) return value;
  throw refuse(`${whole} takes a number, not ${JSON.stringify(value) ?? 'nothing'}; %v takes anything`);
}

function padded(text: string, { flags, width }: Width): string {
  if (flags.includes('-')) return text.padEnd(width);
  if (!flags.includes('0') || !/^[-\d.]+$/.test(text)) return text.padStart(width);
  return text.startsWith('-') ? `-${text.slice(1).padStart(width - 1, '0')}` : text.padStart(width, '0');
}

function refuse(why: string): UsageError {
  return new UsageError(`--format: printf: ${why}`);
}
