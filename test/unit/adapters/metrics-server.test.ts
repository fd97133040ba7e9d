import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type MetricsPlace, MetricsServer } from '../../../src/adapters/metrics-server.ts';
import { families } from '../../../src/core/metrics/family.ts';
import { until } from '../../lab/until.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { type LogLine, recordingLogger } from '../agent/cluster/cluster-fixture.ts';

let folder: string;
let quit: AbortController;
let log: LogLine[];
let clock: VirtualClock;
let collected: number;
let running: Promise<void>;
let server: MetricsServer;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'overlayd-metrics-'));
  quit = new AbortController();
  [log, collected, clock, running] = [[], 0, new VirtualClock(), Promise.resolve()];
});
afterEach(async () => {
  quit.abort();
  await running;
  rmSync(folder, { recursive: true });
});

function start(place: MetricsPlace, collect = async () => families({ member: 1 })): void {
  const counting = () => {
    collected += 1;
    return collect();
  };
  server = new MetricsServer({ collect: counting, clock, logger: recordingLogger(log) }, place);
  running = server.run(quit.signal);
}

const isServed = () => log.some(({ message }) => message === 'metrics are served');
const socket = () => join(folder, 'metrics.sock');
const onSocket = async () => {
  start({ kind: 'unix', path: socket() });
  await until('the socket', isServed);
};

function get(path: string, options: { method?: string; headers?: Record<string, string>; port?: number } = {}) {
  return new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
    const { port, ...rest } = options;
    const where = port === undefined ? { socketPath: socket() } : { host: '127.0.0.1', port };
    request({ path, ...where, ...rest, agent: false }, (response) => {
      const { statusCode = 0, headers } = response;
      text(response).then((body) => resolve({ status: statusCode, type: headers['content-type'] ?? '', body }), reject);
    })
      .on('error', reject)
      .end();
  });
}

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

it('is read from a Unix socket that nobody but root and its group may open', async () => {
  await onSocket();
  const { status, type, body } = await get('/metrics');
  expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  expect(body).toContain('\noverlayd_member 1\n');
  expect(statSync(socket()).mode & 0o777).toBe(0o660);
  const open = await get('/metrics', { headers: { Accept: 'application/openmetrics-text; version=1.0.0' } });
  expect(open.type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
  expect(open.body.endsWith('# EOF\n')).toBe(true);
});

it('answers nothing else, and says where they are', async () => {
  await onSocket();
  expect(await get('/')).toMatchObject({ status: 200, body: 'Metrics of the overlayd agent are at /metrics.\n' });
  expect((await get('/status')).status).toBe(404);
  expect((await get('/metrics', { method: 'POST' })).status).toBe(405);
  expect(await get('/metrics?x=1', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
});

it('is made once for all who ask meanwhile, and for a while as they are', async () => {
  const made = Promise.withResolvers<ReturnType<typeof families>>();
  start({ kind: 'unix', path: socket() }, () => made.promise);
  await until('the socket', isServed);
  const answers = [get('/metrics'), get('/metrics'), get('/metrics')];
  await until('them to be asked for', () => collected > 0);
  await clock.advance(20);
  made.resolve(families({ member: 1 }));
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
  await clock.advance(79);
  expect((await get('/metrics')).status).toBe(200);
  expect(collected).toBe(1);
  await clock.advance(1);
  expect((await get('/metrics')).status).toBe(200);
  expect(collected).toBe(2);
});

it('tells a failure to who asks, and to the log', async () => {
  start({ kind: 'unix', path: socket() }, () => Promise.reject(new Error('no report')));
  await until('the socket', isServed);
  expect(await get('/metrics')).toMatchObject({ status: 500, body: 'metrics could not be told: no report\n' });
  expect(log.at(-1)).toMatchObject({ level: 'warn' });
});

it('on a port of the loopback answers who means this host alone', async () => {
  const port = await freePort();
  start({ kind: 'tcp', address: '127.0.0.1', port });
  await until('the port', isServed);
  expect((await get('/metrics', { port })).status).toBe(200);
  expect((await get('/metrics', { port, headers: { Host: `localhost:${port}` } })).status).toBe(200);
  expect((await get('/metrics', { port, headers: { Host: 'attacker.example' } })).status).toBe(403);
});

it('tries again where something else has the place, and says so meanwhile', async () => {
  writeFileSync(socket(), '');
  start({ kind: 'unix', path: socket() });
  await until('it to be told', () => server.problem);
  expect(server.problem).toMatch(/^metrics are not served: .* is no socket; move it away, or set --metrics-listen; /);
  rmSync(socket());
  await until('the socket', async () => {
    await clock.advance(10_000);
    return isServed();
  });
  expect(server.problem).toBeUndefined();
  expect((await get('/metrics')).status).toBe(200);
  expect(log.filter(({ level }) => level === 'warn')).toHaveLength(1);
});
