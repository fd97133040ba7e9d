/**
 * Metrics over HTTP, on a Unix socket or a loopback address. It reads and changes nothing; text is made when somebody asks, once for
 * all who ask meanwhile, and so seldom that whoever asks without end takes a fifth of the agent's time at most. A place that cannot be listened on is tried again: the agent's work does not depend on it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenPlace } from '../core/config/value-kind.ts';
import { asOverlaydError, OverlaydError } from '../core/errors.ts';
import { formatHostPort, parseHostPort } from '../core/host-port.ts';
import { exposition, FORMATS, type Format, formatFor } from '../core/metrics/exposition.ts';
import type { Family } from '../core/metrics/family.ts';
import type { Clock, Logger } from '../ports/runtime.ts';
import { endBy } from './plugin-call.ts';
import { listenOn } from './plugin-socket.ts';

export interface MetricsServerDeps {
  readonly collect: () => Promise<readonly Family[]>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

const AGAIN_MS = 10_000;
/** As many times as long as it took to make them they stay as they are. */
const REST = 4;
const GRACE_MS = 500;
const SLOW_READER_MS = 10_000;
/** Root's, as all of the run directory that is not for its group. */
const MODE = 0o660;
const OPTION = '--metrics-listen';
const PLAIN = 'text/plain; charset=utf-8';
const HELP = 'Metrics of the overlayd agent are at /metrics.\n';

export type MetricsPlace = Extract<ListenPlace, { kind: 'unix' | 'tcp' }>;

export class MetricsServer {
  readonly #deps: MetricsServerDeps;
  readonly #place: MetricsPlace;
  #problem: string | undefined;
  #collecting: Promise<readonly Family[]> | undefined;
  /** By the monotonic clock. */
  #staysUntil = Number.NEGATIVE_INFINITY;

  constructor(deps: MetricsServerDeps, place: MetricsPlace) {
    this.#deps = deps;
    this.#place = place;
  }

  /** In words, why nobody can read them, and what to do. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Ends some time after the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      const server = createServer((request, response) => this.#serve(request, response));
      server.requestTimeout = SLOW_READER_MS;
      server.timeout = SLOW_READER_MS;
      // Once it listens: a connection that could not be taken, which its reader tries again.
      server.on('error', () => undefined);
      try {
        const remove = await this.#listen(server);
        this.#problem = undefined;
        logger.info({ place: describe(this.#place) }, 'metrics are served');
        return await endBy(signal, { server, remove, clock, graceMs: GRACE_MS });
      } catch (error) {
        const { message } = asOverlaydError(error);
        if (this.#problem === undefined) logger.warn({ reason: message }, 'metrics are not served, trying again');
        this.#problem = `metrics are not served: ${message}; it is tried again`;
        await clock.sleep(AGAIN_MS, signal).catch(() => undefined);
      }
    }
  }

  #listen(server: Server): Promise<() => Promise<void>> {
    const place = this.#place;
    if (place.kind === 'unix') return listenOn(server, { path: place.path }, { mode: MODE, option: OPTION });
    const { promise, resolve, reject } = Promise.withResolvers<() => Promise<void>>();
    server.once('error', (error) => {
      const message = `cannot listen on ${describe(place)}: ${error.message}; end what has the port, or set ${OPTION}`;
      reject(new OverlaydError('config-invalid', message));
    });
    server.listen({ host: place.address, port: place.port }, () => resolve(async () => {}));
    return promise;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const [status, words] = this.#refusalOf(request) ?? [];
    if (status !== undefined && words !== undefined) send(response, status, PLAIN, words);
    else void this.#tell(response, formatFor(request.headers.accept));
  }

  /** Undefined: it is answered. */
  #refusalOf({
    headers,
    method = '',
    url = '/',
  }: IncomingMessage): readonly [status: number, words: string] | undefined {
    // A page of another site may have its name lead here.
    if (!this.#isMeant(headers.host)) return [403, 'the host of the request is not this one\n'];
    const [path] = url.split('?');
    if (path !== '/metrics') return [path === '/' ? 200 : 404, HELP];
    return method === 'GET' || method === 'HEAD' ? undefined : [405, 'metrics are read with GET\n'];
  }

  async #tell(response: ServerResponse, format: Format): Promise<void> {
    try {
      send(response, 200, FORMATS[format], exposition(await this.#collect(), format));
    } catch (error) {
      this.#deps.logger.warn({ error }, 'metrics could not be told');
      send(response, 500, PLAIN, `metrics could not be told: ${asOverlaydError(error).message}\n`);
    }
  }

  #collect(): Promise<readonly Family[]> {
    const { clock } = this.#deps;
    const startedAt = clock.elapsed();
    if (this.#collecting && startedAt < this.#staysUntil) return this.#collecting;
    this.#staysUntil = Number.POSITIVE_INFINITY;
    this.#collecting = this.#deps.collect().finally(() => {
      const now = clock.elapsed();
      this.#staysUntil = now + REST * (now - startedAt);
    });
    return this.#collecting;
  }

  #isMeant(host: string | undefined): boolean {
    if (this.#place.kind === 'unix' || host === undefined) return true;
    const name = parseHostPort(host)?.host;
    return name === 'localhost' || name === this.#place.address;
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function describe(place: MetricsPlace): string {
  return place.kind === 'unix' ? place.path : formatHostPort(place.address, place.port);
}
