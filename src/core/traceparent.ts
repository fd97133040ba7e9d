/** Where in a trace somebody is, as W3C's header `traceparent` says it (https://www.w3.org/TR/trace-context), version 00. Pure. */
export interface TracePlace {
  /** 32 digits, lower-case hexadecimal. */
  readonly traceId: string;
  /** 16 of them. */
  readonly spanId: string;
  /** Whoever began the trace wants it recorded. */
  readonly sampled: boolean;
}

/** Undefined: it is none, and a trace begins anew. A later version is read as far as this one goes. */
export function parseTraceparent(text: string | undefined): TracePlace | undefined {
  const match = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/.exec(text ?? '');
  const [, traceId = '', spanId = '', flags = ''] = match ?? [];
  if (match === null || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent({ traceId, spanId, sampled }: TracePlace): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}
