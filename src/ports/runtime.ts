/** Time, chance and the log. */
import type { EventType } from '../core/events/event-types.ts';

export interface Clock {
  /** Wall time, milliseconds since the epoch: for records and for people. It may be set forwards and backwards. */
  now(): number;
  /** Milliseconds since some moment before: for durations. It goes on evenly, whatever is done to the wall clock. */
  elapsed(): number;
  /**
   * Resolves after `ms`; rejects with the signal's reason when aborted. `loosely`: of a second or more, up to a quarter later,
   * together with others. For whatever looks again and again, and for which any moment is as good.
   */
  sleep(ms: number, signal?: AbortSignal, end?: 'loosely'): Promise<void>;
}

export interface Random {
  /** Uniform in [0, 1). Not for secrets. */
  next(): number;
  /** Lower-case hex of `bytes` unpredictable bytes (seeded in the simulator): ids. */
  hex(bytes: number): string;
}

/** What a line says besides its message. One with `event` is an event, which `overlayd events` tells on every host. */
export interface LogFields {
  readonly event?: EventType;
  readonly [field: string]: unknown;
}

export interface Logger {
  error(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  child(fields: object): Logger;
}
