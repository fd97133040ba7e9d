import { expect, it } from 'vitest';
import { HOST_PART } from '../../../src/agent/announcements.ts';
import { NameService } from '../../../src/agent/name-service.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { SERVICE_ADDRESS } from '../../../src/core/host-state.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { fakeView } from '../core/dns/fake-view.ts';
import { question, read } from '../core/dns/messages.ts';

/** Networks `w` and `d`, of both of which this host has endpoints. Listening at `stuck` never succeeds nor fails. */
function setUp({ stuck, complete = true }: { stuck?: string; complete?: boolean } = {}) {
  const clock = new VirtualClock();
  const listening = new Map<string, readonly string[]>();
  const refused = new Set<string>();
  const converging = Promise.withResolvers<void>();
  const view = {
    ...fakeView([
      { id: 'w', name: 'web', cidr: '10.0.1.0/24', endpoints: [] },
      { id: 'd', name: 'db', cidr: '10.0.2.0/24', endpoints: [] },
    ]),
    complete,
  };
  const names = new NameService(
    {
      clock,
      view,
      hidden: () => new Set(),
      local: {
        networkIds: () => ['w', 'd'],
        networksOfClient: () => [],
        hasWayOut: () => false,
        onNetwork: () => [{} as never],
      },
      serviceAddress: () => true,
      converge: () => converging.promise,
      forwarder: { ask: async () => undefined },
      random: { next: () => 0 },
      listen: () => ({
        ensure: async ({ networkId, addresses }) => {
          if (refused.has(networkId)) throw new OverlaydError('data-path-failed', 'port 53 is held by somebody');
          if (networkId === stuck) await new Promise(() => undefined);
          listening.set(networkId, addresses);
        },
        close: async (networkId) => void listening.delete(networkId),
      }),
    },
    { ttlSeconds: 5 },
  );
  const ask = () =>
    names.responder.handler(question('nope', 'A'), { networkId: 'w', address: '10.0.1.9', transport: 'udp' });
  return { clock, listening, refused, converging, view, names, ask };
}

const never = new AbortController().signal;

it('says where names should be answered and are not, until they are or need not be', async () => {
  const { names, refused } = setUp();
  for (const networkId of ['w', 'd', HOST_PART]) refused.add(networkId);
  await names.open(never);
  expect(names.problems()).toEqual([
    'names are not answered on this host: port 53 is held by somebody',
    'names are not answered on network web: port 53 is held by somebody',
    'names are not answered on network db: port 53 is held by somebody',
  ]);
  refused.clear();
  await names.ensure('w');
  await names.close('d');
  await names.ensure(HOST_PART);
  expect(names.problems()).toEqual([]);
});

it('listens wherever there are endpoints of this host, and on the host', async () => {
  const { names, listening } = setUp();
  await names.open(never);
  expect(listening).toEqual(
    new Map([
      [HOST_PART, [SERVICE_ADDRESS]],
      ['w', ['10.0.1.1', SERVICE_ADDRESS]],
      ['d', ['10.0.2.1', SERVICE_ADDRESS]],
    ]),
  );
  await names.closeAll();
  expect(listening).toEqual(new Map());
});

it('does not wait for what takes long, nor when the agent stops', async () => {
  const { names, listening, clock } = setUp({ stuck: 'w' });
  await clock.until(names.open(never), 1_000);
  expect([...listening.keys()].sort()).toEqual([HOST_PART, 'd']);
  const stop = new AbortController();
  const opening = names.open(stop.signal);
  stop.abort();
  await opening;
});

it('denies a name when records and ways are known', async () => {
  const { names, view, converging, ask } = setUp({ complete: false });
  const waiting = ask() as Promise<Uint8Array>;
  view.complete = true;
  names.becameWhole();
  expect(ask()).toBeInstanceOf(Promise);
  converging.resolve();
  expect(read(await waiting).rcode).toBe('NXDOMAIN');
  expect(ask()).toBeInstanceOf(Uint8Array);
});

it('denies a name soon, whatever is known', async () => {
  const { names, clock, ask } = setUp({ complete: false });
  const running = names.run(never);
  const waiting = ask() as Promise<Uint8Array>;
  await clock.until(running, 2_000);
  expect(read(await waiting).rcode).toBe('NXDOMAIN');
});

it('denies nothing while the agent stops', async () => {
  const { names, ask } = setUp({ complete: false });
  const stop = new AbortController();
  const running = names.run(stop.signal);
  const waiting = ask() as Promise<Uint8Array>;
  stop.abort();
  await running;
  expect(await Promise.race([waiting, Promise.resolve('no answer')])).toBe('no answer');
  expect(ask()).toBeInstanceOf(Promise);
});
