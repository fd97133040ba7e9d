/**
 * Where the programs that container tools run hand in their calls: `POST /TOOL/VERB?arg=…&NAME=VALUE…` over HTTP on a Unix
 * socket, what the program was given on its standard input as the body. `arg`: its arguments, in order; all else is of its
 * environment. 200: the program prints the body of the answer and ends with 0; 422: the same, with 1. Only root may call.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { asOverlaydError } from '../core/errors.ts';
import { SILENT, type Telemetry } from '../core/telemetry.ts';
import type { Clock, Logger } from '../ports/runtime.ts';
import type { ToolCall, ToolDoor } from '../ports/tools.ts';
import { endBy, readBody, tookTooLong, withinLimit } from './plugin-call.ts';
import { listenOn } from './plugin-socket.ts';

export interface ToolServerDeps {
  /** By name of the tool, as its program has it in the path. */
  readonly doors: Readonly<Record<string, ToolDoor>>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly telemetry?: Telemetry;
}

/** Below what the programs wait. */
const LIMIT_MS = 12_000;
const LAST_WORDS_MS = 1_000;

interface Reply {
  readonly status: 200 | 404 | 405 | 422;
  readonly body: string;
}

/** Resolves when it listens; `ended` resolves some time after the signal. Throws `config-invalid`, `conflict`. */
export async function serveTools(
  { doors, clock, logger, telemetry = SILENT }: ToolServerDeps,
  { path }: { readonly path: string },
  signal: AbortSignal,
): Promise<{ readonly ended: Promise<void> }> {
  async function answer(request: IncomingMessage): Promise<Reply> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://agent');
    const [, tool = '', verb = '', ...rest] = pathname.split('/').map(decodeURIComponent);
    const door = Object.hasOwn(doors, tool) ? doors[tool] : undefined;
    if (door === undefined || verb === '' || rest.length > 0) {
      return { status: 404, body: `this agent has no ${pathname}: the program that asked is of another version\n` };
    }
    if (request.method !== 'POST') return { status: 405, body: 'calls are POST\n' };
    const env: Record<string, string> = {};
    for (const [name, value] of searchParams) if (name !== 'arg') env[name] = value;
    const asked = { verb, args: searchParams.getAll('arg'), env };
    let input: string;
    try {
      input = await readBody(request);
    } catch (error) {
      return { status: 422, body: door.refuse(asOverlaydError(error), { ...asked, input: '' }) };
    }
    const task = () => handle(door, `${tool} ${verb}`, { ...asked, input });
    return await telemetry.run('tool', { tool, call: verb }, task, ({ status }) => status === 200);
  }

  async function handle(door: ToolDoor, name: string, call: ToolCall): Promise<Reply> {
    const startedAt = clock.elapsed();
    try {
      const body = await withinLimit((limit) => door.handle(call, limit), {
        ...{ clock, signal, limitMs: LIMIT_MS, lastWordsMs: LAST_WORDS_MS },
        late: () => {
          logger.warn({ call: name, ...call }, 'a call of a container tool took too long');
          return tookTooLong(name, LIMIT_MS);
        },
      });
      logger.debug({ call: name, durationMs: clock.elapsed() - startedAt, ...call, answer: body }, 'answered a tool');
      return { status: 200, body };
    } catch (thrown) {
      const error = asOverlaydError(thrown);
      if (error.code === 'internal') logger.error({ call: name, ...call, error: thrown }, 'call of a tool failed');
      else logger.debug({ call: name, ...call, error: thrown }, 'refused a call of a tool');
      return { status: 422, body: door.refuse(error, call) };
    }
  }

  const server = createServer((request, response) => {
    answer(request).then(
      (reply) => send(response, reply),
      (error: unknown) => {
        logger.error({ error }, 'call of a tool failed');
        response.destroy();
      },
    );
  });
  const remove = await listenOn(server, { path }, { mode: 0o600, option: '--run-dir' });
  return { ended: endBy(signal, { server, remove, clock, graceMs: 2 * LAST_WORDS_MS }) };
}

function send(response: ServerResponse, { status, body }: Reply): void {
  // The program reads until the end, and tells a whole answer by its length.
  response.writeHead(status, { Connection: 'close', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}
