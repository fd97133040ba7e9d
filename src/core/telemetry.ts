/**
 * What a step of the agent tells of itself: how long it took and how it ended; with traces on, as a span of the trace that it
 * is a part of. A trace is named by text, as in W3C's header `traceparent`, so that it can go on in another task or program. Pure.
 */

/** Closed: each is one histogram (`metrics/catalog.ts`). */
export const STEPS = ['attach', 'detach', 'reconcile', 'store', 'kernel', 'control', 'tool'] as const;
export type Step = (typeof STEPS)[number];

/** By name of the label. Few values each, and never a name of an endpoint or a container. */
export type Labels = Readonly<Record<string, string>>;

export interface Telemetry {
  /**
   * Does the task and notes it, whatever its end; returns what it returns, throws what it throws. `isWell`: whether a result
   * counts as one that went well.
   */
  run<T>(step: Step, labels: Labels, task: () => Promise<T>, isWell?: (result: T) => boolean): Promise<T>;
  /** The trace that the caller is in; undefined: none, or traces are off. */
  here(): string | undefined;
  /** Does the task as a part of that trace. */
  within<T>(traceparent: string | undefined, task: () => T): T;
}

/** Notes nothing. */
export const SILENT: Telemetry = {
  run: (_step, _labels, task) => task(),
  here: () => undefined,
  within: (_traceparent, task) => task(),
};
