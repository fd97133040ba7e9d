import { once } from 'node:events';
import { chmod, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ControlClient, createControlClient } from '../../../../src/adapters/grpc/control.ts';
import { type ControlHandlers, serveControl } from '../../../../src/adapters/grpc/control-server.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { ControlService, Network } from '../../../../src/gen/overlayd/v1/control.ts';
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

function createClient(): ControlClient {
  const client = createControlClient(socketPath);
  clients.push(client);
  return client;
}

async function serve(handlers: Partial<ControlHandlers>, signal = stop.signal) {
  const missing = Object.fromEntries(
    Object.keys(ControlService).map((name) => [name, async () => Promise.reject(new Error(`unexpected ${name}`))]),
  );
  const all = { ...missing, ...handlers } as ControlHandlers;
  await serveControl(all, { socketPath, logger: recordingLogger(log) }, signal);
}

test('a request is answered, and the socket is for its owner and group', async () => {
  await serve({ getNetwork: async ({ ref }) => Network.create({ name: ref, vni: 4100 }) });
  expect(await createClient().getNetwork({ ref: 'web' })).toMatchObject({ name: 'web', vni: 4100 });
  expect((await stat(socketPath)).mode & 0o777).toBe(0o660);
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
  expect(await client.leaveCluster({ force: true, deleteCluster: false }, (step) => steps.push(step))).toEqual(result);
  expect(steps).toEqual(['one', 'two']);
  await expect(client.leaveCluster({ force: false, deleteCluster: false }, () => {})).rejects.toMatchObject({
    code: 'network-in-use',
  });
});

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
      const far = createConnection(socketPath);
      near.on('data', (data) => frozen || far.write(data)).on('error', () => undefined);
      far.on('data', (data) => frozen || near.write(data)).on('error', () => undefined);
    }).listen(path);
    await once(way, 'listening');
    const client = createControlClient(path, { connectMs: 300, pingMs: 300 });
    clients.push(client);
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
