/**
 * Spans as OTLP has them in JSON (https://opentelemetry.io/docs/specs/otlp, `ExportTraceServiceRequest`): ids as hexadecimal digits,
 * times as decimal digits of nanoseconds.
 */
import type { Span } from './tracer.ts';

export interface Resource {
  readonly version: string;
  /** `agent` or `command`. */
  readonly part: string;
  readonly host: string;
}

const KINDS = { internal: 1, server: 2, client: 3 } as const;
const STATUS = { unset: 0, error: 2 } as const;

export function traceRequest(spans: readonly Span[], { version, part, host }: Resource): object {
  const resource = { 'service.name': 'overlayd', 'service.version': version, 'overlayd.part': part, 'host.name': host };
  const scopeSpans = [{ scope: { name: 'overlayd', version }, spans: spans.map(encodeSpan) }];
  return { resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans }] };
}

function encodeSpan(span: Span): object {
  const { traceId, spanId, parentSpanId, name, kind, attributes, startMs, endMs, failure } = span;
  const told = failure === undefined ? attributes : { ...attributes, 'error.type': failure.code };
  return {
    ...{ traceId, spanId, ...(parentSpanId !== undefined && { parentSpanId }) },
    ...{ name, kind: KINDS[kind], startTimeUnixNano: nanoseconds(startMs), endTimeUnixNano: nanoseconds(endMs) },
    attributes: attributesOf(told),
    status: failure === undefined ? { code: STATUS.unset } : { code: STATUS.error, message: failure.message },
  };
}

function attributesOf(attributes: Readonly<Record<string, string>>): object[] {
  return Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}

/** A double has no room for all digits of it: microseconds are exact. */
function nanoseconds(ms: number): string {
  return `${BigInt(Math.round(ms * 1_000)) * 1_000n}`;
}
