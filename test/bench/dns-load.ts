import { quantile } from './statistics.ts';

/** Questions for addresses, as dnsperf reads them. */
export function questions(names: readonly string[]): string {
  return names.map((name) => `${name} A\n`).join('');
}

export interface LoadOptions {
  readonly server: string;
  readonly port?: number;
  readonly seconds: number;
  /** File of `questions`. */
  readonly file: string;
}

/** Put before the command: in real time, it waits for nobody. What it would wait itself for a processor is no part of an answer. */
export const FIRST = ['chrt', '--rr', '1'];

const CLIENTS = 8;
/** Below what a client may have waiting at overlayd's responder for servers elsewhere. */
const OUTSTANDING = 48;
/** Of the run that tells how long an answer takes: all that are compared manage it. */
export const STEADY_RATE = 2_000;

/** As many questions as are answered. */
export function fullLoad({ server, port = 53, seconds, file }: LoadOptions): readonly string[] {
  const flags = ['-c', CLIENTS, '-q', OUTSTANDING, '-t', 2, '-l', seconds];
  return ['dnsperf', '-s', server, '-p', port, '-d', file, ...flags].map(String);
}

/** A fixed rate; tells how long each answer took. */
export function steadyLoad(options: LoadOptions): readonly string[] {
  return [...fullLoad(options), '-v', '-Q', String(STEADY_RATE)];
}

/** Throws when more than one question in a hundred had another answer than an address, or none: full load loses some. */
export function queriesPerSecond(output: string): number {
  const rate = Number(/Queries per second: +([\d.]+)/.exec(output)?.[1]);
  const sent = Number(/Queries sent: +(\d+)/.exec(output)?.[1]);
  const good = Number(/NOERROR (\d+)/.exec(output)?.[1] ?? 0);
  if (good < sent * 0.99) throw new Error(`of ${sent} questions ${good} were answered:\n${output}`);
  return rate;
}

/** Milliseconds. */
export function latencies(output: string): { readonly p50: number; readonly p99: number } {
  const all = [...output.matchAll(/^> NOERROR \S+ A ([\d.]+)$/gm)].map((match) => Number(match[1]) * 1_000);
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
}
