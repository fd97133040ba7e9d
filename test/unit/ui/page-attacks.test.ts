/** What somebody may try who reaches the page's listener, or has a browser that does. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ClusterState } from '../../../src/core/page/contract.ts';
import { JSON_TYPE, type Served, say, serve } from './page-fixture.ts';

let served: Served;
const sockets: Socket[] = [];
beforeEach(async () => {
  served = await serve({ writable: true });
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  served.close();
});

async function openSocket(text = ''): Promise<Socket> {
  const socket = connect(served.port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

const post = (path: string, headers: Record<string, string>, body = '{}') =>
  say(served.url + path, { method: 'POST', headers: { ...JSON_TYPE, ...headers } }, body);

describe('the page’s server', () => {
  it('is there for others while somebody holds more connections than it takes', async () => {
    const ended = vi.fn();
    for (let nth = 0; nth < 300; nth++)
      (await openSocket(nth % 2 ? 'GET / HTTP/1.1\r\nHost: ' : '')).on('close', ended);
    const headers = await served.cookie();
    expect((await say(`${served.url}/api/state`, { headers })).status).toBe(200);
    await vi.waitFor(() => expect(ended.mock.calls.length).toBeGreaterThan(200), 20_000);
  });

  it('keeps the pages that are open while somebody opens connections', async () => {
    const headers = await served.cookie();
    const stream = await fetch(`${served.url}/api/changes?run=r1&after=1`, { headers });
    const reader = stream.body!.getReader();
    await reader.read();
    for (let nth = 0; nth < 300; nth++) await openSocket();
    served.cluster.status.state = 'degraded';
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('event: change');
    await reader.cancel();
  });

  it('ends a request that does not come to its end', async () => {
    const slow = await openSocket(
      'POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-',
    );
    const closed = once(slow, 'close');
    slow.resume();
    await closed;
  }, 60_000);

  it('serves nothing but its own files, whatever the path', async () => {
    const headers = await served.cookie();
    for (const path of [
      '/../../etc/passwd',
      '/..%2f..%2fetc/passwd',
      '/%2e%2e/page.js',
      '/page.js%00',
      '/api/../../x',
    ]) {
      expect((await say(served.url, { path, headers })).status, path).toBe(404);
    }
    for (const path of ['//', 'http://']) expect((await say(served.url, { path, headers })).status, path).toBe(400);
    const elsewhere = { path: 'http://evil.example/api/state', headers: { ...headers, Host: 'evil.example' } };
    expect((await say(served.url, elsewhere)).status).toBe(403);
  });

  it('becomes nothing else: no WebSocket, no proxy, no method but its own', async () => {
    const headers = await served.cookie();
    const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' };
    const asked = { ...headers, ...upgrade, 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    expect((await say(`${served.url}/api/changed`, { headers: asked })).status).toBe(404);
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']) {
      const heard = await say(`${served.url}/api/repair`, { method, headers });
      expect([method, heard.status, heard.headers['access-control-allow-origin']]).toEqual([method, 404, undefined]);
    }
    expect((await say(`${served.url}/api/repair`, { headers })).status).toBe(404);
    const tunnel = await openSocket('CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    let told = '';
    tunnel.on('data', (part) => {
      told += part;
    });
    await once(tunnel, 'close');
    expect(told).not.toContain('200');
  });

  it('changes nothing that another site asks for with the browser’s own login', async () => {
    const headers = await served.cookie();
    const repair = vi.spyOn(served.cluster, 'findDrift');
    for (const from of [
      { Origin: 'http://evil.example' },
      { Origin: `http://127.0.0.1:${served.port + 1}` },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { Host: 'evil.example' },
    ]) {
      expect((await post('/api/repair', { ...headers, ...from })).status, JSON.stringify(from)).toBe(403);
    }
    // What a form can send without being asked.
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', '']) {
      expect((await post('/api/repair', { ...headers, 'Content-Type': type })).status, type).toBe(409);
    }
    expect((await post('/api/repair', {})).status).toBe(401);
    expect(repair).not.toHaveBeenCalled();
    expect((await post('/api/repair', { ...headers, Origin: served.url })).status).toBe(200);
    expect(repair).toHaveBeenCalledOnce();
  });

  it('takes a link once, though two have it at the same moment, and says it to nobody', async () => {
    const { secret } = served.login;
    const both = await Promise.all([1, 2].map(() => post('/api/login', {}, JSON.stringify({ secret }))));
    expect(both.map(({ status }) => status).sort()).toEqual([200, 401]);
    const text = JSON.stringify(both);
    expect([text.includes(secret), text.includes(served.login.secret)]).toEqual([false, false]);
    for (const wrong of ['{"secret":["x"]}', '{"secret":null}', '{"__proto__":{"secret":"x"}}', '{}']) {
      expect((await post('/api/login', {}, wrong)).status, wrong).toBe(401);
    }
  });

  it('reads no more than it needs', async () => {
    const headers = await served.cookie();
    const large = { ...headers, 'X-Large': 'x'.repeat(40_000) };
    expect((await say(`${served.url}/api/state`, { headers: large })).status).toBe(431);
    const endless = await openSocket(
      'POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const chunk = `1000\r\n${'x'.repeat(4_096)}\r\n`;
    const sending = setInterval(() => endless.write(chunk), 1);
    let told = '';
    endless.on('data', (part) => {
      told += part;
    });
    await new Promise((closed) => endless.once('close', closed));
    clearInterval(sending);
    expect(told).toContain('what is asked is too long');
    expect(told.match(/HTTP\/1.1/g)).toHaveLength(1);
  }, 60_000);

  it('shows so many pages at a time, and asks the agent for so many', async () => {
    const headers = await served.cookie();
    const state = (await (await fetch(`${served.url}/api/state`, { headers })).json()) as ClusterState;
    const { run, revision } = state;
    const leaving: AbortController[] = [];
    const open = () => {
      leaving.push(new AbortController());
      const { signal } = leaving.at(-1)!;
      return fetch(`${served.url}/api/changes?run=${run}&after=${revision}`, { headers, signal });
    };
    for (let nth = 0; nth < 64; nth++) expect((await open()).status).toBe(200);
    const refused = await open();
    expect([refused.status, await refused.json()]).toEqual([503, { message: '64 pages are open: close some' }]);
    leaving[0]!.abort();
    await vi.waitFor(async () => expect((await open()).status).toBe(200), 20_000);
    for (const each of leaving) each.abort();

    const held = Promise.withResolvers<void>();
    served.cluster.holdsUp = held.promise;
    const [network, host] = [state.networks[0]!.id, state.hosts[0]!.id];
    const question = JSON.stringify({ network, host, name: 'api', type: 'A' });
    const asked = Array.from({ length: 8 }, () => post('/api/name', headers, question));
    await vi.waitFor(async () => {
      expect((await post('/api/name', headers, question)).status).toBe(503);
    }, 20_000);
    held.resolve();
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(Array(8).fill(200));
  }, 60_000);
});
