import { describe, expect, it } from 'vitest';
import { createNotifier, type NotifySettings, takeNotifySettings } from '../../../src/adapters/notify.ts';
import type { Logger } from '../../../src/ports.ts';

function start(settings: Partial<NotifySettings> = {}, fail = false) {
  const sent: string[][] = [];
  const warnings: string[] = [];
  const sleeps: number[] = [];
  const logger = { warn: (_fields: object, message: string) => warnings.push(message) } as unknown as Logger;
  const stop = new AbortController();
  const notifier = createNotifier(
    {
      async run(argv) {
        sent.push(argv.slice(1));
        return fail ? { code: 1, stderr: 'No status data could be sent' } : { code: 0, stderr: '' };
      },
      clock: {
        now: () => 0,
        elapsed: () => 0,
        async sleep(ms) {
          sleeps.push(ms);
          if (sleeps.length === 3) stop.abort();
        },
      },
      logger,
    },
    { socket: '/run/n', watchdogMs: 30_000, ...settings },
  );
  return { notifier, sent, warnings, sleeps, signal: stop.signal };
}

describe('the service manager', () => {
  it('is told through systemd-notify', async () => {
    const { notifier, sent } = start();
    await notifier.ready('waiting for\ninit');
    await notifier.stopping();
    expect(sent).toEqual([
      ['NOTIFY_SOCKET=/run/n', 'systemd-notify', 'READY=1', 'STATUS=waiting for init'],
      ['NOTIFY_SOCKET=/run/n', 'systemd-notify', 'STOPPING=1', 'STATUS=stopping'],
    ]);
  });

  it('is told when that changes, once', async () => {
    const { notifier, sent, signal } = start();
    const states = ['waiting', 'node h1', 'node h1'];
    await notifier.ready('waiting');
    await notifier.followStatus(() => states.shift() ?? '', signal);
    expect(sent.slice(1)).toEqual([['NOTIFY_SOCKET=/run/n', 'systemd-notify', 'STATUS=node h1']]);
  });

  it('that is not there is told nothing', async () => {
    const { notifier, sent, signal } = start({ socket: undefined });
    await notifier.ready('x');
    await notifier.followStatus(() => 'y', signal);
    await notifier.feedWatchdog(async () => true, signal);
    expect(sent).toEqual([]);
  });

  it('that cannot be told is a warning', async () => {
    const { notifier, warnings } = start({}, true);
    await notifier.ready('x');
    expect(warnings).toEqual(['cannot notify systemd, it may take the agent for hung and restart it']);
  });

  it('has its watchdog fed twice a period while the agent is healthy', async () => {
    const { notifier, sent, sleeps, warnings, signal } = start();
    const health = [true, false, true];
    await notifier.feedWatchdog(async () => health.shift() ?? false, signal);
    expect(sent.map((words) => words[2])).toEqual(['WATCHDOG=1', 'WATCHDOG=1']);
    expect(sleeps).toEqual([15_000, 15_000, 15_000]);
    expect(warnings).toEqual(['not healthy, the watchdog is not fed']);
  });

  it('gets no word from an agent whose health cannot be told', async () => {
    const { notifier, sent, signal } = start();
    await notifier.feedWatchdog(() => Promise.reject(new Error('hung')), signal);
    expect(sent).toEqual([]);
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
