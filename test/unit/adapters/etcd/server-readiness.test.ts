import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EtcdClient } from '../../../../src/adapters/etcd/client.ts';
import { knowsLeader, membersSeenBy } from '../../../../src/adapters/etcd/server-readiness.ts';
import { ScriptedEtcd } from './scripted-etcd.ts';

let server: ScriptedEtcd;
let client: EtcdClient;

beforeEach(async () => {
  server = await ScriptedEtcd.start();
  client = new EtcdClient({}, server.url);
});
afterEach(() => {
  client.close();
  server.stop();
});

test('it knows of a leader, or of none', async () => {
  expect(await knowsLeader(client)).toBe(true);
  server.leader = '0';
  expect(await knowsLeader(client)).toBe(false);
});

test('one that tells root alone how it is has looked for its leader before', async () => {
  server.hidesStatus = true;
  expect(await knowsLeader(client)).toBe(true);
  server.leader = '0';
  await expect(knowsLeader(client)).rejects.toMatchObject({ code: status.UNAVAILABLE });
});

test('one that does not answer says nothing', async () => {
  server.stop();
  await expect(knowsLeader(client)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  await expect(membersSeenBy(client)).rejects.toMatchObject({ code: status.UNAVAILABLE });
});

test('members that it does not tell are not known: it learns, or tells them to root alone', async () => {
  server.onMembers = (answer) => answer(null, { header: undefined, members: [member] });
  expect(await membersSeenBy(client)).toMatchObject([{ name: 'one' }]);
  for (const [code, details] of [
    [status.UNAVAILABLE, 'etcdserver: rpc not supported for learner'],
    [status.PERMISSION_DENIED, 'etcdserver: permission denied'],
  ] as const) {
    server.onMembers = (answer) => answer({ code, details });
    expect(await membersSeenBy(client)).toEqual([]);
  }
  server.onMembers = (answer) => answer({ code: status.UNAVAILABLE, details: 'etcdserver: no leader' });
  await expect(membersSeenBy(client)).rejects.toMatchObject({ details: 'etcdserver: no leader' });
});

const member = { ID: '1', name: 'one', peerURLs: [], clientURLs: [], isLearner: false };
