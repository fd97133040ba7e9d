/** What the process that answers names has counted since its start, as it tells the agent when that asks. Pure. */
import { DNS_BOUNDS, Histogram, type HistogramCounts } from '../metrics/histogram.ts';

/** Where an answer came from: out of memory, or of another server. */
export const ANSWER_SOURCES = ['own', 'upstream'] as const;
export type AnswerSource = (typeof ANSWER_SOURCES)[number];

export interface AnswerCounts {
  /** By the code of the answer (RFC 1035, 4.1.1). */
  readonly rcodes: readonly number[];
  readonly seconds: HistogramCounts;
}

export interface NamesCounts extends Readonly<Record<AnswerSource, AnswerCounts>> {
  /** Not on the network, or no question. */
  readonly stranger: number;
  /** Asked faster than can be answered. */
  readonly flood: number;
  /** SERVFAIL or nothing at once: too many were waiting. */
  readonly overloaded: number;
  readonly merged: number;
  readonly failed: number;
  readonly waiting: number;
  /** Of the process. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

const RCODES = 16;

export class AnswerCounter implements AnswerCounts {
  readonly rcodes: number[] = new Array<number>(RCODES).fill(0);
  readonly seconds = new Histogram(DNS_BOUNDS);

  /** `answer`: a whole message; what is no message is not counted by a code. */
  note(answer: Uint8Array | undefined, seconds: number): void {
    const flags = answer?.[3];
    if (flags !== undefined) this.rcodes[flags & 0xf]! += 1;
    this.seconds.observe(seconds);
  }
}

const NAMES: readonly (string | undefined)[] = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

export function rcodeName(rcode: number): string {
  return NAMES[rcode] ?? `RCODE${rcode}`;
}
