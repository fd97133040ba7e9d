/** How much, and how often, members may ask of a host, without time that passes. */
import { promisify } from 'node:util';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { MemberShares } from '../../../../src/adapters/grpc/member-stream.ts';
import { askDrift, askLook, memberMethods } from '../../../../src/adapters/grpc/members.ts';
import { MembersService } from '../../../../src/gen/overlayd/v1/members.ts';

const LIMITS = { atOnce: 2, credit: 3, creditPerSecond: 0.5 };
const REFUSALS = { atOnce: 'two already', tooOften: 'too often' };
const NO_END = new AbortController().signal;
const done = async () => undefined;
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.forceShutdown();
});

test('a member has so much at a time, whatever others have', async () => {
  const shares = new MemberShares(LIMITS, REFUSALS, () => 0);
  const held = Promise.withResolvers<void>();
  const both = ['a', 'a'].map((nodeId) => shares.during(nodeId, () => held.promise));
  await expect(shares.during('a', done)).rejects.toMatchObject({ code: 'conflict', message: 'two already' });
  await shares.during('b', done);
  held.resolve();
  await Promise.all(both);
  await shares.during('a', done);
});

test('a member asks so often in a row, and again as time passes', async () => {
  let now = 0;
  const shares = new MemberShares(LIMITS, REFUSALS, () => now);
  for (let nth = 0; nth < 3; nth++) await shares.during('a', done);
  const refused = { code: 'conflict', message: 'too often', retryable: true };
  await expect(shares.during('a', done)).rejects.toMatchObject(refused);
  await shares.during('b', done);
  now += 1_900;
  await expect(shares.during('a', done)).rejects.toMatchObject(refused);
  now += 100;
  await shares.during('a', done);
  await expect(shares.during('a', done)).rejects.toMatchObject(refused);
});

test('work that fails is at an end, too', async () => {
  const shares = new MemberShares({ ...LIMITS, atOnce: 1 }, REFUSALS, () => 0);
  await expect(shares.during('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await shares.during('a', done);
});

test('names and paths are looked at twenty times in a row for a member, drift too, each by itself', async () => {
  let now = 0;
  let caller = 'a1';
  const asked = { look: 0, drift: 0 };
  const handler = {
    async *events() {},
    look: async () => {
      asked.look++;
      return { things: [], name: undefined };
    },
    drift: async () => {
      asked.drift++;
      return { differs: [], repaired: [], putBack: [], leftOut: 0, isPartial: false };
    },
  };
  const server = new Server();
  servers.push(server);
  server.addService(
    MembersService,
    memberMethods(
      handler,
      () => caller,
      () => now,
    ),
  );
  const port = await promisify(server.bindAsync.bind(server))('127.0.0.1:0', ServerCredentials.createInsecure());
  const peer = { nodeId: 'b1', address: `127.0.0.1:${port}` };
  const way = { secure: credentials.createInsecure(), options: {}, signal: NO_END };
  const question = { network: 'n', endpoint: '', pathTo: '', reach: '', name: { name: 'api', type: 'A' } };
  const look = () => askLook(peer, question, way);
  const drift = () => askDrift(peer, { network: '', repair: false }, way);
  for (let nth = 0; nth < 20; nth++) await look();
  const words = 'it looked at paths and names for this host 20 times of late';
  await expect(look()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(words) });
  for (let nth = 0; nth < 20; nth++) await drift();
  await expect(drift()).rejects.toMatchObject({ message: expect.stringContaining('it looked for drift') });
  expect(asked).toEqual({ look: 20, drift: 20 });
  caller = 'c1';
  await look();
  caller = 'a1';
  now += 1_000;
  await look();
  await look();
  await expect(look()).rejects.toMatchObject({ retryable: true });
  await drift();
  await expect(drift()).rejects.toMatchObject({ retryable: true });
});
