/** The page as it was built, served for a cluster that is not there. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../src/adapters/system/time.ts';
import { pageActions } from '../../src/ui/actions.ts';
import { EventFeed } from '../../src/ui/event-feed.ts';
import { Follower } from '../../src/ui/follower.ts';
import { Login } from '../../src/ui/login.ts';
import { createPageServer } from '../../src/ui/page-server.ts';
import { loadStaticFiles } from '../../src/ui/static-files.ts';
import { ROOT } from '../lab/host.ts';
import type { FakeCluster } from './fake-cluster.ts';

export const PAGE_FILES = `${ROOT}/dist/lib/page`;

export interface ServedPage {
  /** Without a slash at the end. */
  readonly url: string;
  readonly login: Login;
  close(): void;
}

export async function servePage(
  cluster: FakeCluster,
  { needsLogin = false, writable = false } = {},
): Promise<ServedPage> {
  const clock = systemClock;
  const login = new Login({ isNeeded: needsLogin, onUsed: () => undefined, elapsed: clock.elapsed });
  const follower = new Follower({ agent: cluster, clock }, { run: 'r1', writable });
  const events = new EventFeed(cluster, clock);
  const files = await loadStaticFiles(PAGE_FILES);
  const { view, problemOf } = follower;
  const actions = pageActions({ agent: cluster, view, problemOf }, { writable });
  const server = createPageServer({ files, follower, events, login, actions }, []);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    login,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
