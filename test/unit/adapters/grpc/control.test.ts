import { once } from 'node:events';
import { chmod, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:http2';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ControlClient, createControlClient } from '../../../../src/adapters/grpc/control.ts';
import { createCallClient } from '../../../../src/adapters/grpc/control-call.ts';
import { callsPath, UNARY_TYPE } from '../../../../src/adapters/grpc/control-method.ts';
import { type ControlHandlers, serveControl } from '../../../../src/adapters/grpc/control-server.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { ControlService, Network, Node } from '../../../../src/gen/overlayd/v1/control.ts';
import { type LogLine, recordingLogger } from '../../agent/cluster/cluster-fixture.ts';

let directory: string;
let socketPath: string;
let stop: AbortController;
let log: LogLine[];
const clients: ControlClient[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'overlayd-control-'));
  socketPath = join(directory, 'run', 'overlayd.sock');
  stop = new AbortController();
  log = [];
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  stop.abort();
  await rm(directory, { recursive: true, force: true });
});

type Create = typeof createControlClient;
let create: Create;

function createClient(...args: Partial<Parameters<Create>>): ControlClient {
  const client = create(args[0] ?? socketPath, args[1]);
  clients.push(client);
  return client;
}

/** By gRPC, and by single calls; these fall back on gRPC. */
const WAYS: readonly (readonly [name: string, create: Create, path: (path: string) => string])[] = [
  ['gRPC', createControlClient, (path) => path],
  [
    'calls',
    (path, patience) =>
      createCallClient(path, { older: async () => createControlClient(path, patience), ...(patience && { patience }) }),
    callsPath,
  ],
];

async function serve(handlers: Partial<ControlHandlers>, signal = stop.signal) {
  const missing = Object.fromEntries(
    Object.keys(ControlService).map((name) => [name, async () => Promise.reject(new Error(`unexpected ${name}`))]),
  );
  const all = { ...missing, ...handlers } as ControlHandlers;
  await serveControl(all, { socketPath, logger: recordingLogger(log) }, signal);
}

/** A handler that ends only when its signal does, and what it saw. */
function waitForAbort() {
  const started = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<unknown>();
  const getEndpoint: ControlHandlers['getEndpoint'] = (_, signal) => {
    started.resolve();
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason);
        reject(signal.reason);
      });
    });
  };
  return { getEndpoint, started: started.promise, aborted: aborted.promise };
}

test('a caller that goes away aborts what it asked for', async () => {
  const { getEndpoint, started, aborted } = waitForAbort();
  await serve({ getEndpoint });
  const session = connect('http://localhost', { createConnection: () => createConnection(socketPath) });
  const headers = { ':method': 'POST', ':path': ControlService.getEndpoint.path, 'content-type': 'application/grpc' };
  session.request({ ...headers, te: 'trailers' }).end(Buffer.alloc(5));
  await started;
  session.destroy();
  expect(await aborted).toMatchObject({ code: 'cancelled', message: 'the caller went away' });
});

describe.each(WAYS)('by %s', (_, way, pathOf) => {
  beforeEach(() => {
    create = way;
  });

  test('a request is answered, and the socket is for its owner and group', async () => {
    await serve({ getNetwork: async ({ ref }) => Network.create({ name: ref, vni: 4100 }) });
    expect(await createClient().getNetwork({ ref: 'web' })).toMatchObject({ name: 'web', vni: 4100 });
    expect((await stat(pathOf(socketPath))).mode & 0o777).toBe(0o660);
  });

  test('errors arrive with code, message and whether to retry', async () => {
    await serve({
      getNetwork: async () => {
        throw new OverlaydError('network-not-found', 'network wéb not found');
      },
      removeNetwork: () => {
        throw new OverlaydError('store-unavailable', 'etcd does not answer', { retryable: true });
      },
      listNodes: async () => {
        throw new TypeError('x is not a function');
      },
    });
    const client = createClient();
    await expect(client.getNetwork({ ref: 'wéb' })).rejects.toMatchObject({
      ...{ name: 'OverlaydError', code: 'network-not-found', message: 'network wéb not found', retryable: false },
    });
    const unavailable = { code: 'store-unavailable', retryable: true };
    await expect(client.removeNetwork({ ref: 'a', force: false })).rejects.toMatchObject(unavailable);
    await expect(client.listNodes({})).rejects.toMatchObject({ code: 'internal', message: 'x is not a function' });
    expect(log.map(({ level, fields }) => [level, fields.method])).toEqual([['error', 'listNodes']]);
  });

  test('a long step reports progress in order and ends with its result', async () => {
    const result = { clusterId: 'c', nodeId: 'n', nodeName: 'host1', joinCommand: '', warnings: ['w'] };
    await serve({
      leaveCluster: async ({ force }, emit) => {
        emit({ event: { $case: 'progress', value: 'one' } });
        emit({ event: { $case: 'progress', value: 'two' } });
        if (!force) throw new OverlaydError('network-in-use', 'this host has endpoints');
        emit({ event: { $case: 'result', value: result } });
      },
    });
    const steps: string[] = [];
    const client = createClient();
    expect(await client.leaveCluster({ force: true, deleteCluster: false }, (step) => steps.push(step))).toEqual(
      result,
    );
    expect(steps).toEqual(['one', 'two']);
    await expect(client.leaveCluster({ force: false, deleteCluster: false }, () => {})).rejects.toMatchObject({
      code: 'network-in-use',
    });
  });

  test('an agent that stops ends what still runs, after a moment', async () => {
    const { getEndpoint, started, aborted } = waitForAbort();
    await serve({ getEndpoint });
    const asked = createClient().getEndpoint({ ref: 'e' });
    await started;
    stop.abort();
    await expect(asked).rejects.toMatchObject({ code: 'cancelled', message: 'the agent stops' });
    await aborted;
    await expect(createClient().listNodes({})).rejects.toMatchObject({ code: 'agent-not-running' });
  });

  test('an agent that does not know the request is to be restarted', async () => {
    socketPath = join(directory, 'older.sock');
    const older = new Server();
    await promisify(older.bindAsync.bind(older))(`unix:${socketPath}`, ServerCredentials.createInsecure());
    const client = createClient();
    const expected = { code: 'version-mismatch', message: expect.stringContaining('restart the agent') };
    await expect(client.diagnose({ network: '', peer: '', commandVersion: '' })).rejects.toMatchObject(expected);
    await expect(client.followEvents({ query: undefined, local: true }, () => {})).rejects.toMatchObject(expected);
    older.forceShutdown();
  });

  test('without an agent the error says how to start it', async () => {
    await expect(createClient().getStatus({})).rejects.toMatchObject({
      code: 'agent-not-running',
      message: `the agent does not answer on ${socketPath}: start it with \`systemctl start overlayd\` or \`overlayd agent\``,
    });
    await expect(createClient().leaveCluster({ force: false, deleteCluster: false }, () => {})).rejects.toMatchObject({
      code: 'agent-not-running',
    });
  });

  test.each(['the request', 'the connection'])(
    'an agent that answers no more after %s is told from one that works on',
    async (when) => {
      const asked = Promise.withResolvers<void>();
      await serve({
        getNetwork: () => {
          asked.resolve();
          return new Promise(() => undefined);
        },
        leaveCluster: () => {
          asked.resolve();
          return new Promise(() => undefined);
        },
      });
      let frozen = when === 'the connection';
      const path = join(directory, 'frozen.sock');
      const way = createServer((near) => {
        const far = createConnection(pathOf(socketPath));
        near.on('data', (data) => frozen || far.write(data)).on('error', () => undefined);
        far.on('data', (data) => frozen || near.write(data)).on('error', () => undefined);
      }).listen(pathOf(path));
      await once(way, 'listening');
      const client = createClient(path, { connectMs: 300, pingMs: 300 });
      const answers = Promise.allSettled([
        client.getNetwork({ ref: 'web' }),
        client.leaveCluster({ force: false, deleteCluster: false }, () => undefined),
      ]);
      if (!frozen) await asked.promise;
      frozen = true;
      const reason = { code: 'agent-not-running', message: expect.stringMatching(/not answer|answers no more/) };
      const rejected = { status: 'rejected', reason: expect.objectContaining(reason) };
      expect(await answers).toEqual([rejected, rejected]);
      way.close();
    },
  );

  test('the socket of an agent that crashed is no agent, and the next one replaces it', async () => {
    // Closing a listener removes its file, a crash does not: so it is moved aside before.
    const dead = createServer().listen(join(directory, 'dead.sock'));
    await once(dead, 'listening');
    socketPath = join(directory, 'stale.sock');
    await rename(join(directory, 'dead.sock'), socketPath);
    await new Promise((resolve) => dead.close(resolve));
    await expect(createClient().getStatus({})).rejects.toMatchObject({ code: 'agent-not-running' });
    await serve({ listNodes: async () => ({ nodes: [] }) });
    expect(await createClient().listNodes({})).toEqual({ nodes: [] });
  });

  test('a second agent is refused, and the first one goes on', async () => {
    await serve({ listNodes: async () => ({ nodes: [] }) });
    await expect(serve({})).rejects.toThrow(/another agent answers on .*; stop it first/);
    expect(await createClient().listNodes({})).toEqual({ nodes: [] });
  });

  test('a file in the way is left alone', async () => {
    socketPath = join(directory, 'file');
    await writeFile(socketPath, 'precious');
    await expect(serve({})).rejects.toMatchObject({ code: 'config-invalid' });
  });

  test.runIf(process.getuid?.() !== 0)('a socket that may not be written is a matter of permission', async () => {
    await serve({});
    await chmod(socketPath, 0o000);
    await expect(createClient().getStatus({})).rejects.toMatchObject({ code: 'permission-denied' });
  });
});

describe('calls', () => {
  test('may be made by any client of HTTP, and end when it goes away', async () => {
    const { getEndpoint, started, aborted } = waitForAbort();
    await serve({ getEndpoint, getNetwork: async ({ ref }) => Network.create({ name: ref }) });
    const ask = (name: string, body: Uint8Array, signal?: AbortSignal) => {
      const { promise, resolve, reject } = Promise.withResolvers<[number | undefined, string | undefined, Buffer]>();
      const options = {
        socketPath: callsPath(socketPath),
        path: ControlService[name as 'getNetwork'].path,
        method: 'POST',
        headers: { 'Content-Type': UNARY_TYPE },
      };
      const asked = request({ ...options, ...(signal && { signal }) }, async (answer) => {
        const parts = (await answer.toArray()) as Buffer[];
        resolve([answer.statusCode, answer.headers['content-type'], Buffer.concat(parts)]);
      });
      asked.on('error', reject).end(body);
      return promise;
    };
    const [code, type, body] = await ask('getNetwork', ControlService.getNetwork.requestSerialize({ ref: 'web' }));
    expect([code, type, Network.decode(body).name]).toEqual([200, 'application/proto', 'web']);
    const caller = new AbortController();
    const asked = ask('getEndpoint', new Uint8Array(), caller.signal).catch((error: Error) => error.name);
    await started;
    caller.abort();
    expect(await asked).toBe('AbortError');
    expect(await aborted).toMatchObject({ code: 'cancelled', message: 'the caller went away' });
  });

  test('go by gRPC where an older agent has no place for them', async () => {
    await serve({ getNetwork: async ({ ref }) => Network.create({ name: ref }) });
    await rm(callsPath(socketPath));
    const client = createCallClient(socketPath, { older: async () => createControlClient(socketPath) });
    expect(await client.getNetwork({ ref: 'web' })).toMatchObject({ name: 'web' });
    await expect(client.listNodes({})).rejects.toMatchObject({ name: 'OverlaydError', code: 'internal' });
  });

  test('whose answer is cut off are no answers', async () => {
    const heads = [
      'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort',
      'HTTP/1.1 200 OK\r\nContent-Le',
      'SSH-2.0-OpenSSH\r\n\r\n',
      '',
    ];
    for (const head of heads) {
      const cutting = createServer((near) => near.on('error', () => undefined).once('data', () => near.end(head)));
      const path = join(directory, `cut-${heads.indexOf(head)}.sock`);
      cutting.listen(callsPath(path));
      await once(cutting, 'listening');
      const client = createCallClient(path, { older: async () => Promise.reject(new Error('not asked')) });
      const wentAway = { code: 'agent-not-running', message: expect.stringContaining('went away during the request') };
      await expect(client.getNetwork({ ref: 'web' })).rejects.toMatchObject(wentAway);
      await expect(client.followEvents({ query: undefined, local: true }, () => {})).rejects.toMatchObject(wentAway);
      cutting.close();
    }
  });

  test('hear large answers and streams whole, in whatever pieces they come', async () => {
    const nodes = Array.from({ length: 5_000 }, (_, i) => Node.fromPartial({ id: `n${i}`, name: 'x'.repeat(100) }));
    await serve({
      listNodes: async () => ({ nodes }),
      followEvents: async (_, emit) => {
        for (let i = 0; i < 300; i++)
          await emit({ events: [], away: [{ nodeName: `n${i}`, reason: 'y'.repeat(i * 10) }], leftOut: [] });
      },
    });
    const client = createCallClient(socketPath, { older: async () => Promise.reject(new Error('not asked')) });
    expect(await client.listNodes({})).toEqual({ nodes });
    const told: string[] = [];
    await client.followEvents({ query: undefined, local: true }, ({ away }) => told.push(away[0]!.nodeName));
    expect(told).toEqual(Array.from({ length: 300 }, (_, i) => `n${i}`));
  });
});
