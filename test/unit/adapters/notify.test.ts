import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  AF,
  bindSocket,
  closeDescriptor,
  openSocket,
  receive,
  SOCK,
  unixAddress,
} from '../../../src/adapters/native/socket.ts';
import { createNotifier, type NotifySettings, takeNotifySettings } from '../../../src/adapters/notify.ts';
import type { Logger } from '../../../src/ports/runtime.ts';

let directory: string;
let socket: string;
/** The manager's end. */
let fd: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-notify-'));
  socket = join(directory, 'notify');
  fd = openSocket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK);
  bindSocket(fd, unixAddress(socket));
});
afterEach(() => {
  closeDescriptor(fd);
  rmSync(directory, { recursive: true });
});

/** The datagrams that have come since the last call. */
function received(from = fd): string[] {
  const buffer = Buffer.alloc(4_096);
  const all: string[] = [];
  for (let length = receive(from, buffer); length !== undefined; length = receive(from, buffer)) {
    all.push(buffer.toString('utf8', 0, length));
  }
  return all;
}

function start(settings: Partial<NotifySettings> = {}) {
  const warnings: string[] = [];
  const sleeps: number[] = [];
  const logger = { warn: (_fields: object, message: string) => warnings.push(message) } as unknown as Logger;
  const stop = new AbortController();
  const onSleep = { task: () => {} };
  const notifier = createNotifier(
    {
      clock: {
        now: () => 0,
        elapsed: () => 0,
        async sleep(ms) {
          sleeps.push(ms);
          onSleep.task();
          if (sleeps.length === 3) stop.abort();
        },
      },
      logger,
    },
    { socket, watchdogMs: 30_000, ...settings },
  );
  return { notifier, warnings, sleeps, onSleep, signal: stop.signal };
}

describe('the service manager', () => {
  it('is told by a datagram', async () => {
    const { notifier } = start();
    await notifier.ready('waiting for\ninit');
    await notifier.stopping();
    expect(received()).toEqual(['READY=1\nSTATUS=waiting for init', 'STOPPING=1\nSTATUS=stopping']);
  });

  it('is told at a socket that has a name and no file', async () => {
    const name = `@${directory}`;
    const abstract = openSocket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK);
    try {
      bindSocket(abstract, unixAddress(name));
      const { notifier, warnings } = start({ socket: name });
      await notifier.ready('here');
      expect(received(abstract)).toEqual(['READY=1\nSTATUS=here']);
      expect(warnings).toEqual([]);
    } finally {
      closeDescriptor(abstract);
    }
  });

  it('that has much to read is told a moment later', async () => {
    const { notifier, onSleep, sleeps, warnings } = start();
    while (sleeps.length === 0) await notifier.ready('again');
    expect(warnings).toHaveLength(1);
    received();
    while (sleeps.length < 11) {
      onSleep.task = () => void received();
      await notifier.ready('and again');
    }
    expect(warnings).toHaveLength(1);
  });

  it('is told when that changes, once', async () => {
    const { notifier, signal } = start();
    const states = ['waiting', 'node h1', 'node h1'];
    await notifier.ready('waiting');
    await notifier.followStatus(() => states.shift() ?? '', signal);
    expect(received().slice(1)).toEqual(['STATUS=node h1']);
  });

  it('that is not there is told nothing', async () => {
    const { notifier, signal } = start({ socket: undefined });
    await notifier.ready('x');
    await notifier.followStatus(() => 'y', signal);
    await notifier.feedWatchdog(async () => true, signal);
    expect(received()).toEqual([]);
  });

  it('that cannot be told is a warning', async () => {
    const { notifier, warnings } = start({ socket: join(directory, 'nobody') });
    await notifier.ready('x');
    expect(warnings).toEqual(['cannot notify systemd, it may take the agent for hung and restart it']);
  });

  it('has its watchdog fed twice a period while the agent is healthy', async () => {
    const { notifier, sleeps, warnings, signal } = start();
    const health = [true, false, true];
    await notifier.feedWatchdog(async () => health.shift() ?? false, signal);
    expect(received()).toEqual(['WATCHDOG=1', 'WATCHDOG=1']);
    expect(sleeps).toEqual([15_000, 15_000, 15_000]);
    expect(warnings).toEqual(['not healthy, the watchdog is not fed']);
  });

  it('gets no word from an agent whose health cannot be told', async () => {
    const { notifier, signal } = start();
    await notifier.feedWatchdog(() => Promise.reject(new Error('hung')), signal);
    expect(received()).toEqual([]);
  });
});

describe('its settings', () => {
  it('are taken out of the environment, so that children do not speak for us', () => {
    const environment = { NOTIFY_SOCKET: '@n', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7', PATH: '/bin' };
    expect(takeNotifySettings(environment, 7)).toEqual({ socket: '@n', watchdogMs: 30_000 });
    expect(environment).toEqual({ PATH: '/bin' });
  });

  it('are no watchdog when it watches another process, or when there is none', () => {
    expect(takeNotifySettings({ NOTIFY_SOCKET: '@n', WATCHDOG_USEC: '5', WATCHDOG_PID: '8' }, 7).watchdogMs).toBe(
      undefined,
    );
    expect(takeNotifySettings({}, 7)).toEqual({ socket: undefined, watchdogMs: undefined });
  });
});
