import { expect, it } from 'vitest';
import { InsideNames } from '../../../../src/agent/names/inside-names.ts';
import { type EngineAttachment, handedOver, type LocalEndpoint } from '../../../../src/core/container.ts';
import type { NamesNews, NamesRequest } from '../../../../src/core/dns/names-protocol.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { EndpointRecord } from '../../../../src/core/records.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const SANDBOX = '/run/docker/netns/0123';

interface Of {
  readonly network?: string;
  readonly ip?: string;
  /** Absent: the engine has not said. */
  readonly pid?: number;
  readonly engine?: Partial<EngineAttachment>;
}

function endpoint({ network = 'w', ip = '10.0.0.2', pid, engine = {} }: Of = {}): LocalEndpoint {
  const attachment = { endpointId: `e-${network}`, networkId: `n-${network}`, sandbox: SANDBOX, ...engine };
  const running = { text: 'docker:api', path: `/proc/${pid}/ns/net`, identity: `${pid}:1` };
  return {
    record: {
      id: `r-${network}`,
      name: 'api',
      networkId: network,
      addresses: [{ ip, prefix: 24 }],
    } as unknown as EndpointRecord,
    container: pid === undefined ? handedOver(attachment) : running,
    ifname: 'eth0',
    engine: attachment,
  };
}

function setUp({ enabled = true, unreadable }: { enabled?: boolean; unreadable?: string } = {}) {
  const clock = new VirtualClock();
  const here: LocalEndpoint[] = [];
  const there = new Set<string>();
  const dead = new Set<string>();
  const said: (NamesRequest | NamesNews)[] = [];
  const refuse = { why: undefined as string | undefined };
  const names = new InsideNames(
    {
      ...{ clock, local: { all: () => here, unreadable } },
      networkName: (id) => ({ w: 'web', d: 'data' })[id],
      containers: {
        resolve: async (text) => {
          if (!there.has(text)) throw new OverlaydError('namespace-not-found', 'not yet');
          return { text, path: SANDBOX, identity: 'i' };
        },
        isAlive: async ({ identity }) => !dead.has(identity),
      },
    },
    enabled,
  );
  const begin = () => {
    const ended = new AbortController();
    names.begin({
      ended: ended.signal,
      tell: (news) => said.push(news),
      ask: async (request) => {
        said.push(request);
        if (refuse.why && request.kind === 'serve') throw new OverlaydError('data-path-failed', refuse.why);
      },
    });
  };
  /** What was said since, in turns in which all that waits for nothing happens. */
  const next = async () => {
    await clock.advance(0);
    return said.splice(0);
  };
  return { names, clock, here, there, dead, refuse, begin, next };
}

const served = { key: SANDBOX, networkId: 'w', address: '10.0.0.2' };

it('has a container answered as soon as its namespace is there, and tells more when its process is known', async () => {
  const { names, clock, here, there, begin, next } = setUp();
  begin();
  expect(await next()).toEqual([
    { kind: 'naming', networkIds: [] },
    { kind: 'keep-inside', keys: [] },
  ]);
  here.push(endpoint());
  names.look();
  expect(await next()).toEqual([{ kind: 'naming', networkIds: ['w'] }]);
  there.add(`netns:${SANDBOX}`);
  await clock.advance(10);
  const early = { ...served, namespacePath: SANDBOX, engineKnows: true };
  expect(await next()).toEqual([{ kind: 'serve', container: early }]);
  here[0] = endpoint({ pid: 7, engine: { containerId: 'c', engineKnows: false } });
  names.look();
  const running = { ...served, namespacePath: '/proc/7/ns/net', process: 7, engineKnows: false };
  expect(await next()).toEqual([
    { kind: 'naming', networkIds: [] },
    { kind: 'serve', container: running },
  ]);
  names.look();
  expect(await next()).toEqual([]);
  here.pop();
  names.look();
  expect(await next()).toEqual([{ kind: 'leave', key: SANDBOX }]);
});

it('goes by the first of a container’s networks, and by all of them for what its engine knows', async () => {
  const { here, begin, next } = setUp();
  const known = { containerId: 'c', engineKnows: false };
  here.push(endpoint({ pid: 7, engine: known }));
  here.push(endpoint({ network: 'd', ip: '10.0.1.2', engine: { ...known, engineKnows: true } }));
  begin();
  const container = { ...served, networkId: 'd', address: '10.0.1.2', namespacePath: '/proc/7/ns/net', process: 7 };
  expect(await next()).toContainEqual({ kind: 'serve', container: { ...container, engineKnows: true } });
});

it('does not look for a namespace for ever', async () => {
  const { names, clock, here, there, begin, next } = setUp();
  here.push(endpoint());
  begin();
  await clock.advance(120_000);
  await next();
  there.add(`netns:${SANDBOX}`);
  await clock.advance(120_000);
  expect(await next()).toEqual([]);
  names.look();
  expect(await next()).toMatchObject([{ kind: 'serve' }]);
});

it('leaves alone whoever has the process id of one that has ended', async () => {
  const { here, dead, begin, next } = setUp();
  here.push(endpoint({ pid: 7, engine: { containerId: 'c' } }));
  dead.add('7:1');
  begin();
  expect((await next()).map(({ kind }) => kind)).toEqual(['naming', 'keep-inside']);
});

it('says what the kernel refuses, and tries it again', async () => {
  const { names, clock, here, refuse, begin, next } = setUp();
  here.push(endpoint({ pid: 7, engine: { containerId: 'c' } }));
  refuse.why = 'no NAT here';
  begin();
  await next();
  expect(names.problems()).toEqual([expect.stringContaining('inside of container api')]);
  expect(names.problems()[0]).toContain('no NAT here');
  refuse.why = undefined;
  await clock.advance(30_000);
  expect(await next()).toMatchObject([{ kind: 'serve' }]);
  expect(names.problems()).toEqual([]);
});

it('tells each session everything anew, but takes nothing from a process of which it knows less', async () => {
  const { here, begin, next } = setUp({ unreadable: 'state.json is damaged' });
  begin();
  expect(await next()).toEqual([{ kind: 'naming', networkIds: [] }]);
  here.push(endpoint({ pid: 7, engine: { containerId: 'c' } }));
  begin();
  expect((await next()).map(({ kind }) => kind)).toEqual(['naming', 'serve']);
});

it('lets go of all where the engine is to answer', async () => {
  const { here, begin, next } = setUp({ enabled: false });
  here.push(endpoint({ pid: 7, engine: { containerId: 'c' } }));
  begin();
  expect((await next()).filter(({ kind }) => kind !== 'naming')).toEqual([{ kind: 'keep-inside', keys: [] }]);
});
