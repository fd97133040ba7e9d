import type { Host } from '../lab/host.ts';
import { type SocketTunnel, tunnelTo } from '../lab/tunnel.ts';
import { until } from '../lab/until.ts';

const SOCKET = '/run/overlayd/bench-ui.sock';

/** `overlayd ui` of a host, and pages that look at it as a browser does, without the browser. */
export interface ServedUi {
  readonly url: string;
  /** In this machine's numbers. */
  readonly pid: number;
  /** Open until it is closed; resolves when it has all rows. `events`: as the views that show events. */
  openPage(options: { readonly events: boolean }): Promise<void>;
  /** The pages, and the server. */
  close(): Promise<void>;
}

export async function serveUi(host: Host): Promise<ServedUi> {
  const serving = host.spawn(['overlayd', 'ui', '--listen', `unix:${SOCKET}`]);
  await until('the page to be served', () => serving.output.includes(SOCKET));
  const pid = await serving.pid();
  const tunnel: SocketTunnel = await tunnelTo(host, SOCKET);
  const over = new AbortController();
  return {
    ...{ url: tunnel.url, pid },
    async openPage({ events }) {
      const state = await fetch(`${tunnel.url}/api/state`, { signal: over.signal });
      const { run, revision } = (await state.json()) as { run: string; revision: number };
      const changes = `${tunnel.url}/api/changes?run=${run}&after=${revision}${events ? '&events=1' : ''}`;
      const stream = await fetch(changes, { signal: over.signal });
      void readAll(stream);
    },
    async close() {
      over.abort();
      tunnel.close();
      await serving.kill();
      await serving.exited;
    },
  };
}

async function readAll({ body }: Response): Promise<void> {
  try {
    for await (const _ of body!);
  } catch {
    // It was closed.
  }
}
