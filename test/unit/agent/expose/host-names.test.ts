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
  const now = { isMade, refusal: undefined as Error | undefined, isMember: true };
  const member = {
    local: {
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
        if (now.refusal) throw now.refusal;
        return true;
      },
      forget: async () => undefined,
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
  return { asked, clock, now, stop };
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
