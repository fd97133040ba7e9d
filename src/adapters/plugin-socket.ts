/**
 * Where container tools find their plugin: a Unix socket that the service manager holds for us, or one of our own. Ours comes
 * into being under another name and is renamed when it listens with its final mode: nobody ever finds half a socket, a
 * stale one is replaced without a gap, and ending the server removes no socket that somebody else put there meanwhile.
 */
import { once } from 'node:events';
import { chmod, lstat, mkdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { OverlaydError } from '../core/errors.ts';

/** Given to the server by the service manager, or to be made. */
export type PluginSocket = { readonly fd: number } | { readonly path: string };

export interface SocketSetting {
  /** Of the file. */
  readonly mode: number;
  /** The option that says where it is, for errors. */
  readonly option: string;
  /** Who else may listen there and how it is ended, for errors; absent: another agent. */
  readonly endOther?: string;
}

const END_AGENT = 'stop the other agent, or `systemctl stop overlayd.socket`';

/** Resolves to what takes the socket away again. Throws `config-invalid`, `conflict`. */
export async function listenOn(
  server: Server,
  socket: PluginSocket,
  { mode, option, endOther = END_AGENT }: SocketSetting,
): Promise<() => Promise<void>> {
  if ('fd' in socket) {
    await listen(server, socket).catch((error: Error) => {
      const advice = 'it has to be a listening Unix stream socket: check overlayd.socket';
      throw new OverlaydError(
        'config-invalid',
        `socket ${socket.fd} of the service manager: ${error.message}; ${advice}`,
      );
    });
    return async () => {};
  }
  const { path } = socket;
  await prepare(path, option, endOther);
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await rm(temporary, { force: true });
  await listen(server, { path: temporary }).catch((error: Error) => {
    throw new OverlaydError('config-invalid', `cannot listen on ${path}: ${error.message}; check ${option}`);
  });
  await chmod(temporary, mode);
  const { dev, ino } = await stat(temporary);
  await rename(temporary, path);
  return async () => {
    const found = await lstat(path).catch(() => undefined);
    if (found?.ino === ino && found.dev === dev) await unlink(path).catch(() => {});
  };
}

function listen(server: Server, where: { fd: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function prepare(path: string, option: string, endOther: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 }).catch((error: Error) => {
    throw new OverlaydError(
      'config-invalid',
      `cannot make the directory of ${path}: ${error.message}; check ${option}`,
    );
  });
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    const advice = `move it away, or set ${option}`;
    throw new OverlaydError('config-invalid', `${path} exists and is no socket; ${advice}`);
  }
  if (await answers(path)) {
    throw new OverlaydError('conflict', `another program listens on ${path}; ${endOther}, or set ${option}`);
  }
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    return !['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
  } finally {
    socket.destroy();
  }
}
