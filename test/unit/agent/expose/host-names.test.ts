import { expect, test } from 'vitest';
import { HostNames } from '../../../../src/agent/expose/host-names.ts';
import { asHost } from '../../../../src/core/expose.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';
import { silent } from '../../../sim/simulated-cluster.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const network = networkRecord({ name: 'Web' });
const record = endpointRecord({ networkId: network.id });

function start(isMade = true) {
  const clock = new VirtualClock();
  const asked: (readonly [string, readonly string[], string, readonly string[]])[] = [];
  const forgotten: string[] = [];
  const now = {
    ...{ isMade, isMember: true, isThere: true },
    refusal: undefined as Error | undefined,
    told: Promise.resolve(),
  };
  const member = {
    local: {
      has: () => now.isThere,
      all: () => [
        asHost(record, network.vni),
        { ...asHost(record, 1), container: { text: '', path: '', identity: 'c1' } },
      ],
    },
    view: { network: (id: string) => (id === network.id ? network : undefined) },
    reconciler: { isMade: () => now.isMade },
  };
  const names = new HostNames({
    resolver: {
      ask: async (...args) => {
        asked.push(args);
        await now.told;
        if (now.refusal) throw now.refusal;
        return true;
      },
      forget: async (link) => void forgotten.push(link),
    },
    member: () => (now.isMember ? (member as never) : undefined),
    clock,
    logger: silent,
  });
  const quit = new AbortController();
  const ended = names.run(quit.signal);
  const stop = () => {
    quit.abort();
    return ended;
  };
  return { asked, clock, forgotten, names, now, stop };
}

test('the resolver is told of each network on which the host is, and looked at once a minute', async () => {
  const { asked, clock, stop } = start();
  await clock.advance(1_000);
  expect(asked).toEqual([['ovl4096', ['10.0.1.1'], 'web.overlayd.internal', ['1.0.10.in-addr.arpa']]]);
  await clock.advance(180_000);
  expect(asked).toHaveLength(4);
  await stop();
});

test('a link that is not there yet, and a refusal, are tried again soon', async () => {
  const { asked, clock, now, stop } = start(false);
  await clock.advance(21_000);
  const before = asked.length;
  now.isMade = true;
  now.refusal = new Error('No such device');
  await clock.advance(11_000);
  expect(asked.length - before).toBe(2);
  now.refusal = undefined;
  await clock.advance(5_000);
  expect(asked.length - before).toBe(3);
  await clock.advance(50_000);
  expect(asked.length - before).toBe(3);
  await stop();
});

test('what is taken off while the resolver is told of it is forgotten after that, and not told again', async () => {
  const { asked, clock, forgotten, names, now, stop } = start();
  const { promise, resolve } = Promise.withResolvers<void>();
  now.told = promise;
  await clock.advance(1_000);
  now.isThere = false;
  const gone = names.forget(network);
  await clock.advance(1_000);
  expect([asked.length, forgotten]).toEqual([1, []]);
  resolve();
  await gone;
  expect(forgotten).toEqual(['ovl4096']);
  await clock.advance(130_000);
  expect(asked).toHaveLength(1);
  await stop();
});
