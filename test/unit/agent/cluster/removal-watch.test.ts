import { expect, test } from 'vitest';
import { RemovalWatch } from '../../../../src/agent/cluster/removal-watch.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type LogLine, recordingLogger } from './cluster-fixture.ts';

/** A host whose etcd does not answer, beside keepers that answer as `says` has it: undefined there is none that answers. */
function host(says: Record<string, boolean | undefined | 'silent'>) {
  const clock = new VirtualClock(0);
  const member = {
    self: { id: 'n9', advertiseAddress: '10.0.0.9', joinPort: 2377 },
    removed: false,
    storeConnected: false,
    view: { nodes: () => [{ advertiseAddress: '10.0.0.3', joinPort: 4000 }] },
  };
  const asked: { readonly at: number; readonly host: string }[] = [];
  const logged: LogLine[] = [];
  const watch = new RemovalWatch({
    ...{ clock, member, logger: recordingLogger(logged) },
    random: { next: () => 0, hex: () => '' },
    storeHosts: () => ['10.0.0.9', ...Object.keys(says)],
    ask: async (host, port, nodeId) => {
      // Each keeper's own, where it is known.
      expect({ port, nodeId }).toEqual({ port: host === '10.0.0.3' ? 4000 : 2377, nodeId: 'n9' });
      asked.push({ at: clock.elapsed(), host });
      const said = says[host];
      if (said === 'silent') throw new OverlaydError('peer-unreachable', 'nobody answers');
      return said;
    },
  });
  const quit = new AbortController();
  const ended = watch.run(quit.signal).catch(() => undefined);
  return {
    ...{ asked, clock, logged, member, watch },
    stop: async () => {
      quit.abort();
      await ended;
    },
  };
}

test('a keeper that knows tells, whatever the others do not, and it is logged once', async () => {
  const { clock, logged, watch, stop } = host({ '10.0.0.1': 'silent', '10.0.0.2': undefined, '10.0.0.3': false });
  await clock.advance(6_500);
  expect(watch.isTold).toBe(false);
  await clock.advance(8_000);
  expect(watch.isTold).toBe(true);
  await clock.advance(300_000);
  await stop();
  expect(watch.isTold).toBe(true);
  expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
});

test('a member is told nothing, and asks one keeper at a time, less and less often', async () => {
  const { asked, clock, watch, stop } = host({ '10.0.0.1': true, '10.0.0.2': true });
  await clock.advance(200_000);
  await stop();
  expect(watch.isTold).toBe(false);
  expect(asked.map(({ at }) => at / 1_000)).toEqual([2, 6, 14, 30, 62, 122, 182]);
  expect(asked.slice(0, 3).map(({ host }) => host)).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.1']);
});

test('etcd’s own word counts again as soon as there is one', async () => {
  const { clock, member, watch, stop } = host({ '10.0.0.1': false });
  await clock.advance(2_500);
  expect(watch.isTold).toBe(true);
  member.storeConnected = true;
  expect(watch.isTold).toBe(false);
  await clock.advance(60_000);
  member.storeConnected = false;
  expect(watch.isTold).toBe(false);
  await stop();
});

test('with an etcd of the user’s nobody is asked', async () => {
  const { asked, clock, stop } = host({});
  await clock.advance(60_000);
  await stop();
  expect(asked).toEqual([]);
});
