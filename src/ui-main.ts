/** The server of `overlayd ui`: a process of its own, which asks the agent as every command does. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createControlClient } from './adapters/grpc/control.ts';
import { listenOn } from './adapters/plugin-socket.ts';
import { systemClock, systemRandom } from './adapters/system/time.ts';
import { OverlaydError } from './core/errors.ts';
import { formatHostPort } from './core/host-port.ts';
import { pageActions } from './ui/actions.ts';
import { EventFeed } from './ui/event-feed.ts';
import { Follower } from './ui/follower.ts';
import { Login } from './ui/login.ts';
import { createPageServer } from './ui/page-server.ts';
import { shownAddress } from './ui/shown-address.ts';
import { loadStaticFiles } from './ui/static-files.ts';

export interface UiOptions {
  /** Of the agent. */
  readonly socketPath: string;
  readonly listen: { readonly path: string } | { readonly host: string; readonly port: number };
  /** Names under which it may be asked, besides addresses. */
  readonly names: readonly string[];
  readonly write: boolean;
  /** Who reaches the listener has to come by the link. */
  readonly login: boolean;
  readonly print: (line: string) => void;
}

/** Bundled, the files lie beside this one. */
const FILES = import.meta.filename.endsWith('.ts')
  ? `${import.meta.dirname}/../dist/lib/page`
  : `${import.meta.dirname}/page`;

/** Serves until the signal aborts. Throws `conflict` when the address is taken, `config-invalid` when it is none of this host. */
export async function runUi(options: UiOptions, signal: AbortSignal): Promise<void> {
  const agent = createControlClient(options.socketPath);
  const clock = systemClock;
  const follower = new Follower({ agent, clock }, { run: systemRandom.hex(8), writable: options.write });
  let place = '';
  const linkTo = (secret: string) => `${place}/#login=${secret}`;
  const login = new Login({
    isNeeded: options.login,
    elapsed: clock.elapsed,
    onUsed: (secret) => options.print(`For another browser: ${linkTo(secret)}`),
  });
  const { view, problemOf } = follower;
  const asked = { agent, view, problemOf };
  const deps = { files: await loadStaticFiles(FILES), follower, events: new EventFeed(agent, clock), login };
  const server = createPageServer({ ...deps, actions: pageActions(asked, { writable: options.write }) }, options.names);
  const close = await listen(server, options.listen);
  if ('path' in options.listen) {
    const { path } = options.listen;
    options.print(
      `The page is at the socket ${path}. From elsewhere: ssh -L 7980:${path} root@HOST, then http://localhost:7980`,
    );
  } else {
    const { address, port } = server.address() as AddressInfo;
    place = `http://${formatHostPort(shownAddress(address, networkInterfaces()), port)}`;
    if (options.login) options.print(`Open this link, which works once: ${linkTo(login.secret)}`);
    else options.print(`The page: ${place}`);
  }
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await close();
  server.closeAllConnections();
  server.close();
  agent.close();
}

async function listen(server: Server, where: UiOptions['listen']): Promise<() => Promise<void>> {
  if ('path' in where)
    return listenOn(server, where, { mode: 0o600, option: '--listen', endOther: 'end the other `overlayd ui`' });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, where)));
    server.listen(where, resolve);
  });
  return async () => undefined;
}

function listenError(error: NodeJS.ErrnoException, { host, port }: { host: string; port: number }): OverlaydError {
  const place = formatHostPort(host, port);
  if (error.code === 'EADDRINUSE') {
    return new OverlaydError('conflict', `another program listens on ${place}: give another port by --listen`, {
      cause: error,
    });
  }
  return new OverlaydError('config-invalid', `cannot listen on ${place}: ${error.message}; check --listen`, {
    cause: error,
  });
}
