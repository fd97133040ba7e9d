/** Spans by W3C's trace context, kept along the tasks of this process by `AsyncLocalStorage`. Loaded where traces are on alone. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { asOverlaydError } from '../../core/errors.ts';
import { formatTraceparent, parseTraceparent } from '../../core/traceparent.ts';
import type { SpanStart, Tracer } from '../../ports/telemetry.ts';

/** One that has ended. Times: milliseconds since the epoch, with their fractions. */
export interface Span extends Omit<SpanStart, 'begins'> {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly startMs: number;
  readonly endMs: number;
  readonly failure: { readonly code: string; readonly message: string } | undefined;
}

/** The wall clock may be set: from so much on it counts anew. */
const DRIFT_MS = 10;

export function createTracer(record: (span: Span) => void): Tracer {
  const places = new AsyncLocalStorage<string | undefined>();
  let ahead = Date.now() - performance.now();
  const now = () => {
    const elapsed = performance.now();
    const found = Date.now() - elapsed;
    if (Math.abs(found - ahead) > DRIFT_MS) ahead = found;
    return ahead + elapsed;
  };
  return {
    async span({ begins, ...start }, task) {
      const parent = parseTraceparent(places.getStore());
      if (parent ? !parent.sampled : !begins) return await task();
      const traceId = parent?.traceId ?? randomBytes(16).toString('hex');
      const spanId = randomBytes(8).toString('hex');
      const startMs = now();
      const end = (failure: Span['failure']) =>
        record({ ...start, traceId, spanId, parentSpanId: parent?.spanId, startMs, endMs: now(), failure });
      try {
        const result = await places.run(formatTraceparent({ traceId, spanId, sampled: true }), task);
        end(undefined);
        return result;
      } catch (error) {
        const { code, message } = asOverlaydError(error);
        end({ code, message });
        throw error;
      }
    },
    here: () => places.getStore(),
    within: (traceparent, task) => places.run(traceparent, task),
  };
}
