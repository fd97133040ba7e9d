import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EtcdConnection } from '../../../../src/adapters/etcd/connection.ts';
import { isUnanswered, mayHaveHappened } from '../../../../src/adapters/etcd/store-error.ts';
import { KVService, MaintenanceService, TxnRequest, TxnResponse, WatchService } from '../../../../src/gen/etcd/rpc.ts';
import { realClock } from '../../../contract/store-clock.ts';
import { until } from '../../../lab/until.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';
import { ScriptedEtcd } from './scripted-etcd.ts';

let servers: ScriptedEtcd[];
let connections: EtcdConnection[];
/** What the connection's clock is ahead of the real one. */
let aheadMs: number;
/** What it was to wait for, in milliseconds. */
let waits: number[];

beforeEach(() => {
  [servers, connections, aheadMs, waits] = [[], [], 0, []];
});
afterEach(() => {
  for (const connection of connections) connection.close();
  for (const server of servers) server.stop();
});

async function start(): Promise<ScriptedEtcd> {
  const server = await ScriptedEtcd.start();
  servers.push(server);
  return server;
}

function connect(...endpoints: string[]): EtcdConnection {
  const sleep = (ms: number, signal?: AbortSignal) => {
    waits.push(ms);
    return realClock.sleep(ms, signal);
  };
  const clock = { sleep, elapsed: () => realClock.elapsed() + aheadMs };
  const connection = new EtcdConnection({ clock, logger: recordingLogger([]) }, { endpoints });
  connections.push(connection);
  return connection;
}

const write = (connection: EtcdConnection) =>
  connection.call(KVService.txn, TxnRequest.fromPartial({}), { repeatable: false });
const read = (connection: EtcdConnection, budgetMs?: number) =>
  connection.call(KVService.txn, TxnRequest.fromPartial({}), { repeatable: true, ...(budgetMs && { budgetMs }) });

async function silentSocket() {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, sockets, close };
}

test('alarms are asked for once: whoever wants to know how things are does not wait for a silent etcd twice', async () => {
  const silent = await silentSocket();
  try {
    await expect(connect(silent.url).alarms()).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(silent.sockets).toHaveLength(1);
  } finally {
    silent.close();
  }
});

test('an etcd that tells root alone how it is refuses nothing else by that', async () => {
  const server = await start();
  server.hidesStatus = true;
  const connection = connect(server.url);
  await write(connection);
  expect(await connection.alarms()).toEqual([]);
  expect(connection.status()).toMatchObject({ reachable: true, refusal: undefined });
});

test('what users that change get in the way of is asked again, however often they do, and not for ever', async () => {
  const server = await start();
  let changes = 20;
  const changed = { code: status.INVALID_ARGUMENT, details: 'etcdserver: revision of auth store is old' };
  server.onTxn = (answer) =>
    changes-- > 0 ? answer(changed) : answer(null, TxnResponse.fromPartial({ succeeded: true }));
  const connection = connect(server.url);
  expect(await write(connection)).toMatchObject({ succeeded: true });
  expect(server.txns).toBe(21);
  changes = Number.POSITIVE_INFINITY;
  await expect(read(connection, 200)).rejects.toMatchObject({ code: 'store-unavailable', retryable: true });
  // 10, 20, 40, 80 and 100 ms apart.
  expect(server.txns - 21).toBeLessThanOrEqual(5);
});

test('a transaction of which nobody knows whether it happened is not sent again', async () => {
  const [first, second] = [await start(), await start()];
  first.refuse(status.UNAVAILABLE, 'etcdserver: request timed out');
  const connection = connect(first.url, second.url);
  await expect(write(connection)).rejects.toMatchObject({ code: 'store-unavailable', retryable: true });
  expect([first.txns, second.txns]).toEqual([1, 0]);
  // The next one goes to a member that serves.
  await write(connection);
  expect([first.txns, second.txns]).toEqual([1, 1]);
});

test.each([
  [status.UNAVAILABLE, 'etcdserver: no leader'],
  [status.UNAVAILABLE, 'etcdserver: rpc not supported for learner'],
  [status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests'],
  [status.UNAVAILABLE, 'Stream refused by server'],
])('one that was refused before anything was done goes to another member: %i %s', async (code, details) => {
  const [first, second] = [await start(), await start()];
  first.refuse(code, details);
  await write(connect(first.url, second.url));
  expect([first.txns, second.txns]).toEqual([1, 1]);
});

test('one that never left this host goes to another member, whatever the first one does', async () => {
  const silent = await silentSocket();
  const second = await start();
  try {
    await write(connect(silent.url, second.url));
    expect(second.txns).toBe(1);
  } finally {
    silent.close();
  }
});

test('what may be repeated is, and a refusal that stands is not', async () => {
  const [first, second] = [await start(), await start()];
  first.refuse(status.UNAVAILABLE, 'etcdserver: request timed out');
  const connection = connect(first.url, second.url);
  await read(connection);
  expect([first.txns, second.txns]).toEqual([1, 1]);
  second.refuse(status.PERMISSION_DENIED, 'etcdserver: permission denied');
  await expect(read(connection)).rejects.toMatchObject({ code: 'store-failed' });
  expect([first.txns, second.txns]).toEqual([1, 2]);
  expect(connection.status()).toMatchObject({ reachable: true, refusal: expect.stringContaining('credentials') });
});

test('a member that has no leader, or learns, is not used while another one serves', async () => {
  const [leaderless, learner, third] = [await start(), await start(), await start()];
  leaderless.leader = '0';
  learner.isLearner = true;
  await write(connect(leaderless.url, learner.url, third.url));
  expect([leaderless.txns, learner.txns, third.txns]).toEqual([0, 0, 1]);
});

test('without a majority calls are refused within a second, with the cause, though others are silent', async () => {
  const silent = await silentSocket();
  const leaderless = await start();
  leaderless.leader = '0';
  const connection = connect(silent.url, leaderless.url);
  try {
    await expect(write(connection)).rejects.toMatchObject({ code: 'store-unavailable' });
    waits.length = 0;
    await expect(write(connection)).rejects.toThrow('has its cluster a majority of members up?');
    expect(waits).toContain(400);
    leaderless.leader = '1';
    await until('the store is back', () =>
      write(connection).then(
        () => true,
        () => false,
      ),
    );
    expect(connection.status().reachable).toBe(true);
  } finally {
    silent.close();
  }
});

test('a call ends within its budget, and silence that was short says nothing of the connection', async () => {
  const only = await start();
  const connection = connect(only.url);
  await write(connection);
  only.isSilent = true;
  await expect(read(connection, 200)).rejects.toThrow('did not answer in time');
  only.isSilent = false;
  await write(connection);
  expect(only.hellos).toBe(1);
});

test('the first endpoint is used again when it is back, and waited for longer when it fails again', async () => {
  const [first, second] = [await start(), await start()];
  first.leader = '0';
  const connection = connect(first.url, second.url);
  await write(connection);
  expect(second.txns).toBe(1);
  first.leader = '1';
  const comesBack = () =>
    until('a call to the first', async () => {
      const before = first.txns;
      await write(connection);
      return first.txns > before;
    });
  await comesBack();

  const failAgain = async () => {
    first.refuse(status.UNAVAILABLE, 'etcdserver: no leader');
    await write(connection);
    first.onTxn = second.onTxn;
  };
  await failAgain();
  const { hellos } = first;
  for (let calls = 0; calls < 20; calls++) await write(connection);
  expect(first.hellos).toBe(hellos);
  aheadMs += 10_000;
  await comesBack();
  await failAgain();
  aheadMs += 10_000;
  const again = first.hellos;
  for (let calls = 0; calls < 20; calls++) await write(connection);
  expect(first.hellos).toBe(again);
  aheadMs += 10_000;
  await comesBack();
});

test('endpoints may change: what is under way with one that stays goes on, and what is not moves without an error', async () => {
  const [first, second, third] = [await start(), await start(), await start()];
  const connection = connect(first.url, second.url);
  const link = await connection.link();
  const stream = link.stream(WatchService.watch).on('error', () => undefined);
  stream.write({ requestUnion: { $case: 'progressRequest', value: {} } });
  await until('the stream', () => first.watches.size === 1);

  connection.setEndpoints([first.url, third.url]);
  await write(connection);
  expect(link.over.aborted).toBe(false);
  expect(first.watches.size).toBe(1);

  let answer = () => {};
  first.onTxn = (reply) => {
    answer = () => second.onTxn(reply);
  };
  const pending = write(connection);
  await until('the transaction', () => first.txns === 2);
  connection.setEndpoints([third.url]);
  expect(link.isRetired).toBe(true);
  await write(connection);
  expect(third.txns).toBe(1);
  // What was sent is waited for.
  answer();
  await pending;
  expect(first.txns).toBe(2);
  expect(() => connection.setEndpoints([])).toThrow('no etcd endpoint');
  expect(() => connection.setEndpoints(['10.0.0.1'])).toThrow('is not http(s)://HOST:PORT');
});

test('other endpoints are tried at once, also while those of before are still silent', async () => {
  const silent = await silentSocket();
  const second = await start();
  const connection = connect(silent.url);
  try {
    const call = write(connection);
    await until('the silent one to be asked', () => silent.sockets.length > 0);
    connection.setEndpoints([second.url]);
    await call;
    expect(second.txns).toBe(1);
  } finally {
    silent.close();
  }
});

test('whoever gives a call up does no harm to those who share the connection', async () => {
  const only = await start();
  const connection = connect(only.url);
  await write(connection);
  only.isSilent = true;
  const giveUp = new AbortController();
  const options = { repeatable: true, signal: giveUp.signal };
  const call = connection.call(KVService.txn, TxnRequest.fromPartial({}), options);
  await until('the call', () => only.txns === 2);
  giveUp.abort();
  await expect(call).rejects.toMatchObject({ code: 'store-unavailable' });
  only.isSilent = false;
  await write(connection);
  expect(only.hellos).toBe(1);
});

async function startSilent(): Promise<ScriptedEtcd> {
  const silent = await start();
  silent.isSilent = true;
  return silent;
}

/** What ends first: what is asked, or the patience with an endpoint that says nothing, which begins at the same moment. */
async function sooner(connection: EtcdConnection, call: Promise<unknown>) {
  const silent = await startSilent();
  const patience = connection.ask(silent.url, MaintenanceService.status, {}).catch(() => 'silence');
  return await Promise.race([call.catch((error: Error) => error.message), patience]);
}

test('where one of three says that there is no leader, and nobody else answers, nobody waits for those that are gone', async () => {
  const [left, ...gone] = [await start(), await start(), await start()];
  left.leader = '0';
  for (const each of gone) each.isSilent = true;
  const connection = connect(gone[0]!.url, left.url, gone[1]!.url);
  expect(await sooner(connection, write(connection))).toContain('has its cluster a majority of members up?');
});

test('who has just said that there is no leader need not say it again, after two head starts of silent ones', async () => {
  const left = await start();
  const connection = connect(left.url, (await startSilent()).url, (await startSilent()).url);
  await connection.link();
  left.leader = '0';
  left.refuse(status.UNAVAILABLE, 'etcdserver: no leader');
  waits.length = 0;
  await expect(write(connection)).rejects.toThrow('has its cluster a majority of members up?');
  const [HEAD_START_MS, WELL_MS] = [300, 100];
  expect(waits.slice(0, waits.indexOf(WELL_MS))).not.toContain(HEAD_START_MS);
});

test('while a majority says that there is no leader one is waited for', async () => {
  const [first, second, gone] = [await start(), await start(), await start()];
  first.leader = '0';
  second.leader = '0';
  gone.isSilent = true;
  const connection = connect(first.url, second.url, gone.url);
  const written = write(connection);
  await until('both to have been asked more than once', () => first.hellos > 1 && second.hellos > 1);
  first.leader = '1';
  await written;
});

test('a change that a member has taken ends when that member says that its leader is gone, and is not sent again', async () => {
  const server = await start();
  server.onTxn = () => {
    server.leader = '0';
  };
  const connection = connect(server.url);
  const failure = write(connection);
  expect(await sooner(connection, failure)).toContain('no leader any more');
  await expect(failure).rejects.toSatisfy((error) => mayHaveHappened(error) && isUnanswered(error));
  expect(server.txns).toBe(1);
});

test.each([
  ['gone', async () => 'http://127.0.0.1:1'],
  ['silent', async () => (await startSilent()).url],
])('where the others of three are %s, a member that has yet to learn of it is not waited for', async (_, makeOther) => {
  const left = await start();
  left.onTxn = () => undefined;
  const connection = connect(left.url, await makeOther(), await makeOther());
  for (const call of [write, read]) {
    const failure = call(connection);
    expect(await sooner(connection, failure)).toContain('no other member answers');
    await expect(failure).rejects.toSatisfy((error) => mayHaveHappened(error) && isUnanswered(error));
  }
  // Nor is it asked again, or given up.
  expect(left.txns).toBe(2);
  left.onTxn = (answer) => answer(null, TxnResponse.fromPartial({ succeeded: true }));
  const { hellos } = left;
  await write(connection);
  expect(left.hellos).toBe(hellos);
});

test.each([1, 3])('a member that is only slow, with a leader, is waited for (of %i)', async (members) => {
  const server = await start();
  const others = await Promise.all(Array.from({ length: members - 1 }, start));
  let answer: (() => void) | undefined;
  server.onTxn = (done) => {
    answer = () => done(null, TxnResponse.fromPartial({ succeeded: true }));
  };
  const connection = connect(server.url, ...others.map(({ url }) => url));
  const written = write(connection);
  await until('the member to have been asked how it is', () => server.ranges > 1);
  answer!();
  await written;
});

test('one that tells root alone how it is, and has no leader, is not taken', async () => {
  const [leaderless, other] = [await start(), await start()];
  leaderless.hidesStatus = true;
  leaderless.leader = '0';
  const connection = connect(leaderless.url, other.url);
  await write(connection);
  expect([leaderless.txns, other.txns]).toEqual([0, 1]);
});
