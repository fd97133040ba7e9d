/** A moment as people write it: `24h`, `1h30m` ago, or a time (RFC 3339). */
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds since the epoch; undefined: it is neither. */
export function parseMoment(text: string, now: number): number | undefined {
  if (/^(\d+[smhd])+$/.test(text)) {
    let spanMs = 0;
    for (const [, count, unit] of text.matchAll(/(\d+)([smhd])/g)) spanMs += Number(count) * UNITS[unit!]!;
    return now - spanMs;
  }
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}
