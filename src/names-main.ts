/**
 * The process that answers names. Started by the agent, which it outlives: `names SOCKET LOCK BUILD`. It opens the sockets,
 * goes on with what it was told when nobody tells it any more, and hands all of it over to a successor when told so.
 * Small on purpose: nothing is imported but what answering needs.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { createForwarder } from './adapters/dns/forwarder.ts';
import { InsideListeners, isInside } from './adapters/dns/inside.ts';
import { SocketListeners } from './adapters/dns/listeners.ts';
import { NamesServer } from './adapters/dns/process/server.ts';
import { handOverTo, LOCK_FD, SUCCESSOR, succeed } from './adapters/dns/process/succession.ts';
import type { ControlRequest } from './adapters/dns/process/wire.ts';
import { rehearse } from './adapters/dns/rehearsal.ts';
import { hostResolvers } from './adapters/dns/resolv-conf.ts';
import { tryLock } from './adapters/native/file-lock.ts';
import { nameProcess } from './adapters/system/process-name.ts';
import { bePrompt } from './adapters/system/promptness.ts';
import { systemClock, systemRandom } from './adapters/system/time.ts';
import type { NamesCounts } from './core/dns/names-counts.ts';
import type { NamesRequest } from './core/dns/names-protocol.ts';
import { Answering } from './names/answering.ts';

/** Another one runs. */
const LOCKED = 3;
/** Connections that a successor could not take over are served for so long at most. */
const DRAIN_MS = 30_000;
/** Who answers nothing and hears from no agent is not needed. */
const LONELY_MS = 30_000;

const [socketPath = '', lockPath = '', build = ''] = process.argv.slice(2);
const isSuccessor = process.argv.includes(SUCCESSOR);
// A terminal's interrupt reaches the whole group, a service manager's end all that is left: the agent decides.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.umask(0o077);
nameProcess('overlayd-names');
bePrompt();
// The agent that started it may have gone: what Node.js would warn of has no reader.
process.stderr.on('error', () => undefined);

const lockFd = isSuccessor ? LOCK_FD : openSync(lockPath, 'a');
if (!isSuccessor && !tryLock(lockFd)) process.exit(LOCKED);

let lonely: NodeJS.Timeout | undefined;
const server = new NamesServer(
  {
    beginSession: () => answering.beginSession(),
    take: (news) => answering.take(news),
    handle,
    count,
    onAgent: (connected) => {
      clearTimeout(lonely);
      if (!connected) waitAlone();
    },
  },
  { socketPath, build },
);
const { logger } = server;
process.on('uncaughtException', (error) => {
  logger.error({ error }, 'the process that answers names cannot go on');
  // Whoever starts it waits for its words before it is connected.
  process.stderr.write(`${error.message}\n`);
  setImmediate(() => process.exit(1));
});

let listeners!: SocketListeners;
let inside!: InsideListeners;
const answering = new Answering({
  listen: (handler) => {
    listeners = new SocketListeners({ handler, logger }, { task: socketPath });
    return listeners;
  },
  serveInside: (handler) => {
    inside = new InsideListeners({ handler, logger });
    return inside;
  },
  forward: (isOwn) => createForwarder({ servers: hostResolvers('/etc/resolv.conf', { isOwn }), isOwn }),
  clock: systemClock,
  random: systemRandom,
  stopwatch: () => performance.now(),
});

function count(): NamesCounts {
  const { answers } = answering.responder;
  const { dropped, merged, failed, overloaded, waiting } = answering.responder.stats();
  const { user, system } = process.cpuUsage();
  return {
    ...answers,
    ...{ stranger: dropped, flood: listeners.dropped + inside.dropped, overloaded, merged, failed, waiting },
    ...{ cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() },
  };
}

async function handle(request: NamesRequest | Exclude<ControlRequest, { kind: 'count' }>): Promise<void> {
  if (request.kind === 'end') setImmediate(() => process.exit(0));
  else if (request.kind === 'replace') await replaceOnce(request);
  else await answering.handle(request);
}

/** Under way, or done. */
let replacement: Promise<void> | undefined;

/** An agent that comes meanwhile waits for the same successor. */
function replaceOnce(request: Extract<ControlRequest, { kind: 'replace' }>): Promise<void> {
  replacement ??= replace(request);
  return replacement;
}

async function replace({ program }: Extract<ControlRequest, { kind: 'replace' }>): Promise<void> {
  try {
    const { drained } = await handOverTo(program, lockFd, {
      tell: () => answering.tell(),
      handOver: async (give) => {
        const all = [await listeners.handOver(give), await inside.handOver(give)];
        return { open: all.flatMap(({ open }) => open), drained: Promise.all(all.map(({ drained }) => drained)) };
      },
      stepDown: () => server.close(),
    });
    // The lock is the successor's alone: should that end, the next one must not wait for our connections.
    closeSync(lockFd);
    setTimeout(() => process.exit(0), DRAIN_MS);
    void drained.then(() => setImmediate(() => process.exit(0)));
    setImmediate(() => server.hangUp());
  } catch (error) {
    // What was given away is lost with the successor: the agent starts one anew.
    if ((error as { begun?: boolean }).begun) setImmediate(() => process.exit(1));
    replacement = undefined;
    throw error;
  }
}

function waitAlone(): void {
  lonely = setTimeout(() => {
    if (listeners.count + inside.count === 0) process.exit(0);
    waitAlone();
  }, LONELY_MS).unref();
}

async function stepUp(): Promise<void> {
  try {
    // Whom to end, should it hang: the lock tells whether it is still the one.
    writeFileSync(lockPath, `${process.pid}\n`);
  } catch (error) {
    // A disk that is full is no reason to answer nothing.
    logger.warn({ error }, 'the process that answers names cannot write its id; should it hang, end it by hand');
  }
  await server.listen();
  waitAlone();
}

async function main(): Promise<void> {
  if (!isSuccessor) {
    await stepUp();
    return await rehearse(socketPath);
  }
  await succeed({
    take: (news) => answering.take(news),
    adopt: (place, kind, socket) => {
      if (isInside(place)) inside.adopt(place, kind, socket);
      else listeners.adopt(place, kind, socket);
    },
    resume: (question) => {
      if (!inside.resume(question)) listeners.resume(question);
    },
    stepUp,
  });
}

void main();
