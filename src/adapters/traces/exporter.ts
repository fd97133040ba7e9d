/**
 * Hands spans to a collector: by OTLP over HTTP, gathered for a second. A collector that is away costs what there was to tell:
 * nothing waits for it, and no more is kept than a few thousand spans.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import type { Tracer } from '../../ports/telemetry.ts';
import { type Resource, traceRequest } from './otlp.ts';
import { createTracer, type Span } from './tracer.ts';

export interface TracesDeps {
  /** Told once when spans cannot be handed over, and once when they can again. */
  readonly onFailure: (reason: string | undefined) => void;
}

export interface TracesOptions extends Omit<Resource, 'host'> {
  /** `http://HOST:PORT`, of the collector. */
  readonly url: string;
}

export interface Traces {
  readonly tracer: Tracer;
  /** Hands over what there is. Never rejects. */
  flush(limitMs?: number): Promise<void>;
}

const GATHER_MS = 1_000;
const LIMIT_MS = 5_000;
const MOST_SPANS = 4_096;
/** Of one request. */
const BATCH = 512;

export function openTraces({ onFailure }: TracesDeps, { url, ...resource }: TracesOptions): Traces {
  const host = hostname();
  const waiting: Span[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> = Promise.resolve();
  let failing = false;

  const record = (span: Span) => {
    if (waiting.length < MOST_SPANS) waiting.push(span);
    timer ??= setTimeout(() => void flush(), GATHER_MS).unref();
  };

  async function sendAll(limitMs: number): Promise<void> {
    while (waiting.length > 0) {
      const spans = waiting.splice(0, BATCH);
      try {
        await post(`${url}/v1/traces`, JSON.stringify(traceRequest(spans, { ...resource, host })), limitMs);
        if (failing) onFailure(undefined);
        failing = false;
      } catch (error) {
        // What has piled up meanwhile would meet the same.
        waiting.length = 0;
        if (!failing) onFailure((error as Error).message);
        failing = true;
      }
    }
  }

  function flush(limitMs = LIMIT_MS): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    sending = sending.then(() => sendAll(limitMs));
    return sending;
  }

  return { tracer: createTracer(record), flush };
}

async function post(url: string, body: string, limitMs: number): Promise<void> {
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  const request = send(url, { method: 'POST', headers, signal: AbortSignal.timeout(limitMs) }, (response) => {
    const { statusCode = 0 } = response;
    text(response).then((answer) => {
      if (statusCode >= 200 && statusCode < 300) resolve();
      else reject(new Error(`${url} answers ${statusCode}: ${answer.slice(0, 200)}`));
    }, reject);
  });
  request.on('error', reject);
  request.end(body);
  await promise;
}
