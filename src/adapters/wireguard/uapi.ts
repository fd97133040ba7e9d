/** The Unix socket of a WireGuard in userspace: requests, who listens there, and whether he still does. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { AF, closeDescriptor, connectSocket, openSocket, peerProcess, SOCK, unixAddress } from '../native/socket.ts';
import { describeErrno } from '../native/system-call.ts';
import { GET, readDevice, readErrno, renderSet, type UapiChange, type UapiDevice } from './uapi-text.ts';

/** One that says nothing for so long has stalled. */
const ANSWER_MS = 5_000;
/** What is said where nobody listens, or not any more. */
export const NOBODY = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ECONNRESET', 'EPIPE'];

/** `directory`: where the sockets are, `/var/run/wireguard`. */
export class Uapi {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  path(name: string): string {
    return join(this.#directory, `${name}.sock`);
  }

  /** Undefined: nobody listens, or not any more. Throws what else goes wrong. */
  async get(name: string): Promise<UapiDevice | undefined> {
    try {
      return readDevice(await ask(this.path(name), GET));
    } catch (error) {
      if (NOBODY.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    }
  }

  /** Throws with the code of what it answers (`EADDRINUSE`), and `ENOENT`, `ECONNREFUSED` where nobody listens. */
  async set(name: string, change: UapiChange): Promise<void> {
    await ask(this.path(name), renderSet(change));
  }

  /** The process that listens; undefined: none does. */
  listener(name: string): number | undefined {
    const fd = openSocket(AF.UNIX, SOCK.STREAM | SOCK.NONBLOCK);
    try {
      connectSocket(fd, unixAddress(this.path(name)), this.path(name));
      return peerProcess(fd);
    } catch (error) {
      if (NOBODY.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    } finally {
      closeDescriptor(fd);
    }
  }

  /** Resolves when the one who listens has ended; at once where nobody does. */
  ended(name: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect({ path: this.path(name) }).unref();
      const end = () => socket.destroy();
      if (signal.aborted) end();
      signal.addEventListener('abort', end, { once: true });
      socket.on('error', () => undefined).resume();
      socket.once('close', () => {
        signal.removeEventListener('abort', end);
        resolve();
      });
    });
  }
}

function ask(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket: Socket = connect({ path });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(ANSWER_MS, () => fail(coded('ETIMEDOUT', `no answer in ${ANSWER_MS / 1_000} s`)));
    socket.once('error', fail);
    socket.once('close', () => fail(coded('ECONNREFUSED', 'it ended before it answered')));
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      const errno = text.endsWith('\n') ? readErrno(answer) : undefined;
      if (errno === undefined) return;
      const { code, message } = describeErrno(errno);
      if (errno === 0) resolve(answer);
      else reject(coded(code, message));
      socket.destroy();
    });
    socket.write(request);
  });
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
