import { expect, it } from 'vitest';
import { NameService } from '../../../../src/agent/names/name-service.ts';
import { HOST_PART } from '../../../../src/agent/reconcile/announcements.ts';
import type { NamesRequest, ZoneClient } from '../../../../src/core/dns/names-protocol.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { SERVICE_ADDRESS } from '../../../../src/core/host-state.ts';
import type { NamesProcess, NamesSession } from '../../../../src/ports/names.ts';
import { FakeNames } from '../../../sim/fake-names.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type FakeEndpoint, fakeView } from '../../core/dns/fake-view.ts';
import { addressesIn, question, read } from '../../core/dns/messages.ts';

const containers = { resolve: async () => Promise.reject(new Error('there is none')), isAlive: async () => true };

interface SetUp {
  readonly stuck?: string;
  readonly isWhole?: boolean;
  /** The process is there when this resolves. */
  readonly starting?: Promise<void>;
}

/** Networks `w` and `d`, of both of which this host has endpoints. Listening at `stuck` never succeeds nor fails. */
function setUp({ stuck, isWhole = true, starting }: SetUp = {}) {
  const clock = new VirtualClock();
  const fake = new FakeNames(clock, seededRandom(1));
  const refused = new Set<string>();
  const asked: NamesRequest[] = [];
  const clients: ZoneClient[] = [];
  const endpoints: FakeEndpoint[] = [];
  const databases: FakeEndpoint[] = [];
  /** Networks of which this host has endpoints. */
  const own = new Set(['w', 'd']);
  const hidden = new Set<string>();
  const failing = new Set<string>();
  const view = {
    ...fakeView([
      { id: 'w', name: 'web', cidr: '10.0.1.0/24', endpoints },
      { id: 'd', name: 'db', cidr: '10.0.2.0/24', endpoints: databases },
    ]),
    isWhole,
    provesAbsence: isWhole,
  };
  const refusing = (session: NamesSession): NamesSession => ({
    ...session,
    ask: async (request) => {
      asked.push(request);
      if (request.kind === 'listen' && refused.has(request.networkId))
        throw new OverlaydError('data-path-failed', 'port 53 is held by somebody');
      if (request.kind === 'listen' && request.networkId === stuck) await new Promise(() => undefined);
      await session.ask(request);
    },
  });
  /** Another agent on the same host. */
  const agent = () => {
    const converging = Promise.withResolvers<void>();
    const process = fake.processFor({ over: false });
    const names = new NameService(
      {
        ...{ selfId: 'h1', clock, view, hidden: () => hidden },
        local: {
          all: () => [],
          networkIds: () => [...own],
          clientsOn: (networkId) => (networkId === 'w' ? clients : []),
          hasOnNetwork: (networkId) => own.has(networkId),
          unreadable: undefined,
        },
        containers,
        serviceAddress: () => true,
        learnWays: async () => {
          if (failing.delete('ways')) throw new Error('made to fail');
          await converging.promise;
        },
        process: {
          problem: undefined,
          run: async (onSession, signal) => {
            await starting;
            await process.run((session) => onSession(refusing(session)), signal);
          },
        },
      },
      { ttlSeconds: 5, inside: true },
    );
    return { names, converging };
  };
  const ask = (name = 'nope', networkId = 'w', address = '10.0.1.9') =>
    fake.handler(question(name, 'A'), { networkId, address, transport: 'udp' });
  const now = (...words: Parameters<typeof ask>) => read(ask(...words) as Uint8Array);
  return {
    clock,
    fake,
    refused,
    asked,
    clients,
    endpoints,
    databases,
    own,
    hidden,
    failing,
    view,
    agent,
    ...agent(),
    ask,
    now,
  };
}

const never = new AbortController().signal;

it('says where names should be answered and are not, until they are or need not be', async () => {
  const { names, refused, own } = setUp();
  for (const networkId of ['w', 'd', HOST_PART]) refused.add(networkId);
  await names.open(never);
  expect(names.problems()).toEqual([
    'names are not answered on this host: port 53 is held by somebody',
    'names are not answered on network web: port 53 is held by somebody',
    'names are not answered on network db: port 53 is held by somebody',
  ]);
  refused.clear();
  await names.ensure('w');
  own.delete('d');
  await names.ensure('d');
  await names.ensure(HOST_PART);
  expect(names.problems()).toEqual([]);
});

it('has names answered wherever there are endpoints of this host, and on the host, also when the agent has gone', async () => {
  const { names, fake } = setUp();
  const stop = new AbortController();
  await names.open(stop.signal);
  const everywhere = new Map([
    [HOST_PART, [SERVICE_ADDRESS]],
    ['w', ['10.0.1.1', SERVICE_ADDRESS]],
    ['d', ['10.0.2.1', SERVICE_ADDRESS]],
  ]);
  expect(fake.listening).toEqual(everywhere);
  stop.abort();
  await names.run();
  expect(fake.listening).toEqual(everywhere);
});

it('does not wait for what takes long, nor when the agent stops', async () => {
  const { names, fake, clock } = setUp({ stuck: 'w' });
  await clock.until(names.open(never), 1_000);
  expect([...fake.listening.keys()].sort()).toEqual([HOST_PART, 'd']);
  const stop = new AbortController();
  const opening = names.open(stop.signal);
  stop.abort();
  await opening;
});

it('denies a name when records and ways are known', async () => {
  const { names, view, converging, ask } = setUp({ isWhole: false });
  await names.open(never);
  const waiting = ask() as Promise<Uint8Array>;
  view.isWhole = true;
  view.provesAbsence = true;
  names.becameWhole();
  expect(ask()).toBeInstanceOf(Promise);
  converging.resolve();
  expect(read(await waiting).rcode).toBe('NXDOMAIN');
  expect(ask()).toBeInstanceOf(Uint8Array);
});

it('denies a name also when the ways could not be compared at first', async () => {
  const { names, failing, converging, clock, now } = setUp();
  failing.add('ways');
  converging.resolve();
  await names.open(never);
  names.becameWhole();
  await clock.advance(4_000);
  expect(now().rcode).toBe('SERVFAIL');
  await clock.advance(2_000);
  expect(now().rcode).toBe('NXDOMAIN');
});

it('says soon that it does not know, as long as it does not', async () => {
  const { names, clock, ask, now } = setUp({ isWhole: false });
  await names.open(never);
  const waiting = ask() as Promise<Uint8Array>;
  await clock.advance(2_000);
  expect(read(await waiting).rcode).toBe('SERVFAIL');
  expect(now().rcode).toBe('SERVFAIL');
});

it('keeps what an agent before knew until this one knows as much', async () => {
  const { names, clock, converging, agent, endpoints, hidden, view, fake, now } = setUp();
  endpoints.push({ address: '10.0.1.2', name: 'api', nodeId: 'h2' }, { address: '10.0.1.3', name: 'db', nodeId: 'h2' });
  converging.resolve();
  const stop = new AbortController();
  await names.open(stop.signal);
  names.becameWhole();
  await clock.advance(10);
  expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
  stop.abort();

  endpoints.length = 0;
  view.isWhole = false;
  view.provesAbsence = false;
  hidden.add('h2');
  fake.told.length = 0;
  const next = agent();
  await next.names.open(never);
  endpoints.push({ address: '10.0.1.4', name: 'new', nodeId: 'h1' });
  next.names.invalidate('w');
  await clock.advance(5_000);
  for (const [name, address] of [
    ['api', '10.0.1.2'],
    ['db', '10.0.1.3'],
    ['new', '10.0.1.4'],
  ] as const)
    expect(addressesIn(now(name))).toEqual([address]);
  expect(now('nope').rcode).toBe('NXDOMAIN');

  hidden.clear();
  endpoints.push({ address: '10.0.1.2', name: 'api', nodeId: 'h2' });
  view.isWhole = true;
  view.provesAbsence = true;
  next.names.becameWhole();
  await clock.advance(10);
  expect(addressesIn(now('db'))).toEqual(['10.0.1.3']);
  next.converging.resolve();
  await clock.advance(10);
  expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
  expect(now('db').rcode).toBe('NXDOMAIN');
});

it('tells a process that takes the place of one that died everything', async () => {
  const { names, clock, converging, endpoints, clients, fake, now } = setUp();
  endpoints.push({ address: '10.0.1.2', name: 'api' });
  clients.push({ address: '10.0.2.9', networks: ['w', 'd'], wayOut: false });
  converging.resolve();
  await names.open(never);
  names.becameWhole();
  await clock.advance(10);
  fake.kill();
  await clock.advance(10);
  expect([...fake.listening.keys()].sort()).toEqual([HOST_PART, 'd', 'w']);
  expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
  expect(now('nope').rcode).toBe('NXDOMAIN');
});

it('tells of a network while its ways are made, and has it answered from when they are there', async () => {
  const { names, own, databases, fake, clock, now } = setUp();
  own.delete('d');
  await names.open(never);
  names.becameWhole();
  await clock.advance(10);
  databases.push({ address: '10.0.2.2', name: 'api', nodeId: 'h2' });
  own.add('d');
  fake.told.length = 0;
  const made = Promise.withResolvers<void>();
  names.coming('d', made.promise);
  names.invalidate('d');
  await clock.advance(10);
  expect(fake.told).toMatchObject([{ kind: 'zone', networkId: 'd', set: { length: 1 }, ahead: true }]);
  made.resolve();
  await clock.advance(10);
  await names.applied('d');
  await names.ensure('d');
  expect(fake.told.slice(1)).toMatchObject([{ kind: 'zone' }, { kind: 'clients' }, { kind: 'whole' }]);
  expect(fake.told[1]).not.toHaveProperty('ahead');
  expect(addressesIn(now('api', 'd', '10.0.2.9'))).toEqual(['10.0.2.2']);
});

it('asks while a container is wired, and afterwards only for what was told meanwhile', async () => {
  const { names, own, endpoints, asked, clock, now } = setUp();
  own.delete('d');
  await names.open(never);
  await clock.advance(2_000);
  asked.length = 0;
  const listens = () => asked.filter(({ kind }) => kind === 'listen').length;
  endpoints.push({ address: '10.0.1.2', name: 'api', nodeId: 'h1' });
  names.invalidate('w');
  names.prepare('w');
  await names.ensure('w');
  expect(listens()).toBe(1);
  expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
  endpoints.push({ address: '10.0.1.3', name: 'db', nodeId: 'h1' });
  await names.applied('w');
  expect(listens()).toBe(2);
  expect(addressesIn(now('db'))).toEqual(['10.0.1.3']);
});

it('asks nothing ahead where names were not answered before, or are not any more', async () => {
  const { names, own, refused, asked } = setUp();
  own.delete('d');
  await names.open(never);
  asked.length = 0;
  own.add('d');
  names.prepare('d');
  await names.release('w');
  names.prepare('w');
  expect(asked.filter(({ kind }) => kind === 'listen')).toEqual([]);
  refused.add('w');
  await expect(names.ensure('w')).rejects.toThrow('port 53');
  asked.length = 0;
  names.prepare('w');
  expect(asked).toEqual([]);
});

it('tells what containers are on besides when that changes, and nothing twice', async () => {
  const { names, clock, clients, fake } = setUp();
  await names.open(never);
  fake.told.length = 0;
  clients.push({ address: '10.0.1.9', networks: ['w', 'd'], wayOut: true });
  names.invalidateClients();
  names.invalidateClients();
  await clock.advance(10);
  expect(fake.told).toEqual([{ kind: 'clients', networkId: 'w', set: clients, removed: [] }]);
  clients.length = 0;
  names.invalidateClients();
  await clock.advance(10);
  expect(fake.told.at(-1)).toMatchObject({ set: [], removed: ['10.0.1.9'] });
});

it('answers for no network that a container before at the same address was on, also while little is known', async () => {
  const { names, agent, clients, databases, view, clock, now } = setUp();
  databases.push({ address: '10.0.2.2', name: 'secret', nodeId: 'h1' });
  clients.push({ address: '10.0.1.9', networks: ['w', 'd'], wayOut: true });
  const stop = new AbortController();
  await names.open(stop.signal);
  names.becameWhole();
  await clock.advance(10);
  expect(addressesIn(now('secret'))).toEqual(['10.0.2.2']);
  stop.abort();
  view.isWhole = false;
  view.provesAbsence = false;
  clients.length = 0;
  await agent().names.open(never);
  await clock.advance(5_000);
  expect(addressesIn(now('secret'))).toEqual([]);
});

it('answers on a network that was left and entered again while the process was not there yet', async () => {
  const starting = Promise.withResolvers<void>();
  const { names, endpoints, own, clock, now, fake } = setUp({ starting: starting.promise });
  endpoints.push({ address: '10.0.1.2', name: 'api', nodeId: 'h1' });
  const opened = names.open(never);
  own.delete('w');
  const left = names.ensure('w');
  own.add('w');
  const entered = names.ensure('w');
  starting.resolve();
  await Promise.all([opened, left, entered]);
  await clock.advance(10);
  expect(fake.listening.has('w')).toBe(true);
  expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
});

it('does not answer on a network that was left while the process was not there yet', async () => {
  const starting = Promise.withResolvers<void>();
  const { names, own, clock, fake } = setUp({ starting: starting.promise });
  const opened = names.open(never);
  own.delete('w');
  starting.resolve();
  await opened;
  await clock.advance(10);
  expect([...fake.listening.keys()].sort()).toEqual([HOST_PART, 'd']);
});

it('tells what else there may be to close when all is known, and not before', async () => {
  const { names, asked, view, clock } = setUp({ isWhole: false });
  await names.open(never);
  expect(asked.some(({ kind }) => kind === 'keep')).toBe(false);
  view.isWhole = true;
  view.provesAbsence = true;
  names.becameWhole();
  names.becameWhole();
  await clock.advance(10);
  expect(asked.filter(({ kind }) => kind === 'keep')).toEqual([{ kind: 'keep', networkIds: [HOST_PART, 'w', 'd'] }]);
});

it('waits for a process that is not there, but not to close what it cannot hold', async () => {
  const { clock, view } = setUp();
  const problem = 'the process that answers names does not run';
  const process: NamesProcess = { problem, run: async () => undefined };
  const hasOnNetwork = (networkId: string) => networkId === 'w';
  const local = { all: () => [], networkIds: () => ['w'], clientsOn: () => [], hasOnNetwork, unreadable: undefined };
  const names = new NameService(
    {
      selfId: 'h1',
      clock,
      view,
      hidden: () => new Set(),
      local,
      containers,
      serviceAddress: () => false,
      learnWays: async () => {},
      process,
    },
    { ttlSeconds: 5, inside: true },
  );
  await names.ensure('d');
  await names.release('w');
  const ensured = names.ensure('w').catch((error: unknown) => error);
  await clock.advance(10_000);
  expect(await ensured).toMatchObject({ code: 'data-path-failed', message: problem, retryable: true });
  expect(names.problems()).toEqual([problem, `names are not answered on network web: ${problem}`]);
});
