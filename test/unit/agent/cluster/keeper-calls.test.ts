import { expect, test } from 'vitest';
import { KeeperCalls } from '../../../../src/agent/cluster/keeper-calls.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { Liveness } from '../../../../src/core/failure-detector.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';
import type { KeepersTransport } from '../../../../src/ports/keepers.ts';
import { noKeeper } from '../../../fixtures/keeper.ts';
import { nodeRecord } from '../../../fixtures/records.ts';

const CERTIFICATE = { certificate: 'c', caCertificate: 'ca' };
const REQUEST = { csr: 'csr', address: '192.0.2.9', keeper: false };
const keeper = (id: string) => nodeRecord({ id, name: `h-${id}`, advertiseAddress: `192.0.2.${id}`, holdsStore: true });

function fixture(
  options: { nodes?: NodeRecord[]; states?: Record<string, Liveness>; hasCaKey?: boolean; failure?: Error } = {},
) {
  const { nodes = [keeper('1'), keeper('2'), keeper('3'), nodeRecord({ id: '9' })], states = {} } = options;
  const asked: string[] = [];
  const methods: string[] = [];
  const failures = new Map<string, Error>();
  const transport: KeepersTransport = {
    ask: async (peer, method) => {
      asked.push(peer.address);
      methods.push(method);
      const failure = failures.get(peer.nodeId);
      if (failure) throw failure;
      return CERTIFICATE as never;
    },
  };
  const calls = new KeeperCalls({
    selfId: '9',
    keepers: () => nodes.filter(({ holdsStore }) => holdsStore),
    level: () => 4,
    liveness: (nodeId) => states[nodeId] ?? 'ready',
    addressOf: (node) => `${node.advertiseAddress}:${node.gossipPort}`,
    transport,
    own: {
      ...noKeeper,
      renew: async () => {
        if (options.failure) throw options.failure;
        return { ...CERTIFICATE, certificate: 'own' };
      },
    },
    hasCaKey: () => options.hasCaKey ?? false,
  });
  return { calls, asked, failures, methods };
}

test('one that has the key asks nobody', async () => {
  const { calls, asked } = fixture({ hasCaKey: true });
  expect(await calls.ask('renew', REQUEST)).toEqual({ ...CERTIFICATE, certificate: 'own' });
  expect(asked).toEqual([]);
});

test('one that has the key, and no rights in etcd yet, asks another', async () => {
  const { calls, asked } = fixture({ hasCaKey: true, failure: new OverlaydError('store-failed', 'permission denied') });
  expect(await calls.ask('renew', REQUEST)).toEqual(CERTIFICATE);
  expect(asked).toEqual(['192.0.2.1:7946']);
});

test('the first that is heard is asked, and no other', async () => {
  const { calls, asked } = fixture({ states: { '1': 'down', '2': 'suspect' } });
  expect(await calls.ask('renew', REQUEST)).toEqual(CERTIFICATE);
  expect(asked).toEqual(['192.0.2.3:7946']);
});

test.each(['peer-unreachable', 'peer-refused', 'keeper-unreachable', 'store-unavailable', 'store-failed'] as const)(
  'the next is asked when one says %s',
  async (code) => {
    const { calls, asked, failures } = fixture();
    failures.set('1', new OverlaydError(code, 'no'));
    expect(await calls.ask('renew', REQUEST)).toEqual(CERTIFICATE);
    expect(asked).toEqual(['192.0.2.1:7946', '192.0.2.2:7946']);
  },
);

test('what a keeper refuses is not asked of others', async () => {
  const { calls, asked, failures } = fixture();
  failures.set('1', new OverlaydError('token-invalid', 'wrong'));
  await expect(calls.ask('renew', REQUEST)).rejects.toMatchObject({ code: 'token-invalid', message: 'wrong' });
  expect(asked).toHaveLength(1);
});

test('when none answers, it is said of each why', async () => {
  const { calls, failures } = fixture({ nodes: [keeper('1'), keeper('2')] });
  failures.set('1', new OverlaydError('peer-unreachable', 'did not answer in time'));
  failures.set('2', new OverlaydError('keeper-unreachable', 'has no key'));
  const refused = calls.ask('renew', REQUEST);
  await expect(refused).rejects.toMatchObject({ code: 'keeper-unreachable', retryable: true });
  await expect(refused).rejects.toThrow('(h-1: did not answer in time; h-2: has no key)');
  await expect(refused).rejects.toThrow('overlayd node ls');
});

test('others are asked where it is about them', async () => {
  const { calls, asked } = fixture({ nodes: [keeper('1'), keeper('9')], hasCaKey: true });
  await calls.askOthers('caKeys', { wanted: [] });
  expect(asked).toEqual(['192.0.2.1:7946']);
});

test.each(['putBackStore', 'moveStoreAway'] as const)(
  '%s is asked of nobody else where the outcome is unknown',
  async (method) => {
    const { calls, failures, methods } = fixture();
    failures.set('1', new OverlaydError('peer-unreachable', 'did not answer in time'));
    const asked = { backup: new Uint8Array(), etcdEndpoints: [] } as never;
    const refused = calls.askOthers(method, asked);
    await expect(refused).rejects.toMatchObject({ code: 'conflict' });
    await expect(refused).rejects.toThrow('h-1 was asked, and may be at it still (did not answer in time)');
    expect(methods).toEqual([method]);
  },
);

test('what must happen once is asked of the next where one is not reached, or says that it cannot', async () => {
  const { calls, failures, asked } = fixture();
  failures.set('1', new OverlaydError('peer-unreachable', 'cannot be reached', { nothingDone: true }));
  failures.set('2', new OverlaydError('store-unavailable', 'etcd is away'));
  await calls.askOthers('putBackStore', { backup: new Uint8Array() });
  expect(asked).toEqual(['1', '2', '3'].map((id) => `192.0.2.${id}:7946`));
});

test('where none is reached it is said so, and of none that it may be at it', async () => {
  const { calls, failures } = fixture({ nodes: [keeper('1'), keeper('2')] });
  for (const id of ['1', '2'])
    failures.set(id, new OverlaydError('peer-unreachable', 'connection refused', { nothingDone: true }));
  const refused = calls.askOthers('moveStoreAway', { etcdEndpoints: [], etcdCa: '', etcdCert: '', etcdKey: '' });
  await expect(refused).rejects.toMatchObject({ code: 'keeper-unreachable' });
  await expect(refused).rejects.toThrow('(h-1: connection refused; h-2: connection refused)');
});
