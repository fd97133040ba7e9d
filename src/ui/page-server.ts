/** HTTP for the page: its files, the state, a stream of changes, and what it asks for. Everything but the files needs a login. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { asOverlaydError, OverlaydError } from '../core/errors.ts';
import { Connections } from './connections.ts';
import type { EventFeed } from './event-feed.ts';
import type { Follower } from './follower.ts';
import type { Login } from './login.ts';
import { ELSEWHERE, refusal } from './request-guard.ts';
import type { StaticFile } from './static-files.ts';

/** What the page may ask for besides, by the last part of its path: given JSON, it answers what becomes JSON. */
export type Actions = Readonly<Record<string, (body: Readonly<Record<string, unknown>>) => Promise<unknown>>>;

export interface PageServerDeps {
  readonly files: ReadonlyMap<string, StaticFile>;
  readonly follower: Follower;
  readonly events: EventFeed;
  readonly login: Login;
  readonly actions: Actions;
}

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};
const MOST_BODY = 16 * 1024;
/** A request is small, and comes at once. */
const PATIENCE = { headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 };
/** Pages that look, and things that are asked of the agent for them, at a time. */
const MOST_STREAMS = 64;
const MOST_ASKED = 8;
/** Of one page that does not read; larger than what a moment tells. */
const MOST_UNREAD = 8 * 1024 * 1024;
/** So that what was cut on the way is noticed by both. */
const BEAT_MS = 20_000;

/** `names`: under which it is served besides addresses and `localhost`, in lower case. */
export function createPageServer(deps: PageServerDeps, names: readonly string[]): Server {
  const server = createServer(PATIENCE, (request, response) => {
    answer(context, request, response).catch((error: unknown) => fail(response, error));
  });
  const state = new CompressedText();
  const context = { ...deps, names, state, connections: new Connections(server), open: { streams: 0, asked: 0 } };
  return server;
}

interface Context extends PageServerDeps {
  readonly names: readonly string[];
  readonly state: CompressedText;
  readonly connections: Connections;
  readonly open: { streams: number; asked: number };
}

async function answer(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { actions, connections, files, login, names, open } = context;
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  const { headers, method = '' } = request;
  const site = headers['sec-fetch-site'];
  const refused = refusal({ host: headers.host, origin: headers.origin, site: site && String(site) }, names);
  const { pathname, searchParams } = URL.parse(request.url ?? '', 'http://page') ?? {};
  if (pathname === undefined) return refuse(response, 400, 'the request names no place');
  // A link from elsewhere may open the page, which has nothing of anybody.
  const file = method === 'GET' || method === 'HEAD' ? files.get(pathname) : undefined;
  if (refused !== undefined && !(file && refused === ELSEWHERE)) return refuse(response, 403, refused);
  if (file) return sendFile(request, response, file);
  if (method === 'POST' && pathname === '/api/login') return logIn(login, request, response);
  if (!login.accepts(headers.cookie)) return refuse(response, 401, 'the page has to be opened by its link');
  connections.know(request.socket);
  if (method === 'GET' && pathname === '/api/state') return sendState(context, response);
  if (method === 'GET' && pathname === '/api/changes') {
    if (open.streams >= MOST_STREAMS) return refuse(response, 503, `${MOST_STREAMS} pages are open: close some`);
    return sendChanges(context, request, response, searchParams!);
  }
  const name = /^\/api\/([a-z]+)$/.exec(pathname)?.[1] ?? '';
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (method !== 'POST' || !action) return refuse(response, 404, 'there is nothing here');
  const body = await bodyOf(request);
  if (open.asked >= MOST_ASKED) return refuse(response, 503, 'others ask too: ask again in a moment');
  open.asked++;
  try {
    sendJson(response, 200, (await action(body)) ?? {});
  } finally {
    open.asked--;
  }
}

async function logIn(login: Login, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { secret } = await bodyOf(request);
  const cookie = login.redeem(String(secret ?? ''));
  if (cookie === undefined) return refuse(response, 401, 'the link was used before, or is of another run');
  response.setHeader('Set-Cookie', cookie);
  sendJson(response, 200, {});
}

function sendFile(request: IncomingMessage, response: ServerResponse, { type, tag, body }: StaticFile): void {
  response.setHeader('ETag', tag);
  response.setHeader('Cache-Control', 'no-cache');
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, { 'Content-Type': type, 'Content-Encoding': 'gzip', 'Content-Length': body.length });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function sendState({ follower, state }: Context, response: ServerResponse): Promise<void> {
  const body = await state.of(await follower.state());
  const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip', 'Cache-Control': 'no-store' };
  response.writeHead(200, { ...headers, 'Content-Length': body.length }).end(body);
}

/** Several pages that begin at once get the same bytes. */
class CompressedText {
  #text = '';
  #body: Promise<Buffer> | undefined;

  of(text: string): Promise<Buffer> {
    if (text !== this.#text || !this.#body) {
      this.#text = text;
      this.#body = promisify(gzip)(text, { level: 1 });
    }
    return this.#body;
  }
}

/**
 * Server-sent events: `change`; `begin`, when the page has to read the state anew; `events`, where it asked for them.
 */
function sendChanges(
  { follower, events, open }: Context,
  request: IncomingMessage,
  response: ServerResponse,
  asked: URLSearchParams,
): void {
  const gone = new AbortController();
  open.streams++;
  const leave = () => {
    open.streams--;
    clearInterval(beat);
    gone.abort();
  };
  const write = (text: string) => {
    response.write(text);
    if (response.writableLength > MOST_UNREAD) response.destroy();
  };
  const beat = setInterval(() => write(':\n\n'), BEAT_MS);
  response.once('close', leave);
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  // A browser that connects anew says what it heard last.
  const after = Number(request.headers['last-event-id'] ?? asked.get('after'));
  const tell = ({ revision, text }: { revision: number; text: string }) =>
    write(`id: ${revision}\nevent: change\ndata: ${text}\n\n`);
  const missed = follower.published.since(asked.get('run') ?? '', after);
  if (missed) for (const change of missed) tell(change);
  else write('event: begin\ndata: {}\n\n');
  follower.follow(tell, gone.signal);
  if (asked.get('events') === '1') {
    events.follow((told) => write(`event: events\ndata: ${JSON.stringify(told)}\n\n`), gone.signal);
  }
}

/** JSON, said to be such: a form of another site cannot. */
async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
    throw new OverlaydError('invalid-argument', 'what is asked is to be JSON');
  }
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MOST_BODY) throw new OverlaydError('invalid-argument', 'what is asked is too long');
    parts.push(part);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(parts).toString());
    if (typeof body === 'object' && body !== null) return { ...body };
  } catch {
    // As what is no object.
  }
  throw new OverlaydError('invalid-argument', 'what is asked is to be JSON');
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  // What is refused need not have been read to its end.
  if (status >= 400) response.setHeader('Connection', 'close');
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(text);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { message });
}

function fail(response: ServerResponse, thrown: unknown): void {
  const error = asOverlaydError(thrown);
  if (response.headersSent) response.destroy();
  else sendJson(response, error.code === 'internal' ? 500 : 409, { code: error.code, message: error.message });
}
