/** Incus' API as far as it is used, on a Unix socket: answers are shaped as Incus 6.0 gives them. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { WebSocketServer } from 'ws';

export interface FakeInstance {
  name: string;
  project?: string;
  type?: string;
  status: string;
  location?: string;
  config?: Record<string, string>;
  /** Of its profiles. */
  inherited?: Record<string, string>;
  pid?: number;
  /** By path. */
  files?: Map<string, string>;
}

export class FakeIncus {
  readonly instances: FakeInstance[] = [];
  readonly asked: string[] = [];
  serverName = 'here';
  /** Its lists are empty, and say so in no way that can be read. */
  saysNothing = false;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#sockets = new WebSocketServer({ server: this.#server, path: '/1.0/events' });
  }

  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(path, resolve));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get listeners(): number {
    return this.#sockets.clients.size;
  }

  tell(action: string): void {
    const event = { type: 'lifecycle', metadata: { action, source: '/1.0/instances/db' } };
    for (const socket of this.#sockets.clients) socket.send(JSON.stringify(event));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://incus');
    this.asked.push(`${request.method} ${url.pathname}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const fine = (metadata: unknown) => send(response, 200, { type: 'sync', status_code: 200, metadata });
    const none = () => send(response, 404, { type: 'error', error: 'Instance not found', error_code: 404 });
    if (url.pathname === '/1.0') return fine({ environment: { server_name: this.serverName } });
    if (url.pathname === '/1.0/instances') return fine(this.saysNothing ? null : this.instances.map(shown));
    const [, name, below = ''] = /^\/1\.0\/instances\/([^/]+)(\/\w+)?$/.exec(url.pathname) ?? [];
    const instance = this.instances.find(
      (each) => each.name === name && (each.project ?? 'default') === url.searchParams.get('project'),
    );
    if (!instance) return none();
    if (below === '/state') return fine({ status: instance.status, pid: instance.pid ?? 0 });
    if (below === '/files') return this.#file(instance, url.searchParams.get('path')!, request, body, response);
    if (request.method === 'PATCH') {
      const { config } = JSON.parse(body) as { config: Record<string, string> };
      instance.config = { ...instance.config, ...config };
      this.tell('instance-updated');
      return fine(null);
    }
    return fine(shown(instance));
  }

  #file(
    instance: FakeInstance,
    path: string,
    { method }: IncomingMessage,
    body: string,
    response: ServerResponse,
  ): void {
    instance.files ??= new Map();
    const present = instance.files.get(path);
    const fine = { type: 'sync', metadata: null };
    if (method === 'POST') {
      instance.files.set(path, body);
      send(response, 200, fine);
    } else if (present === undefined) {
      send(response, 404, { type: 'error', error: 'file does not exist' });
    } else if (method === 'DELETE') {
      instance.files.delete(path);
      send(response, 200, fine);
    } else {
      response.writeHead(200, { 'X-Incus-type': 'file' });
      response.end(present);
    }
  }
}

function shown({
  name,
  project = 'default',
  type = 'container',
  status,
  location = 'none',
  config = {},
  inherited = {},
}: FakeInstance) {
  return { name, project, type, status, location, config, expanded_config: { ...inherited, ...config } };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}
