/** The server of the page without its files, for a cluster that is not there. */
import { once } from 'node:events';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../../src/adapters/system/time.ts';
import { pageActions } from '../../../src/ui/actions.ts';
import { EventFeed } from '../../../src/ui/event-feed.ts';
import { Follower } from '../../../src/ui/follower.ts';
import { Login } from '../../../src/ui/login.ts';
import { createPageServer } from '../../../src/ui/page-server.ts';
import { FakeCluster } from '../../page/fake-cluster.ts';

export const JSON_TYPE = { 'Content-Type': 'application/json' };

export interface Served {
  readonly cluster: FakeCluster;
  readonly login: Login;
  readonly port: number;
  readonly url: string;
  /** Headers of who has logged in. */
  cookie(): Promise<Record<string, string>>;
  close(): void;
}

export async function serve({ writable = false } = {}): Promise<Served> {
  const cluster = new FakeCluster({ hosts: 3, networks: 2, endpoints: 6 });
  const login = new Login({ isNeeded: true, onUsed: () => undefined, elapsed: () => 0 });
  const follower = new Follower({ agent: cluster, clock: systemClock }, { run: 'r1', writable });
  const { view, problemOf } = follower;
  const file = { type: 'text/html', body: Buffer.from('compressed'), tag: '"t"' };
  const deps = {
    ...{ files: new Map([['/', file]]), follower, login },
    ...{ events: new EventFeed(cluster, systemClock) },
    actions: pageActions({ agent: cluster, view, problemOf }, { writable }),
  };
  const server = createPageServer(deps, []);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ cluster, login, port, url },
    async cookie() {
      const body = JSON.stringify({ secret: login.secret });
      const response = await fetch(`${url}/api/login`, { method: 'POST', headers: JSON_TYPE, body });
      if (response.status !== 200) throw new Error(`no login: ${response.status}`);
      return { Cookie: response.headers.get('set-cookie')!.split(';')[0]! };
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export interface Heard {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** With headers, methods and paths that fetch does not let one set. */
export function say(url: string, options: RequestOptions = {}, body = ''): Promise<Heard> {
  return new Promise((resolve, reject) => {
    request(url, options, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part);
      resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts).toString() });
    })
      .on('error', reject)
      .end(body);
  });
}
