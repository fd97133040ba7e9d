import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEtcdStore, type EtcdStore } from '../../../../src/adapters/etcd/store.ts';
import { realClock } from '../../../contract/store-clock.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';
import { ScriptedEtcd } from './scripted-etcd.ts';

let server: ScriptedEtcd;
let store: EtcdStore;

beforeEach(async () => {
  server = await ScriptedEtcd.start();
  store = createEtcdStore({ logger: recordingLogger([]), clock: realClock }, { endpoints: [server.url] });
});
afterEach(() => {
  store.close();
  server.stop();
});

const statusOf = () => store.maintenance.memberStatus(server.url);

test('a member says how it is', async () => {
  expect(await statusOf()).toMatchObject({ leaderId: '0000000000000001', alarms: [] });
  expect(await statusOf()).not.toHaveProperty('hidden');
});

test('one that tells root alone how it is says who it is', async () => {
  server.hidesStatus = true;
  expect(await statusOf()).toMatchObject({ memberId: '000000000000000a', hidden: true, version: '', leaderId: '' });
  server.leader = '0';
  await expect(statusOf()).rejects.toMatchObject({ code: 'store-unavailable' });
});
