/** What members tell each other of their hosts, between two real transports. */
import { promisify } from 'node:util';
import { credentials, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { askEvents } from '../../../../src/adapters/grpc/members.ts';
import { GrpcPeerTransport } from '../../../../src/adapters/grpc/peer.ts';
import { createPki } from '../../../../src/adapters/pki/pki.ts';
import { systemClock as clock } from '../../../../src/adapters/system/time.ts';
import type { ReportedDrift } from '../../../../src/core/drift/drift.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { Selected } from '../../../../src/core/events/event-history.ts';
import type { HostEvent } from '../../../../src/core/events/host-event.ts';
import type { EventBatch, EventsQuery } from '../../../../src/gen/overlayd/v1/events.ts';
import { MembersService } from '../../../../src/gen/overlayd/v1/members.ts';
import type { DriftQuery, EventQuery, MembersHandler } from '../../../../src/ports/members.ts';
import { noKeeper } from '../../../fixtures/keeper.ts';
import { until } from '../../../lab/until.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';

const pki = createPki();
const logger = recordingLogger([]);
const ca = await pki.createCa('c1', Date.now());
const opened: AbortController[] = [];
afterEach(() => {
  for (const stop of opened.splice(0)) stop.abort();
});

const noDrift: MembersHandler['drift'] = async () => ({
  ...{ differs: [], repaired: [], putBack: [], leftOut: 0, isPartial: false },
});

const noLook: MembersHandler['look'] = async () => ({ things: [], name: undefined });

async function createNode(
  nodeId: string,
  events: MembersHandler['events'] = async function* () {},
  drift = noDrift,
  look = noLook,
) {
  const stop = new AbortController();
  opened.push(stop);
  const key = await pki.createKey();
  const csr = await pki.createCsr(key);
  const validity = { now: Date.now(), lifetimeMs: 3_600_000 };
  const certificate = await pki.issue(ca, { csr, nodeId, address: '127.0.0.1' }, validity);
  const transport = new GrpcPeerTransport(
    { clock, pki, logger, keeper: noKeeper, isMember: () => true, members: { events, drift, look } },
    { nodeId, material: { key, certificate, caCertificate: ca.certificate }, listenAddress: '127.0.0.1', port: 0 },
  );
  await transport.serve(async () => ({ from: nodeId, members: [] }), stop.signal);
  return { transport, peer: { nodeId, address: `127.0.0.1:${transport.port}` } };
}

const QUERY: EventQuery = {
  ...{ sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [] },
  ...{ after: 0, limit: 10_000, follow: false },
};
const NO_END = new AbortController().signal;
const event = (seq: number, fields: HostEvent['fields'] = {}, message = 'm'): HostEvent => ({
  ...{ seq, type: 'network-created', at: seq, level: 'info', message, fields },
});
const told = (events: readonly HostEvent[], leftOut: Selected['leftOut'] = {}): Selected => ({
  ...{ events, leftOut, cursor: events.at(-1)?.seq ?? 0 },
});

/** Node `a` asks node `b`, which tells that. */
async function hear(events: MembersHandler['events'], query: Partial<EventQuery> = {}): Promise<Selected[]> {
  const [a, b] = [await createNode('a1'), await createNode('b1', events)];
  const heard: Selected[] = [];
  for await (const each of a.transport.events(b.peer, { ...QUERY, ...query }, NO_END)) heard.push(each);
  return heard;
}

test('a filter larger than anybody needs is refused before anything is compared', async () => {
  let asked = 0;
  const nodes = Array.from({ length: 101 }, (_, nth) => `n${nth}`);
  const heard = hear(
    async function* () {
      asked++;
      yield told([]);
    },
    { nodes },
  );
  await expect(heard).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining('101 nodes'),
  });
  expect(asked).toBe(0);
});

test('a member is told eight times at once, and again when one of them ends', async () => {
  let telling = 0;
  const b = await createNode('b1', async function* (_query, signal) {
    telling++;
    yield told([event(1)]);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    telling--;
  });
  const [a, c] = [await createNode('a1'), await createNode('c1')];
  const open = async ({ transport }: typeof a) => {
    const stop = new AbortController();
    const stream = transport.events(b.peer, { ...QUERY, follow: true }, stop.signal)[Symbol.asyncIterator]();
    expect((await stream.next()).value).toEqual(told([event(1)]));
    return { stream, stop };
  };
  const held = [];
  for (let nth = 0; nth < 8; nth++) held.push(await open(a));
  await expect(open(a)).rejects.toMatchObject({ code: 'conflict', retryable: true });
  held.push(await open(c));
  held[0]!.stop.abort();
  await held[0]!.stream.next();
  await until('one of them to end', () => telling === 8);
  held.push(await open(a));
  for (const { stop } of held) stop.abort();
});

test('what is more than a message comes in parts; each says where it ends', async () => {
  const events = Array.from({ length: 1_200 }, (_, nth) => event(nth + 1));
  const parts = await hear(async function* () {
    yield { events, leftOut: { 'network-created': 3 }, cursor: 5_000 };
  });
  expect(parts.map(({ events: of, cursor, leftOut }) => [of.length, cursor, leftOut])).toEqual([
    [500, 500, { 'network-created': 3 }],
    [500, 1_000, {}],
    [200, 5_000, {}],
  ]);
});

test('what is larger than an agent of ours tells is passed over', async () => {
  const text = (length: number) => 'x'.repeat(length);
  const types = Array.from({ length: 300 }, (_, nth): [string, number] => [`t${nth}`, 1]);
  const [heard] = await hear(async function* () {
    yield told([event(1, { text: text(9_000) }), event(2, {}, text(9_000)), event(3, { text: text(8_000) })], {
      [text(101)]: 1,
      ...Object.fromEntries(types),
    });
  });
  expect(heard!.events.map(({ seq }) => seq)).toEqual([3]);
  expect(heard!.cursor).toBe(3);
  expect(heard!.leftOut).toEqual(Object.fromEntries(types.slice(0, 200)));
});

test('who tells without end is heard for so long alone', async () => {
  const large = Array.from({ length: 500 }, (_, nth) => event(nth + 1, { text: 'x'.repeat(4_000) }));
  let ended = false;
  const heard = await hear(async function* () {
    try {
      for (;;) yield told(large);
    } finally {
      ended = true;
    }
  });
  // Each has two million characters.
  expect(heard.length).toBe(5);
  await until('the other end to stop', () => ended);
});

test('of a message with more events than agents of ours send the first are taken', async () => {
  const server = new Server();
  const one = { type: 't', level: 'info', message: 'm', fields: '{}' };
  const events = Array.from({ length: 2_000 }, (_, nth) => ({ ...one, seq: nth + 1, atMs: nth }));
  server.addService(MembersService, {
    events: (call: ServerWritableStream<EventsQuery, EventBatch>) => {
      call.write({ events, leftOut: {}, cursor: 2_000 });
      call.end();
    },
  });
  const port = await promisify(server.bindAsync.bind(server))('127.0.0.1:0', ServerCredentials.createInsecure());
  const way = { secure: credentials.createInsecure(), options: {}, signal: NO_END };
  const heard = askEvents({ nodeId: 'b1', address: `127.0.0.1:${port}` }, QUERY, way);
  expect((await heard.next()).value!.events).toHaveLength(500);
  expect((await heard.next()).done).toBe(true);
  server.forceShutdown();
});

const drift = (object: string): ReportedDrift => ({
  ...{ kind: 'link', network: 'web', place: 'ovl-4096', object, state: 'missing', detail: '', why: 'w' },
  ...{ sinceMs: 7, hindered: '' },
});

test('drift is told whole, in parts, as long as it is no more than anybody reads', async () => {
  const many = (count: number) => Array.from({ length: count }, (_, nth) => drift(`e${nth}`));
  const putBack = [{ drift: drift('br0'), times: 3, firstMs: 1, lastMs: 2 }];
  const report = { differs: many(1_200), repaired: many(3), putBack, leftOut: 5, isPartial: true };
  const asked: DriftQuery[] = [];
  const [a, b] = [
    await createNode('a1'),
    await createNode('b1', undefined, async (query) => {
      asked.push(query);
      return report;
    }),
  ];
  const query = { network: 'id-web', repair: true };
  expect(await a.transport.drift(b.peer, query, NO_END)).toEqual(report);
  expect(asked).toMatchObject([query]);
  const flood = await createNode('c1', undefined, async () => ({ ...report, differs: many(20_000) }));
  expect((await a.transport.drift(flood.peer, query, NO_END)).differs.length).toBeLessThanOrEqual(4_500);
});

test('of drift no more text is taken than an agent of ours tells, and what is left out is counted', async () => {
  const [a] = [await createNode('a1')];
  const long = { ...drift('x'.repeat(3_000)), detail: 'y'.repeat(5_000) };
  const differs = Array.from({ length: 900 }, () => long);
  const report = { differs, repaired: [], putBack: [], leftOut: 0, isPartial: false };
  const b = await createNode('b1', undefined, async () => report);
  const heard = await a.transport.drift(b.peer, { network: '', repair: false }, NO_END);
  const text = JSON.stringify(heard.differs).length;
  expect([text > 3 * 2 ** 20, text < 5 * 2 ** 20]).toEqual([true, true]);
  expect(heard.differs[0]!.detail).toHaveLength(4_097);
  expect(heard.leftOut).toBeGreaterThan(0);
});

test('a member looks for another one twice at once, and says what went wrong with its code', async () => {
  const held = Promise.withResolvers<void>();
  let looking = 0;
  const [a, b] = [
    await createNode('a1'),
    await createNode('b1', undefined, async ({ repair }) => {
      if (repair) throw new OverlaydError('data-path-failed', 'the kernel says no');
      looking++;
      await held.promise;
      return await noDrift({ network: '', repair }, NO_END);
    }),
  ];
  const ask = (repair: boolean) => a.transport.drift(b.peer, { network: '', repair }, NO_END);
  await expect(ask(true)).rejects.toMatchObject({ code: 'data-path-failed', message: 'the kernel says no' });
  const looks = [ask(false), ask(false)];
  await until('both to look', () => looking === 2);
  await expect(ask(false)).rejects.toMatchObject({ code: 'conflict' });
  held.resolve();
  expect(await Promise.all(looks)).toHaveLength(2);
});

test('what another member sees is told as it is, and no more of it than one of ours says', async () => {
  const [{ transport }] = await Promise.all([createNode('a')]);
  const asked: unknown[] = [];
  const answers = Array.from({ length: 800 }, (_, at) => ({
    type: 'A',
    ttlSeconds: 5,
    value: `10.0.${at >> 8}.${at & 255}`,
  }));
  const { peer } = await createNode('b', undefined, undefined, async (look) => {
    asked.push(look);
    const things = [
      { name: 'data path', outcome: 'ok', detail: 'x'.repeat(5_000) } as const,
      { name: 'names', outcome: 'a word of later' as 'ok', detail: '' },
    ];
    return { things, name: { code: 'NOERROR', answers, tookMs: 1.5, from: '10.0.0.1:53' } };
  });
  const look = { network: 'n1', endpoint: 'e1', pathTo: 'a', reach: '10.0.0.9', name: { name: 'api', type: 'A' } };
  const seen = await transport.look(peer, look, NO_END);
  expect(asked).toEqual([look]);
  expect(seen.things.map(({ outcome, detail }) => [outcome, detail.length])).toEqual([
    ['ok', 2_000],
    ['skipped', 0],
  ]);
  expect(seen.name).toMatchObject({ code: 'NOERROR', tookMs: 1.5, from: '10.0.0.1:53' });
  expect(seen.name!.answers).toEqual(answers.slice(0, 500));
});
