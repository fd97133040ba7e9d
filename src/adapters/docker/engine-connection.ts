/**
 * HTTP to the Docker Engine's API on its Unix socket. Every request has a connection of its own, so none meets one that
 * the engine has just closed, and a limit, so an engine that accepts and does not answer holds nobody up.
 *
 * The API's version: the newest that both sides know. Engines refuse what is older than their minimum, which rises.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { type EngineVersion, versionResponse } from './engine-messages.ts';

export interface EngineRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With its query, without version, e.g. `/networks/create`. */
  readonly path: string;
  readonly body?: object;
  readonly limitMs: number;
}

export interface EngineReply {
  readonly status: number;
  /** JSON; undefined when there is none. */
  readonly body: unknown;
}

/** Ends with its signal, and with it whatever it waits for: that throws `cancelled`. */
export interface EngineConnection {
  /** Any status. Throws `engine-unavailable`, retryable. */
  call(request: EngineRequest): Promise<EngineReply>;
  /** A reply of one JSON value per line, which ends. Throws `engine-unavailable`, `engine-refused`. */
  lines(path: string, limitMs: number): Promise<readonly unknown[]>;
  /** A reply that does not end: resolves with its beginning. Throws `engine-unavailable`, `engine-refused`. */
  open(path: string, limitMs: number, signal: AbortSignal): Promise<IncomingMessage>;
  /** Asks, and uses the answer from now on. Throws `engine-unavailable`. */
  version(limitMs: number, signal?: AbortSignal): Promise<EngineVersion>;
}

/** The newest API that this client was written for; 1.41 is the oldest that it was tried with (Docker 20.10). */
const NEWEST_API = '1.51';
const VERSION_LIMIT_MS = 10_000;

export function createEngineConnection(socketPath: string, ended?: AbortSignal): EngineConnection {
  let version: EngineVersion | undefined;

  /** Resolves when the reply begins. */
  function begin(request: Omit<EngineRequest, 'limitMs'>, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, path } = request;
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers =
      body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const sent = httpRequest({
        socketPath,
        method,
        path,
        signal,
        agent: false,
        headers: { Host: 'docker', ...headers },
      });
      sent.once('response', resolve);
      sent.once('error', reject);
      sent.end(body);
    });
  }

  async function exchange(request: EngineRequest, signal?: AbortSignal): Promise<EngineReply> {
    const { status, text } = await exchangeText(request, signal);
    return { status, body: parse(text) };
  }

  async function exchangeText(request: EngineRequest, signal?: AbortSignal): Promise<{ status: number; text: string }> {
    const limit = AbortSignal.timeout(request.limitMs);
    try {
      const signals = [limit, signal, ended].filter((each) => each !== undefined);
      const response = await begin(request, AbortSignal.any(signals));
      return { status: response.statusCode ?? 0, text: await readAll(response) };
    } catch (error) {
      throw unavailable(error, request, limit);
    }
  }

  function unavailable(error: unknown, request: EngineRequest, limit: AbortSignal): OverlaydError {
    if (isOverlaydError(error)) return error;
    if (ended?.aborted) {
      return new OverlaydError('cancelled', 'the overlayd agent stops; try again', { cause: error, retryable: true });
    }
    const reason = limit.aborted
      ? `did not answer ${request.method} ${request.path.split('?')[0]} within ${request.limitMs / 1_000} s; it hangs or is overloaded: see its log`
      : `cannot be reached (${(error as Error).message}); start it, or set --docker-socket`;
    return new OverlaydError('engine-unavailable', `the Docker Engine on ${socketPath} ${reason}`, {
      cause: error,
      retryable: true,
    });
  }

  async function askVersion(limitMs: number, signal?: AbortSignal): Promise<EngineVersion> {
    const request = { method: 'GET', path: '/version', limitMs } as const;
    const { status, body } = await exchange(request, signal);
    const parsed = versionResponse.safeParse(body);
    if (status !== 200 || !parsed.success) {
      const message = `what listens on ${socketPath} does not answer as a Docker Engine (status ${status}); check --docker-socket`;
      throw new OverlaydError('engine-unavailable', message, { retryable: true });
    }
    version = parsed.data;
    return version;
  }

  async function prefix(signal?: AbortSignal): Promise<string> {
    return `/v${chooseApi(version ?? (await askVersion(VERSION_LIMIT_MS, signal)))}`;
  }

  return {
    async call(request) {
      const send = async () => exchange({ ...request, path: `${await prefix()}${request.path}` });
      const reply = await send();
      if (reply.status !== 400 || !/client version .* is too (old|new)/i.test(messageOf(reply))) return reply;
      // Another engine than the one that was asked for its version.
      version = undefined;
      return send();
    },
    async lines(path, limitMs) {
      const { status, text } = await exchangeText({ method: 'GET', path: `${await prefix()}${path}`, limitMs });
      if (status !== 200) throw refusal({ status, body: parse(text) });
      return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [parse(line)]));
    },
    async open(path, limitMs, signal) {
      const request = { method: 'GET', path: `${await prefix(signal)}${path}`, limitMs } as const;
      const limit = new AbortController();
      const timer = setTimeout(() => limit.abort(), limitMs);
      try {
        const response = await begin(request, AbortSignal.any([limit.signal, signal]));
        if (response.statusCode === 200) return response;
        const reply = { status: response.statusCode ?? 0, body: parse(await readAll(response)) };
        throw refusal(reply);
      } catch (error) {
        throw unavailable(error, request, limit.signal);
      } finally {
        clearTimeout(timer);
      }
    },
    version: askVersion,
  };
}

/** What the engine said of a request that it refused. */
export function refusal(reply: EngineReply): OverlaydError {
  return new OverlaydError('engine-refused', `the Docker Engine refused: ${messageOf(reply)}`);
}

export function messageOf({ status, body }: EngineReply): string {
  const message = (body as { readonly message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' && message !== '' ? message.trim() : `status ${status}`;
}

/** The engine's own, unless it is newer than what we know and still speaks older ones. */
function chooseApi({ api, oldestApi }: EngineVersion): string {
  if (compare(api, NEWEST_API) <= 0) return api;
  return compare(oldestApi, NEWEST_API) > 0 ? oldestApi : NEWEST_API;
}

/** Versions like `1.41`: negative when the first is older. */
function compare(first: string, second: string): number {
  const [major = 0, minor = 0] = first.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = second.split('.').map(Number);
  return major - otherMajor || minor - otherMinor;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // Of a proxy, or a very early failure: shown as it is.
    return { message: text };
  }
}
