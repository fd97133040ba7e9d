/** An OpenTelemetry collector, as far as traces need one: takes OTLP over HTTP in JSON, and keeps the spans. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
  readonly status: { readonly code: number; readonly message?: string };
  /** Of the resource. */
  readonly part: string;
}

interface Request {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: CollectedSpan['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<CollectedSpan, 'part'>[] }[];
  }[];
}

export class Collector {
  readonly spans: CollectedSpan[] = [];
  readonly paths: string[] = [];
  /** What requests are answered with. */
  status = 200;
  readonly #server = createServer(async (request, response) => {
    this.paths.push(`${request.method} ${request.url} ${request.headers['content-type']}`);
    const body = (await json(request)) as Request;
    if (this.status === 200) this.#keep(body);
    response.writeHead(this.status, { 'Content-Type': 'application/json' }).end('{}');
  });

  /** Resolves to its URL. `where`: port or address of this network namespace, or the path of a Unix socket. */
  async start(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #keep({ resourceSpans }: Request): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const part = resource.attributes.find(({ key }) => key === 'overlayd.part')?.value.stringValue ?? '';
      this.spans.push(...scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, part }))));
    }
  }
}
