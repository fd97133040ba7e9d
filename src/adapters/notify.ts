/**
 * Tells systemd how the agent is (sd_notify(3), `Type=notify`): a datagram to a unix socket, to which the kernel adds whose it
 * is. Without a service manager nothing is said.
 */
import type { Clock, Logger } from '../ports/runtime.ts';
import { AF, closeDescriptor, connectSocket, MSG, openSocket, SOCK, send, unixAddress } from './native/socket.ts';
import type { SystemCallError } from './native/system-call.ts';

export interface Notifier {
  /** The agent answers requests. */
  ready(status: string): Promise<void>;
  /** Keeps the line of `systemctl status` true, until the signal aborts. */
  followStatus(describe: () => string, signal: AbortSignal): Promise<void>;
  stopping(): Promise<void>;
  /**
   * Reassures the watchdog twice in each of its periods, as long as `isHealthy` says so; returns when the signal
   * aborts, at once when there is no watchdog. Not being healthy, or a stalled event loop, lets systemd restart us.
   */
  feedWatchdog(isHealthy: () => Promise<boolean>, signal: AbortSignal): Promise<void>;
}

export interface NotifierDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What the service manager said when it started us. */
export interface NotifySettings {
  readonly socket: string | undefined;
  /** Undefined without a watchdog. */
  readonly watchdogMs: number | undefined;
}

/** Somebody who looks after a command should see what it has done. */
const STATUS_MS = 1_000;

/** A manager that has much to read takes it a moment later. */
const FULL = { attempts: 10, pauseMs: 100 } as const;

const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

/**
 * Reads the settings and removes them from the environment: a child such as etcd would take them for its own, and
 * report itself ready in our name.
 */
export function takeNotifySettings(environment: Record<string, string | undefined>, pid: number): NotifySettings {
  const [socket, period, watched] = VARIABLES.map((name) => environment[name]);
  for (const name of VARIABLES) delete environment[name];
  const forUs = watched === undefined || watched === String(pid);
  const microseconds = Number(period);
  return {
    socket: socket === '' ? undefined : socket,
    watchdogMs: forUs && microseconds > 0 ? microseconds / 1_000 : undefined,
  };
}

export function createNotifier({ clock, logger }: NotifierDeps, { socket, watchdogMs }: NotifySettings): Notifier {
  const tellAll = async (...assignments: string[]) => {
    if (socket === undefined) return;
    try {
      for (let attempt = 1; !sendNow(socket, assignments.join('\n')); attempt++) {
        if (attempt === FULL.attempts) throw new Error(`${socket} takes nothing`);
        await clock.sleep(FULL.pauseMs);
      }
    } catch (error) {
      logger.warn({ error, assignments }, 'cannot notify systemd, it may take the agent for hung and restart it');
    }
  };
  let told = '';
  const tell = (status: string) => {
    told = oneLine(status);
    return `STATUS=${told}`;
  };
  return {
    ready: (status) => tellAll('READY=1', tell(status)),
    async followStatus(describe, signal) {
      while (socket !== undefined && !signal.aborted) {
        await clock.sleep(STATUS_MS, signal, 'loosely').catch(() => {});
        const status = describe();
        if (!signal.aborted && oneLine(status) !== told) await tellAll(tell(status));
      }
    },
    stopping: () => tellAll('STOPPING=1', 'STATUS=stopping'),
    async feedWatchdog(isHealthy, signal) {
      if (socket === undefined || watchdogMs === undefined) return;
      while (!signal.aborted) {
        if (await isHealthy().catch(() => false)) await tellAll('WATCHDOG=1');
        else logger.warn({ watchdogMs }, 'not healthy, the watchdog is not fed');
        await clock.sleep(watchdogMs / 2, signal).catch(() => {});
      }
    },
  };
}

/** False while the socket's queue is full. Throws what the system says. */
function sendNow(socket: string, text: string): boolean {
  const fd = openSocket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK);
  try {
    connectSocket(fd, unixAddress(socket), socket);
    send(fd, Buffer.from(text), MSG.DONTWAIT);
    return true;
  } catch (error) {
    if ((error as SystemCallError).code === 'EAGAIN') return false;
    throw error;
  } finally {
    closeDescriptor(fd);
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
