import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { GrpcPeerTransport } from '../../../../src/adapters/grpc/peer.ts';
import { createPki } from '../../../../src/adapters/pki/pki.ts';
import type { OverlaydError } from '../../../../src/core/errors.ts';
import type { GossipMessage } from '../../../../src/core/gossip/message.ts';
import { formatHostPort } from '../../../../src/core/host-port.ts';
import { GossipClient, type GossipMessage as WireMessage } from '../../../../src/gen/overlayd/v1/gossip.ts';
import type { Clock } from '../../../../src/ports/runtime.ts';
import { describePeerTransport } from '../../../contract/peer-transport.ts';
import { noKeeper } from '../../../fixtures/keeper.ts';
import { until } from '../../../lab/until.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';
import { connectionsTo, flood } from './flood.ts';

const pki = createPki();
const logger = recordingLogger([]);
const ca = await pki.createCa('c1', Date.now());
let skewMs = 0;
const clock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now() + skewMs,
  sleep: (ms, signal) => setTimeout(ms, undefined, signal && { signal }),
};

async function createMaterial(nodeId: string, authority = ca, key?: string, lifetimeMs = 3_600_000) {
  const secret = key ?? (await pki.createKey());
  const csr = await pki.createCsr(secret);
  const validity = { now: Date.now(), lifetimeMs };
  const certificate = await pki.issue(authority, { csr, nodeId, address: '127.0.0.1' }, validity);
  return { key: secret, certificate, caCertificate: authority.certificate };
}

const opened: { close(): void }[] = [];
afterEach(() => {
  skewMs = 0;
  for (const transport of opened.splice(0)) transport.close();
});

async function createNode(
  options: {
    port?: number;
    authority?: typeof ca;
    isMember?: () => boolean;
    onHeard?: () => void;
    lifetimeMs?: number;
    host?: string;
  } = {},
) {
  const nodeId = randomBytes(8).toString('hex');
  const material = await createMaterial(nodeId, options.authority, undefined, options.lifetimeMs);
  const { host = '127.0.0.1', isMember = () => true, onHeard = () => undefined } = options;
  const transport = new GrpcPeerTransport(
    { clock, pki, logger, keeper: noKeeper, isMember, onHeard },
    { nodeId, material, listenAddress: host, port: options.port ?? 0 },
  );
  opened.push(transport);
  return { nodeId, material, transport, address: () => formatHostPort(host, transport.port) };
}

type Node = Awaited<ReturnType<typeof createNode>>;
/** Of requests that are answered. */
const PATIENT_MS = 60_000;
const peer = (node: Node) => ({ nodeId: node.nodeId, address: node.address() });
const plain = (node: Node): GossipMessage => ({ from: node.nodeId, members: [] });
const serve = (node: Node, signal = new AbortController().signal) =>
  node.transport.serve(async () => plain(node), signal);

async function freePort(): Promise<number> {
  const probe = createTcpServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

describePeerTransport('gRPC', async () => {
  const nodes = [await createNode(), await createNode({ port: await freePort() }), await createNode()] as const;
  return { nodes: [nodes[0], nodes[1], nodes[2]], close: () => undefined };
});

test('members reach each other at addresses of IPv6', async () => {
  const [a, b] = [await createNode({ host: '::1' }), await createNode({ host: '::1' })];
  await serve(b);
  expect(await a.transport.request(peer(b), plain(a), PATIENT_MS)).toMatchObject({ from: b.nodeId });
  b.transport.close();
  await expect(a.transport.request(peer(b), plain(a), PATIENT_MS)).rejects.toThrow(/at \[::1\]:\d+/);
});

test('a node that is not a member (any more) is refused on a connection that stands', async () => {
  let member = true;
  const a = await createNode();
  const b = await createNode({ isMember: () => member });
  await serve(b);
  await a.transport.request(peer(b), plain(a), PATIENT_MS);
  member = false;
  await expect(a.transport.request(peer(b), plain(a), PATIENT_MS)).rejects.toMatchObject({ code: 'peer-refused' });
});

test('a member has a few streams at a time, whatever it opens', async () => {
  const [a, b] = [await createNode(), await createNode()];
  let asked = 0;
  const enough = Promise.withResolvers<void>();
  await b.transport.serve(() => {
    if (++asked === 8) enough.resolve();
    return new Promise(() => undefined);
  }, new AbortController().signal);
  const { caCertificate, key, certificate } = a.material;
  const secure = credentials.createSsl(Buffer.from(caCertificate), Buffer.from(key), Buffer.from(certificate));
  const name = `${b.nodeId}.node.overlayd`;
  const client = new GossipClient(b.address(), secure, {
    ...{ 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name },
  });
  opened.push(client);
  const open = () => {
    const stream = client.converse();
    stream.on('error', () => undefined);
    stream.write({ number: 1, message: plain(a) as WireMessage });
    return stream;
  };
  const first = open();
  await until('the first question', async () => asked === 1);
  const others = Array.from({ length: 20 }, open);
  await enough.promise;
  first.cancel();
  await until('one more, in its place', async () => asked === 9);
  for (const stream of others) stream.cancel();
});

test('whether the sender is a member is asked with the node id and the fingerprint of its key', async () => {
  const a = await createNode();
  const nodeId = randomBytes(8).toString('hex');
  const asked: string[][] = [];
  const b = new GrpcPeerTransport(
    { clock, pki, logger, keeper: noKeeper, isMember: (...args) => asked.push(args) > 0 },
    { nodeId, material: await createMaterial(nodeId), listenAddress: '127.0.0.1', port: 0 },
  );
  opened.push(b);
  await b.serve(async () => ({ ...plain(a), from: nodeId }), new AbortController().signal);
  await a.transport.request({ nodeId, address: `127.0.0.1:${b.port}` }, plain(a), PATIENT_MS);
  const who = [a.nodeId, pki.fingerprint(a.material.key)];
  // When it connects, and of what it says.
  expect(asked).toEqual([who, who]);
});

test('a client of another authority gets no session, and takes no server of another authority', async () => {
  const stranger = await createNode({ authority: await pki.createCa('c1', Date.now()) });
  const a = await createNode();
  let asked = 0;
  await a.transport.serve(async () => {
    asked++;
    return plain(a);
  }, new AbortController().signal);
  await serve(stranger);
  const unreachable = { code: 'peer-unreachable' };
  await expect(stranger.transport.request(peer(a), plain(stranger), 1_000)).rejects.toMatchObject(unreachable);
  await expect(a.transport.request(peer(stranger), plain(a), 1_000)).rejects.toMatchObject(unreachable);
  expect(asked).toBe(0);
});

test('messages past 4 MB are refused without being held', async () => {
  const [a, b] = [await createNode(), await createNode()];
  await serve(b);
  const records = [{ key: 'k', revision: 1, value: 'x'.repeat(5 * 1024 * 1024) }];
  const message = { ...plain(a), delta: { from: 0, to: 1, records } };
  await expect(a.transport.request(peer(b), message, PATIENT_MS)).rejects.toThrow(
    /larger than max|max message size|larger/i,
  );
  expect((await a.transport.request(peer(b), plain(a), PATIENT_MS)).from).toBe(b.nodeId);
});

test('a renewed certificate serves and asks without a restart', async () => {
  const [a, b] = [await createNode(), await createNode()];
  await serve(b);
  await a.transport.request(peer(b), plain(a), PATIENT_MS);
  const authority = await pki.createCa('c2', Date.now());
  const both = `${authority.certificate}${ca.certificate}`;
  for (const node of [a, b]) {
    const renewed = await createMaterial(node.nodeId, authority, node.material.key);
    node.transport.replaceMaterial({ ...renewed, caCertificate: both });
  }
  expect((await a.transport.request(peer(b), plain(a), PATIENT_MS)).from).toBe(b.nodeId);
  const onlyNew = await createNode({ authority });
  expect((await onlyNew.transport.request(peer(b), plain(onlyNew), PATIENT_MS)).from).toBe(b.nodeId);
});

test('a question that is under way while a certificate is renewed gets its answer', async () => {
  const [a, b] = [await createNode(), await createNode()];
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await b.transport.serve(async () => {
    asked.resolve();
    await answer.promise;
    return plain(b);
  }, new AbortController().signal);
  const underWay = a.transport.request(peer(b), plain(a), PATIENT_MS);
  await asked.promise;
  a.transport.replaceMaterial(await createMaterial(a.nodeId, ca, a.material.key));
  answer.resolve();
  expect((await underWay).from).toBe(b.nodeId);
  expect((await a.transport.request(peer(b), plain(a), PATIENT_MS)).from).toBe(b.nodeId);
  await until('the first connection to close', async () => (await connectionsTo(b.transport.port)) === 1);
});

test('hundreds of questions at once are answered, a part of them at a time', async () => {
  const [a, b] = [await createNode(), await createNode()];
  let [now, most] = [0, 0];
  await b.transport.serve(async () => {
    most = Math.max(most, ++now);
    await setTimeout(1);
    now--;
    return plain(b);
  }, new AbortController().signal);
  const questions = Array.from({ length: 500 }, () => a.transport.request(peer(b), plain(a), PATIENT_MS));
  expect(await Promise.all(questions)).toHaveLength(500);
  expect(most).toBeLessThanOrEqual(64);
});

test('both hear that the other one is there, once for each question', async () => {
  const heard: string[] = [];
  const one = await createNode({ onHeard: () => void heard.push('answer') });
  const two = await createNode({ onHeard: () => void heard.push('question') });
  await serve(two);
  await one.transport.request(peer(two), plain(one), PATIENT_MS);
  expect(heard).toEqual(['question', 'answer']);
  two.transport.close();
  await expect(one.transport.request(peer(two), plain(one), PATIENT_MS)).rejects.toThrow();
  expect(heard).toEqual(['question', 'answer']);
});

test('a member that nothing was asked for a while is asked anew on the same connection', async () => {
  const [a, b] = [await createNode(), await createNode()];
  await serve(b);
  const ask = () => a.transport.request(peer(b), plain(a), PATIENT_MS);
  await ask();
  skewMs = 30_001;
  a.transport.retain(new Set([b.nodeId]));
  expect((await ask()).from).toBe(b.nodeId);
  expect(await connectionsTo(b.transport.port)).toBe(1);
});

test('what is open to somebody who is no member any more is closed, and nothing else', async () => {
  const [a, b, c] = [await createNode(), await createNode(), await createNode()];
  for (const node of [b, c]) {
    await serve(node);
    await a.transport.request(peer(node), plain(a), PATIENT_MS);
  }
  expect([await connectionsTo(b.transport.port), await connectionsTo(c.transport.port)]).toEqual([1, 1]);
  a.transport.retain(new Set([c.nodeId]));
  await until('the connection to close', async () => (await connectionsTo(b.transport.port)) === 0);
  expect(await connectionsTo(c.transport.port)).toBe(1);
});

test('a node that stops closes what it has open, and what others have open to it', async () => {
  const [a, b] = [await createNode(), await createNode()];
  const stop = new AbortController();
  await serve(a, stop.signal);
  await serve(b);
  await a.transport.request(peer(b), plain(a), PATIENT_MS);
  await b.transport.request(peer(a), plain(b), PATIENT_MS);
  expect([await connectionsTo(a.transport.port), await connectionsTo(b.transport.port)]).toEqual([1, 1]);
  stop.abort();
  await until(
    'the connections to close',
    async () => (await connectionsTo(a.transport.port)) + (await connectionsTo(b.transport.port)) === 0,
  );
  await expect(a.transport.request(peer(b), plain(a), PATIENT_MS)).rejects.toMatchObject({ code: 'peer-unreachable' });
});

test('who has no certificate gets a few connections, and those for a short time', async () => {
  const [a, b] = [await createNode(), await createNode()];
  await serve(b);
  const idle = await flood(b.transport.port, 200);
  await until('the others to be refused', () => idle.open() <= 8);
  await until('those that stay silent to be closed', () => idle.open() === 0);
  expect((await a.transport.request(peer(b), plain(a), PATIENT_MS)).from).toBe(b.nodeId);
});

test('a member asks as often as it has to, also while others of its address say nothing', async () => {
  const [a, b] = [await createNode(), await createNode()];
  await serve(b);
  const ask = () => a.transport.ask(peer(b), 'rotateCa', {}, PATIENT_MS).catch(({ code }: OverlaydError) => code);
  // Each on a connection of its own; it is no keeper, and says so.
  const codes: unknown[] = [];
  for (let i = 0; i < 50; i++) codes.push(await ask());
  expect(new Set(codes)).toEqual(new Set(['keeper-unreachable']));
  const idle = await flood(b.transport.port, 20);
  expect(await ask()).toBe('keeper-unreachable');
  expect(idle.open()).toBe(20);
});

test('a peer that moved is reached at its new address', async () => {
  const [a, b] = [await createNode(), await createNode()];
  const first = new AbortController();
  await serve(b, first.signal);
  const before = peer(b);
  await a.transport.request(before, plain(a), PATIENT_MS);
  first.abort();
  await serve(b);
  expect(peer(b).address).not.toBe(before.address);
  expect((await a.transport.request(peer(b), plain(a), PATIENT_MS)).from).toBe(b.nodeId);
});

test('a connection that hangs before it is up is given up after 5 s', async () => {
  const a = await createNode();
  const port = await freePort();
  const b = await createNode({ port });
  const held: Socket[] = [];
  const deaf: Server = createTcpServer((socket) => held.push(socket)).listen(port, '127.0.0.1');
  await once(deaf, 'listening');
  const address = { nodeId: b.nodeId, address: `127.0.0.1:${port}` };
  await expect(a.transport.request(address, plain(a), 100)).rejects.toThrow(/did not answer in time/);
  // From here on somebody answers on that port, yet the first connection still hangs on the deaf one's socket.
  await expect.poll(() => held).toHaveLength(1);
  deaf.close();
  await serve(b);
  await expect(a.transport.request(address, plain(a), 100)).rejects.toThrow(/did not answer in time/);
  skewMs = 5_001;
  expect((await a.transport.request(address, plain(a), PATIENT_MS)).from).toBe(b.nodeId);
  held[0]!.destroy();
});

test('a port in use is refused with what to do', async () => {
  const port = await freePort();
  await serve(await createNode({ port }));
  await expect(serve(await createNode({ port }))).rejects.toThrow(/another program uses it.*--gossip-port/);
});

test('a certificate that is not valid by the clock is told as that, whoever refuses it', async () => {
  const expired = { lifetimeMs: -60_000 };
  const future = { authority: await pki.createCa('c1', Date.now() + 11 * 365 * 86_400_000) };
  for (const [clientOptions, serverOptions] of [
    [{}, expired],
    [expired, {}],
    [future, future],
  ]) {
    const [client, server] = [await createNode(clientOptions), await createNode(serverOptions)];
    await serve(server);
    const failure = client.transport.request(peer(server), plain(client), 5_000);
    await expect(failure).rejects.toMatchObject({ code: 'clock-skew', retryable: true });
    await expect(failure).rejects.toThrow(/not valid by the clock .* set the clock that is wrong \(NTP\)/);
  }
});
