import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/adapters/system/time.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { ClusterTable } from '../../../src/core/page/cluster-table.ts';
import type { ClusterChange, ClusterState } from '../../../src/core/page/contract.ts';
import { keys } from '../../../src/core/records.ts';
import type { Login } from '../../../src/ui/login.ts';
import type { FakeCluster } from '../../page/fake-cluster.ts';
import { JSON_TYPE, type Served, say, serve } from './page-fixture.ts';

let served: Served;
let cluster: FakeCluster;
let login: Login;
let url: string;

beforeEach(async () => {
  served = await serve();
  ({ cluster, login, url } = served);
});
afterEach(() => served.close());

const cookie = () => served.cookie();
const statusFor = async (path: string, headers: Record<string, string>) =>
  (await say(`${url}${path}`, { headers })).status;

describe('the server of the page', () => {
  it('gives its files to everybody, with a policy that lets nothing else in', async () => {
    const response = await fetch(`${url}/`, { headers: { 'Accept-Encoding': 'identity' } }).catch((error) => error);
    // What it gives here is not compressed in truth.
    if (response instanceof Error) expect(String(response.cause)).toMatch(/header check/);
    const status = await statusFor('/', {});
    expect(status).toBe(200);
    expect(await statusFor('/', { 'If-None-Match': '"t"' })).toBe(304);
    expect(await statusFor('/', { 'Sec-Fetch-Site': 'cross-site' })).toBe(200);
    const refused = await fetch(`${url}/api/state`);
    expect(refused.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self'/);
    expect(refused.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('tells nothing without a login, and takes each link once', async () => {
    for (const path of ['/api/state', '/api/changes']) expect((await fetch(url + path)).status, path).toBe(401);
    const asked = await fetch(`${url}/api/diagnose`, { method: 'POST', headers: JSON_TYPE, body: '{}' });
    expect(asked.status).toBe(401);
    const secret = login.secret;
    await cookie();
    const again = await fetch(`${url}/api/login`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ secret }),
    });
    expect(again.status).toBe(401);
    expect(again.headers.get('set-cookie')).toBeNull();
  });

  it('tells nothing under another name, nor to another site', async () => {
    const headers = await cookie();
    expect(await statusFor('/api/state', headers)).toBe(200);
    expect(await statusFor('/api/state', { ...headers, Host: 'evil.example' })).toBe(403);
    expect(await statusFor('/', { ...headers, Host: 'evil.example' })).toBe(403);
    expect(await statusFor('/api/state', { ...headers, Origin: 'http://evil.example' })).toBe(403);
    expect(await statusFor('/api/state', { ...headers, 'Sec-Fetch-Site': 'same-site' })).toBe(403);
  });

  it('takes JSON alone, and not much of it', async () => {
    const headers = await cookie();
    const post = (body: string, type = 'application/json') =>
      fetch(`${url}/api/diagnose`, { method: 'POST', headers: { ...headers, 'Content-Type': type }, body });
    expect((await post('{"peer":"host2"}')).status).toBe(200);
    expect((await post('peer=host2', 'text/plain')).status).toBe(409);
    expect((await post('[')).status).toBe(409);
    expect((await post('{"peer":1}')).status).toBe(409);
    expect((await post(`{"peer":"${'x'.repeat(20_000)}"}`)).status).toBe(409);
    for (const name of ['other', 'repair', 'constructor']) {
      const asked = fetch(`${url}/api/${name}`, { method: 'POST', headers: { ...headers, ...JSON_TYPE }, body: '{}' });
      expect((await asked).status, name).toBe(404);
    }
  });

  it('tells the state, and then what changes of it', async () => {
    const headers = await cookie();
    const state = (await (await fetch(`${url}/api/state`, { headers })).json()) as ClusterState;
    expect(state.hosts.map(({ name }) => name).sort()).toEqual(['host1', 'host2', 'host3']);
    expect(state.endpoints).toHaveLength(6);
    const page = new ClusterTable();
    page.begin(state);
    const stream = await fetch(`${url}/api/changes?run=${state.run}&after=${state.revision}`, { headers });
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    void follow(stream, page);
    const record = cluster.attach(7);
    cluster.remove(keys.endpoint(cluster.endpoint(0)));
    await vi.waitFor(() => expect(page.sorted('endpoints').map(({ name }) => name)).toContain(record.name), 10_000);
    expect(page.size('endpoints')).toBe(6);
    cluster.setPath(2, { path: 'lost' });
    const pathOf = () => page.get('paths', page.sorted('hosts')[2]!.id)?.path;
    await vi.waitFor(() => expect(pathOf()).toBe('lost'), 10_000);
    cluster.refuses = new OverlaydError('agent-not-running', 'the agent does not answer');
    await vi.waitFor(() => expect(page.overview?.away).toBe('the agent does not answer'), 10_000);
    expect(page.size('endpoints')).toBe(6);
    cluster.refuses = undefined;
    await vi.waitFor(() => expect(page.overview?.away).toBe(''), 10_000);
  });

  it('asks the agent for all pages together, and for none when nobody looks', async () => {
    const headers = await cookie();
    const { run, revision } = (await (await fetch(`${url}/api/state`, { headers })).json()) as ClusterState;
    const leaving = new AbortController();
    const streams = Array.from({ length: 5 }, () =>
      fetch(`${url}/api/changes?run=${run}&after=${revision}`, { headers, signal: leaving.signal }),
    );
    await Promise.all(streams);
    const [before, begin] = [cluster.asked.records, performance.now()];
    await vi.waitFor(() => expect(cluster.asked.records).toBeGreaterThan(before + 1), 10_000);
    // Once a second at most, however many pages there are.
    expect(cluster.asked.records - before).toBeLessThanOrEqual((performance.now() - begin) / 1_000 + 1);
    leaving.abort();
    await vi.waitFor(async () => {
      const now = cluster.asked.records;
      await systemClock.sleep(1_500);
      expect(cluster.asked.records).toBe(now);
    }, 20_000);
  });
});

/** As a browser does. */
async function follow(stream: Response, page: ClusterTable): Promise<void> {
  let text = '';
  try {
    for await (const part of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      const messages = text.split('\n\n');
      text = messages.pop()!;
      for (const message of messages) {
        const data = /^event: change\ndata: (.*)$/m.exec(message)?.[1];
        if (data !== undefined) page.apply(JSON.parse(data) as ClusterChange);
      }
    }
  } catch {
    // The server ends with the test.
  }
}
