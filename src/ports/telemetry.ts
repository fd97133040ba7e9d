/** Where traces go. */

/** Whose call it is, as OpenTelemetry has it: asked of us, asked by us, or within. */
export type SpanKind = 'server' | 'client' | 'internal';

export interface SpanStart {
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Readonly<Record<string, string>>;
  /** Outside of a trace one begins; else nothing is recorded there. */
  readonly begins: boolean;
}

export interface Tracer {
  /** Does the task as a span; what it throws is the span's failure, and thrown on. */
  span<T>(start: SpanStart, task: () => Promise<T>): Promise<T>;
  /** As W3C's `traceparent`; undefined: the caller is in no trace. */
  here(): string | undefined;
  within<T>(traceparent: string | undefined, task: () => T): T;
}

/** Of this process, as `Metric`s of these keys are told. Undefined: the host does not tell. */
export interface ProcessFacts {
  /** Seconds. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
  /** Seconds since the epoch. */
  readonly startTime: number;
  readonly openFiles: number | undefined;
  /** Seconds. */
  readonly loopBusy: number;
}
