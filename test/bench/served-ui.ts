import { get, type IncomingMessage } from 'node:http';
import { constants, gunzipSync } from 'node:zlib';
import type { Host } from '../lab/host.ts';
import { type SocketTunnel, tunnelTo } from '../lab/tunnel.ts';
import { until } from '../lab/until.ts';

const SOCKET = '/run/overlayd/bench-ui.sock';

/**
 * `overlayd ui` of a host, and pages that look at it as a browser does. They read all that a page reads, and do nothing with it:
 * who looks has a processor of its own, elsewhere.
 */
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
      const parts: Buffer[] = [];
      for await (const part of await ask(`${tunnel.url}/api/state`, over.signal)) parts.push(part as Buffer);
      const { run, revision } = headOf(Buffer.concat(parts));
      const changes = `${tunnel.url}/api/changes?run=${run}&after=${revision}${events ? '&events=1' : ''}`;
      const stream = await ask(changes, over.signal);
      // It ends with an error when it is closed.
      stream.on('error', () => undefined).resume();
    },
    async close() {
      over.abort();
      tunnel.close();
      await serving.kill();
      await serving.exited;
    },
  };
}

function ask(url: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { agent: false, signal, headers: { 'Accept-Encoding': 'gzip' } }, (answer) => {
      if (answer.statusCode === 200) resolve(answer);
      else reject(new Error(`${url} answers ${answer.statusCode}`));
    });
    asked.on('error', reject);
  });
}

const HEAD_BYTES = 1_024;

/** What the compressed state begins with. */
function headOf(state: Buffer): { readonly run: string; readonly revision: number } {
  const text = gunzipSync(state.subarray(0, HEAD_BYTES), { finishFlush: constants.Z_SYNC_FLUSH }).toString();
  const [, run, revision] = /^\{"run":"([^"]+)","revision":(\d+),/.exec(text) ?? [];
  if (run === undefined) throw new Error(`this is no state: ${text.slice(0, 100)}`);
  return { run, revision: Number(revision) };
}
