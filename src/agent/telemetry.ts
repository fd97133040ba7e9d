/** Steps of the agent as histograms, and as spans where somebody wants traces. */
import { isOfTheRequest } from '../core/errors.ts';
import type { StepMeter } from '../core/metrics/step-meter.ts';
import type { Labels, Step, Telemetry } from '../core/telemetry.ts';
import type { SpanKind, Tracer } from '../ports/telemetry.ts';

export interface StepTelemetryDeps {
  readonly meter: StepMeter;
  /** Undefined: traces are off. */
  readonly tracer: Tracer | undefined;
  /** Milliseconds since some moment, with their fractions. */
  readonly stopwatch: () => number;
}

/** By step: how its span is called, and whether somebody asks for it, so that a trace begins with it where the caller is in none. */
const SPANS: Readonly<Record<Step, { readonly kind: SpanKind; readonly begins: boolean; name(of: Labels): string }>> = {
  attach: { kind: 'internal', begins: true, name: () => 'attach' },
  detach: { kind: 'internal', begins: true, name: () => 'detach' },
  reconcile: { kind: 'internal', begins: false, name: () => 'reconcile' },
  store: { kind: 'client', begins: false, name: ({ call }) => `etcd ${call}` },
  kernel: { kind: 'internal', begins: false, name: ({ call }) => `kernel ${call}` },
  control: { kind: 'server', begins: true, name: ({ method }) => `Control/${method}` },
  tool: { kind: 'server', begins: true, name: ({ tool, call }) => `${tool} ${call}` },
};
/** Asked every few seconds by who watches the agent: a part of a trace, and the beginning of none. */
const LOOKING = /^(get|list)/;

export class StepTelemetry implements Telemetry {
  readonly #deps: StepTelemetryDeps;

  constructor(deps: StepTelemetryDeps) {
    this.#deps = deps;
  }

  async run<T>(step: Step, labels: Labels, task: () => Promise<T>, isWell?: (result: T) => boolean): Promise<T> {
    const { meter, stopwatch } = this.#deps;
    const startedAt = stopwatch();
    let result = 'error';
    try {
      const value = await this.#traced(step, labels, task);
      if (isWell?.(value) !== false) result = 'ok';
      return value;
    } catch (error) {
      if (SPANS[step].begins && isOfTheRequest(error)) result = 'refused';
      throw error;
    } finally {
      meter.note(step, { ...labels, result }, (stopwatch() - startedAt) / 1_000);
    }
  }

  here(): string | undefined {
    return this.#deps.tracer?.here();
  }

  within<T>(traceparent: string | undefined, task: () => T): T {
    const { tracer } = this.#deps;
    return tracer ? tracer.within(traceparent, task) : task();
  }

  #traced<T>(step: Step, labels: Labels, task: () => Promise<T>): Promise<T> {
    const { tracer } = this.#deps;
    if (tracer === undefined) return task();
    const { kind, begins, name } = SPANS[step];
    const attributes = Object.fromEntries(Object.entries(labels).map(([label, value]) => [`overlayd.${label}`, value]));
    return tracer.span(
      { name: name(labels), kind, attributes, begins: begins && !LOOKING.test(labels.method ?? '') },
      task,
    );
  }
}
