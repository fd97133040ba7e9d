/** A moment as people write it: `24h`, `1h30m` ago, a time (RFC 3339, of this host's zone where it says none), seconds since 1970. */
import { parseDuration } from './config/duration.ts';

const SECONDS = /^\d{9,11}(\.\d{1,9})?$/;
const TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** Milliseconds since the epoch; undefined: it is none of these. */
export function parseMoment(text: string, now: number): number | undefined {
  if (text === '0') return 0;
  const span = parseDuration(text);
  if (span !== undefined) return now - span;
  if (SECONDS.test(text)) return Math.floor(Number(text) * 1_000);
  // What else the language takes for a time is a guess: 10 is October of 2001.
  if (!TIME.test(text)) return undefined;
  // A day begins here, and not at Greenwich.
  const at = Date.parse(text.length === 10 ? `${text}T00:00` : text.toUpperCase());
  return Number.isNaN(at) ? undefined : at;
}
