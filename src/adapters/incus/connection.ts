/** HTTP to Incus on its Unix socket. Every request has a connection of its own, and a limit. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { OverlaydError } from '../../core/errors.ts';

export interface IncusRequest {
  readonly method: 'GET' | 'PATCH' | 'POST' | 'DELETE';
  /** With its query, e.g. `/1.0/instances?recursion=1`. */
  readonly path: string;
  /** Sent as it is. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface IncusReply {
  readonly status: number;
  readonly text: string;
}

/** Any status. Throws `engine-unavailable`, retryable. */
export type IncusCall = (request: IncusRequest) => Promise<IncusReply>;

const LIMIT_MS = 15_000;
const MAX_CHARACTERS = 64 * 1024 * 1024;

export function createIncusCall(socketPath: string): IncusCall {
  return async ({ method, path, body, headers = {} }) => {
    const limit = AbortSignal.timeout(LIMIT_MS);
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
        const sent = httpRequest({
          ...{ socketPath, method, path, signal: limit, agent: false },
          headers: { Host: 'incus', ...length, ...headers },
        });
        sent.once('response', resolve);
        sent.once('error', reject);
        sent.end(body);
      });
      let text = '';
      response.setEncoding('utf8');
      for await (const chunk of response as AsyncIterable<string>) {
        text += chunk;
        if (text.length > MAX_CHARACTERS) throw new Error('its answer is too long');
      }
      return { status: response.statusCode ?? 0, text };
    } catch (error) {
      const reason = limit.aborted
        ? `did not answer ${method} ${path.split('?')[0]} within ${LIMIT_MS / 1_000} s; see its log`
        : `cannot be reached (${(error as Error).message}); start it, or set --incus-socket`;
      throw new OverlaydError('engine-unavailable', `Incus on ${socketPath} ${reason}`, {
        cause: error,
        retryable: true,
      });
    }
  };
}
