/** The process's side of the socket: one agent at a time, the latest; each connection is a session. */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { NamesCounts } from '../../../core/dns/names-counts.ts';
import { NAMES_PROTOCOL, type NamesNews, type NamesRequest } from '../../../core/dns/names-protocol.ts';
import { asOverlaydError } from '../../../core/errors.ts';
import type { LogFields, Logger } from '../../../ports/runtime.ts';
import { type ControlRequest, type FromAgent, type LogLevel, readLines, writeLine } from './wire.ts';

export interface NamesServerDeps {
  readonly beginSession: () => void;
  readonly take: (news: NamesNews) => void;
  readonly handle: (request: NamesRequest | Exclude<ControlRequest, { kind: 'count' }>) => Promise<void>;
  readonly count: () => NamesCounts;
  /** The last agent has gone, or one has come. */
  readonly onAgent: (connected: boolean) => void;
}

export interface NamesServerOptions {
  readonly socketPath: string;
  readonly build: string;
}

export class NamesServer {
  readonly #deps: NamesServerDeps;
  readonly #options: NamesServerOptions;
  #server: Server | undefined;
  #agent: Socket | undefined;

  constructor(deps: NamesServerDeps, options: NamesServerOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** To be called by who holds the lock alone: a file that is there is nobody's. */
  async listen(): Promise<void> {
    const { socketPath } = this.#options;
    const server = createServer((socket) => this.#serve(socket));
    rmSync(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
    server.on('error', () => undefined);
    this.#server = server;
  }

  /** Nobody connects any more, and the file is gone. The agent that is connected stays so. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Whoever is connected is told that it is over. */
  hangUp(): void {
    this.#agent?.end();
  }

  /** Lines of the log go to the agent: there is nobody else who reads them. */
  readonly logger: Logger = {
    error: (fields, message) => this.#log('error', fields, message),
    warn: (fields, message) => this.#log('warn', fields, message),
    info: (fields, message) => this.#log('info', fields, message),
    debug: (fields, message) => this.#log('debug', fields, message),
    child: () => this.logger,
  };

  #log(level: LogLevel, fields: LogFields, message: string): void {
    // An agent that reads nothing must not cost memory.
    if (this.#agent === undefined || this.#agent.writableNeedDrain) return;
    const { error } = fields;
    const plain = error instanceof Error ? { ...fields, error: error.message } : fields;
    writeLine(this.#agent, { log: { level, fields: plain, message } });
  }

  #serve(socket: Socket): void {
    this.#agent?.destroy();
    this.#agent = socket;
    this.#deps.onAgent(true);
    this.#deps.beginSession();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#agent !== socket) return;
      this.#agent = undefined;
      this.#deps.onAgent(false);
    });
    const { build } = this.#options;
    writeLine(socket, { hello: { protocol: NAMES_PROTOCOL, build, pid: process.pid } });
    readLines<FromAgent>(socket, (message) => {
      if (this.#agent !== socket) return;
      if ('news' in message) this.#deps.take(message.news);
      else void this.#answer(socket, message.id, message.request);
    });
  }

  async #answer(socket: Socket, id: number, request: NamesRequest | ControlRequest): Promise<void> {
    try {
      if (request.kind === 'count') return writeLine(socket, { id, counts: this.#deps.count() });
      await this.#deps.handle(request);
      writeLine(socket, { id });
    } catch (cause) {
      const { code, message } = asOverlaydError(cause);
      writeLine(socket, { id, error: { code, message } });
    }
  }
}
