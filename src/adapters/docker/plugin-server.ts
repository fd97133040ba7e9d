/**
 * The agent as Docker's network driver and IPAM driver: libnetwork's remote driver protocol over HTTP on a Unix socket.
 *
 * The engine waits for an answer without any limit while it holds its locks, so each call has one here. It reads errors
 * from a field of a good answer, from `Err` as network driver and from `Error` as IPAM driver: both are sent. Every call
 * gets a connection of its own: on one that was kept, the engine would repeat a call that met our end without its body.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { DriverCounters } from '../../core/engine/driver-calls.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { SILENT, type Telemetry } from '../../core/telemetry.ts';
import type { DriverHandlers } from '../../ports/engine.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import { endBy, readBody, tookTooLong, withinLimit } from '../plugin-call.ts';
import { listenOn, type PluginSocket } from '../plugin-socket.ts';
import { createRoutes, type Route } from './driver-routes.ts';

export interface PluginServer {
  counters(): DriverCounters;
  /** Resolves some time after the signal: calls that ran are answered, and the socket is gone when it was ours. */
  readonly ended: Promise<void>;
}

export interface PluginServerDeps {
  readonly handlers: DriverHandlers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry?: Telemetry;
}

const CONTENT_TYPE = 'application/vnd.docker.plugins.v1.2+json';
/** Below the patience of whoever runs `docker`, above what etcd and the kernel take on a bad day. */
const LIMIT_MS = 12_000;
/** After its signal a handler may still say, by its own error, what it was waiting for. */
const LAST_WORDS_MS = 1_000;

interface Reply {
  readonly status: number;
  readonly body: object;
}

/**
 * Resolves when it listens; ends by the signal. A socket of the service manager can be served once in a process's life.
 * Throws `config-invalid`, `conflict`.
 */
export async function servePlugin(
  { handlers, clock, logger, telemetry = SILENT }: PluginServerDeps,
  { socket }: { readonly socket: PluginSocket },
  signal: AbortSignal,
): Promise<PluginServer> {
  const routes = createRoutes(handlers);
  const counters = { requests: 0, failed: 0, timedOut: 0 };

  async function answer(request: IncomingMessage): Promise<Reply> {
    const path = request.url ?? '';
    const route = request.method === 'POST' ? routes.get(path) : undefined;
    if (route === undefined) return failure(404, new OverlaydError('invalid-argument', `${path} is not implemented`));
    counters.requests += 1;
    let body: unknown;
    try {
      if (route.kind === 'fixed') {
        request.resume();
        return { status: 200, body: route.answer };
      }
      body = await readJson(request);
    } catch (error) {
      counters.failed += 1;
      return failure(400, asOverlaydError(error));
    }
    const name = path.slice(1);
    const startedAt = clock.elapsed();
    try {
      const labels = { tool: 'docker', call: name };
      const result = await telemetry.run('tool', labels, () => limited(route, name, body));
      const durationMs = clock.elapsed() - startedAt;
      logger.debug({ method: name, durationMs, request: body, answer: result }, 'answered Docker');
      return { status: 200, body: result };
    } catch (thrown) {
      const error = asOverlaydError(thrown);
      counters.failed += 1;
      if (error.code === 'internal') logger.error({ method: name, error: thrown }, 'request of Docker failed');
      else logger.debug({ method: name, request: body, error: thrown }, 'refused a request of Docker');
      return failure(200, error);
    }
  }

  const limited = (route: Extract<Route, { kind: 'handled' }>, name: string, body: unknown): Promise<object> =>
    withinLimit((call) => route.handle(body, call), {
      ...{ clock, signal, limitMs: LIMIT_MS, lastWordsMs: LAST_WORDS_MS },
      late: () => {
        counters.timedOut += 1;
        logger.warn({ method: name, request: body }, 'a request of Docker took too long');
        return tookTooLong(describe(name, body), LIMIT_MS);
      },
    });

  const server = createServer((request, response) => {
    answer(request).then(
      (reply) => send(response, reply),
      (error: unknown) => {
        logger.error({ error }, 'request of Docker failed');
        response.destroy();
      },
    );
  });
  const remove = await listenOn(server, socket, { mode: 0o660, option: '--docker-plugin-socket' });
  const ended = endBy(signal, { server, remove, clock, graceMs: 2 * LAST_WORDS_MS });
  return { counters: () => ({ ...counters }), ended };
}

function send(response: ServerResponse, { status, body }: Reply): void {
  response.writeHead(status, { 'Content-Type': CONTENT_TYPE, Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}

function failure(status: number, { code, message }: OverlaydError): Reply {
  const text = `${message} (${code})`;
  return { status, body: { Err: text, Error: text } };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const text = await readBody(request);
  if (text === '') {
    throw new OverlaydError(
      'invalid-argument',
      'the request has no body: Docker repeated it after an interruption; try again',
    );
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OverlaydError('invalid-argument', `the request is no JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The call with what it is about, e.g. `NetworkDriver.Join (EndpointID 3f0c1a2b4d5e)`. */
function describe(name: string, body: unknown): string {
  const fields = body as Readonly<Record<string, unknown>>;
  const known = ['EndpointID', 'NetworkID', 'PoolID', 'Address'].find((field) => typeof fields?.[field] === 'string');
  return known === undefined ? name : `${name} (${known} ${String(fields[known]).slice(0, 64)})`;
}
