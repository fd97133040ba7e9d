/**
 * A names process in the place of another one, without a question lost. The old one starts the new one as its child, tells
 * it all that it knows, gives it its sockets one after the other over the channel that Node.js has for that (SCM_RIGHTS
 * of unix(7)), and then its place: the control socket. The lock is the same opened file, so it is held all along.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import type { Server } from 'node:net';
import type { NamesNews } from '../../../core/dns/names-protocol.ts';
import type { GiveSocket, OpenQuestion, Place } from '../listeners.ts';
import { programEnvironment } from './program.ts';
import type { ProgramStart } from './wire.ts';

/** Of what follows. A successor that knows another one ends, and the old one goes on. */
const VERSION = 1;
/** For each step; the first is the start of a process. */
const STEP_MS = 10_000;
/** The lock's descriptor in the successor: behind the standard ones and the channel. */
export const LOCK_FD = 4;
/** In the successor's arguments. */
export const SUCCESSOR = '--successor';

type ToSuccessor =
  | { readonly step: 'begin'; readonly version: number }
  | { readonly step: 'news'; readonly news: NamesNews }
  | { readonly step: 'tcp' | 'udp'; readonly place: Place }
  | { readonly step: 'question'; readonly question: Omit<OpenQuestion, 'message'>; readonly message: string }
  | { readonly step: 'yours' };

export interface Predecessor {
  readonly tell: () => Iterable<NamesNews>;
  readonly handOver: (give: GiveSocket) => Promise<{ open: readonly OpenQuestion[]; drained: Promise<unknown> }>;
  /** Gives up the control socket. */
  readonly stepDown: () => void;
}

/**
 * Resolves when the successor has everything, with the end of the connections that are left here. Throws: before
 * the first socket was given, `begun` false, this process goes on; later it cannot.
 */
export async function handOverTo(
  program: ProgramStart,
  lockFd: number,
  old: Predecessor,
): Promise<{ readonly drained: Promise<unknown> }> {
  const child = fork(program.programPath, [...program.arguments, SUCCESSOR], {
    execPath: program.nodePath,
    execArgv: [...program.flags],
    env: programEnvironment(),
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc', lockFd],
  });
  let begun = false;
  try {
    const say = (message: ToSuccessor, handle?: UdpSocket | Server) => {
      const done = nextWord(child);
      child.send(message, handle);
      return done;
    };
    await nextWord(child);
    await say({ step: 'begin', version: VERSION });
    for (const news of old.tell()) await say({ step: 'news', news });
    const { open, drained } = await old.handOver((place, step, socket) => {
      begun = true;
      return say({ step, place }, socket);
    });
    for (const { message, ...question } of open) {
      await say({ step: 'question', question, message: Buffer.from(message).toString('base64') });
    }
    // From here on nobody could reach this process any more.
    begun = true;
    old.stepDown();
    await say({ step: 'yours' });
    child.disconnect();
    child.unref();
    return { drained };
  } catch (error) {
    child.kill('SIGKILL');
    throw Object.assign(error as Error, { begun });
  }
}

/** The successor says something after each step. */
function nextWord(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => settle(new Error(`it did not answer within ${STEP_MS / 1_000} s`)), STEP_MS);
    const settle = (error?: Error) => {
      clearTimeout(limit);
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.off('error', settle);
      if (error) reject(error);
      else resolve();
    };
    const onMessage = () => settle();
    const onExit = (code: number | null, signal: string | null) => settle(new Error(`it ended (${code ?? signal})`));
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.on('error', settle);
  });
}

export interface Successor {
  readonly take: (news: NamesNews) => void;
  readonly adopt: (place: Place, kind: 'udp' | 'tcp', socket: unknown) => void;
  readonly resume: (question: OpenQuestion) => void;
  /** Takes the control socket. */
  readonly stepUp: () => Promise<void>;
}

/** In the successor: resolves when it has everything. Where the predecessor ends before that, this process does. */
export function succeed(successor: Successor): Promise<void> {
  const abandoned = () => process.exit(1);
  process.on('disconnect', abandoned);
  const done = Promise.withResolvers<void>();
  const word = () => process.send?.('done');
  process.on('message', async (message: ToSuccessor, handle: unknown) => {
    switch (message.step) {
      case 'begin':
        if (message.version !== VERSION) process.exit(1);
        break;
      case 'news':
        successor.take(message.news);
        break;
      case 'tcp':
      case 'udp':
        successor.adopt(message.place, message.step, handle);
        break;
      case 'question':
        successor.resume({ ...message.question, message: Buffer.from(message.message, 'base64') });
        break;
      case 'yours':
        await successor.stepUp();
        process.off('disconnect', abandoned);
        done.resolve();
        break;
    }
    word();
  });
  word();
  return done.promise;
}
