/**
 * Asks upstream servers, hedged: the next one is asked when the last has been silent for a try's length, or at once
 * when it failed; all stay in the race until one answers or the budget ends. The server that answered last is asked
 * first the next time. No upstream, or all of them refusing: undefined at once, without waiting for the budget.
 */
import { planTries } from '../../core/dns/forward.ts';
import { parseUpstream } from '../../core/dns/upstreams.ts';
import { formatIp } from '../../core/ip.ts';
import type { DnsForwarder } from '../../names/ports.ts';
import type { Server } from './door.ts';
import { type Exchange, exchange } from './exchange.ts';
import { type SocketLimits, UpstreamSockets } from './upstream-sockets.ts';

export interface ForwarderDeps {
  /** Numeric addresses of the host's upstream servers, in order of preference. */
  readonly servers: () => readonly string[];
  /** True for an address at which we answer ourselves: nobody's questions go there. */
  readonly isOwn?: (address: string) => boolean;
}

export interface ForwarderOptions {
  /** Time for the whole question; below the 5 s that clients wait. */
  readonly budgetMs?: number;
  /** How long a server may be silent before the next is asked too. */
  readonly tryMs?: number;
  readonly port?: number;
  readonly sockets?: Partial<SocketLimits>;
}

/** Sets of servers: the host's, and those of networks. */
const MOST_PREFERRED = 1_024;
const ANSWERED = 'the question was answered';

export function createForwarder(deps: ForwarderDeps, options: ForwarderOptions = {}): DnsForwarder {
  const { budgetMs = 2800, tryMs = 900, port = 53 } = options;
  const sockets = new UpstreamSockets(options.sockets);
  /** Of several who may be asked, who answered last. */
  const preferred = new Map<string, string>();

  function placeOf(server: string): Server {
    const upstream = parseUpstream(server);
    return upstream ? { address: formatIp(upstream.ip), port: upstream.port ?? port } : { address: server, port };
  }

  function prefer(among: string, server: string): void {
    if (preferred.size >= MOST_PREFERRED) preferred.clear();
    preferred.set(among, server);
  }

  function ask(query: Uint8Array, own: readonly string[] = []): Promise<Uint8Array | undefined> {
    const asked = own.length === 0 ? deps.servers() : own;
    const servers = asked.filter((server) => !deps.isOwn?.(placeOf(server).address));
    const among = servers.join();
    const tries = planTries(servers, preferred.get(among), { budgetMs, tryMs });
    if (tries.length === 0) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const race = new AbortController();
      let started = 0;
      let running = 0;
      let fallback: Uint8Array | undefined;

      const finish = (reply: Uint8Array | undefined) => {
        clearInterval(hedge);
        clearTimeout(budget);
        // A reason of its own: the default one is made with a stack each time.
        race.abort(ANSWERED);
        resolve(reply);
      };
      const startNext = async () => {
        const next = tries[started];
        if (next === undefined) return;
        started += 1;
        running += 1;
        const result = await exchange(sockets, placeOf(next.server), query, race.signal);
        running -= 1;
        if (!race.signal.aborted) judge(next.server, result);
      };
      const judge = (server: string, result: Exchange) => {
        if (result?.willing) {
          prefer(among, server);
          return finish(result.reply);
        }
        fallback ??= result?.reply;
        if (started < servers.length) void startNext();
        else if (running === 0) finish(fallback);
      };
      const hedge = setInterval(() => void startNext(), tryMs);
      const budget = setTimeout(() => finish(fallback), budgetMs);
      void startNext();
    });
  }

  return { ask };
}
