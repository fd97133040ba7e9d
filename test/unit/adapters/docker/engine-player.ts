import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';

export interface Call {
  readonly method: string;
  /** Without the version, with the query. */
  readonly path: string;
  readonly version: string;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape it asks for
  readonly body: any;
}

interface Answer {
  readonly status: number;
  /** JSON. */
  readonly body?: unknown;
  /** Instead of a body: JSON, one value a line. */
  readonly lines?: readonly unknown[];
}

/** undefined: no answer at all. */
export type Play = (call: Call) => Answer | undefined;

export interface EnginePlayer {
  readonly calls: readonly Call[];
  /** Streams of events that are open. */
  readonly streams: readonly ServerResponse[];
  /** Stops accepting, cuts every connection, removes the socket: as when the engine ends. */
  end(): Promise<void>;
}

export const VERSION = { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12' };

/** Plays a Docker Engine's API on a Unix socket. It answers `/version` and `/events` itself, unless `play` does. */
export async function playEngine(socketPath: string, play: Play = () => ({ status: 404 })): Promise<EnginePlayer> {
  const calls: Call[] = [];
  const streams: ServerResponse[] = [];
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    const [, version = '', path = ''] = /^(?:\/v([0-9.]+))?(\/.*)$/.exec(request.url ?? '') ?? [];
    const call = { method: request.method ?? '', path, version, body: text === '' ? undefined : JSON.parse(text) };
    calls.push(call);
    const answer = play(call);
    if (answer === undefined) return;
    if (answer.status === 404 && path === '/version') return send(response, { status: 200, body: VERSION });
    if (answer.status === 404 && path.startsWith('/events')) {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.flushHeaders();
      streams.push(response);
      return;
    }
    send(response, answer);
  };
  const server: Server = createServer((request, response) => void serve(request, response));
  mkdirSync(dirname(socketPath), { recursive: true });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    calls,
    streams,
    async end() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      rmSync(socketPath, { force: true });
    },
  };
}

function send(response: ServerResponse, { status, body, lines }: Answer): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  const values = lines ?? (body === undefined ? [] : [body]);
  response.end(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
}
