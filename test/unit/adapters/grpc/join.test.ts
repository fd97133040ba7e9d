import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer, type Server } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { createJoinClient } from '../../../../src/adapters/grpc/join-client.ts';
import { serveJoin } from '../../../../src/adapters/grpc/join-server.ts';
import { GrpcPeerTransport } from '../../../../src/adapters/grpc/peer.ts';
import { type Identity, tlsMaterialOf } from '../../../../src/agent/cluster/identity.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { parseToken } from '../../../../src/core/token.ts';
import type { TlsMaterial } from '../../../../src/ports/identity.ts';
import type { JoinRequest, JoinResponse } from '../../../../src/ports/join.ts';
import type { Clock } from '../../../../src/ports/runtime.ts';
import { backdatedCertificate } from '../../../fixtures/certificate.ts';
import { noKeeper } from '../../../fixtures/keeper.ts';
import { until } from '../../../lab/until.ts';
import { ClusterFixture, pki, recordingLogger } from '../../agent/cluster/cluster-fixture.ts';
import { connectionsTo, flood } from './flood.ts';

const clock: Clock = { now: () => Date.now(), elapsed: () => performance.now(), sleep: async () => undefined };
const client = createJoinClient(clock);
const stop = new AbortController();
const logger = recordingLogger([]);
afterAll(() => stop.abort());

const REQUEST: JoinRequest = {
  tokenId: 'abcdefgh',
  tokenSecret: 'a-secret-that-must-not-leave',
  csr: 'csr',
  nodeName: 'n2',
  advertiseAddress: '10.0.0.2',
  gossipPort: 7946,
  joinPort: 2377,
  vtep: '10.0.0.2',
  dataPathPort: 4789,
  underlayMtu: 1500,
  hostRoutes: ['192.168.0.0/16'],
  linkRoutes: ['192.168.0.0/16'],
  neededAddresses: [{ address: '192.168.0.1', what: 'default gateway' }],
  labels: { rack: 'r1' },
  nowMs: 1_700_000_000_000,
  version: '1.2.3',
  levels: { from: 1, to: 2 },
  nat: false,
  ownAddresses: ['10.0.0.2', '192.168.0.2'],
  wireguardBackend: 'kernel',
};
const RESPONSE: JoinResponse = {
  nodeId: 'n2',
  clusterId: 'c1',
  certificate: 'c',
  caCertificate: 'ca',
  nextCaCertificate: '',
  caKey: 'k',
  store: { endpoints: ['https://10.0.0.1:2379'], caCertificate: '', certificate: '', key: '' },
  nat: false,
  seenFrom: '10.0.0.2',
};

const ca = await pki.createCa('c1', Date.now());
const digest = pki.digest(ca.certificate);

async function createMaterial(authority = ca, now = Date.now(), keeper = true): Promise<TlsMaterial> {
  const key = await pki.createKey();
  const node = { csr: await pki.createCsr(key), nodeId: 'ab12', address: '10.0.0.1', keeper };
  const certificate = await pki.issue(authority, node, { now, lifetimeMs: 3_600_000 });
  return { key, certificate, caCertificate: authority.certificate };
}

const unasked = { isMember: () => undefined };
/** As members have it from etcd. */
const listed = new Map([
  ['here', true],
  ['gone', false],
]);

/** A member's join port; `asked` collects what was said to it. */
async function createMember(
  admit: (request: JoinRequest) => Promise<JoinResponse> = async () => RESPONSE,
  material?: TlsMaterial,
  keepers: readonly string[] = [],
) {
  const asked: JoinRequest[] = [];
  const server = await serveJoin(
    (request) => {
      asked.push(request);
      return admit(request);
    },
    {
      material: material ?? (await createMaterial()),
      listenAddress: '127.0.0.1',
      port: 0,
      logger,
      keepers: () => keepers,
      isMember: (nodeId) => listed.get(nodeId),
    },
    stop.signal,
  );
  return { server, asked, port: server.port };
}

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  stop.signal.addEventListener('abort', () => server.close());
  server.unref();
  return (server.address() as AddressInfo).port;
}

async function freePort(host = '127.0.0.1'): Promise<number> {
  const closed = createServer();
  await once(closed.listen(0, host), 'listening');
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  return port;
}

const join = (port: number, caDigest = digest, host = '127.0.0.1') => client.join({ host, port }, caDigest, REQUEST);

test('a request and its answer pass unchanged, whatever name the member was dialled by', async () => {
  const { port, asked } = await createMember();
  expect(await join(port)).toEqual(RESPONSE);
  expect(asked).toEqual([REQUEST]);
  expect(await join(port, digest, 'localhost')).toEqual(RESPONSE);
});

test('at addresses of both families, with who asks as it is written', async () => {
  const callers: string[] = [];
  const { port } = await serveJoin(
    async (_, from) => {
      callers.push(from);
      return RESPONSE;
    },
    { material: await createMaterial(), listenAddress: '::', port: 0, logger, keepers: () => [], ...unasked },
    stop.signal,
  );
  for (const host of ['::1', '127.0.0.1']) expect(await join(port, digest, host)).toEqual(RESPONSE);
  expect(callers).toEqual([expect.stringMatching(/^\[::1\]:\d+$/), expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
  const free = await freePort('::1');
  await expect(join(free, digest, '::1')).rejects.toThrow(`[::1]:${free} refuses connections`);
});

/** Its certificate has no name of keepers. */
const plain = () => createMaterial(ca, Date.now(), false);
const refuse = () => Promise.reject(new Error('it was asked'));

test('a member that is no keeper hears no secret, and says who admits', async () => {
  const keeper = await createMember();
  const other = await createMember(refuse, await plain(), [
    `127.0.0.1:${await freePort()}`,
    `127.0.0.1:${keeper.port}`,
  ]);
  expect(await join(other.port)).toEqual(RESPONSE);
  expect([keeper.asked, other.asked]).toEqual([[REQUEST], []]);
});

test('a keeper tells a host whether it is a member still; nobody else is believed', async () => {
  const { port } = await createMember();
  const ask = (nodeId: string, of = port, caDigest = digest) =>
    client.isMember({ host: '127.0.0.1', port: of }, caDigest, nodeId);
  expect([await ask('here'), await ask('gone'), await ask('unknown')]).toEqual([true, false, undefined]);
  const other = await createMember(undefined, await plain());
  expect(await ask('gone', other.port)).toBeUndefined();
  const foreign = await createMember(undefined, await createMaterial(await pki.createCa('c2', Date.now())));
  await expect(ask('gone', foreign.port)).rejects.toMatchObject({ code: 'ca-mismatch' });
});

test('a member that is no keeper sends nobody to another one', async () => {
  const second = await createMember(refuse, await plain());
  const first = await createMember(refuse, await plain(), [`127.0.0.1:${second.port}`]);
  await expect(join(first.port)).rejects.toMatchObject({
    code: 'peer-unreachable',
    message: expect.stringMatching(
      /is no keeper and lets no host in, and of those that do none is reached .*is no keeper/,
    ),
  });
  await expect(join(second.port)).rejects.toThrow('and knows of none');
  expect([first.asked, second.asked]).toEqual([[], []]);
});

test('what a keeper says to whoever was sent there is said', async () => {
  const keeper = await createMember(async () => {
    throw new OverlaydError('token-used', 'the token has been used');
  });
  const other = await createMember(refuse, await plain(), [`127.0.0.1:${keeper.port}`]);
  await expect(join(other.port)).rejects.toMatchObject({ code: 'token-used' });
});

test('the whole way: token, admission, certificate', async () => {
  const cluster = new ClusterFixture();
  const founder = await cluster.found();
  const server = await serveJoin(
    (request) => cluster.admit(request),
    {
      material: tlsMaterialOf(founder.identity),
      listenAddress: '127.0.0.1',
      port: 0,
      logger,
      keepers: () => [],
      ...unasked,
    },
    stop.signal,
  );
  const address = `127.0.0.1:${server.port}`;
  const host = cluster.host('n2', '10.0.0.2');
  host.deps.joinClient = { ...client, probe: async () => undefined };
  const { identity } = await host.join(founder.token, { address });
  expect(pki.readCertificate(identity.certificate).nodeId).toBe(identity.nodeId);
  const taken = cluster.host('n2', '10.0.0.3');
  taken.deps.joinClient = client;
  await expect(taken.join(founder.token, { address })).rejects.toMatchObject({ code: 'node-name-taken' });
  const other = await new ClusterFixture().found();
  await expect(taken.join(other.token, { address })).rejects.toMatchObject({ code: 'ca-mismatch' });
  expect(parseToken(other.token).caDigest).not.toBe(parseToken(founder.token).caDigest);
});

test('what the member refuses arrives with its code and words', async () => {
  const { port } = await createMember(async () => {
    throw new OverlaydError('token-expired', 'the token expired at noon');
  });
  await expect(join(port)).rejects.toMatchObject({ code: 'token-expired', message: 'the token expired at noon' });
});

test('a renewed certificate is served without a restart', async () => {
  const { port, server } = await createMember(undefined, await createMaterial(ca, Date.now() - 86_400_000));
  await expect(join(port)).rejects.toMatchObject({ code: 'clock-skew' });
  server.replaceMaterial(await createMaterial());
  expect(await join(port)).toEqual(RESPONSE);
});

describe('nothing secret is said', () => {
  test('to a member of another cluster', async () => {
    const { port, asked } = await createMember(undefined, await createMaterial(await pki.createCa('c2', Date.now())));
    await expect(join(port)).rejects.toMatchObject({ code: 'ca-mismatch' });
    await expect(join(port)).rejects.toThrow(/another cluster than the token .*the token's secret was not sent$/);
    expect(asked).toEqual([]);
  });

  test("to one that shows the cluster's CA with a certificate that it did not sign", async () => {
    const impostor = await createMaterial(await pki.createCa('c1', Date.now()));
    const { port, asked } = await createMember(undefined, { ...impostor, caCertificate: ca.certificate });
    await expect(join(port)).rejects.toMatchObject({ code: 'ca-mismatch' });
    // Without the issuer's signature the CA is not taken for part of the chain at all, or it is and then checked.
    await expect(join(port)).rejects.toThrow(/the token's secret was not sent$/);
    expect(asked).toEqual([]);
  });

  test('to a TLS server that shows no CA of ours', async () => {
    const { certificate, key } = await createMaterial();
    const received: Buffer[] = [];
    const web = createTlsServer({ cert: certificate, key }, (socket) => {
      socket.on('data', (data) => received.push(data)).on('error', () => undefined);
    });
    await expect(join(await listening(web))).rejects.toThrow(/is no overlayd member, its certificate is for CN=ab12/);
    expect(received).toEqual([]);
  });
});

describe('an endpoint that is not the join port is named as what it is', () => {
  test('nothing listens', async () => {
    const server = createServer();
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    await expect(join(port)).rejects.toMatchObject({ code: 'peer-unreachable', retryable: true });
    await expect(join(port)).rejects.toThrow(
      /refuses connections: .*is the agent running there, and is the port right/,
    );
  });

  test('it does not speak TLS', async () => {
    const port = await listening(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    await expect(join(port)).rejects.toThrow(
      /accepts connections and answers, but not with TLS; is that the join port/,
    );
  });

  test('it closes at once', async () => {
    const port = await listening(createServer((socket) => socket.destroy()));
    await expect(join(port)).rejects.toThrow(/accepts connections and closes them at once; .* wait a minute/);
  });

  test("it is a member's gossip port", async () => {
    const gossip = new GrpcPeerTransport(
      { clock, pki, logger, keeper: noKeeper, isMember: () => true },
      { nodeId: 'ab12', material: await createMaterial(), listenAddress: '127.0.0.1', port: 0 },
    );
    await gossip.serve(async (_, message) => message, stop.signal);
    await expect(join(gossip.port)).rejects.toThrow(/is a member, but does not admit there; is that the join port/);
  });
});

describe('clocks', () => {
  test("a member's certificate that is not valid yet tells this host's time", async () => {
    const material = await createMaterial();
    const identity = { nodeId: 'ab12', key: material.key, caCertificate: ca.certificate, caKey: ca.key } as Identity;
    const certificate = await backdatedCertificate(identity, Date.now() + 2 * 3_600_000);
    const { port } = await createMember(undefined, { ...material, certificate });
    await expect(join(port)).rejects.toMatchObject({ code: 'clock-skew' });
    await expect(join(port)).rejects.toThrow(
      /this host's clock says .*Z, but the member's certificate is valid from .*Z on/,
    );
  });
});

describe.concurrent('silence ends within five seconds', () => {
  test('of a host that accepts connections and says nothing', async () => {
    const port = await listening(createServer(() => undefined));
    await expect(join(port)).rejects.toThrow(/accepts connections and does not answer/);
  });

  test('of a member that does not decide', async () => {
    const { port } = await createMember(() => new Promise(() => undefined));
    await expect(join(port)).rejects.toThrow(/did not decide in time, .*safe to repeat/);
  });
});

test('a port is probed', async () => {
  const { port } = await createMember();
  expect(await client.probe('127.0.0.1', port, 60_000)).toBeUndefined();
  const server = createServer();
  const closed = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  expect(await client.probe('127.0.0.1', closed, 60_000)).toMatch(/refuses connections/);
});

test('who keeps trying tokens is not listened to any more, and others are', async () => {
  const { port, asked } = await createMember(async () => {
    throw new OverlaydError('token-invalid', 'this cluster does not know the token');
  });
  const codes: string[] = [];
  for (let i = 0; i < 20; i++) await join(port).catch((error: OverlaydError) => codes.push(error.code));
  expect(codes.slice(0, 2)).toEqual(['token-invalid', 'token-invalid']);
  expect(codes.at(-1)).toBe('peer-unreachable');
  await expect(join(port)).rejects.toThrow(/tried wrong tokens or connects too often: wait a minute/);
  expect(asked.length).toBeLessThan(6);
  const other = connectTcp({ host: '127.0.0.1', port, localAddress: '127.0.0.9' });
  await once(other, 'connect');
  const tls = connectTls({ socket: other, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  await once(tls, 'secureConnect');
  tls.destroy();
});

test('who says nothing gets a few connections, and those for a short time', async () => {
  const { port } = await createMember();
  const idle = await flood(port, 200);
  await until('the others to be refused', () => idle.open() <= 16);
  await until('those that stay silent to be closed', () => idle.open() === 0);
});

test('streams that are opened and reset end the connection', async () => {
  const { port, asked } = await createMember();
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on('error', () => undefined);
  await once(session, 'connect');
  await until('the connection to close', async () => {
    for (let i = 0; i < 10; i++) {
      const stream = session.request({ ':method': 'POST', ':path': '/' }).on('error', () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
    }
    return (await connectionsTo(port)) === 0;
  });
  session.destroy();
  expect(asked).toEqual([]);
});

test('requests past 64 KB are refused', async () => {
  const { port, asked } = await createMember();
  const large = { ...REQUEST, csr: 'x'.repeat(100_000) };
  await expect(client.join({ host: '127.0.0.1', port }, digest, large)).rejects.toThrow(/larger/);
  expect(asked).toEqual([]);
});
