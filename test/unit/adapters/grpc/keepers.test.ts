/** Calls to keepers between two real transports. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { GrpcPeerTransport } from '../../../../src/adapters/grpc/peer.ts';
import { createPki } from '../../../../src/adapters/pki/pki.ts';
import { systemClock as clock } from '../../../../src/adapters/system/time.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { JoinRequest } from '../../../../src/ports/join.ts';
import type { KeepersHandler } from '../../../../src/ports/keepers.ts';
import { noKeeper } from '../../../fixtures/keeper.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';

const pki = createPki();
const logger = recordingLogger([]);
const ca = await pki.createCa('c1', Date.now());
const stop = new AbortController();
const opened: { close(): void }[] = [];
afterEach(() => {
  for (const transport of opened.splice(0)) transport.close();
});

async function createNode(
  nodeId: string,
  options: { keeper?: Partial<KeepersHandler>; isMember?: () => boolean } = {},
) {
  const key = await pki.createKey();
  const csr = await pki.createCsr(key);
  const validity = { now: Date.now(), lifetimeMs: 3_600_000 };
  const certificate = await pki.issue(ca, { csr, nodeId, address: '127.0.0.1' }, validity);
  const keeper = { ...noKeeper, ...options.keeper };
  const transport = new GrpcPeerTransport(
    { clock, pki, logger, keeper, isMember: options.isMember ?? (() => true) },
    { nodeId, material: { key, certificate, caCertificate: ca.certificate }, listenAddress: '127.0.0.1', port: 0 },
  );
  opened.push(transport);
  await transport.serve(async () => ({ from: nodeId, members: [] }), stop.signal);
  return { transport, peer: { nodeId, address: `127.0.0.1:${transport.port}` } };
}

const PATIENT_MS = 60_000;

test("what is asked and answered arrives whole, with the id that the caller's certificate proves", async () => {
  const request: JoinRequest = {
    ...{
      tokenId: 't',
      tokenSecret: 's',
      csr: 'csr',
      nodeName: 'n3',
      nowMs: 5,
      version: '1',
      levels: { from: 1, to: 4 },
    },
    ...{ advertiseAddress: '10.0.0.3', gossipPort: 1, joinPort: 2, vtep: '10.0.0.3', dataPathPort: 3 },
    ...{ underlayMtu: 1500, hostRoutes: ['10.0.0.0/8'], linkRoutes: [], neededAddresses: [], labels: { a: 'b' } },
    ...{ nat: undefined, ownAddresses: ['10.0.0.3'], wireguardBackend: '' },
  };
  const response = {
    ...{
      nodeId: 'n',
      clusterId: 'c',
      certificate: 'x',
      caCertificate: 'y',
      caKey: '',
      nextCaCertificate: 'z',
      nat: false,
      seenFrom: '10.0.0.3',
    },
    store: { endpoints: ['https://a:2379'], caCertificate: '', certificate: '', key: '' },
  };
  const seen: unknown[] = [];
  const b = await createNode('b1', {
    keeper: {
      admit: async (...args) => {
        seen.push(args);
        return response;
      },
      caKeys: async () => ({ keys: [{ certificate: 'c', key: 'k' }] }),
    },
  });
  const a = await createNode('a1');
  expect(await a.transport.ask(b.peer, 'admit', { request, from: '10.0.0.3:4' }, PATIENT_MS)).toEqual(response);
  expect(seen).toEqual([[{ request, from: '10.0.0.3:4' }, 'a1']]);
  expect(await a.transport.ask(b.peer, 'caKeys', { wanted: [] }, PATIENT_MS)).toEqual({
    keys: [{ certificate: 'c', key: 'k' }],
  });
});

test('what the keeper throws is what the caller gets', async () => {
  const failure = new OverlaydError('conflict', 'taken', { retryable: true });
  const b = await createNode('b1', { keeper: { renew: async () => Promise.reject(failure) } });
  const a = await createNode('a1');
  await expect(
    a.transport.ask(b.peer, 'renew', { csr: '', address: '', keeper: false }, PATIENT_MS),
  ).rejects.toMatchObject({
    ...{ code: 'conflict', message: 'taken', retryable: true },
  });
});

test('who is no member any more is refused', async () => {
  const b = await createNode('b1', { isMember: () => false });
  const a = await createNode('a1');
  await expect(a.transport.ask(b.peer, 'caKeys', { wanted: [] }, PATIENT_MS)).rejects.toMatchObject({
    code: 'peer-refused',
  });
});

test('another node at the address, and none, are told from one that answers', async () => {
  const b = await createNode('b1');
  const a = await createNode('a1');
  const unreachable = { code: 'peer-unreachable', retryable: true, nothingDone: true };
  await expect(
    a.transport.ask({ ...b.peer, nodeId: 'c1' }, 'caKeys', { wanted: [] }, PATIENT_MS),
  ).rejects.toMatchObject(unreachable);
  b.transport.close();
  await expect(a.transport.ask(b.peer, 'caKeys', { wanted: [] }, PATIENT_MS)).rejects.toMatchObject(unreachable);
});

test('one that takes the question and does not answer is given up', async () => {
  const b = await createNode('b1', { keeper: { caKeys: () => new Promise(() => undefined) } });
  const a = await createNode('a1');
  await expect(a.transport.ask(b.peer, 'caKeys', { wanted: [] }, 100)).rejects.toMatchObject({
    ...{ message: expect.stringContaining('did not answer in time'), nothingDone: false },
  });
});

test('one that goes away with the question may have begun, and one that takes connections alone has not', async () => {
  const asked = Promise.withResolvers<void>();
  const caKeys = () => {
    asked.resolve();
    return new Promise<never>(() => undefined);
  };
  const b = await createNode('b1', { keeper: { caKeys } });
  const a = await createNode('a1');
  const answer = a.transport.ask(b.peer, 'caKeys', { wanted: [] }, PATIENT_MS);
  answer.catch(() => undefined);
  await asked.promise;
  b.transport.close();
  await expect(answer).rejects.toMatchObject({ code: 'peer-unreachable', nothingDone: false });

  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const peer = { nodeId: 'b1', address: `127.0.0.1:${port}` };
  await expect(a.transport.ask(peer, 'caKeys', { wanted: [] }, PATIENT_MS)).rejects.toMatchObject({
    ...{ code: 'peer-unreachable', nothingDone: true },
  });
  silent.close();
});
